"""Fixed points of large random networks with one structured mode, and their linear stability.

    tau dx/dt = -x + J phi(x + bias),    J = g W - (b/N) 1 1^T + m_s u v^T

W has independent entries of variance 1/N; u has length 1; u and v, of lengths that stay of order 1
as N grows, have Gaussian entries of zero mean and are independent of W. All that counts of the mode
is then its overlap m_s v.u. As a `LowRankRNN` the mode is m = sqrt(N) u, n = (m_s / sqrt(N)) v, and
kappa = n^T phi(x + bias).

At a fixed point the arguments of phi are Gaussian over neurons: with a_i = sqrt(N) u_i,

    x_i + bias = kappa a_i + mean + eta_i,    mean = bias - b <phi>,
    variance = kappa^2 + g^2 <phi^2>,         kappa = overlap <phi'> kappa.

The last equation is n^T phi by Stein's lemma, <c phi(h)> = cov(c, h) <phi'(h)>. It is the equation
of Mastrogiuseppe and Ostojic (2018), here with a mean and an inhibitory feedback b on it.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from lrnn._check import finite_array, not_negative, positive

# The trapezoidal rule is spectrally accurate where a function is analytic near the real axis. For
# tanh, with poles at +-i pi/2, its error on this grid is below 1e-13 in <phi>, <phi^2> and <phi'>
# and below 1e-10 in all averages up to a standard deviation of 6, and below 1e-7 up to 8.
NODES = np.linspace(-12.0, 12.0, 481)
WEIGHTS = np.exp(-(NODES**2) / 2)
WEIGHTS /= WEIGHTS.sum()
FRACTIONS = np.concatenate([[1e-6], np.linspace(0, 1, 101)[1:]])  # where sign changes are sought


class Structured(NamedTuple):
    """One draw of the connectivity.

    J : (N, N), [post, pre]; u, v : (N,), the mode is m_s u v^T; W : (N, N), the random part
    """

    J: np.ndarray
    u: np.ndarray
    v: np.ndarray
    W: np.ndarray


class GaussianAverages(NamedTuple):
    """Averages over h ~ N(mean, variance), each of the shape of mean and variance.

    rate : <phi>; square : <phi^2>; slope : <phi'>; squared_slope : <phi'^2>
    product : <phi phi'>; product_slope : <(phi phi')'>; curvature : <phi''>; third : <phi'''>
    """

    rate: np.ndarray
    square: np.ndarray
    slope: np.ndarray
    squared_slope: np.ndarray
    product: np.ndarray
    product_slope: np.ndarray
    curvature: np.ndarray
    third: np.ndarray


class StaticState(NamedTuple):
    """A fixed point, to leading order in N. Rates are in units of 1/tau.

    kappa : float, >= 0; a state with kappa > 0 has a mirror image with -kappa
    mean, variance : float, over neurons, of the argument of phi
    radius : float, the bulk of the Jacobian is a disc of this radius about -1
    outliers : (K,) complex, its eigenvalues outside that disc, largest real part first
    """

    kappa: float
    mean: float
    variance: float
    radius: float
    outliers: np.ndarray

    @property
    def stable(self):
        """Whether small deviations decay."""
        return bool(self.radius < 1 and (self.outliers.real < 0).all())


def structured_connectivity(n_neurons, *, g, b=0.0, strength=0.0, alignment=1.0, spread=0.5, rng):
    """Draw J = g W - (b/N) 1 1^T + strength u v^T with v = alignment u + spread w.

    u and w are random, of zero mean, length 1 and orthogonal to each other, exactly: v.u is the
    alignment at every N, and what fluctuates from draw to draw is what W does. Dividing v by v.u
    instead, for independent u and v, makes |v| grow as sqrt(N), and the outlier not settle at all.

    n_neurons : int, N >= 3; g, b : float, >= 0
    strength : float, m_s; alignment : float, v.u, so that the overlap is strength * alignment
    spread : float, length of the part of v that is orthogonal to u
    rng : numpy Generator
    Returns : Structured
    Raises : ValueError if n_neurons < 3 or g or b is negative
    """
    if n_neurons < 3:
        raise ValueError(f"n_neurons must be at least 3, got {n_neurons!r}")
    g, b = not_negative("g", g), not_negative("b", b)
    pair = rng.standard_normal((n_neurons, 2))
    u, w = np.linalg.qr(pair - pair.mean(axis=0))[0].T
    v = alignment * u + spread * w
    W = rng.standard_normal((n_neurons, n_neurons)) / np.sqrt(n_neurons)
    return Structured(g * W - b / n_neurons + strength * np.outer(u, v), u, v, W)


def gaussian_averages(phi, mean, variance):
    """The averages that fixed points and their Jacobians need, for tanh or ReLU.

    tanh by the trapezoidal rule (see `NODES`), ReLU in closed form.

    phi : "tanh" or "relu"; mean, variance : arrays that broadcast, variance >= 0
    Returns : GaussianAverages
    Raises : ValueError for another phi or a negative variance
    """
    mean, variance = np.broadcast_arrays(*np.atleast_1d(mean, variance))
    if (variance < 0).any():
        raise ValueError(f"variance must be at least 0, got {variance.min()}")
    averages = _choose(phi, _tanh_averages, _relu_averages)(mean, np.sqrt(variance))
    return GaussianAverages(*averages)


def static_states(phi, *, g, overlap, b=0.0, bias=0.0):
    """All fixed points of the mean-field equations: homogeneous (kappa = 0) and structured.

    With the variance given, the mean is unique for b >= 0, so that each kind is the root of one
    function of one number. For tanh the sign changes of that function are sought on a grid of 101
    standard deviations up to a bound, g or 0.8 overlap: two states closer than that are
    missed together. For ReLU everything is a function of mean/std in closed form.

    phi : "tanh" or "relu"
    g : float, > 0; overlap : float, m_s v.u; b : float, >= 0; bias : float, not 0 for ReLU, whose
        states have no scale without it
    Returns : list of StaticState, those with kappa = 0 first; empty where activity grows without
        bound (ReLU with too little inhibition)
    Raises : ValueError if an argument is out of range
    """
    g, b = positive("g", g), not_negative("b", b)
    overlap = float(finite_array("overlap", overlap, ()))
    bias = float(finite_array("bias", bias, ()))
    solve = _choose(phi, _tanh_moments, _relu_moments)
    states = []
    for mean, variance, structured in solve(g, overlap, b, bias):
        average = _at(phi, mean, variance)
        squared_kappa = variance - g**2 * average.square
        if squared_kappa > 0 or not structured:
            kappa = float(np.sqrt(squared_kappa)) if structured else 0.0
            states.append(_state(average, kappa, mean, variance, g, overlap, b))
    return states


def _state(average, kappa, mean, variance, g, overlap, b):
    """The Jacobian of a fixed point, -1 + J diag(phi').

    An eigenvector with an eigenvalue lam outside the disc is dh = (dkappa a - b dM + deta) / lam,
    Gaussian jointly with h, where dkappa = n^T (phi' dh), dM = <phi' dh>, and deta has covariance
    g^2 C with eta, C = <phi phi' dh>. Stein's lemma closes these three: lam is an eigenvalue of a
    3 x 3 matrix. Without any variance there is no eta to covary with, and C drops out.
    """
    radius = float(g * np.sqrt(average.squared_slope))
    closed = np.array(
        [
            [
                overlap * (average.slope + kappa**2 * average.third),
                overlap * g**2 * kappa * average.third,
                -overlap * b * kappa * average.curvature,
            ],
            [kappa * average.product_slope, g**2 * average.product_slope, -b * average.product],
            [kappa * average.curvature, g**2 * average.curvature, -b * average.slope],
        ]
    )
    kept = [0, 1, 2] if variance > 0 else [0, 2]
    eigenvalues = np.linalg.eigvals(closed[np.ix_(kept, kept)]).astype(complex)
    outside = eigenvalues[np.abs(eigenvalues) > radius] - 1.0
    return StaticState(kappa, mean, variance, radius, outside[np.argsort(-outside.real)])


def _at(phi, mean, variance):
    """The averages at one point, as floats."""
    return GaussianAverages(*(float(x[0]) for x in gaussian_averages(phi, mean, variance)))


def _choose(phi, tanh, relu):
    options = {"tanh": tanh, "relu": relu}
    if phi not in options:
        raise ValueError(f"phi must be tanh or relu, got {phi!r}")
    return options[phi]


def _tanh_averages(mean, std):
    rate = np.tanh(mean[..., None] + std[..., None] * NODES)
    slope = 1 - rate**2
    curvature = -2 * rate * slope
    third = -2 * slope * (slope - 2 * rate**2)
    functions = (
        rate, rate**2, slope, slope**2, rate * slope, slope**2 + rate * curvature, curvature, third
    )  # fmt: skip
    return (f @ WEIGHTS for f in functions)


def _tanh_moments(g, overlap, b, bias):
    """Candidates (mean, variance, structured)."""

    def mean(std):
        if bias == 0:
            return 0.0  # the only one, by symmetry

        def excess(value):
            return value - bias + b * (np.tanh(value + std * NODES) @ WEIGHTS)

        return brentq(excess, bias - b - 1, bias + b + 1, xtol=1e-13)

    def homogeneous(std):
        return g**2 * _at("tanh", mean(std), std**2).square / std**2 - 1

    def structured(std):
        return overlap * _at("tanh", mean(std), std**2).slope - 1

    # <phi^2> < 1 bounds one standard deviation, <phi'> < sqrt(2/pi)/std and <phi'> <= 1 the other.
    rest = [(0.0, 0.0, False)] if bias == 0 else []
    stds = [(std, False) for std in _roots(homogeneous, g * FRACTIONS)]
    if overlap > 1:
        stds += [(std, True) for std in _roots(structured, 0.8 * overlap * FRACTIONS)]
    return rest + [(mean(std), std**2, kind) for std, kind in stds]


def _roots(function, grid):
    """Roots between neighbours on the grid where the function changes sign."""
    sign = np.sign([function(x) for x in grid])
    return [
        brentq(function, grid[i], grid[i + 1], xtol=1e-14)
        for i in np.flatnonzero(sign[1:] * sign[:-1] < 0)
    ]


def _relu_averages(mean, std):
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(std > 0, mean / std, np.copysign(np.inf, mean))
        density = np.where(std > 0, np.exp(-(score**2) / 2) / np.sqrt(2 * np.pi) / std, 0.0)
    active = ndtr(score)
    rate = mean * active + std**2 * density
    square = mean * rate + std**2 * active
    third = -np.where(std > 0, mean * density / np.where(std > 0, std, 1) ** 2, 0.0)
    return rate, square, active, active, rate, active, density, third


def _relu_moments(g, overlap, b, bias):
    """Candidates (mean, variance, structured), from score = mean/std: std = bias/(score + b A)."""
    if bias == 0:
        raise ValueError("bias must not be 0 for relu, whose states have no scale without it")

    def homogeneous(score):
        return g**2 * _at("relu", score, 1.0).square - 1

    # <phi^2> of unit variance lies between (1 + score^2)/2 and 1 + score^2 for positive scores.
    scores = [(brentq(homogeneous, -38.0, np.sqrt(2) / g, xtol=1e-14), False)]
    if overlap > 1:
        scores.append((float(ndtri(1 / overlap)), True))
    moments = [(bias, 0.0, False)] if bias < 0 else []  # all neurons below threshold
    for score, kind in scores:
        std = bias / (score + b * _at("relu", score, 1.0).rate)
        if std > 0:
            moments.append((score * std, std**2, kind))
    return moments
