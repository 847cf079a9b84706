"""Ridge regression on a given design matrix: solving it, and choosing the ridge.

The objective is mean over points of |design n - target|^2 + ridge var(target) |n|^2, with
var(target) the variance over the points, summed over outputs. So the ridge has no unit, and scaling
the target does not change what it means.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack, solve_triangular

from lrnn._check import finite_array, not_negative

# A Gram matrix squares the condition number. Up to this bound on the squared one, which the ridge
# guarantees, the loss stays below 1e-7 of the weights and far below that in what they add up to.
GRAM_LIMIT = 1e8


class Solution(NamedTuple):
    """A regression's solution.

    n : (N, R), weights
    condition : float, condition number of the problem solved, ridge included; inf if singular
    rank : int, how many combinations of columns the points tell apart; N at most
    """

    n: np.ndarray
    condition: float
    rank: int


class RidgePath(NamedTuple):
    """Fits of one problem along K ridges.

    ridge : (K,), increasing
    mse : (K,), mean squared error on the points, summed over outputs
    weight_norm : (K,), |n| over all entries
    freedom : (K,), effective number of parameters, trace of the matrix from targets to fits
    gcv : (K,), generalised cross-validation score (Golub, Heath & Wahba 1979)
    best : float, the ridge of least score
    at_edge : bool, whether that is the first or the last ridge tried
    """

    ridge: np.ndarray
    mse: np.ndarray
    weight_norm: np.ndarray
    freedom: np.ndarray
    gcv: np.ndarray
    best: float
    at_edge: bool


class HeldOut(NamedTuple):
    """Ridges judged on points that their fit has not seen.

    ridge : (K,), increasing
    mse : (K,), mean squared error on the points left out, summed over outputs
    best, at_edge : as in `RidgePath`
    """

    ridge: np.ndarray
    mse: np.ndarray
    best: float
    at_edge: bool


def ridge_solve(design, target, *, ridge=0.0, weights=None):
    """Minimise mean |design n - target|^2 + ridge var(target) |n|^2.

    Without a ridge by the singular value decomposition, the least-norm solution where several are
    equally good. With one, by QR of the rows and the penalty's, or by the Gram matrix where the
    ridge keeps that safe; the condition is then an estimate, in the 1-norm.

    design : (P, N); target : (P, R)
    ridge : float, >= 0; weights : (P,), >= 0, equal without it
    Returns : Solution
    Raises : ValueError if a shape disagrees or a number is out of range
    """
    design, target, penalty = _scaled(design, target, ridge, weights)
    if penalty > 0 and design.shape[0] < design.shape[1]:
        # The weights lie in the span of the rows: solve for their coordinates there.
        span, triangle = np.linalg.qr(design.T)
        solution = _row_solve(triangle.T, target, penalty)
        return solution._replace(n=span @ solution.n, rank=design.shape[1])
    if penalty > 0:
        # The squared Frobenius norm bounds the squared largest singular value.
        size = np.vdot(design, design)
        if size + penalty <= GRAM_LIMIT * penalty:
            return _gram_solve(design, target, penalty)
        return _row_solve(design, target, penalty)
    n, _, rank, sigma = np.linalg.lstsq(design, target, rcond=None)
    complete = len(sigma) == design.shape[1] and sigma[-1] > 0
    condition = sigma[0] / sigma[-1] if complete else np.inf
    return Solution(n, float(condition), int(rank))


def ridge_path(design, target, *, ridges=None, weights=None):
    """Fits along many ridges from one decomposition, scored by generalised cross-validation.

    The score estimates the error on new points that carry the same noise as these. Where the target
    carries none, it has nothing to balance and chooses the smallest ridge that rounding allows.

    design : (P, N); target : (P, R); weights as for `ridge_solve`
    ridges : (K,), > 0, increasing; 1e-16 to 100, four a decade, without it
    Returns : RidgePath
    Raises : ValueError if a shape disagrees, or the ridges are not positive and increasing
    """
    ridges = _increasing(ridges)
    design, target, scale = _scaled(design, target, 1.0, weights)
    P, N = design.shape
    # All inner products of [design, target] survive in its triangular factor.
    reduced = np.linalg.qr(np.hstack([design, target]), mode="r")
    left, sigma, _ = np.linalg.svd(reduced[:, :N], full_matrices=False)
    inside = left.T @ reduced[:, N:]
    outside = np.sum((reduced[:, N:] - left @ inside) ** 2)
    penalties = (ridges * scale)[:, None]
    kept = sigma**2 / (sigma**2 + penalties)
    energy = np.sum(inside**2, axis=1)
    loss = outside + (1 - kept) ** 2 @ energy
    norm = np.sqrt((sigma / (sigma**2 + penalties)) ** 2 @ energy)
    freedom = kept.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        gcv = np.where(freedom < P, loss / P / (1 - freedom / P) ** 2, np.inf)
    return RidgePath(ridges, loss / P, norm, freedom, gcv, *_least(ridges, gcv))


def hold_out(design, target, groups, *, ridges=None):
    """Ridges judged by leaving out one group of points after the other.

    For points whose errors depend on one another, as along a smoothed trajectory: with whole
    trajectories as groups the fit cannot learn the errors that it is tested on. Generalised
    cross-validation takes errors for independent and would choose too small a ridge.

    design : (P, N); target : (P, R)
    groups : (P,), the label of the group that each point belongs to, at least two different ones
    ridges : as for `ridge_path`
    Returns : HeldOut
    Raises : ValueError if a shape disagrees or there is one group only
    """
    ridges = _increasing(ridges)
    design, target, scale = _scaled(design, target, 1.0, None)
    P, N = design.shape
    groups = np.asarray(groups)
    labels = np.unique(groups)
    if groups.shape != (P,) or len(labels) < 2:
        raise ValueError(f"groups must have shape ({P},) and two labels at least, got {groups!r}")
    loss = np.zeros(len(ridges))
    for label in labels:
        out = groups == label
        reduced = np.linalg.qr(np.hstack([design[~out], target[~out]]), mode="r")
        left, sigma, right = np.linalg.svd(reduced[:, :N], full_matrices=False)
        inside, seen = left.T @ reduced[:, N:], design[out] @ right.T
        for k, penalty in enumerate(ridges * scale * np.mean(~out)):
            n = (sigma / (sigma**2 + penalty))[:, None] * inside
            loss[k] += np.sum((seen @ n - target[out]) ** 2)
    return HeldOut(ridges, loss / P, *_least(ridges, loss))


def importance(weights, P):
    """Weights of P points scaled to a mean of 1; None for equal ones.

    Raises : ValueError if the shape is not (P,), a weight is negative, or all are 0
    """
    if weights is None:
        return None
    weights = finite_array("weights", weights, (P,))
    if (weights < 0).any() or not weights.any():
        raise ValueError("weights must be at least 0, and one of them greater")
    return weights * (P / weights.sum())


def _increasing(ridges):
    ridges = np.logspace(-16, 2, 73) if ridges is None else finite_array("ridges", ridges, ("K",))
    if len(ridges) == 0 or ridges[0] <= 0 or (np.diff(ridges) <= 0).any():
        raise ValueError(f"ridges must be positive and increasing, got {ridges}")
    return ridges


def _least(ridges, score):
    """The ridge of the least score, and whether it is the first or the last."""
    best = int(np.argmin(score))
    return float(ridges[best]), best in {0, len(ridges) - 1}


def _scaled(design, target, ridge, weights):
    """Rows times the root of their weight, and the penalty that goes with the sum over them."""
    design = finite_array("design", design, ("P", "N"))
    P = len(design)
    target = finite_array("target", target, (P, "R"))
    if 0 in design.shape:
        raise ValueError(f"design must have a point and a neuron at least, got {design.shape}")
    ridge, weights = not_negative("ridge", ridge), importance(weights, P)
    if weights is None:
        variance = target.var(axis=0).sum()
    else:
        variance = np.sum(weights @ (target - weights @ target / P) ** 2) / P
        root = np.sqrt(weights)[:, None]
        design, target = root * design, root * target
    return design, target, P * ridge * variance


def _row_solve(design, target, penalty):
    N = design.shape[1]
    rows = np.block(
        [[design, target], [np.sqrt(penalty) * np.eye(N), np.zeros((N, target.shape[1]))]]
    )
    # The triangle of [A, b] holds that of A and Q^T b, so that Q is never formed.
    triangle = np.linalg.qr(rows, mode="r")[:N]
    reciprocal, _ = lapack.dtrcon(triangle[:, :N])
    n = solve_triangular(triangle[:, :N], triangle[:, N:], check_finite=False)
    return Solution(n, _inverse(reciprocal), N)


def _gram_solve(design, target, penalty):
    gram = design.T @ design
    gram[np.diag_indices_from(gram)] += penalty
    norm = np.abs(gram).sum(axis=0).max()
    factor = cho_factor(gram, lower=False, overwrite_a=True, check_finite=False)
    n = cho_solve(factor, design.T @ target, check_finite=False)
    reciprocal, _ = lapack.dpocon(factor[0], norm, uplo="U")
    return Solution(n, np.sqrt(_inverse(reciprocal)), design.shape[1])


def _inverse(reciprocal):
    return 1.0 / reciprocal if reciprocal > 0 else np.inf
