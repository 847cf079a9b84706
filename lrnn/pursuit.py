"""Few neurons out of many: greedy selection from a dictionary of candidate neurons.

A network obeys tau dkappa/dt = velocity when its rates add up to kappa + tau velocity, so choosing
its neurons is sparse regression on the functions phi(m kappa + bias) of a `Basis`, here called the
dictionary and its functions atoms. Every method adds one neuron at a time and then refits all
weights; they differ in how the next one is scored, and every output of a network of rank R uses the
same neurons. `lrnn.enumeration` tries all choices instead; `lrnn.refine` moves the chosen slopes
and offsets, which no dictionary does.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from lrnn._check import finite_array, not_negative, positive
from lrnn.atoms import MEMORY, Atoms
from lrnn.basis import Basis, evaluate
from lrnn.nef import velocity_at
from lrnn.network import LowRankRNN

SCORES = ("correlation", "normalised", "residual")
LEAKS = ("unit", "free")
DEPENDENT = 1e-12  # squared sine of the angle below which an atom lies in the span of the chosen
ROUND_OFF = 1e-13  # cosine of target and atom below which what is left of their product is rounding

# Share of the best score within which scores are equal: a symmetry of target and dictionary makes
# them so, and rounding, which differs between machines, should not choose.
TIE = 1e-9


class Regression(NamedTuple):
    """What the rates of a network have to add up to at P points: a problem, not its solution.

    It names no neurons, so that a pursuit, an enumeration and a descent can be given the same one.
    `lrnn.regression` solves such a problem once the neurons are chosen.

    kappa : (P, R), the points, one latent state a row
    target : (P, R), kappa + tau velocity
    tau : float, s
    penalty : float, ridge var(target), the weight of |n|^2 against the mean squared error, with
        ridge and var(target) as in `lrnn.regression`
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


def regression(velocity, kappa, *, tau=1.0, ridge=0.0):
    """State the regression that writes dkappa/dt = velocity into a network; it fits nothing.

    `pursue` and `lrnn.enumeration.exhaustive` call it themselves; `select` and the functions of
    `lrnn.refine` are given its result. `lrnn.nef.problem` is for neurons that are known already.

    velocity : (P, R), latent units per s, or a function (P, R) -> (P, R) such as `Target.rhs`
    kappa : (P, R), points
    tau : float, s, > 0
    ridge : float, >= 0, weight of var(target) |n|^2 against the mean squared error, dimensionless
    Returns : Regression
    Raises : ValueError if a shape disagrees, a value is not finite, there is no point, the velocity
        is the same at all of them, tau <= 0 or ridge < 0
    """
    kappa = finite_array("kappa", kappa, ("P", "R"))
    if 0 in kappa.shape:
        raise ValueError(f"kappa must have at least one point and one latent, got {kappa.shape}")
    velocity = sample_velocity(velocity, kappa)
    tau = positive("tau", tau)
    power = np.square(tau) * velocity.var(axis=0).sum()
    if not power > 0:
        raise ValueError(f"velocity must vary over the points, got {velocity[0].tolist()} at all")
    target = kappa + tau * velocity
    penalty = not_negative("ridge", ridge) * target.var(axis=0).sum()
    return Regression(kappa, target, tau, float(penalty), float(power))


def sample_velocity(velocity, kappa):
    """The velocity at all points, (P, R), whichever way it is given.

    velocity : (P, R), latent units per s, or a function (P, R) -> (P, R)
    kappa : (P, R), points
    Raises : ValueError if the shape is not that of kappa or a value is not finite
    """
    if callable(velocity):
        return velocity_at(velocity, kappa)
    return finite_array("velocity", velocity, kappa.shape)


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
    path is shorter than asked if no atom is left that lowers the error; its support says so. Among
    equal scores, such as a symmetric target gives to mirrored atoms, the first in the dictionary
    wins.

    dictionary : Basis of N atoms, without an input channel
    velocity : (P, R), latent units per s, or a function (P, R) -> (P, R) such as `Target.rhs`
    kappa : (P, R), points
    n_neurons : int, K, neurons to choose
    score : "correlation", "normalised" or "residual"; leak : "unit" or "free"
    tau : float, s, > 0
    ridge : float, >= 0, weight of var(kappa + tau velocity) |n|^2 against the mean squared error
    memory : float, bytes of atoms that are kept between steps, besides some 60 an atom and latent;
        it changes the time, not the result
    Returns : Pursuit
    Raises : ValueError as `regression`, if an argument is none of its choices, if the dictionary
        has inputs, another rank or fewer atoms than n_neurons, or if not even one atom helps
    """
    for name, value, choices in (("score", score, SCORES), ("leak", leak, LEAKS)):
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    task = regression(velocity, kappa, tau=tau, ridge=ridge)
    check_dictionary(dictionary, task, n_neurons)
    atoms = Atoms(dictionary, task.kappa, not_negative("memory", memory))
    support, factors = _select(atoms, task, int(n_neurons), score, leak)
    if not support:
        raise ValueError("no atom of the dictionary lowers the error: there is nothing to choose")
    return _path(dictionary[support], np.array(support), factors, task)


def select(dictionary, task, n_neurons):
    """Only the places that `pursue` chooses by score "residual" with unit leak, (K,) or fewer.

    dictionary : Basis of N atoms; task : Regression; n_neurons : int, K
    Raises : ValueError if the dictionary does not fit the task
    """
    check_dictionary(dictionary, task, n_neurons)
    atoms = Atoms(dictionary, task.kappa)
    return np.array(_select(atoms, task, int(n_neurons), "residual", "unit")[0], int)


def check_dictionary(dictionary, task, n_neurons=1):
    """Raise ValueError unless `n_neurons` of a Basis can be chosen for a Regression."""
    if dictionary.rank != task.kappa.shape[1]:
        raise ValueError(
            f"dictionary must have the rank of kappa, {task.kappa.shape[1]}, got {dictionary.rank}"
        )
    if dictionary.n_inputs:
        raise ValueError(
            f"dictionary must have no input channel, got {dictionary.n_inputs}: "
            "add a constant input to its bias"
        )
    N = len(dictionary)
    if n_neurons not in range(1, N + 1):
        raise ValueError(
            f"n_neurons must be in 1 ... {N}, the atoms of the dictionary, got {n_neurons!r}"
        )


class _Factor:
    """The QR factorisation of the columns chosen so far in one regression, grown one by one.

    Columns are stacked on sqrt(ridge) times the identity, which applies the ridge: rates are
    regressed as [rates; sqrt(ridge) 1] n ~ [target; 0]. With free leak the latent comes first, a
    column without a ridge.

    q : (P + K, width), orthonormal, of which `size` columns are in use
    triangle : (width, width), q^T columns
    n_fixed : int, 1 if the latent is among the columns, 0 if not
    """

    def __init__(self, P, K, ridge, latent):
        self.n_fixed = 0 if latent is None else 1
        width = self.n_fixed + K
        self.q = np.zeros((P + K, width), order="F")
        self.triangle = np.zeros((width, width))
        self.size = 0
        self._n_points, self._root = P, np.sqrt(ridge)
        if latent is not None:
            if not latent.any():
                raise ValueError("leak must be 'unit' where a latent is zero at all points")
            self.add(self._split(latent, None))

    def split(self, atom):
        """What the next neuron adds: direction, its part in the old ones, length; None if nothing.

        atom : (P,)
        """
        column = self._split(atom, self.size - self.n_fixed)
        _, along, length = column
        # The parts add up to the column: |column|^2 = |along|^2 + length^2.
        return column if length**2 > DEPENDENT * (along @ along + length**2) else None

    def add(self, column):
        """Take in what `split` returned."""
        direction, along, length = column
        self.q[:, self.size] = direction
        self.triangle[: self.size, self.size] = along
        self.triangle[self.size, self.size] = length
        self.size += 1

    def _split(self, top, neuron):
        column = np.zeros(len(self.q))
        column[: self._n_points] = top
        if neuron is not None:
            column[self._n_points + neuron] = self._root
        old, along = self.q[:, : self.size], np.zeros(self.size)
        for _ in range(2):  # the second pass removes what rounding left
            part = old.T @ column
            column -= old @ part
            along += part
        length = np.linalg.norm(column)
        return column / (length or 1.0), along, length


def _select(atoms, task, K, score, leak):
    """Places of up to K atoms in the order of choice, and a `_Factor` for each regression.

    With unit leak all outputs are regressed on the same columns; with free leak each has its own
    latent among them, so there are R regressions on the same atoms.
    """
    P = len(task.kappa)
    ridge = P * task.penalty
    factors = [_Factor(P, K, ridge, z) for z in ([None] if leak == "unit" else task.kappa.T)]
    residual = task.target.T.copy()  # (R, P)
    fixed = np.array([factor.q[:P, 0] for factor in factors if factor.size]).reshape(-1, P)
    for share, direction in zip(residual, fixed, strict=False):  # none with unit leak
        share -= direction * (direction @ share)
    product, square, left = _first_look(atoms, residual, fixed, ridge, score)
    available = np.ones(len(atoms), dtype=bool) if square is None else square > 0
    negligible = ROUND_OFF * np.linalg.norm(task.target)
    support = []
    while len(support) < K:
        if left is not None:
            available &= (left > DEPENDENT * square).all(axis=0)
        chosen = _best(atoms, _scores(score, product, square, left), available, factors)
        if chosen is None:
            break
        index, atom, columns = chosen
        if np.linalg.norm(product[:, index]) <= negligible * np.linalg.norm(atom):
            break
        for factor, column in zip(factors, columns, strict=True):
            factor.add(column)
        support.append(index)
        available[index] = False
        if len(support) == K:
            break
        # The ridge's rows of all other atoms are orthogonal to these, so that their tops suffice.
        directions = np.array([direction[:P] for direction, _, _ in columns])
        lengths = np.array([length for _, _, length in columns])
        # With a ridge, what is proportional to the atom has to be told from the rest; without, it
        # has no length left.
        vectors = np.vstack([directions, atom]) if ridge > 0 else directions
        along = atoms.products(vectors)
        if ridge > 0:
            alike, along = along[-1], along[:-1]
            available &= alike**2 < (1 - DEPENDENT) * (atom @ atom) * square
        # The residual is orthogonal to the old columns, so that q^T r = b^T r/length for a new q.
        product -= (product[:, index] / lengths)[:, None] * along
        if left is not None:
            left -= along**2
    return support, factors


def _first_look(atoms, residual, fixed, ridge, score):
    """What is kept about every atom b: b^T r (R, N), |b|^2 (N,), and what score "residual" divides
    by, |b|^2 + ridge - |Q^T b|^2, a row a regression; None for what the score does not need.

    residual : (R, P), r; fixed : (R, P), the latents' directions with free leak, else (0, P)
    """
    vectors = np.vstack([residual, fixed])
    if score == "correlation" and ridge == 0:
        return atoms.products(vectors)[: len(residual)], None, None
    found, square = atoms.products_and_squares(vectors)
    product, along = found[: len(residual)], found[len(residual) :]
    if score != "residual":
        return product, square, None
    left = np.tile(square + ridge, (max(1, len(fixed)), 1))
    left[: len(fixed)] -= along**2
    return product, square, left


def _scores(score, product, square, left):
    """The score of every atom, squared and summed over outputs, (N,)."""
    if score == "correlation":
        return np.sum(product**2, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # of atoms that are not available
        return np.sum(product**2 / (square if score == "normalised" else left), axis=0)


def _best(atoms, scores, available, factors):
    """The best atom that adds a direction: its place, itself, and what it adds to each factor."""
    scores = np.where(available, scores, -1.0)
    while (highest := scores.max()) >= 0:
        index = int(np.argmax(scores >= (1 - TIE) * highest))
        atom = atoms.column(index)
        columns = [factor.split(atom) for factor in factors]
        if None not in columns:
            return index, atom, columns
        scores[index] = -1.0
        available[index] = False
    return None


def _path(basis, support, factors, task):
    """The fits of each length from the triangles of the factors."""
    (P, R), K = task.target.shape, len(support)
    n, decay = np.zeros((K + 1, K, R)), np.ones((K + 1, R))
    outputs = [slice(None)] if len(factors) == 1 else range(R)
    for factor, output in zip(factors, outputs, strict=True):
        n_fixed = factor.n_fixed
        inside = factor.q[:P].T @ task.target[:, output]
        for k in range(K + 1):
            size = n_fixed + k
            if size:
                weights = solve_triangular(factor.triangle[:size, :size], inside[:size])
                n[k, :k, output] = weights[n_fixed:]
                if n_fixed:
                    decay[k, output] = 1 - weights[0]
    rates = evaluate(basis, task.kappa)
    error = task.target - (1 - decay[:, None]) * task.kappa - rates @ n  # (K + 1, P, R)
    mse = np.mean(np.sum(error**2, axis=2), axis=1)
    objective = mse + task.penalty * np.sum(n**2, axis=(1, 2))
    return Pursuit(basis, support, n, decay, mse, mse / task.power, objective, task.tau)
