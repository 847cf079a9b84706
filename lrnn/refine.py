"""Few neurons at their best places: slopes and offsets moved continuously, weights eliminated.

For given slopes m and offsets the best weights n are a ridge regression, so that the objective of
`lrnn.pursuit.Regression` is a function of (m, bias) alone: variable projection (Golub & Pereyra
1973). It has many local minima; a single descent from the choice of a greedy method usually ends in
a poor one, with large weights that cancel. `search` therefore starts often, from small random
dictionaries, and adds, removes and swaps neurons in between.

The weights must be bounded by a ridge: without one, neurons merge, their weights grow against
one another without end while the error falls, and no network of a size is the best.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dgeqrf, dorgqr, dposv, dtrtri, dtrtrs

from lrnn._check import finite_array, positive
from lrnn.basis import Basis, uniform_basis
from lrnn.network import LowRankRNN
from lrnn.nonlinearity import TANH, nonlinearity
from lrnn.pursuit import DEPENDENT, check_dictionary, nmse, select

DAMPING = 1e-3  # of the first step, relative to the curvature along each coordinate
RELAX, TIGHTEN = 0.2, 10.0  # factors on the damping after a step that helps, or does not
MOST_DAMPING = 1e8
GOOD = 0.02  # share of the atoms among which a random growth chooses
FLAT = 1e-12  # curvature below this share of the largest is rounding
TOLERANCE = 1e-4  # relative fall of the objective below which a step counts as settled
MOST_STEPS = 100  # trials of a step
FIRST_STEPS = 30  # trials after which `search` judges a descent
PROMISING = 3.0  # how many times the best objective it may then be at to go on
SETTLED = 3  # steps in a row that lower the objective by less than the tolerance


class Box(NamedTuple):
    """How far slopes and offsets may go: |m| <= m_max, |bias| <= bias_max."""

    m_max: float = 8.0
    bias_max: float = 16.0


BOX = Box()


class Fit(NamedTuple):
    """K neurons and what they reach on the points of the regression.

    basis : Basis of K functions
    n : (K, R), weights
    objective : float, mse + ridge var(kappa + tau velocity) |n|^2
    mse : float, mean over the points of |error of tau dkappa/dt|^2, squared latent units
    nmse : float, the same over the variance of tau velocity
    tau : float, s
    steps : int, accepted steps of the last descent
    converged : bool, whether it ended before its steps did
    """

    basis: Basis
    n: np.ndarray
    objective: float
    mse: float
    nmse: float
    tau: float
    steps: int
    converged: bool

    @property
    def weight_norm(self):
        """Frobenius norm of n."""
        return float(np.linalg.norm(self.n))

    def network(self):
        """The LowRankRNN."""
        return LowRankRNN(
            self.basis.m, self.n, bias=self.basis.bias, tau=self.tau, phi=self.basis.phi
        )


def candidates(kappa, n_atoms, *, box=BOX, phi=TANH, rng):
    """A random dictionary: half of it anywhere in the box, half with its centre at a point.

    kappa : (P, R), points
    n_atoms : int, N, >= 1
    Returns : Basis of N functions; the offsets of the second half are -m . kappa_p
    Raises : ValueError if `kappa` has the wrong shape or is not finite, or n_atoms < 1
    """
    kappa = finite_array("kappa", kappa, ("P", "R"))
    basis = uniform_basis(
        n_atoms, kappa.shape[1], m_max=box.m_max, bias_max=box.bias_max, phi=phi, rng=rng
    )
    m, bias = basis.m, basis.bias.copy()
    centred = slice(len(m) // 2, None)
    centre = kappa[rng.integers(len(kappa), size=len(m[centred]))]
    bias[centred] = np.clip(-np.sum(m[centred] * centre, axis=1), -box.bias_max, box.bias_max)
    return Basis(m, bias, phi=phi)


def refine(basis, task, *, box=BOX, most_steps=MOST_STEPS, tolerance=TOLERANCE):
    """Move slopes and offsets to the nearest local minimum of the objective, from where they are.

    Levenberg-Marquardt on the variable projection functional, with Marquardt's scaling; parameters
    are projected on the box, and held at a bound that the gradient pushes against.

    basis : Basis of K functions without an input channel, smooth phi; what is outside is clipped
    task : Regression, from `lrnn.pursuit.regression`, with a ridge > 0
    box : Box
    most_steps : int, trials of a step at most
    tolerance : float, it ends after three steps in a row that lower the objective by less than this
        share each
    Returns : Fit
    Raises : ValueError if the basis does not fit the task, or a bound is not positive
    """
    problem = _opened(basis, task, box)
    return problem.fit(*_descend(problem, _weights(basis), most_steps, tolerance))


def prune(fit, task, *, box=BOX, most_steps=MOST_STEPS):
    """Remove the neuron without which the refitted objective rises least, then refine.

    That rise is |n_j|^2/(G^-1)_jj with the Gram matrix G of the rates and the ridge.

    Raises : ValueError as `refine`, or if there is one neuron only
    """
    if len(fit.basis) == 1:
        raise ValueError("fit must have at least two neurons, got 1: none can be removed")
    problem = _opened(fit.basis, task, box)
    at = _solve(problem, _weights(fit.basis))
    return problem.fit(*_descend(problem, _without(at, _weakest(at)[0]), most_steps))


def grow(fit, task, dictionary, *, share=0.0, box=BOX, most_steps=MOST_STEPS, rng):
    """Add an atom and refine: the one that lowers the objective most, or one of the next best.

    dictionary : Basis, of the same rank and phi
    share : float in [0, 1], choose at random among this share of the atoms, the best ones
    rng : numpy Generator, not used if `share` is 0
    Returns : Fit with one neuron more
    Raises : ValueError as `refine`, or if the dictionary does not fit
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be in [0, 1], got {share!r}")
    problem = _opened(fit.basis, task, box)
    _fits(dictionary, fit, task)
    at = _solve(problem, _weights(fit.basis))
    atoms = _weights(dictionary)
    order = np.argsort(-_gains(problem, at, atoms))
    place = rng.choice(order[: max(1, int(share * len(order)))]) if share > 0 else order[0]
    added = np.column_stack([at.weights, atoms[:, place]])
    return problem.fit(*_descend(problem, added, most_steps))


def swap(fit, task, dictionary, *, box=BOX, most_steps=MOST_STEPS):
    """Replace single neurons by the best atom, refine, and keep what lowers the objective.

    Neurons are tried in the order of what their removal costs, the least first, and from the start
    again after each success, until none helps or 2 K have been tried.

    Returns : Fit, as many neurons, never a higher objective
    Raises : ValueError as `grow`
    """
    problem = _opened(fit.basis, task, box)
    _fits(dictionary, fit, task)
    atoms = _weights(dictionary)
    at = _solve(problem, _weights(fit.basis))
    best = at, fit.steps, fit.converged
    place = tried = 0
    while place < len(fit.basis) and tried < 2 * len(fit.basis):
        at = best[0]
        rest = _solve(problem, _without(at, _weakest(at)[place]))
        atom = atoms[:, np.argmax(_gains(problem, rest, atoms))]
        trial = _descend(problem, np.column_stack([rest.weights, atom]), most_steps)
        place, tried = place + 1, tried + 1
        if trial[0].total < at.total:
            best, place = trial, 0
    return problem.fit(*best)


def multi_start(task, n_neurons, *, n_starts=40, n_atoms=300, phi=TANH, box=BOX, rng):
    """Refine what orthogonal least squares picks from small random dictionaries.

    A small dictionary makes the starts differ, which matters more than that each be good.

    task : Regression, with a ridge > 0
    n_neurons : int, K
    n_starts : int, S; n_atoms : int, >= K, of each dictionary
    rng : numpy Generator
    Returns : list of S Fit, the lowest objective first
    Raises : ValueError if a number is below 1 or n_atoms < K
    """
    K, S = _whole("n_neurons", n_neurons), _whole("n_starts", n_starts)
    if n_atoms < K:
        raise ValueError(f"n_atoms must be at least n_neurons = {K}, got {n_atoms!r}")
    problem = _Problem(task, nonlinearity(phi), box)
    fits = [
        problem.fit(*_descend(problem, _start(problem, K, n_atoms, rng), MOST_STEPS))
        for _ in range(S)
    ]
    return sorted(fits, key=lambda fit: fit.objective)


def search(
    task, n_max, *, n_starts=10, n_rounds=2, n_atoms=300, n_large=3000, phi=TANH, box=BOX, rng
):
    """The best network found of every size up to `n_max`.

    Random starts at every size; then rounds, in which each size tries to grow out of the one below,
    by the best and by a random good atom, and after that to be left when the one above is pruned.
    What is found depends on chance: it bounds the least possible objective from above only.

    task : Regression, with a ridge > 0
    n_max : int, the largest K
    n_starts : int, random dictionaries of `n_atoms` atoms; one serves all sizes
    n_rounds : int, >= 0; `n_large` atoms are drawn anew in each
    rng : numpy Generator
    Returns : list of n_max Fit; entry K - 1 has K neurons
    Raises : ValueError if a number is below 1 or n_atoms < n_max
    """
    K, S = _whole("n_max", n_max), _whole("n_starts", n_starts)
    if n_atoms < K:
        raise ValueError(f"n_atoms must be at least n_max = {K}, got {n_atoms!r}")
    problem = _Problem(task, nonlinearity(phi), box)
    best = [None] * K

    def consider(weights):
        place = weights.shape[1] - 1
        end = _descend(problem, weights, FIRST_STEPS)
        if best[place] is not None and end[0].total > PROMISING * best[place][0].total:
            return
        if not end[2]:
            end = _descend(problem, end[0].weights, MOST_STEPS)
        if best[place] is None or end[0].total < best[place][0].total:
            best[place] = end

    for _ in range(S):
        start = _start(problem, K, n_atoms, rng)
        for size in range(1, K + 1):
            consider(start[:, :size])
    for _ in range(n_rounds):
        large = _weights(candidates(task.kappa, n_large, box=box, phi=problem.phi, rng=rng))
        for size in range(1, K):
            below = best[size - 1][0]
            order = np.argsort(-_gains(problem, below, large))
            for place in (order[0], rng.choice(order[: max(1, int(GOOD * n_large))])):
                consider(np.column_stack([below.weights, large[:, place]]))
        for size in range(K, 1, -1):
            above = best[size - 1][0]
            for place in _weakest(above)[:2]:
                consider(_without(above, place))
    return [problem.fit(*end) for end in best]


def smallest(fits, velocity, kappa, error):
    """The first of a list of fits whose network has an nMSE below `error`; None if there is none.

    fits : list of Fit, the smallest network first, as from `search`
    velocity : (P, R) or a function; kappa : (P, R), points other than those of the fit
    error : float, > 0, such as 1e-4 for 1 % of the rms velocity
    Raises : ValueError as `lrnn.pursuit.nmse`
    """
    error = positive("error", error)
    return next((fit for fit in fits if nmse(fit.network(), velocity, kappa) < error), None)


class _Problem:
    """A regression laid out for many small solutions: one neuron, latent or output a row.

    A row of parameters is a coordinate (R slopes, then the offset), a column a neuron: (R + 1, K).
    """

    def __init__(self, task, phi, box):
        if not task.penalty > 0:
            raise ValueError("task must have a ridge > 0: without one the weights have no bound")
        self.task = task
        self.points = np.vstack([task.kappa.T, np.ones(len(task.kappa))])  # (R + 1, P)
        self.target = np.ascontiguousarray(task.target.T)  # (R, P)
        self.ridge = len(task.kappa) * task.penalty
        self.phi = phi
        m_max, bias_max = positive("m_max", box.m_max), positive("bias_max", box.bias_max)
        R = task.kappa.shape[1]
        self.limit = np.array([m_max] * R + [bias_max])[:, None]

    def clip(self, weights):
        return np.clip(weights, -self.limit, self.limit)

    def fit(self, at, steps, converged):
        """The record of a solution."""
        P = self.points.shape[1]
        basis = Basis(at.weights[:-1].T, at.weights[-1], phi=self.phi)
        mse = float(np.vdot(at.residual, at.residual)) / P
        relative = mse / self.task.power
        return Fit(basis, at.n, at.total / P, mse, relative, self.task.tau, steps, converged)


class _Solution(NamedTuple):
    """The regression at one place of the parameters, solved by QR."""

    weights: np.ndarray  # (R + 1, K)
    rates: np.ndarray  # (K, P)
    factors: np.ndarray  # (P + K, K + R), what LAPACK makes of [rates^T, target^T; ridge, 0]
    reflections: np.ndarray  # (K + R,)
    triangle: np.ndarray  # (K, K)
    n: np.ndarray  # (K, R)
    residual: np.ndarray  # (R, P)
    total: float  # P times the objective


def _solve(problem, weights):
    """Eliminate n at the given slopes and offsets, (R + 1, K)."""
    (R, P), K = problem.target.shape, weights.shape[1]
    rates = problem.phi.function(weights.T @ problem.points)
    stack = np.zeros((K + R, P + K))
    stack[:K, :P] = rates
    stack[:K, P:].flat[:: K + 1] = np.sqrt(problem.ridge)
    stack[K:, :P] = problem.target
    factors, reflections, _, _ = dgeqrf(stack.T, overwrite_a=1)
    triangle = np.triu(factors[:K, :K])
    n = dtrtrs(triangle, factors[:K, K:])[0]
    residual = problem.target - n.T @ rates
    total = np.vdot(residual, residual) + problem.ridge * np.vdot(n, n)
    return _Solution(weights, rates, factors, reflections, triangle, n, residual, float(total))


def _directions(at):
    """An orthonormal basis of the rates stacked on the ridge, (K, P + K)."""
    K = len(at.n)
    return dorgqr(at.factors[:, :K], at.reflections[:K])[0].T


def _curvature(problem, at):
    """J^T J and J^T r of the projected residual, (L K, L K) and (L K,), L = R + 1.

    J_o = -(1 - A A^+) dA n_o - (A^+)^T dA^T r_o for output o (Golub & Pereyra 1973). Its two parts
    are orthogonal, and a parameter moves one column of A, so that the sum over outputs has a closed
    form and J is never formed. Kaufman (1975) leaves the second part out.
    """
    (L, P), K = problem.points.shape, len(at.n)
    if problem.phi is TANH:
        slope = 1.0 - at.rates**2
    else:
        slope = problem.phi.derivative(at.weights.T @ problem.points)
    moved = (problem.points[:, None] * slope).reshape(L * K, P)  # dA, a row a parameter
    q = _directions(at)
    outside = (moved @ -q[:, :P].T) @ q
    outside[:, :P] += moved
    gram = (outside @ outside.T).reshape(L, K, L, K)
    pull = moved @ at.residual.T  # (L K, R)
    root = dtrtri(at.triangle)[0]
    curvature = (at.n @ at.n.T)[:, None] * gram
    curvature += (root @ root.T)[:, None] * (pull @ pull.T).reshape(L, K, L, K)
    gradient = -np.sum(at.n * pull.reshape(L, K, -1), axis=2)
    return curvature.reshape(L * K, L * K), gradient.ravel()


def _descend(problem, weights, most_steps, tolerance=TOLERANCE):
    """Levenberg-Marquardt in the box: the last solution, accepted steps, whether it converged."""
    at = _solve(problem, problem.clip(weights))
    limit = np.broadcast_to(problem.limit, weights.shape).ravel()
    damping, steps, settled, stale = DAMPING, 0, 0, True
    for _ in range(most_steps):
        if stale:
            curvature, gradient = _curvature(problem, at)
            place = at.weights.ravel()
            held = (place >= limit) & (gradient < 0) | (place <= -limit) & (gradient > 0)
            free = np.flatnonzero(~held)
            scale = curvature.diagonal()[free]
            scale = np.maximum(scale, FLAT * scale.max(initial=0.0))
            inner = curvature[np.ix_(free, free)]
            if not len(free) or not scale.max() > 0:
                return at, steps, True
        damped = inner.copy()
        damped.flat[:: len(free) + 1] += damping * scale
        _, step, failed = dposv(damped, gradient[free])
        trial = None
        if not failed:
            moved = place.copy()
            moved[free] -= step
            trial = _solve(problem, problem.clip(moved.reshape(weights.shape)))
        stale = trial is not None and trial.total < at.total
        if stale:
            drop = (at.total - trial.total) / at.total
            at, steps, damping = trial, steps + 1, damping * RELAX
            settled = settled + 1 if drop < tolerance else 0
            if settled == SETTLED:
                return at, steps, True
        else:
            damping *= TIGHTEN
            if damping > MOST_DAMPING:
                return at, steps, True
    return at, steps, False


def _opened(basis, task, box):
    check_dictionary(basis, task)
    return _Problem(task, basis.phi, box)


def _fits(dictionary, fit, task):
    check_dictionary(dictionary, task)
    if dictionary.phi is not fit.basis.phi:
        raise ValueError(
            f"dictionary must have the network's phi, {fit.basis.phi.name}, "
            f"got {dictionary.phi.name}"
        )


def _weights(basis):
    """Slopes and offsets as rows, (R + 1, K)."""
    return np.vstack([basis.m.T, basis.bias])


def _start(problem, K, n_atoms, rng):
    """What orthogonal least squares picks from a random dictionary, (R + 1, K)."""
    box = Box(problem.limit[0, 0], problem.limit[-1, 0])
    kappa = problem.task.kappa
    dictionary = candidates(kappa, n_atoms, box=box, phi=problem.phi, rng=rng)
    support = select(dictionary, problem.task, K)
    rest = np.setdiff1d(np.arange(n_atoms), support)[: K - len(support)]
    return _weights(dictionary)[:, [*support, *rest]]


def _weakest(at):
    """Neurons in the order of how little the objective rises without them."""
    inverse = np.sum(dtrtri(at.triangle)[0] ** 2, axis=1)  # diagonal of (triangle^T triangle)^-1
    return np.argsort(np.sum(at.n**2, axis=1) / inverse)


def _without(at, place):
    return np.delete(at.weights, place, axis=1)


def _gains(problem, at, atoms):
    """By how much each atom (R + 1, N) would lower P times the objective, (N,); -1 if dependent."""
    P = problem.points.shape[1]
    rates = problem.phi.function(atoms.T @ problem.points)  # (N, P)
    left = np.einsum("np,np->n", rates, rates) + problem.ridge
    floor = DEPENDENT * left
    left -= np.sum((rates @ _directions(at)[:, :P].T) ** 2, axis=1)
    gain = np.sum((rates @ at.residual.T) ** 2, axis=1)
    return np.where(left > floor, gain / np.maximum(left, floor), -1.0)


def _whole(name, value):
    if int(value) != value or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return int(value)
