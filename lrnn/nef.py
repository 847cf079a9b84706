"""Writing dynamics into a low-rank network by least squares in a basis of neurons.

The latents of a network obey tau dkappa/dt = -kappa + n^T phi(m kappa + w_in v + bias). Once m,
w_in and bias are chosen, making that equal to a wanted tau dkappa/dt = tau g(kappa, v) is a linear
regression for n: of kappa + tau g on the rates, over points in the latent space (Eliasmith &
Anderson 2003, the paper's eqs. 8-11).

What a ridge means is said in `lrnn.regression`; the target there is kappa + tau g.
"""

from typing import NamedTuple

import numpy as np

from lrnn._check import finite_array, positive
from lrnn.basis import evaluate, is_odd
from lrnn.network import LowRankRNN, latent_velocity
from lrnn.regression import importance, ridge_solve


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


def embed_in_time(rhs, basis, kappa, t, v, *, tau=1.0, ridge=0.0, weights=None, form="current"):
    """A network whose latents obey dkappa/dt = rhs(kappa, t) while its neurons see v(t).

    The clock of the network is its input: functions phi(m kappa + w_in v(t) + bias) that move in
    time, added up with weights that do not (the paper's section 5). The fit is over all P T pairs
    of a point and a moment. Where v comes near zero, a basis without offsets is left with odd
    functions; the report then warns.

    rhs : (..., R), (...) -> (..., R), latent units per s, at states and times (s)
    basis : Basis with R latents and D >= 1 input channels
    kappa : (P, R), points of the fit
    t : (T,), moments of the fit, s
    v : (T, D), the input that the neurons see at these moments
    weights : (P,), >= 0, importance of each point at every moment, or (T, P)
    tau, ridge, form : as for `embed_ode`
    Returns : Embedding
    Raises : ValueError as `embed_ode`, or if the basis has no input channel
    """
    states, moments, seen = _pairs(basis, kappa, t, v)
    wanted = velocity_at(rhs, states, moments)
    if weights is not None:
        T, P = len(t), len(kappa)
        if np.shape(weights) not in {(P,), (T, P)}:
            shape = np.shape(weights)
            raise ValueError(f"weights must have shape ({P},) or ({T}, {P}), got {shape}")
        weights = np.broadcast_to(weights, (T, P)).ravel()
    fit = embed_samples(
        wanted, basis, states, v=seen, tau=tau, ridge=ridge, weights=weights, form=form
    )
    odd = not basis.bias.any() and is_odd(basis.phi)
    reach = np.abs(np.asarray(v) @ basis.w_in.T).max(axis=1)
    if odd and reach.min() < 0.1:
        moment = t[int(np.argmin(reach))]
        warning = (
            f"at t = {moment:g} s the input moves no function by more than {reach.min():.2g}, and "
            "there are no offsets: only odd functions are left there"
        )
        fit = fit._replace(report=fit.report._replace(warnings=(*fit.report.warnings, warning)))
    return fit


def error_in_time(net, rhs, kappa, t, v):
    """Root mean squared error of the flow over the points, at each moment: (T, R), latent units.

    net : LowRankRNN; rhs, kappa, t, v : as for `embed_in_time`
    Raises : ValueError if a shape disagrees or a value is not finite
    """
    states, moments, seen = _pairs(net, kappa, t, v)
    error = net.tau * (latent_velocity(net, states, seen) - velocity_at(rhs, states, moments))
    return np.sqrt(np.mean(error.reshape(len(t), -1, net.rank) ** 2, axis=1))


def _pairs(neurons, kappa, t, v):
    """All pairs of a moment and a point: states (T P, R), times (T P,) and inputs (T P, D)."""
    kappa = finite_array("kappa", kappa, ("P", neurons.rank))
    t = finite_array("t", t, ("T",))
    if neurons.n_inputs == 0:
        raise ValueError("the basis must have an input channel: without one nothing moves in time")
    v = finite_array("v", v, (len(t), neurons.n_inputs))
    P, T = len(kappa), len(t)
    return np.tile(kappa, (T, 1)), np.repeat(t, P), np.repeat(v, P, axis=0)


def problem(velocity, basis, kappa, *, v=None, tau=1.0):
    """The regression problem itself: design matrix (P, N) and target kappa + tau velocity (P, R).

    What `ridge_solve` and `ridge_path` work on; arguments as for `embed_samples`.
    """
    kappa = finite_array("kappa", kappa, ("P", basis.rank))
    velocity = finite_array("velocity", velocity, kappa.shape)
    return evaluate(basis, kappa, v), kappa + positive("tau", tau) * velocity


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
    """rhs(kappa), or rhs(kappa, v) if inputs or times v are given, at P points, checked: (P, R).

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


def _flow_error(error, wanted, kappa, weights):
    weights = importance(weights, len(kappa))
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
