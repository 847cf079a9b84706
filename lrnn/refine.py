"""Few neurons at their best places: slopes and offsets moved continuously, weights eliminated.

The objective of `lrnn.pursuit.Regression` as a function of slopes and offsets (`lrnn.varpro`) has
many local minima; a single descent from the choice of a greedy method usually ends in a poor one,
with large weights that cancel. `search` therefore starts often, from small random dictionaries,
and adds and removes neurons in between.

The weights must be bounded by a ridge: without one, neurons merge, their weights grow against
one another without end while the error falls, and no network of a size is the best.

phi need not be smooth. With "relu" the objective has kinks, at which a descent may end above the
nearest minimum; and since relu(c x) = c relu(x) for c > 0, slopes grow and weights shrink until the
box stops them, so that what a ridge means depends on the box.
"""

from typing import NamedTuple

import numpy as np

from lrnn._check import finite_array, positive, whole
from lrnn.basis import Basis, uniform_basis
from lrnn.nef import flow_error
from lrnn.network import LowRankRNN
from lrnn.nonlinearity import TANH, nonlinearity
from lrnn.pursuit import check_dictionary, sample_velocity, select
from lrnn.varpro import MOST_STEPS, TOLERANCE, Descent, descend, gains, lay_out, solve, weakest

GOOD = 0.02  # share of the atoms among which a random growth chooses
FIRST_STEPS = 30  # trials after which `search` judges a descent
PROMISING = 3.0  # how many times the best objective it may then be at to go on


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
    steps : int, accepted steps of the last descent of `lrnn.varpro`
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

    By `lrnn.varpro.descend`; with a phi that has kinks, to a minimum or a kink.

    basis : Basis of K functions without an input channel; what is outside the box is clipped
    task : Regression, from `lrnn.pursuit.regression`, with a ridge > 0
    box : Box
    most_steps : int, trials of a step at most
    tolerance : float, it ends after three steps in a row that lower the objective by less than this
        share each
    Returns : Fit
    Raises : ValueError if the basis does not fit the task, or a bound is not positive
    """
    problem = _checked_problem(basis, task, box)
    return _fit(task, problem, descend(problem, _parameters(basis), most_steps, tolerance))


def prune(fit, task, *, box=BOX, most_steps=MOST_STEPS):
    """Remove the neuron without which the refitted objective rises least, then refine.

    Raises : ValueError as `refine`, or if there is one neuron only
    """
    if len(fit.basis) == 1:
        raise ValueError("fit must have at least two neurons, got 1: none can be removed")
    problem = _checked_problem(fit.basis, task, box)
    at = solve(problem, _parameters(fit.basis))
    return _fit(task, problem, descend(problem, _without(at, weakest(at)[0]), most_steps))


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
    problem = _checked_problem(fit.basis, task, box)
    _check_atoms(dictionary, fit, task)
    at = solve(problem, _parameters(fit.basis))
    atoms = _parameters(dictionary)
    order = np.argsort(-gains(problem, at, atoms))
    place = rng.choice(order[: max(1, int(share * len(order)))]) if share > 0 else order[0]
    return _fit(task, problem, descend(problem, _with(at, atoms[:, place]), most_steps))


def swap(fit, task, dictionary, *, box=BOX, most_steps=MOST_STEPS):
    """Replace single neurons by the best atom, refine, and keep what lowers the objective.

    Neurons are tried in the order of what their removal costs, the least first, and from the start
    again after each success, until none helps or 2 K have been tried.

    Returns : Fit, as many neurons, never a higher objective
    Raises : ValueError as `grow`
    """
    problem = _checked_problem(fit.basis, task, box)
    _check_atoms(dictionary, fit, task)
    atoms = _parameters(dictionary)
    best = Descent(solve(problem, _parameters(fit.basis)), fit.steps, fit.converged)
    place = tried = 0
    while place < len(fit.basis) and tried < 2 * len(fit.basis):
        at = best.end
        rest = solve(problem, _without(at, weakest(at)[place]))
        atom = atoms[:, np.argmax(gains(problem, rest, atoms))]
        trial = descend(problem, _with(rest, atom), most_steps)
        place, tried = place + 1, tried + 1
        if trial.end.total < at.total:
            best, place = trial, 0
    return _fit(task, problem, best)


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
    K, S = whole("n_neurons", n_neurons), whole("n_starts", n_starts)
    if n_atoms < K:
        raise ValueError(f"n_atoms must be at least n_neurons = {K}, got {n_atoms!r}")
    phi = nonlinearity(phi)
    problem = lay_out(task, phi, **box._asdict())
    fits = []
    for _ in range(S):
        start = _start(task, K, n_atoms, box, phi, rng)
        fits.append(_fit(task, problem, descend(problem, start)))
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
    K, S = whole("n_max", n_max), whole("n_starts", n_starts)
    if n_atoms < K:
        raise ValueError(f"n_atoms must be at least n_max = {K}, got {n_atoms!r}")
    phi = nonlinearity(phi)
    problem = lay_out(task, phi, **box._asdict())
    best = {}  # a Descent for each number of neurons

    def consider(parameters):
        size = parameters.shape[1]
        found = descend(problem, parameters, FIRST_STEPS)
        if size in best and found.end.total > PROMISING * best[size].end.total:
            return
        if not found.converged:
            found = descend(problem, found.end.parameters)
        if size not in best or found.end.total < best[size].end.total:
            best[size] = found

    for _ in range(S):
        start = _start(task, K, n_atoms, box, phi, rng)
        for size in range(1, K + 1):
            consider(start[:, :size])
    for _ in range(n_rounds):
        atoms = _parameters(candidates(task.kappa, n_large, box=box, phi=phi, rng=rng))
        for size in range(1, K):
            below = best[size].end
            order = np.argsort(-gains(problem, below, atoms))
            for place in (order[0], rng.choice(order[: max(1, int(GOOD * n_large))])):
                consider(_with(below, atoms[:, place]))
        for size in range(K, 1, -1):
            above = best[size].end
            for place in weakest(above)[:2]:
                consider(_without(above, place))
    return [_fit(task, problem, best[size]) for size in range(1, K + 1)]


def smallest(fits, velocity, kappa, error):
    """The first of a list of fits whose network has an nMSE below `error`; None if there is none.

    fits : list of Fit, the smallest network first, as from `search`
    velocity : (P, R) or a function; kappa : (P, R), points other than those of the fit
    error : float, > 0, such as 1e-4 for 1 % of the rms velocity
    Raises : ValueError if a shape disagrees, or a value is not finite
    """
    error = positive("error", error)
    kappa = finite_array("kappa", kappa, ("P", "R"))
    wanted = sample_velocity(velocity, kappa)
    return next(
        (fit for fit in fits if flow_error(fit.network(), wanted, kappa).nmse < error), None
    )


def _checked_problem(basis, task, box):
    check_dictionary(basis, task)
    return lay_out(task, basis.phi, **box._asdict())


def _check_atoms(dictionary, fit, task):
    check_dictionary(dictionary, task)
    if dictionary.phi is not fit.basis.phi:
        raise ValueError(
            f"dictionary must have the network's phi, {fit.basis.phi.name}, "
            f"got {dictionary.phi.name}"
        )


def _fit(task, problem, descent):
    """The record of where a descent ended."""
    at, P = descent.end, len(task.kappa)
    basis = Basis(at.parameters[:-1].T, at.parameters[-1], phi=problem.phi)
    mse = float(np.vdot(at.residual, at.residual)) / P
    nmse, steps, converged = mse / task.power, descent.steps, descent.converged
    return Fit(basis, at.n, at.total / P, mse, nmse, task.tau, steps, converged)


def _parameters(basis):
    """Slopes and offsets as `lrnn.varpro` takes them, (R + 1, K)."""
    return np.vstack([basis.m.T, basis.bias])


def _with(at, atom):
    return np.column_stack([at.parameters, atom])


def _without(at, place):
    return np.delete(at.parameters, place, axis=1)


def _start(task, K, n_atoms, box, phi, rng):
    """What orthogonal least squares picks from a random dictionary, (R + 1, K)."""
    dictionary = candidates(task.kappa, n_atoms, box=box, phi=phi, rng=rng)
    support = select(dictionary, task, K)
    # A path may end early; any other atoms then fill the size.
    rest = np.setdiff1d(np.arange(n_atoms), support)[: K - len(support)]
    return _parameters(dictionary)[:, [*support, *rest]]
