"""Variable projection: the weights of neurons eliminated, and a descent on slopes and offsets.

For given slopes m and offsets the best weights n are a ridge regression, so that the objective of
`lrnn.pursuit.Regression` is a function of (m, bias) alone (Golub & Pereyra 1973). This file solves
that regression, differentiates it and descends; `lrnn.refine` decides where descents start.

Parameters are (R + 1, K): a row a coordinate, R slopes and then the offset, a column a neuron.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dgeqrf, dorgqr, dposv, dtrtri, dtrtrs

from lrnn._check import positive
from lrnn.nonlinearity import TANH, Nonlinearity
from lrnn.pursuit import DEPENDENT

DAMPING = 1e-3  # of the first step, relative to the curvature along each coordinate
RELAX, TIGHTEN = 0.2, 10.0  # factors on the damping after a step that helps, or does not
MOST_DAMPING = 1e8  # beyond it no step is left that would lower the objective
FLAT = 1e-12  # curvature below this share of the largest is rounding
TOLERANCE = 1e-4  # relative fall of the objective below which a step counts as settled
SETTLED = 3  # steps in a row that lower the objective by less than the tolerance
MOST_STEPS = 100  # trials of a step


class Problem(NamedTuple):
    """A regression laid out for many small solutions: a neuron, latent or output is a row.

    points : (R + 1, P), latents and a row of ones, so that one product gives m kappa + bias
    target : (R, P)
    ridge : float, P times the penalty: the weight of |n|^2 against the sum of squared errors
    phi : Nonlinearity
    limit : (R + 1, 1), bounds on the absolute values of the parameters
    """

    points: np.ndarray
    target: np.ndarray
    ridge: float
    phi: Nonlinearity
    limit: np.ndarray


class Solution(NamedTuple):
    """The regression solved by QR at one place of the parameters.

    parameters : (R + 1, K)
    rates : (K, P)
    factors, reflections : (P + K, K + R) and (K + R,), what LAPACK makes of the matrix
        [rates^T, target^T; sqrt(ridge) 1, 0]
    triangle : (K, K), the R of its first K columns
    n : (K, R), weights
    residual : (R, P), target - n^T rates
    total : float, P times the objective
    """

    parameters: np.ndarray
    rates: np.ndarray
    factors: np.ndarray
    reflections: np.ndarray
    triangle: np.ndarray
    n: np.ndarray
    residual: np.ndarray
    total: float


class Descent(NamedTuple):
    """Where a descent ended: the Solution, accepted steps, whether it ended of itself."""

    end: Solution
    steps: int
    converged: bool


def lay_out(task, phi, *, m_max, bias_max):
    """The Problem of a `lrnn.pursuit.Regression` with |m| <= m_max and |bias| <= bias_max.

    Raises : ValueError if the regression has no ridge, or a bound is not positive
    """
    if not task.penalty > 0:
        raise ValueError("task must have a ridge > 0: without one the weights have no bound")
    P, R = task.kappa.shape
    limit = np.array([positive("m_max", m_max)] * R + [positive("bias_max", bias_max)])
    points = np.vstack([task.kappa.T, np.ones(P)])
    target = np.ascontiguousarray(task.target.T)
    return Problem(points, target, P * task.penalty, phi, limit[:, None])


def solve(problem, parameters):
    """Eliminate n at the given parameters, (R + 1, K); returns a Solution."""
    (R, P), K = problem.target.shape, parameters.shape[1]
    rates = problem.phi.function(parameters.T @ problem.points)
    stack = np.zeros((K + R, P + K))
    stack[:K, :P] = rates
    stack[:K, P:].flat[:: K + 1] = np.sqrt(problem.ridge)
    stack[K:, :P] = problem.target
    factors, reflections, _, _ = dgeqrf(stack.T, overwrite_a=1)
    triangle = np.triu(factors[:K, :K])
    n = dtrtrs(triangle, factors[:K, K:])[0]
    residual = problem.target - n.T @ rates
    total = np.vdot(residual, residual) + problem.ridge * np.vdot(n, n)
    return Solution(parameters, rates, factors, reflections, triangle, n, residual, float(total))


def curvature_and_gradient(problem, at):
    """J^T J and J^T r of the projected residual r, (L K, L K) and (L K,), L = R + 1.

    J_o = -(1 - A A^+) dA n_o - (A^+)^T dA^T r_o for output o, with A the rates stacked on the ridge
    (Golub & Pereyra 1973). Its two parts are orthogonal, and a parameter moves one column of A, so
    that the sum over outputs has a closed form and J is never formed. Kaufman (1975) leaves the
    second part out.

    at : Solution
    """
    (L, P), K = problem.points.shape, len(at.n)
    if problem.phi is TANH:  # whose rates give its slope
        slope = 1.0 - at.rates**2
    else:
        slope = problem.phi.derivative(at.parameters.T @ problem.points)
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


def descend(problem, parameters, most_steps=MOST_STEPS, tolerance=TOLERANCE):
    """Levenberg-Marquardt in the box, from parameters that are clipped to it.

    With Marquardt's scaling; a step is projected on the box, and a parameter is held at a bound
    that the gradient pushes it against. Only steps that lower the objective are taken.

    parameters : (R + 1, K)
    most_steps : int, trials of a step at most
    tolerance : float, it ends after `SETTLED` steps in a row that lower the objective by less than
        this share each
    Returns : Descent
    """

    def clip(place):
        return np.clip(place, -problem.limit, problem.limit)

    at = solve(problem, clip(parameters))
    limit = np.broadcast_to(problem.limit, parameters.shape).ravel()
    damping, steps, settled, moved = DAMPING, 0, 0, True
    for _ in range(most_steps):
        if moved:
            curvature, gradient = curvature_and_gradient(problem, at)
            place = at.parameters.ravel()
            held = (place >= limit) & (gradient < 0) | (place <= -limit) & (gradient > 0)
            free = np.flatnonzero(~held)
            scale = curvature.diagonal()[free]
            scale = np.maximum(scale, FLAT * scale.max(initial=0.0))
            inner = curvature[np.ix_(free, free)]
            if not len(free) or not scale.max() > 0:
                return Descent(at, steps, True)
        damped = inner.copy()
        damped.flat[:: len(free) + 1] += damping * scale
        _, step, failed = dposv(damped, gradient[free])
        trial = None
        if not failed:
            shifted = place.copy()
            shifted[free] -= step
            trial = solve(problem, clip(shifted.reshape(parameters.shape)))
        moved = trial is not None and trial.total < at.total
        if moved:
            drop = (at.total - trial.total) / at.total
            at, steps, damping = trial, steps + 1, damping * RELAX
            settled = settled + 1 if drop < tolerance else 0
            if settled == SETTLED:
                return Descent(at, steps, True)
        else:
            damping *= TIGHTEN
            if damping > MOST_DAMPING:
                return Descent(at, steps, True)
    return Descent(at, steps, False)


def weakest(at):
    """Places of the neurons of a Solution, (K,), least rise of the objective without it first.

    That rise, all weights refitted, is |n_j|^2/(G^-1)_jj with the Gram matrix G of rates and ridge.
    """
    inverse = np.sum(dtrtri(at.triangle)[0] ** 2, axis=1)  # diagonal of (triangle^T triangle)^-1
    return np.argsort(np.sum(at.n**2, axis=1) / inverse)


def gains(problem, at, atoms):
    """How far each atom would lower P times the objective of a Solution, all weights refitted.

    atoms : (R + 1, N), parameters of one neuron a column
    Returns : (N,); -1 for an atom in the span of the neurons
    """
    P = problem.points.shape[1]
    rates = problem.phi.function(atoms.T @ problem.points)  # (N, P)
    left = np.einsum("np,np->n", rates, rates) + problem.ridge
    floor = DEPENDENT * left
    left -= np.sum((rates @ _directions(at)[:, :P].T) ** 2, axis=1)
    gain = np.sum((rates @ at.residual.T) ** 2, axis=1)
    return np.where(left > floor, gain / np.maximum(left, floor), -1.0)


def _directions(at):
    """An orthonormal basis of the rates stacked on the ridge, (K, P + K)."""
    K = len(at.n)
    return dorgqr(at.factors[:, :K], at.reflections[:K])[0].T
