"""A linear network as a filter of random signals: its error, exactly, and how learning lowers it.

The network tau dx/dt = -x + J x + w_in u sees D independent signals in white noise, and should
report each of them, or an integral of it, as y = w_out^T x. Averaged over endless time its error is
a rational function of the weights: signals and network together are one linear system driven by
white noise, dz/dt = A z + K xi, whose covariance P solves a Lyapunov equation, and the solution Q
of the adjoint equation gives the gradient,

    A P + P A^T + dt A P A^T + K K^T = 0,    dL/dA = 2 Q (1 + dt A) P.

One set of formulas serves continuous time, dt = 0, and steps dt > 0, in which derivatives are
differences over dt: there the signals are those of `lrnn.tracking`, the network takes Euler steps
as in `lrnn.simulate`, and target k belongs to the state that input k leads to.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from lrnn._check import finite_array, not_negative, positive, whole
from lrnn.gradient_flow import gradient_flow
from lrnn.tracking import kalman_filter, wiener_filter

WEIGHTS = ("J", "w_out", "w_in")


class Problem(NamedTuple):
    """A signal that is seen in noise, what should be reported of it, and the best causal filter.

    dz/dt = drift z + spread xi, u = seen . z + noise xi', target = wanted . z, with white noises
    xi and xi'. The best filter of u is dy/dt = -rate y + gain u.

    drift : (S, S), 1/s, lower triangular, its diagonal negative
    spread : (S,), state over sqrt(s)
    seen, wanted : (S,)
    covariance : (S, S), of z
    noise : float, >= 0, intensity of the white noise, signal times sqrt(s)
    dt : float, s, 0 in continuous time
    rate, gain : float, 1/s; infinite where a signal without noise is to be reported at once
    error : float, mean squared error of that filter
    """

    drift: np.ndarray
    spread: np.ndarray
    seen: np.ndarray
    wanted: np.ndarray
    covariance: np.ndarray
    noise: float
    dt: float
    rate: float
    gain: float
    error: float


class Optimum(NamedTuple):
    """What a linear network has where it is the best filter.

    eigenvalue : float, of J, for the only mode that input reaches and output sees
    overlap : float, w_out . w_in
    error : float, its mean squared error
    """

    eigenvalue: float
    overlap: float
    error: float


class Loss(NamedTuple):
    """The loss of a network and its gradient; infinite and NaN if the network is unstable.

    value : float
    J : (N, N); w_out, w_in : (N, D)
    """

    value: float
    J: np.ndarray
    w_out: np.ndarray
    w_in: np.ndarray


class RankOne(NamedTuple):
    """The loss of J = eigenvalue B B^T as a function of its eigenvalue: value, slope, curvature."""

    value: float
    slope: float
    curvature: float


class Learning(NamedTuple):
    """A network in the course of gradient flow.

    t : (T,), time in units of the rate
    J : (T, N, N); w_out, w_in : (T, N, D)
    loss : (T,)
    evaluations : int, of the gradient
    """

    t: np.ndarray
    J: np.ndarray
    w_out: np.ndarray
    w_in: np.ndarray
    loss: np.ndarray
    evaluations: int


def denoising(*, tau, std=1.0, noise, dt=0.0):
    """The problem of `tracking.ou_denoising`: report a signal that is seen in white noise.

    Without noise it is that of `ou_tracking`; in continuous time the best rate then is infinite.

    tau : float, s, > 0, correlation time of the signal
    std : float, > 0, its standard deviation
    noise : float, >= 0, intensity of the white noise, signal times sqrt(s)
    dt : float, s, >= 0, step; 0 is continuous time
    Returns : Problem
    Raises : ValueError if an argument is out of range
    """
    dt, noise = not_negative("dt", dt), not_negative("noise", noise)
    leak, variance = _leak(tau, dt), positive("std", std) ** 2
    if dt:
        best = kalman_filter(dt=dt, tau=tau, std=std, noise=noise)
        rate, gain, error = (1.0 - best.pole) / dt, best.gain / dt, best.error
    elif noise:
        rate, gain, error = wiener_filter(tau=tau, std=std, noise=noise)
    else:
        rate, gain, error = np.inf, np.inf, 0.0
    one = np.ones(1)
    spread = np.sqrt(variance * leak * (2.0 - dt * leak)) * one
    return Problem(
        -leak * np.eye(1), spread, one, one, variance * np.eye(1), noise, dt, rate, gain, error
    )


def integration(*, tau, std=1.0, tau_integral, dt=0.0):
    """The problem of `tracking.ou_integration`: report the leaky integral of a signal.

    tau, std, dt : as for `denoising`
    tau_integral : float, s, > 0
    Returns : Problem
    Raises : ValueError if an argument is out of range
    """
    dt = not_negative("dt", dt)
    signal = denoising(tau=tau, std=std, noise=0.0, dt=dt)
    leak, rate = -signal.drift[0, 0], _leak(tau_integral, dt, name="tau_integral")
    keep, variance = 1.0 - dt * leak, signal.covariance[0, 0]
    shared = rate * variance / (leak + rate * keep)
    own = (2.0 * shared - dt * rate * variance) / (2.0 - dt * rate)
    return signal._replace(
        drift=np.array([[-leak, 0.0], [rate * keep, -rate]]),
        spread=signal.spread[0] * np.array([1.0, dt * rate]),
        seen=np.array([1.0, 0.0]),
        wanted=np.array([0.0, 1.0]),
        covariance=np.array([[variance, shared], [shared, own]]),
        rate=rate,
        gain=rate,
        error=0.0,
    )


def optimum(problem, *, tau=1.0):
    """The eigenvalue 1 - tau rate and the overlap tau gain of the best linear network.

    Input and output determine no more: its other modes are free. But any network without excess
    loss, of any size and with any bulk, has this eigenvalue, since its transfer function has this
    pole and no other. On the way there `outliers.effective_pole` is nearer to it than any
    eigenvalue.

    problem : Problem
    tau : float, s, > 0, time constant of the network
    Returns : Optimum
    """
    tau = positive("tau", tau)
    return Optimum(1.0 - tau * problem.rate, tau * problem.gain, problem.error)


def rank_one(problem, eigenvalue, overlap, *, tau=1.0, penalty=0.0):
    """The loss of J = eigenvalue B B^T, |B| = 1, w_in = B, w_out = overlap B, in closed form.

    In continuous time denoising has, with b = (1 - eigenvalue)/tau, k = overlap/tau, a = 1/tau of
    the signal, and r = noise^2,

        L = std^2 [1 - 2 k/(b + a) + k^2/(b (b + a))] + r k^2/(2 b) + penalty eigenvalue^2.

    Gradient descent of J is stable around a minimum for rates below 2/curvature there. On the way
    to a fast filter curvatures are far larger.

    problem : Problem
    eigenvalue, overlap : float
    tau : float, s, > 0, time constant of the network
    penalty : float, >= 0, weight of |J|_F^2
    Returns : RankOne
    Raises : ValueError if the network is unstable or an argument is out of range
    """
    tau, dt = positive("tau", tau), problem.dt
    b, k = (1.0 - eigenvalue) / tau, overlap / tau
    if not 0 < b * dt < 2 and not (dt == 0 and b > 0):
        raise ValueError(f"eigenvalue must leave the network stable, got {eigenvalue!r}")
    # c = k seen Z (b Phi^T - F^T)^-1 is the covariance of the output with z; each derivative in b
    # multiplies by the same matrix and the next whole number.
    step = np.eye(len(problem.drift)) + dt * problem.drift.T
    lagged = np.linalg.inv(b * step - problem.drift.T)
    power = problem.seen @ problem.covariance
    c = [k * power @ lagged]
    c += [-c[0] @ step @ lagged]
    c += [-2.0 * c[1] @ step @ lagged]
    # The variance of the output is top times f, f = 1/(b (2 - dt b)).
    top = [2.0 * k * each @ problem.seen for each in c]
    top[0] += k**2 * (problem.noise**2 - dt * power @ problem.seen)
    f, turn = 1.0 / (b * (2.0 - dt * b)), 2.0 - 2.0 * dt * b
    f = [f, -turn * f**2, 2.0 * turn**2 * f**3 + 2.0 * dt * f**2]
    variance = (
        top[0] * f[0],
        top[1] * f[0] + top[0] * f[1],
        top[2] * f[0] + 2.0 * top[1] * f[1] + top[0] * f[2],
    )
    value, in_b, in_b_b = (
        v - 2.0 * each @ problem.wanted for v, each in zip(variance, c, strict=True)
    )
    value += problem.wanted @ problem.covariance @ problem.wanted
    penalty = not_negative("penalty", penalty)
    return RankOne(
        float(value + penalty * eigenvalue**2),
        float(-in_b / tau + 2.0 * penalty * eigenvalue),
        float(in_b_b / tau**2 + 2.0 * penalty),
    )


def rank_one_minimum(problem, overlap, *, tau=1.0, penalty=0.0):
    """The eigenvalue at which `rank_one` is smallest: float.

    With the optimal overlap and no penalty it is that of `optimum`; a penalty draws it towards 0.

    Arguments as for `rank_one`
    Raises : ValueError if the loss has no minimum, as for a very large overlap
    """
    tau, dt = positive("tau", tau), problem.dt

    def slope(b):
        return rank_one(problem, 1.0 - tau * b, overlap, tau=tau, penalty=penalty).slope

    fastest = (2.0 - 1e-9) / dt if dt else 1e6 / tau
    ends = 1e-6 / tau, fastest
    if not slope(ends[0]) > 0 > slope(ends[1]):
        raise ValueError(f"overlap must be such that the loss has a minimum, got {overlap!r}")
    return 1.0 - tau * brentq(slope, *ends, xtol=1e-13 / tau, rtol=1e-13)


def loss(problem, J, w_out, w_in, *, tau=1.0, penalty=0.0):
    """The exact loss of a linear network, mean squared error + penalty |J|_F^2, and its gradient.

    The error is the mean over the D outputs. An unstable network has an infinite loss: the formula
    in the frequency domain would give it a finite one, below that of the best filter.

    problem : Problem
    J : (N, N), [post, pre]
    w_out, w_in : (N, D); output d reports signal d
    tau : float, s, > 0, time constant of the network
    penalty : float, >= 0
    Returns : Loss
    Raises : ValueError if the shapes disagree or a number is out of range
    """
    weights = _weights(J, w_out, w_in)
    signals = _signals(problem, weights[2].shape[1])
    return _loss(signals, *weights, positive("tau", tau), not_negative("penalty", penalty))


def learn(
    problem,
    J,
    w_out,
    w_in,
    t,
    *,
    trainable=("J",),
    tau=1.0,
    penalty=0.0,
    tolerance=1e-3,
):
    """Gradient flow of `loss`, from given weights: gradient descent with endless data.

    The loss is infinite at the edge of stability, and the flow stays within.

    problem, J, w_out, w_in, tau, penalty : as for `loss`; the weights are those at t[0]
    t : (T,), increasing, in units of the rate: step k of descent is at t[0] + k rate
    trainable : which of "J", "w_out" and "w_in" are learned
    tolerance : float, > 0, as for `gradient_flow`
    Returns : Learning
    Raises : ValueError as `loss`, or if the network is unstable or `trainable` names something else
    """
    start = dict(zip(WEIGHTS, _weights(J, w_out, w_in), strict=True))
    if not trainable or not set(trainable) <= set(WEIGHTS):
        raise ValueError(f"trainable must name some of {', '.join(WEIGHTS)}, got {trainable!r}")
    names = [name for name in WEIGHTS if name in trainable]
    ends = np.cumsum([start[name].size for name in names])[:-1]
    signals = _signals(problem, start["w_in"].shape[1])
    tau, penalty = positive("tau", tau), not_negative("penalty", penalty)

    def at(y):
        parts = zip(names, np.split(y, ends), strict=True)
        weights = start | {name: part.reshape(start[name].shape) for name, part in parts}
        return weights, _loss(signals, *weights.values(), tau, penalty)

    def gradient(y):
        there = at(y)[1]
        return np.concatenate([getattr(there, name).ravel() for name in names])

    y0 = np.concatenate([start[name].ravel() for name in names])
    if not np.isfinite(at(y0)[1].value):
        raise ValueError("J must leave the network stable: its loss is infinite")
    path = gradient_flow(gradient, y0, t, tolerance=tolerance)
    states, losses = zip(*map(at, path.y), strict=True)
    return Learning(
        np.asarray(t, dtype=float),
        *(np.array([state[name] for state in states]) for name in WEIGHTS),
        np.array([each.value for each in losses]),
        path.evaluations,
    )


def chain(gain, depth):
    """What a large random network looks like from one direction: J (2 depth + 1, 2 depth + 1).

    Where J = gain W has independent entries, of variance gain^2/N, the vectors B, J B, J^2 B, ...
    and J^T B, J^T^2 B, ... are orthogonal as N grows, each shorter than the last by the gain. In
    the basis of their directions, B first, then those of J, then those of J^T, the network is two
    chains. So `loss` of a chain with w_in and w_out along the first axis has the gradient that a
    large network begins with. `np.kron(chain(gain, depth), np.eye(2))` has two such directions.

    gain : float, >= 0; below 1 what is left out is of the order gain^depth
    depth : int, >= 1, powers of J that count
    Returns : (2 depth + 1, 2 depth + 1)
    Raises : ValueError if an argument is out of range
    """
    K, g = whole("depth", depth), not_negative("gain", gain)
    after, before = np.arange(1, K + 1), np.arange(K + 1, 2 * K + 1)
    J = np.zeros((2 * K + 1, 2 * K + 1))
    J[after, np.append(0, after[:-1])] = g
    J[np.append(0, before[:-1]), before] = g
    return J


class _Signals(NamedTuple):
    """D copies of a problem's signal, z_k = z + dt drift z + kicks, and what the network sees.

    now : (D, SD), u_k from the z before; entering : (D, 2D), u_k from the kicks of step k
    """

    drift: np.ndarray
    kicks: np.ndarray
    now: np.ndarray
    entering: np.ndarray
    wanted: np.ndarray
    dt: float


def _signals(problem, D):
    each, dt = np.eye(D), problem.dt
    drift, spread, seen, wanted = (
        np.kron(matrix, each)
        for matrix in (problem.drift, problem.spread[:, None], problem.seen, problem.wanted)
    )
    return _Signals(
        drift,
        np.hstack([spread, np.zeros_like(spread)]),
        seen + dt * seen @ drift,
        np.hstack([dt * seen @ spread, problem.noise * each]),
        wanted,
        dt,
    )


def _loss(signals, J, w_out, w_in, tau, penalty):
    (N, D), dt = w_in.shape, signals.dt
    zeros = np.zeros((len(signals.drift), N))
    A = np.block([[(J - np.eye(N)) / tau, w_in @ signals.now / tau], [zeros, signals.drift]])
    kicks = np.vstack([w_in @ signals.entering / tau, signals.kicks])
    read = np.hstack([w_out.T, -signals.wanted]) / np.sqrt(D)
    slowest = np.abs(signals.drift.diagonal()).min()
    factors = _gramians(A, kicks, read, dt, pace=2.0 * np.sqrt(tau / slowest))
    if factors is None:
        return Loss(np.inf, *(np.full_like(weights, np.nan) for weights in (J, w_out, w_in)))
    P, Q = factors
    output, adjoint = read @ P, 2.0 * Q[:N]
    in_A = adjoint @ ((Q.T @ (P + dt * A @ P)) @ P.T)
    in_kicks = adjoint @ (Q.T @ kicks)
    return Loss(
        float(np.sum(output**2) + penalty * np.sum(J**2)),
        in_A[:, :N] / tau + 2.0 * penalty * J,
        2.0 / np.sqrt(D) * P[:N] @ output.T,
        (in_A[:, N:] @ signals.now.T + in_kicks @ signals.entering.T) / tau,
    )


def _gramians(A, kicks, read, dt, *, pace):
    """Factors F and G of P = F F^T and Q = G G^T, the Gramians of a system; None if it is unstable.

    A map of the half plane (of the circle |1 + dt z| < 1) onto the unit disc turns A into a matrix
    M with P = M P M^T + start start^T, a sum over powers of M of which each turn of the loop
    doubles the terms (Smith 1968). All of M goes to zero, or the system is unstable. `pace` centres
    the spectrum in the disc; any positive value gives the same answer.
    """
    n, eye = len(A), np.eye(len(A))
    try:
        inverse = np.linalg.inv(eye - (pace - dt) / 2.0 * A)
    except np.linalg.LinAlgError:
        return None  # an eigenvalue 2/(pace - dt) of A is in the unstable region
    M = (eye + (pace + dt) / 2.0 * A) @ inverse
    F, G = np.sqrt(pace) * inverse @ kicks, np.sqrt(pace) * inverse.T @ read.T
    for _ in range(50):
        F, G = np.hstack([F, M @ F]), np.hstack([G, M.T @ G])
        # n columns can hold what many more do, but to find them costs more than to keep some.
        F, G = (X if X.shape[1] <= 4 * n else np.linalg.qr(X.T, "r").T for X in (F, G))
        size = np.sum(M**2)
        if size < 1e-9:
            return F, G  # what is missing of P is M^2 P (M^2)^T
        if not size < 1e24:
            break
        M = M @ M
    return None


def _weights(J, w_out, w_in):
    w_in = finite_array("w_in", w_in, ("N", "D"))
    return (
        finite_array("J", J, (len(w_in), len(w_in))),
        finite_array("w_out", w_out, w_in.shape),
        w_in,
    )


def _leak(tau, dt, name="tau"):
    """The rate of decay with time constant tau: 1/tau, or (1 - e^(-dt/tau))/dt in steps."""
    tau = positive(name, tau)
    return -np.expm1(-dt / tau) / dt if dt else 1.0 / tau
