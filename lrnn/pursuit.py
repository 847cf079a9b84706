"""Few neurons out of many: greedy selection from a dictionary of candidate neurons.

A network obeys tau dkappa/dt = velocity when its rates add up to kappa + tau velocity, so choosing
its neurons is sparse regression on the functions phi(m kappa + bias) of a `Basis`, here called the
dictionary and its functions atoms. Every method adds one neuron at a time and then refits all
weights; they differ in how the next one is scored, and every output of a network of rank R uses the
same neurons. `lrnn.refine` moves the chosen slopes and offsets, which no dictionary does.
"""

from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from lrnn._check import finite_array, not_negative, positive
from lrnn.basis import Basis, evaluate
from lrnn.network import LowRankRNN, latent_velocity

SCORES = ("correlation", "normalised", "residual")
LEAKS = ("unit", "free")
MEMORY = 2**29  # bytes of atoms that are kept; the others are computed again at every step
BLOCK = 2**17  # values of atoms that are computed at once, so that they stay in cache
DEPENDENT = 1e-12  # squared sine of the angle below which an atom lies in the span of the chosen
ROUND_OFF = 1e-13  # size of the residual, or of its cosine with an atom, that is rounding


class Regression(NamedTuple):
    """What the rates of a network have to add up to at P points.

    kappa : (P, R), the points, one latent state a row
    target : (P, R), kappa + tau velocity
    tau : float, s
    penalty : float, ridge var(target), the weight of |n|^2 against the mean squared error
    power : float, sum over latents of the variance of tau velocity: what an nMSE is relative to
    """

    kappa: np.ndarray
    target: np.ndarray
    tau: float
    penalty: float
    power: float


class Pursuit(NamedTuple):
    """The path of a pursuit: row k of an array is the fit with the first k neurons, row 0 without.

    basis : Basis of the K neurons, in the order in which they were chosen
    support : (K,) int, their places in the dictionary
    n : (K + 1, K, R), weights; zero for neurons not chosen yet
    decay : (K + 1, R), n_0 of the leak -n_0 kappa; one throughout with leak = "unit"
    mse : (K + 1,), mean over the points of |error of tau dkappa/dt|^2, squared latent units
    nmse : (K + 1,), the same over the variance of tau velocity
    objective : (K + 1,), mse + ridge var(kappa + tau velocity) |n|^2
    tau : float, s
    """

    basis: Basis
    support: np.ndarray
    n: np.ndarray
    decay: np.ndarray
    mse: np.ndarray
    nmse: np.ndarray
    objective: np.ndarray
    tau: float

    @property
    def weight_norm(self):
        """(K + 1,), Frobenius norm of the weights n'; of the network's own n at a decay of 1."""
        return np.linalg.norm(self.n, axis=(1, 2))

    def network(self, n_neurons=None):
        """The LowRankRNN of the first `n_neurons` neurons, all of them by default.

        A decay n_0 other than 1 is divided out: tau dkappa/dt = -n_0 kappa + n'^T phi is a network
        of time constant tau/n_0 and weights n'/n_0, provided that n_0 is positive and, for R > 1,
        the same for all latents, since the neurons share one time constant. With n_0 <= 0 there is
        no leak, and nothing keeps the latents bounded.

        Raises : ValueError if the path has no such step, or no network has the fitted decay
        """
        K = len(self.support)
        k = K if n_neurons is None else n_neurons
        if k not in range(1, K + 1):
            raise ValueError(f"n_neurons must be in 1 ... {K}, the length of the path, got {k!r}")
        decay, basis = self.decay[k], self.basis[: int(k)]
        if not (decay > 0).all():
            raise ValueError(f"no leaky network has a decay of {decay.tolist()}: it must be > 0")
        # Rounding, and no more, may separate the decays of latents that a symmetry makes equal.
        if np.ptp(decay) > 1e-9 * decay.max():
            raise ValueError(
                f"no network has one decay a latent, {decay.tolist()}: its neurons share one tau"
            )
        n, tau = self.n[k, : int(k)] / decay, self.tau / decay[0]
        return LowRankRNN(basis.m, n, bias=basis.bias, tau=tau, phi=basis.phi)


class Subset(NamedTuple):
    """The best K atoms of a dictionary.

    support : (K,) int; n : (K, R), weights
    objective, mse, nmse : float, as in `Pursuit`
    """

    support: np.ndarray
    n: np.ndarray
    objective: float
    mse: float
    nmse: float


def regression(velocity, kappa, *, tau=1.0, ridge=0.0):
    """The regression that writes dkappa/dt = velocity into a network.

    velocity : (P, R), latent units per s, or a function (P, R) -> (P, R) such as `Target.rhs`
    kappa : (P, R), points
    tau : float, s, > 0
    ridge : float, >= 0, weight of var(target) |n|^2 against the mean squared error, dimensionless
    Returns : Regression
    Raises : ValueError if a shape disagrees, a value is not finite (it names the point), there is
        no point, the velocity is the same at all of them, tau <= 0 or ridge < 0
    """
    kappa = finite_array("kappa", kappa, ("P", "R"))
    if 0 in kappa.shape:
        raise ValueError(f"kappa must have at least one point and one latent, got {kappa.shape}")
    velocity = _velocity(velocity, kappa)
    tau = positive("tau", tau)
    power = np.square(tau) * velocity.var(axis=0).sum()
    if not power > 0:
        raise ValueError(f"velocity must vary over the points, got {velocity[0].tolist()} at all")
    target = kappa + tau * velocity
    penalty = not_negative("ridge", ridge) * target.var(axis=0).sum()
    return Regression(kappa, target, tau, float(penalty), float(power))


def pursue(
    dictionary,
    velocity,
    kappa,
    n_neurons,
    *,
    score="residual",
    leak="unit",
    tau=1.0,
    ridge=0.0,
    memory=MEMORY,
):
    """Choose neurons from a dictionary one by one, refitting all weights each time.

    The next neuron is the atom b with the largest score against the residual r, summed over the
    outputs:

    - "correlation", |b^T r|, the paper's Algorithm 1: large functions are favoured;
    - "normalised", |b^T r|/|b|, orthogonal matching pursuit on atoms of unit length
      (Pati et al. 1993);
    - "residual", the atom after which the refitted objective is lowest, orthogonal least squares
      (Chen et al. 1989): (b^T r)^2/(|b|^2 + c - |Q^T b|^2), with Q the top of an orthonormal basis
      of the chosen atoms stacked on sqrt(c) times the identity, and c = P ridge var(target).

    With leak = "unit" the network decays at its own rate, tau velocity ~ -kappa + n^T phi. With
    "free" the decay is fitted too, tau velocity ~ -n_0 kappa + n'^T phi (the paper, eq. 12), one
    n_0 a latent and without penalty. Algorithm 1 says this in its steps 3 and 4, then refits by the
    formula for unit leak (5.3) and drops the decay from the residual (5.4); here n_0 and n' are
    refitted together and both enter the residual. `Pursuit.network` says what such a fit is worth.

    Without a ridge an atom in the span of the chosen ones is passed over; with one, where such an
    atom still lets the weights shrink, an atom proportional to a chosen one on these points. So
    copies and mirror images are never chosen beside their original, and zero atoms not at all. The
    path is shorter than asked if no atom is left that lowers the error; its support says so.

    dictionary : Basis of N atoms, without an input channel
    velocity : (P, R), latent units per s, or a function (P, R) -> (P, R) such as `Target.rhs`
    kappa : (P, R), points
    n_neurons : int, K, neurons to choose
    score : "correlation", "normalised" or "residual"; leak : "unit" or "free"
    tau : float, s, > 0
    ridge : float, >= 0, weight of var(kappa + tau velocity) |n|^2 against the mean squared error
    memory : int, bytes of atoms that are kept between steps, besides some 60 an atom; it changes
        the time, not the result
    Returns : Pursuit
    Raises : ValueError as `regression`, if an argument is none of its choices, if the dictionary
        has inputs, another rank or fewer atoms than n_neurons, or if not even one atom helps
    """
    for name, value, choices in (("score", score, SCORES), ("leak", leak, LEAKS)):
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    task = regression(velocity, kappa, tau=tau, ridge=ridge)
    check_dictionary(dictionary, task)
    K = _count(n_neurons, len(dictionary))
    atoms = _Atoms(dictionary, task.kappa, not_negative("memory", memory))
    support, frames = _select(atoms, task, K, score, leak)
    if not support:
        raise ValueError("no atom of the dictionary lowers the error: there is nothing to choose")
    return _path(dictionary[support], np.array(support), frames, task, leak)


def select(dictionary, task, n_neurons):
    """Only the places that `pursue` chooses by score "residual" with unit leak, (K,) or fewer.

    dictionary : Basis of N atoms; task : Regression; n_neurons : int, K
    Raises : ValueError if the dictionary does not fit the task
    """
    check_dictionary(dictionary, task)
    K = _count(n_neurons, len(dictionary))
    return np.array(_select(_Atoms(dictionary, task.kappa), task, K, "residual", "unit")[0], int)


def nmse(net, velocity, kappa):
    """Mean squared error of a network's latent velocity over the variance of the true one.

    net : LowRankRNN without an input channel
    velocity : (P, R), latent units per s, or a function (P, R) -> (P, R)
    kappa : (P, R), points, such as a grid denser than the one of the fit
    Raises : ValueError if a shape disagrees, or a value is not finite
    """
    kappa = finite_array("kappa", kappa, ("P", net.rank))
    velocity = _velocity(velocity, kappa)
    error = latent_velocity(net, kappa) - velocity
    return np.mean(np.sum(error**2, axis=1)) / velocity.var(axis=0).sum()


def exhaustive(
    dictionary, velocity, kappa, n_neurons, *, tau=1.0, ridge=0.0, most_subsets=2_000_000
):
    """The best of all choices of K atoms, found by trying every one, with unit leak.

    The judge of the greedy methods on small dictionaries: 40 atoms have 9880 triples.

    dictionary, velocity, kappa, n_neurons, tau, ridge : as in `pursue`
    most_subsets : int, how many choices to try at most
    Returns : Subset
    Raises : ValueError as `pursue`, and if there are more choices than `most_subsets`
    """
    task = regression(velocity, kappa, tau=tau, ridge=ridge)
    check_dictionary(dictionary, task)
    N = len(dictionary)
    K = _count(n_neurons, N)
    if comb(N, K) > most_subsets:
        raise ValueError(
            f"n_neurons = {K} of {N} atoms has {comb(N, K)} choices, more than {most_subsets}"
        )
    # All subsets share one QR factorisation: the columns of its triangle stand for the atoms.
    atoms, target = _stacked(evaluate(dictionary, task.kappa), task)
    q, triangle = np.linalg.qr(atoms)
    subsets = np.array(list(combinations(range(N), K)))
    explained = np.concatenate(
        [
            _explained(triangle.T[part], q.T @ target)
            for part in np.array_split(subsets, -(-len(subsets) * len(triangle) * K // 2**22))
        ]
    )
    support = subsets[np.argmax(explained)]
    n = np.linalg.lstsq(atoms[:, support], target, rcond=None)[0]
    error = np.sum((task.target - atoms[: len(task.target), support] @ n) ** 2, axis=1).mean()
    return Subset(support, n, error + task.penalty * np.sum(n**2), error, error / task.power)


class _Atoms:
    """The columns of a dictionary's design matrix: as many as fit are kept, the others are not."""

    def __init__(self, dictionary, kappa, memory=MEMORY):
        P, self._n_atoms = len(kappa), len(dictionary)
        # One product gives m kappa + bias.
        self._points = np.column_stack([kappa, np.ones(P)])
        self._weights = np.column_stack([dictionary.m, dictionary.bias]).T.copy()
        self._phi = dictionary.phi.function
        self._width = max(1, BLOCK // P)
        self._kept = np.empty((P, min(int(memory / (8 * P)), len(self))))
        self._filled = False

    def __len__(self):
        return self._n_atoms

    def __iter__(self):
        """Yield slices of the dictionary with their atoms, (P, n): first those that are kept."""
        n_kept = self._kept.shape[1]
        if self._filled:
            yield slice(0, n_kept), self._kept
        else:
            for part in self._parts(0, n_kept):
                yield part, self.column(part, out=self._kept[:, part])
            self._filled = n_kept > 0
        for part in self._parts(n_kept, len(self)):
            yield part, self.column(part)

    def _parts(self, start, stop):
        for left in range(start, stop, self._width):
            yield slice(left, min(left + self._width, stop))

    def column(self, index, out=None):
        """The atoms at an index or slice, written to `out` if given."""
        argument = self._points @ self._weights[:, index]
        if isinstance(self._phi, np.ufunc):  # needs no memory of its own, whose first use is slow
            return self._phi(argument, out=argument if out is None else out)
        rates = self._phi(argument)
        if out is not None:
            out[...] = rates
        return rates


class _Frame:
    """An orthonormal basis of the columns of one regression, grown column by column.

    Columns are stacked on sqrt(ridge) times the identity, which applies the ridge: rates are
    regressed as [rates; sqrt(ridge) 1] n ~ [target; 0].

    q : (P + K, width), of which `size` columns are in use; triangle : (width, width), q^T columns
    """

    def __init__(self, P, K, ridge, fixed):
        width = K + (fixed is not None)
        self.q = np.zeros((P + K, width), order="F")
        self.triangle = np.zeros((width, width))
        self.size = 0
        self.fixed = int(fixed is not None)  # columns that are no atoms
        self._n_points, self._root = P, np.sqrt(ridge)
        if fixed is not None:
            if not fixed.any():
                raise ValueError("leak must be 'unit' where a latent is zero at all points")
            self.add(self._direction(fixed, None))

    def direction(self, atom, k):
        """What neuron k adds: direction, its part in the old ones, length; None if nothing."""
        column = self._direction(atom, k)
        _, along, length = column
        # The parts add up to the column: |column|^2 = |along|^2 + length^2.
        return column if length**2 > DEPENDENT * (along @ along + length**2) else None

    def add(self, column):
        direction, along, length = column
        self.q[:, self.size] = direction
        self.triangle[: self.size, self.size] = along
        self.triangle[self.size, self.size] = length
        self.size += 1

    def _direction(self, top, k):
        column = np.zeros(len(self.q))
        column[: self._n_points] = top
        if k is not None:
            column[self._n_points + k] = self._root
        old, along = self.q[:, : self.size], np.zeros(self.size)
        for _ in range(2):  # the second pass removes what rounding left
            part = old.T @ column
            column -= old @ part
            along += part
        length = np.linalg.norm(column)
        return column / (length or 1.0), along, length


def _select(atoms, task, K, score, leak):
    """Places of up to K atoms in the order of choice, and a `_Frame` for each regression.

    With unit leak all outputs are regressed on the same columns; with free leak each has its own
    latent among them, so there are R regressions on the same atoms.
    """
    (P, R), N = task.target.shape, len(atoms)
    ridge = P * task.penalty
    frames = [_Frame(P, K, ridge, z) for z in ([None] if leak == "unit" else task.kappa.T)]
    residual = task.target.copy()
    for frame, share in zip(frames, residual.T, strict=False):
        if frame.size:
            share -= frame.q[:P, 0] * (frame.q[:P, 0] @ share)
    product = np.empty((R, N))  # b^T r
    square = None if score == "correlation" and ridge == 0 else np.empty(N)  # |b|^2
    left = np.empty((len(frames), N)) if score == "residual" else None  # the denominator
    for part, block in atoms:
        for output, share in zip(product, residual.T, strict=True):
            output[part] = share @ block
        if square is not None:
            square[part] = np.einsum("pn,pn->n", block, block)
        if left is not None:
            for row, frame in zip(left, frames, strict=True):
                row[part] = square[part] + ridge
                if frame.size:
                    row[part] -= (frame.q[:P, 0] @ block) ** 2
    available = np.ones(N, dtype=bool) if square is None else square > 0
    negligible = ROUND_OFF * np.linalg.norm(task.target)
    support = []
    while len(support) < K:
        if left is not None:
            available &= (left > DEPENDENT * square).all(axis=0)
        chosen = _best(atoms, _scores(score, product, square, left), available, frames)
        if chosen is None:
            break
        index, atom, columns = chosen
        if np.linalg.norm(product[:, index]) <= negligible * np.linalg.norm(atom):
            break
        for frame, column in zip(frames, columns, strict=True):
            frame.add(column)
        # The ridge's rows of all other atoms are orthogonal to these, so that their tops suffice.
        directions = np.column_stack([direction[:P] for direction, _, _ in columns])
        shares = product[:, index] / np.array([length for _, _, length in columns])
        residual -= directions * shares
        available[index] = False
        support.append(index)
        if len(support) == K:
            break
        for part, block in atoms:
            for f, direction in enumerate(directions.T):
                along = direction @ block
                if left is not None:
                    left[f, part] -= along**2
                for output in range(R) if len(frames) == 1 else [f]:
                    product[output, part] -= shares[output] * along
            if ridge > 0:  # without, what is proportional to the atom has no length left
                alike = (atom @ block) ** 2 >= (1 - DEPENDENT) * (atom @ atom) * square[part]
                available[part] &= ~alike
    return support, frames


def _scores(score, product, square, left):
    """The score of every atom, squared and summed over outputs, (N,)."""
    if score == "correlation":
        return np.sum(product**2, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # of atoms that are not available
        return np.sum(product**2 / (square if score == "normalised" else left), axis=0)


def _best(atoms, scores, available, frames):
    """The best atom that adds a direction: its place, itself, and its column in each frame."""
    scores = np.where(available, scores, -1.0)
    k = frames[-1].size - frames[0].fixed
    while True:
        index = int(np.argmax(scores))
        if scores[index] < 0:
            return None
        atom = atoms.column(index)
        columns = [frame.direction(atom, k) for frame in frames]
        if None not in columns:
            return index, atom, columns
        scores[index] = -1.0
        available[index] = False


def _path(basis, support, frames, task, leak):
    """The fits of each length from the triangles of the frames."""
    (P, R), K = task.target.shape, len(support)
    first = frames[0].fixed
    n, decay = np.zeros((K + 1, K, R)), np.ones((K + 1, R))
    for frame, outputs in zip(frames, [slice(None)] if len(frames) == 1 else range(R), strict=True):
        inside = frame.q[:P].T @ task.target[:, outputs]
        for k in range(K + 1):
            size = first + k
            if size:
                weights = solve_triangular(frame.triangle[:size, :size], inside[:size])
                n[k, :k, outputs] = weights[first:]
                if first:
                    decay[k, outputs] = 1 - weights[0]
    rates = evaluate(basis, task.kappa)
    error = task.target - (1 - decay[:, None]) * task.kappa - rates @ n  # (K + 1, P, R)
    mse = np.mean(np.sum(error**2, axis=2), axis=1)
    objective = mse + task.penalty * np.sum(n**2, axis=(1, 2))
    return Pursuit(basis, support, n, decay, mse, mse / task.power, objective, task.tau)


def _stacked(rates, task):
    """Atoms and target as one least-squares problem in which the ridge is K more rows.

    rates : (P, K); task : Regression
    Returns : (P + K, K) and (P + K, R), or with no ridge the arrays themselves
    """
    if task.penalty == 0:
        return rates, task.target
    (P, K), R = rates.shape, task.target.shape[1]
    return (
        np.vstack([rates, np.sqrt(P * task.penalty) * np.eye(K)]),
        np.vstack([task.target, np.zeros((K, R))]),
    )


def _explained(vectors, target):
    """How much of |target|^2 each set of K vectors explains, by Gram-Schmidt on all sets at once.

    vectors : (C, K, S); target : (S, R)
    Returns : (C,)
    """
    directions = np.zeros_like(vectors)
    for k in range(vectors.shape[1]):
        vector = vectors[:, k]
        square = np.sum(vector**2, axis=1)
        for _ in range(2):  # the second pass removes what rounding left
            along = np.einsum("cks,cs->ck", directions[:, :k], vector)
            vector = vector - np.einsum("ck,cks->cs", along, directions[:, :k])
        length = np.linalg.norm(vector, axis=1)
        free = length**2 > DEPENDENT * square
        directions[free, k] = vector[free] / length[free, None]
    return np.sum((directions @ target) ** 2, axis=(1, 2))


def _velocity(velocity, kappa):
    """The velocity at all points, (P, R), finite."""
    value = velocity(kappa) if callable(velocity) else velocity
    value = np.asarray(value, dtype=float)
    if value.shape != kappa.shape:
        raise ValueError(f"velocity must have the shape of kappa, {kappa.shape}, got {value.shape}")
    bad = np.flatnonzero(~np.isfinite(value).all(axis=1))
    if len(bad):
        raise ValueError(
            f"velocity must be finite, got {value[bad[0]].tolist()} at point {bad[0]}, "
            f"kappa = {kappa[bad[0]].tolist()}"
        )
    return value


def check_dictionary(dictionary, task):
    """Raise ValueError unless a Basis can be evaluated at the points of a Regression."""
    if dictionary.rank != task.kappa.shape[1]:
        raise ValueError(
            f"dictionary must have the rank of kappa, {task.kappa.shape[1]}, got {dictionary.rank}"
        )
    if dictionary.n_inputs:
        raise ValueError(
            f"dictionary must have no input channel, got {dictionary.n_inputs}: "
            "add a constant input to its bias"
        )


def _count(n_neurons, n_atoms):
    if n_neurons not in range(1, n_atoms + 1):
        raise ValueError(
            f"n_neurons must be in 1 ... {n_atoms}, the atoms of the dictionary, got {n_neurons!r}"
        )
    return int(n_neurons)
