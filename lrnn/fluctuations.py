"""Large random tanh networks in motion: chaos, random drive, and a mode that grows out of either.

The network is that of `lrnn.meanfield` without a bias; its mean is then zero, whatever b. Currents
x_i = kappa a_i + eta_i, a_i = sqrt(N) u_i, are Gaussian over neurons, and eta_i is noise with the
autocovariance of what a neuron receives through the random part:

    (1 + d/dt) (1 + d/dt') <eta eta'> = g^2 <phi(x) phi(x')> + that of its private input.

This is dynamical mean-field theory: Sompolinsky, Crisanti and Sommers (1988), with a mode
Mastrogiuseppe and Ostojic (2018). Time is in units of the time constant tau of the network.

Averages over two currents use the Hermite series <phi(x) phi(x')> = sum_k a_k a'_k rho^k, with rho
their correlation and a_k = <phi(std z) He_k(z)>/sqrt(k!), z standard normal.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.polynomial.polynomial import polyval
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq
from scipy.signal import lfilter

from lrnn._check import finite_array, not_negative, positive
from lrnn.meanfield import NODES, WEIGHTS, gaussian_averages

# Coefficients fall as exp(-c sqrt(k/variance)). Those kept leave out less than 1e-9 of <phi^2> up
# to a variance of 25, and 2e-8 at the largest, which chaos reaches at g = 7.
LARGEST, MOST_TERMS = 36.0, 500
GAUSS = np.polynomial.legendre.leggauss(64)


class NotConvergedError(ArithmeticError):
    """An iteration did not reach its tolerance.

    residual : float, the last relative change
    """

    def __init__(self, residual, advice):
        super().__init__(f"the relative change is still {residual:.3g}; {advice}")
        self.residual = residual


class ChaoticState(NamedTuple):
    """Stationary chaos in a network without drive.

    g : float, gain of the random part
    kappa : float, >= 0; with kappa > 0 there is a mirror image
    variance : float, of a current, over neurons and time
    floor : float, what its autocovariance falls to: the variance of time averages over neurons
    """

    g: float
    kappa: float
    variance: float
    floor: float


class SharedResponse(NamedTuple):
    """What one signal shared by all neurons makes of them, at T + 1 times.

    kappa : (T + 1,), along sqrt(N) u; drive : (T + 1,), the filtered signal, along the loading
    covariance : (T + 1, T + 1), of x(t) and x(t') over neurons
    """

    kappa: np.ndarray
    drive: np.ndarray
    covariance: np.ndarray


def chaotic_states(*, g, overlap=0.0):
    """All stationary chaotic states: one with kappa = 0, and one with kappa > 0 where it exists.

    The autocovariance D moves in a potential, D'' = -V'(D), V' = -D + g^2 <phi(x) phi(x')> +
    kappa^2, from rest at the variance to rest at the floor: V is equal at both, and V' = 0 at the
    floor. That is, the mean of V'' = -1 + g^2 <phi'(x) phi'(x')> between them, weighted by the
    distance to the variance, is zero. V'' grows with D: a variance has one floor at most, and one
    variance has the floor 0. With kappa > 0 the variance is where overlap <phi'> = 1. Such chaos
    ends where g^2 <phi'^2> = 1 and the floor meets the variance: fixed points are stable beyond.

    g : float, > 0; overlap : float, m_s v.u
    Returns : list of ChaoticState, kappa = 0 first; empty for g <= 1
    Raises : ValueError if an argument is out of range, or a variance beyond `LARGEST`
    """
    g, overlap = positive("g", g), float(finite_array("overlap", overlap, ()))
    if g <= 1:
        return []
    # The variance of ln cosh x, a contraction of |x|, bounds that of x: 2 (1 - 2/pi) g^2.
    free = brentq(lambda D: _curvature(D, 0.0, g), 1e-3 * (g - 1), 0.73 * g**2, xtol=1e-13)
    states = [ChaoticState(g, 0.0, free, 0.0)]
    if overlap * mean_slope(free) > 1:
        variance = brentq(lambda D: overlap * mean_slope(D) - 1, free, overlap**2, xtol=1e-13)
        slopes = gaussian_averages("tanh", 0.0, variance).squared_slope[0]
        if g**2 * slopes > 1:  # else the fixed point with this variance is stable
            floor = brentq(lambda D: _curvature(variance, D, g), 0.0, variance, xtol=1e-13)
            squared_kappa = floor - g**2 * _covariance(variance, floor)
            states.append(ChaoticState(g, float(np.sqrt(squared_kappa)), variance, floor))
    return states


def chaotic_autocovariance(state, lag):
    """Covariance of x(t) and x(t + lag) over neurons and time, by integrating its energy.

    D'^2 = 2 (V(variance) - V(D)). In y, with D = floor + (variance - floor)/cosh^2 y, both ends of
    t = integral dD/D' are smooth, and y grows linearly with t towards the floor.

    Euler steps of dt leave the variance alone and quicken chaos: their D at a lag is this one at
    lag/sqrt(1 - dt), up to order dt^2.

    state : ChaoticState; lag : (T,), in units of tau
    Returns : (T,)
    """
    lag = np.abs(finite_array("lag", lag, ("T",)))
    g, span = state.g, state.variance - state.floor
    y = np.linspace(0.0, 5.0, 501)
    share = 1 / np.cosh(y[1:]) ** 2  # of the span
    energy = -2 * (span * share) ** 2 * _curvature(state.variance, state.floor, g, share)
    pull = state.variance - g**2 * _covariance(state.variance, state.variance) - state.kappa**2
    pace = np.concatenate(
        [[np.sqrt(2 * span / -pull)], 2 * span * share * np.tanh(y[1:]) / np.sqrt(energy)]
    )
    time = CubicSpline(y, pace).antiderivative()(y)
    late = y[-1] + (lag - time[-1]) / pace[-1]
    inside = CubicSpline(time, y)(np.minimum(lag, time[-1]))
    return state.floor + span / np.cosh(np.where(lag > time[-1], late, inside)) ** 2


def driven_autocovariance(source, *, g, dt, euler=True, tol=1e-10, max_iterations=20_000):
    """Autocovariance of currents, each neuron having independent Gaussian input of its own.

    D(w) = |filter(w)|^2 (g^2 C(w) + source(w)) with C the autocovariance of phi(x), by iteration.
    The filter is that of Euler steps, dt^2/|e^{i w dt} - 1 + dt|^2, or of continuous time,
    1/(1 + w^2), where the error of sampling at dt is of order dt^2. For Ornstein-Uhlenbeck input
    the source is std^2 exp(-lag/tau). The mean and kappa are zero.

    source : (T,), autocovariance of the input at lags 0, dt, ...; source[0] > 0. All correlations
        must have died out by the last lag
    g : float, >= 0; dt : float, > 0, in units of tau
    euler : bool, which filter
    tol : float, > 0, relative change at which the iteration stops
    max_iterations : int
    Returns : (T,), at the same lags
    Raises : ValueError if an argument is out of range; NotConvergedError
    """
    source = finite_array("source", source, ("T",))
    g, dt = not_negative("g", g), positive("dt", dt)
    if len(source) < 2 or not source[0] > 0:
        raise ValueError("source must have at least two lags and be positive at the first")
    omega = 2 * np.pi * np.fft.rfftfreq(2 * len(source) - 2)
    squared = np.abs(np.exp(1j * omega) - 1 + dt) ** 2 / dt**2 if euler else 1 + (omega / dt) ** 2

    def filtered(covariance):
        spectrum = np.fft.rfft(np.concatenate([covariance, covariance[-2:0:-1]])).real
        return np.fft.irfft(spectrum / squared)[: len(source)]

    D = filtered(source)
    for _ in range(max_iterations):
        last, D = D, filtered(source + g**2 * _covariance(D[0], D))
        residual = np.abs(D - last).max() / D[0]
        if residual < tol:
            break
    else:
        raise NotConvergedError(residual, f"{max_iterations} iterations were not enough")
    if abs(D[-1]) > 1e-3 * D[0]:
        raise NotConvergedError(D[-1] / D[0], "source must extend to longer lags")
    return D


def mean_slope(variance):
    """<phi'> of tanh over N(0, variance); a mode grows where overlap <phi'> > 1."""
    return float(gaussian_averages("tanh", 0.0, variance).slope[0])


def relaxation_rate(overlap, variance):
    """Rate, 1/tau, at which a small kappa decays: dkappa/dt = -(1 - overlap <phi'>) kappa.

    A mode sees the rest of the network through its variance, which it changes by kappa^2 only. So
    it grows beyond overlap = 1/<phi'>, in chaos and under a drive of zero mean. The rate is that of
    the mean Jacobian -1 + J <phi'>; -1 + J, right at rest, would say 1 - overlap.

    overlap : float, m_s v.u; variance : float, of a current, chaotic or driven
    """
    return 1.0 - overlap * mean_slope(variance)


def shared_response(signal, *, g, overlap, selection, alignment, dt, variance0=0.0):
    """Response to a signal that all neurons share, through one loading each, in Euler steps of dt.

    dx/dt = -x + J phi(x) + loading s(t), with loading_i = sqrt(N) w_i, w of length 1. Then

        x = kappa a + z loading + eta,     dz/dt = -z + s,
        dkappa/dt = -kappa + <phi'>_t (overlap kappa + selection z),
        (1 + d/dt) (1 + d/dt') <eta eta'> = g^2 <phi(x) phi(x')>,

    for this one signal: statistics over neurons depend on time, and covariances on two times. These
    are found row by row, as their sources lie in the past, with T^2 times some 10 operations.

    signal : (T,), s from t_k to t_{k+1}
    g : float, >= 0; overlap : float, m_s v.u
    selection : float, m_s v.w; alignment : float, u.w. For a loading along u: overlap and 1
    dt : float, > 0, in units of tau
    variance0 : float, >= 0, of x(0), independent between neurons and of the connectivity
    Returns : SharedResponse
    Raises : ValueError if an argument is out of range, or a variance beyond `LARGEST`
    """
    signal, dt = finite_array("signal", signal, ("T",)), positive("dt", dt)
    g, variance0 = not_negative("g", g), not_negative("variance0", variance0)
    T, keep = len(signal), 1.0 - dt
    kappa, z, std = np.zeros((3, T + 1))
    total, series = np.zeros((T + 1, T + 1)), np.zeros((MOST_TERMS, T))
    noise = np.array([variance0])  # <eta(t_k) eta(t_l)>, l <= k
    total[0, 0], std[0] = variance0, np.sqrt(variance0)
    for k in range(T):
        now, past = slice(k + 1), slice(k + 2)
        own = _coefficients(std[k] ** 2)
        series[: len(own), k] = own
        scale = std[now] * std[k]
        rho = np.divide(total[k, now], scale, out=np.zeros(k + 1), where=scale > 0)
        arriving = g**2 * _series(own[:, None] * series[: len(own), now], rho)
        # <eta(t_l) input(t_k)>, 0 < l <= k + 1: what has arrived before t_l.
        received = dt * lfilter([1.0], [1.0, -keep], arriving)
        noise = keep * noise + dt * np.concatenate([[0.0], received[:-1]])
        noise = np.append(noise, keep * noise[-1] + dt * received[-1])
        pull = mean_slope(std[k] ** 2) * (overlap * kappa[k] + selection * z[k])
        kappa[k + 1], z[k + 1] = keep * kappa[k] + dt * pull, keep * z[k] + dt * signal[k]
        total[k + 1, past] = (
            noise
            + kappa[past] * (kappa[k + 1] + alignment * z[k + 1])
            + z[past] * (z[k + 1] + alignment * kappa[k + 1])
        )
        std[k + 1] = np.sqrt(total[k + 1, k + 1])
    return SharedResponse(kappa, z, total + np.tril(total, -1).T)


def _curvature(variance, floor, g, share=1.0):
    """Mean of V'' from the floor to floor + share (variance - floor), falling weight, over 2.

    (D - floor)^2 times this is V(D) - V(floor), without the loss of digits of that difference.
    """
    place, weight = (GAUSS[0] + 1) / 2, GAUSS[1] / 2
    rho = (floor + np.multiply.outer(share, place) * (variance - floor)) / variance
    squares = _coefficients(variance) ** 2
    slope = polyval(rho**2, (2 * np.arange(len(squares)) + 1) * squares) / variance
    return (g**2 * slope - 1) @ (weight * (1 - place))


def _covariance(variance, D):
    """<phi(x) phi(x')> for two currents of one variance and covariance D, an array."""
    return _series(_coefficients(variance) ** 2, D / variance)


def _series(products, rho):
    """sum_k products_k rho^k over odd k; products (K,) or (K, ...), rho (...)."""
    return rho * polyval(rho**2, products, tensor=False)


def _coefficients(variance):
    """a_1, a_3, ... of tanh, which is odd."""
    if not variance <= LARGEST:
        raise ValueError(f"the variance must be at most {LARGEST:g}, it comes to {variance:.6g}")
    n_terms = min(len(_hermite()), int(30 * variance) + 10)
    return _hermite()[:n_terms] @ np.tanh(np.sqrt(variance) * NODES)


@cache
def _hermite():
    """Rows He_k / sqrt(k!) for k = 1, 3, ..., at the nodes, times their weights."""
    rows = [np.ones_like(NODES), NODES]
    for k in range(1, 2 * MOST_TERMS - 1):
        rows.append((NODES * rows[k] - np.sqrt(k) * rows[k - 1]) / np.sqrt(k + 1))
    return np.array(rows[1::2]) * WEIGHTS
