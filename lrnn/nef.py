"""Writing dynamics into a low-rank network by least squares in a basis of neurons.

The latents of a network obey tau dkappa/dt = -kappa + n^T phi(m kappa + w_in v + bias). Once m,
w_in and bias are chosen, making that equal to a wanted tau dkappa/dt = tau g(kappa, v) is a linear
regression for n: of kappa + tau g on the rates, over points in the latent space (Eliasmith &
Anderson 2003, the paper's eqs. 8-11).

Objective, wherever a ridge appears: mean over points of |error|^2 + ridge var(target) |n|^2, with
var(target) the variance of kappa + tau g over the points, summed over latents. So the ridge has no
unit, and scaling the target does not change what it means.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack, solve_triangular

from lrnn._check import finite_array, not_negative, positive
from lrnn.basis import evaluate
from lrnn.network import LowRankRNN, latent_velocity

# A Gram matrix squares the condition number. Up to this bound on the squared one, which the ridge
# guarantees, the loss stays below 1e-7 of the weights and far below that in what they add up to.
GRAM_LIMIT = 1e8


class FlowError(NamedTuple):
    """How far a network's tau dkappa/dt is from the wanted one, over points.

    rmse : (R,), root mean squared error of each latent, latent units
    nmse : float, mean squared error over the variance of the wanted tau dkappa/dt, both summed over
        latents; inf if that does not vary
    worst : (R,), the point at which the error is largest
    worst_error : float, its length there, latent units
    """

    rmse: np.ndarray
    nmse: float
    worst: np.ndarray
    worst_error: float


class Report(NamedTuple):
    """What the fit of a network was like.

    error : FlowError on the points that made it
    weight_norm : (R,), length of each column of n
    condition : float, condition number of the problem solved, ridge included; inf if singular
    rank : int, how many combinations of neurons the points tell apart; N at most
    ridge : float
    warnings : what to know before trusting the fit, one sentence each; empty if there is nothing
    """

    error: FlowError
    weight_norm: np.ndarray
    condition: float
    rank: int
    ridge: float
    warnings: tuple[str, ...]


class Embedding(NamedTuple):
    """A fitted network and the report on its fit."""

    network: LowRankRNN
    report: Report


class Solution(NamedTuple):
    """n : (N, R); condition : float and rank : int, as in `Report`."""

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


def embed_ode(rhs, basis, kappa, *, v=None, tau=1.0, ridge=0.0, weights=None, form="current"):
    """A network whose latents obey dkappa/dt = rhs(kappa), or rhs(kappa, v) if v is given.

    rhs : (P, R) [, (P, D)] -> (P, R), latent units per s
    basis : Basis with R latents, D input channels
    kappa : (P, R), the points of the fit, one a row
    v : (P, D), the input that the neurons see, at each point: filtered by the membrane in current
        form, raw in rate form
    tau : float, time constant of the network, s, > 0
    ridge : float, >= 0, dimensionless
    weights : (P,), >= 0, importance of each point; equal without it
    form : "current" or "rate"
    Returns : Embedding
    Raises : ValueError if a shape disagrees, rhs is not finite at a point, or a number is out of
        range
    """
    kappa = finite_array("kappa", kappa, ("P", basis.rank))
    wanted = velocity_at(rhs, kappa, v)
    return embed_samples(
        wanted, basis, kappa, v=v, tau=tau, ridge=ridge, weights=weights, form=form
    )


def embed_samples(
    velocity, basis, kappa, *, v=None, tau=1.0, ridge=0.0, weights=None, form="current"
):
    """`embed_ode` for velocities known at the points only, as those estimated from data are.

    velocity : (P, R), dkappa/dt at the points, latent units per s; everything else as `embed_ode`
    """
    tau = positive("tau", tau)
    kappa = finite_array("kappa", kappa, ("P", basis.rank))
    velocity = finite_array("velocity", velocity, kappa.shape)
    rates, target = evaluate(basis, kappa, v), kappa + tau * velocity
    n, condition, rank = ridge_solve(rates, target, ridge=ridge, weights=weights)
    network = LowRankRNN(
        basis.m, n, w_in=basis.w_in, bias=basis.bias, tau=tau, phi=basis.phi, form=form
    )
    error = _flow_error(rates @ n - target, tau * velocity, kappa, weights)
    found = _warnings(rates.shape, rank, condition, float(ridge))
    report = Report(error, np.linalg.norm(n, axis=0), condition, rank, float(ridge), found)
    return Embedding(network, report)


def regression(velocity, basis, kappa, *, v=None, tau=1.0):
    """The regression problem itself: design matrix (P, N) and target kappa + tau velocity (P, R).

    What `ridge_solve` and `ridge_path` work on; arguments as for `embed_samples`.
    """
    kappa = finite_array("kappa", kappa, ("P", basis.rank))
    velocity = finite_array("velocity", velocity, kappa.shape)
    return evaluate(basis, kappa, v), kappa + positive("tau", tau) * velocity


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
    ridges = np.logspace(-16, 2, 73) if ridges is None else finite_array("ridges", ridges, ("K",))
    if len(ridges) == 0 or ridges[0] <= 0 or (np.diff(ridges) <= 0).any():
        raise ValueError(f"ridges must be positive and increasing, got {ridges}")
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
    best = int(np.argmin(gcv))
    at_edge = best in {0, len(ridges) - 1}
    return RidgePath(ridges, loss / P, norm, freedom, gcv, float(ridges[best]), at_edge)


def flow_error(net, velocity, kappa, *, v=None, weights=None):
    """The error of any network's flow, on any points.

    velocity : (P, R), the wanted dkappa/dt at the points, latent units per s
    kappa : (P, R); v : (P, D), None only without input channels; weights : (P,), equal without it
    Returns : FlowError
    Raises : ValueError if a shape disagrees or a value is not finite
    """
    kappa = finite_array("kappa", kappa, ("P", net.rank))
    velocity = finite_array("velocity", velocity, kappa.shape)
    error = net.tau * (latent_velocity(net, kappa, v) - velocity)
    return _flow_error(error, net.tau * velocity, kappa, weights)


def velocity_at(rhs, kappa, v=None):
    """rhs(kappa), or rhs(kappa, v) if v is given, at P points, checked: (P, R).

    Raises : ValueError if the shape is not that of kappa or a value is not finite, with the point
    """
    value = np.asarray(rhs(kappa) if v is None else rhs(kappa, v), dtype=float)
    if value.shape != kappa.shape:
        raise ValueError(f"rhs must return shape {kappa.shape} like kappa, got {value.shape}")
    bad = np.flatnonzero(~np.isfinite(value).all(axis=1))
    if len(bad):
        raise ValueError(
            f"rhs must be finite, got {value[bad[0]]} at point {bad[0]}, kappa = {kappa[bad[0]]}"
            f" ({len(bad)} of {len(kappa)} points)"
        )
    return value


def _scaled(design, target, ridge, weights):
    """Rows times the root of their weight, and the penalty that goes with the sum over them."""
    design = finite_array("design", design, ("P", "N"))
    P = len(design)
    target = finite_array("target", target, (P, "R"))
    if 0 in design.shape:
        raise ValueError(f"design must have a point and a neuron at least, got {design.shape}")
    ridge, weights = not_negative("ridge", ridge), _importance(weights, P)
    if weights is None:
        variance = target.var(axis=0).sum()
    else:
        variance = np.sum(weights @ (target - weights @ target / P) ** 2) / P
        root = np.sqrt(weights)[:, None]
        design, target = root * design, root * target
    return design, target, P * ridge * variance


def _importance(weights, P):
    """Weights with a mean of 1, or None for equal ones."""
    if weights is None:
        return None
    weights = finite_array("weights", weights, (P,))
    if (weights < 0).any() or not weights.any():
        raise ValueError("weights must be at least 0, and one of them greater")
    return weights * (P / weights.sum())


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


def _flow_error(error, wanted, kappa, weights):
    weights = _importance(weights, len(kappa))
    weights = np.ones(len(kappa)) if weights is None else weights
    mean_square = weights @ error**2 / len(kappa)
    variance = np.sum(weights @ (wanted - weights @ wanted / len(kappa)) ** 2) / len(kappa)
    length = np.linalg.norm(error, axis=1)
    worst = int(np.argmax(length))
    nmse = mean_square.sum() / variance if variance > 0 else np.inf
    return FlowError(np.sqrt(mean_square), float(nmse), kappa[worst], float(length[worst]))


def _warnings(shape, rank, condition, ridge):
    P, N = shape
    found = []
    if P < N and ridge == 0:
        found.append(
            f"{P} points for {N} neurons without a ridge: the fit passes through every point, "
            "and between them it may do anything"
        )
    elif rank < N:
        found.append(
            f"the points tell only {rank} of {N} neurons apart: the weights are those of least "
            "norm, at the limit of rounding"
        )
    elif ridge > 0 and condition > 1 / np.finfo(float).eps:
        found.append(
            f"a ridge of {ridge:g} is too small to decide between neurons that the points cannot "
            "tell apart: the weights are at the limit of rounding"
        )
    return tuple(found)
