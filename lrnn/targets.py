"""Target dynamical systems dz/dt = g(z), each with what is known of it in closed form."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import cosdg, sindg

from lrnn._check import finite_array, positive, whole


class Target(NamedTuple):
    """An autonomous ordinary differential equation dz/dt = rhs(z).

    name : str
    rhs : (..., R) -> (..., R), latent units per s
    jacobian : (..., R) -> (..., R, R), its derivative, 1/s
    domain : (R, 2), the box in which the system is studied
    fixed_points : (K, R), all isolated ones in the domain, exactly
    source : str, where the system comes from
    invariant : (..., R) -> (...), zero on the attracting curve and only there; None without one
    period : float, s, of the attracting cycle; None if there is none or no closed form
    flow : (z0 (..., R), t (T,)) -> (..., T, R), the solution from z0; None without a closed form
    """

    name: str
    rhs: Callable
    jacobian: Callable
    domain: np.ndarray
    fixed_points: np.ndarray
    source: str
    invariant: Callable | None = None
    period: float | None = None
    flow: Callable | None = None

    @property
    def dimension(self):
        """R."""
        return len(self.domain)


def grid(target, n_points):
    """A regular grid over the domain, `n_points` along each axis: (n_points**R, R)."""
    axes = [np.linspace(low, high, n_points) for low, high in target.domain]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, target.dimension)


def polynomial(roots, *, gain=1.0, margin=None):
    """dz/dt = -gain (z - root_1) ... (z - root_K): in one dimension, with these fixed points.

    The largest root is stable, and stability alternates downwards. With an even number of roots
    the smallest is unstable, and below it the system escapes to minus infinity in finite time.

    roots : (K,), increasing, K >= 2, latent units
    gain : float, > 0
    margin : float, > 0, how far the domain reaches beyond the outer roots, latent units; without
        it half their distance
    Raises : ValueError if roots are fewer than two or do not increase, gain <= 0 or margin <= 0
    """
    roots = finite_array("roots", roots, ("K",))
    if len(roots) < 2 or (np.diff(roots) <= 0).any():
        raise ValueError(f"roots must increase and be at least two, got {roots.tolist()}")
    coefficients = -positive("gain", gain) * np.poly(roots)
    slope = np.polyder(coefficients)
    margin = 0.5 * np.ptp(roots) if margin is None else positive("margin", margin)
    return Target(
        "polynomial",
        lambda z: np.polyval(coefficients, z),
        lambda z: np.polyval(slope, z)[..., None],
        np.array([[roots[0] - margin, roots[-1] + margin]]),
        roots[:, None],
        "its roots",
    )


def cubic(roots=(-1.0, 0.0, 1.0), *, gain=1.0):
    """dz/dt = -gain (z - a)(z - b)(z - c): bistable, with a < b < c, of which b is unstable.

    The paper's Fig. 1 has a cubic with an even part, such as roots (-1.2, 0.2, 1.2); the default,
    z - z^3, is odd. This is `polynomial` with three roots, and the flow where they are -c, 0, c.
    """
    roots = finite_array("roots", roots, (3,))
    target = polynomial(roots, gain=gain)._replace(
        name="cubic", source="the paper, Fig. 1 (form; its coefficients are not printed)"
    )
    edge = roots[2]
    if roots[1] != 0 or roots[0] != -edge:
        return target

    def flow(z0, t):
        # (z/edge)^2 obeys a logistic equation; decay in the denominator cannot overflow, and where
        # it underflows at z0 = 0, tiny keeps that at rest.
        z0 = np.asarray(z0, dtype=float)[..., None, :]
        square, decay = (z0 / edge) ** 2, np.exp(-2 * gain * edge**2 * np.asarray(t))[:, None]
        return z0 / np.sqrt(np.maximum(square + (1.0 - square) * decay, np.finfo(float).tiny))

    return target._replace(flow=flow)


def sine(half_width=2):
    """dz/dt = sin(pi z): fixed points at the integers, of which the odd ones are stable.

    half_width : int, >= 1; the domain is [-half_width, half_width], fixed points at both ends
    Raises : ValueError if half_width is not a positive integer
    """
    half_width = whole("half_width", half_width)

    def flow(z0, t):
        # tan(pi z/2) grows as exp(pi t); decay in the denominator cannot overflow.
        z0 = np.asarray(z0, dtype=float)[..., None, :]
        unstable = 2 * np.rint(z0 / 2)
        half = np.pi / 2 * (z0 - unstable)
        decay = np.exp(-np.pi * np.asarray(t))[:, None]
        return unstable + 2 / np.pi * np.arctan2(np.sin(half), np.cos(half) * decay)

    # In degrees, because sin(180) is then zero and sin(pi) is not.
    return Target(
        "sine",
        lambda z: sindg(180.0 * np.asarray(z)),
        lambda z: np.pi * cosdg(180.0 * np.asarray(z))[..., None],
        np.array([[-half_width, half_width]], dtype=float),
        np.arange(-half_width, half_width + 1.0)[:, None],
        "a field with many wells",
        flow=flow,
    )


def inverted_quadratic(edge=6.0, *, rate=2.0):
    """dz/dt = (rate/(2 edge)) (edge^2 - z^2): unstable at -edge, stable at +edge.

    The paper's Fig. 4, whose trajectory is z(t) = edge tanh(rate (t - t0)/2). Below -edge it
    escapes to minus infinity in finite time.

    edge : float, > 0, latent units
    rate : float, > 0, 1/s, at which perturbations grow at -edge and decay at +edge
    """
    edge, rate = positive("edge", edge), positive("rate", rate)

    def flow(z0, t):
        # With w = (edge - z)/(edge + z), dw/dt = -rate w; finite for z0 > -edge.
        z0 = np.asarray(z0, dtype=float)[..., None, :]
        w = (edge - z0) / (edge + z0) * np.exp(-rate * np.asarray(t))[:, None]
        return edge * (1.0 - w) / (1.0 + w)

    return Target(
        "inverted quadratic",
        lambda z: rate / (2 * edge) * (edge**2 - np.square(z)),
        lambda z: -rate / edge * np.asarray(z)[..., None],
        np.array([[-edge, 1.25 * edge]]),
        np.array([[-edge], [edge]]),
        "the paper, Fig. 4",
        flow=flow,
    )


def hopf(*, omega=1.0):
    """dz/dt = (1 - |z|^2) z + omega (-z2, z1): a smooth stable cycle on the unit circle.

    The Hopf normal form; its only fixed point is the unstable origin. Odd: g(-z) = -g(z).

    omega : float, rad/s, > 0
    """
    omega = positive("omega", omega)
    turn = omega * np.array([[0.0, -1.0], [1.0, 0.0]])

    def rhs(z):
        z = np.asarray(z, dtype=float)
        return (1.0 - np.sum(z**2, axis=-1, keepdims=True)) * z + z @ turn.T

    def jacobian(z):
        z = np.asarray(z, dtype=float)
        shrink = 1.0 - np.sum(z**2, axis=-1)
        return shrink[..., None, None] * np.eye(2) - 2 * z[..., :, None] * z[..., None, :] + turn

    def flow(z0, t):
        z0, t = np.asarray(z0, dtype=float), np.asarray(t, dtype=float)
        square = np.sum(z0**2, axis=-1, keepdims=True)
        growth = np.sqrt(square + (1.0 - square) * np.exp(-2 * t))  # (..., T)
        return _rotate(z0, omega * t) / growth[..., None]

    return Target(
        "Hopf cycle",
        rhs,
        jacobian,
        np.array([[-1.5, 1.5], [-1.5, 1.5]]),
        np.zeros((1, 2)),
        "Hopf normal form",
        lambda z: np.linalg.norm(z, axis=-1) - 1.0,
        2 * np.pi / omega,
        flow,
    )


def radial_cycle(*, omega=1.0):
    """d|z|/dt = 1 - |z|^2, turning at a constant rate: the paper's cycle on the unit circle.

    In coordinates dz/dt = (1/|z| - |z|) z + omega (-z2, z1). It has no value at the origin, away
    from which it points at unit speed, and it is odd, although the paper says that it is not.

    omega : float, rad/s, > 0
    """
    omega = positive("omega", omega)
    turn = omega * np.array([[0.0, -1.0], [1.0, 0.0]])

    def rhs(z):
        z = np.asarray(z, dtype=float)
        radius = np.linalg.norm(z, axis=-1, keepdims=True)
        return (1.0 / radius - radius) * z + z @ turn.T

    def jacobian(z):
        z = np.asarray(z, dtype=float)
        radius = np.linalg.norm(z, axis=-1)[..., None, None]
        outer = z[..., :, None] * z[..., None, :]
        return (1 / radius - radius) * np.eye(2) - (1 / radius**3 + 1 / radius) * outer + turn

    def flow(z0, t):
        # d|z|/dt = 1 - |z|^2 has |z| = (r0 + tanh t)/(1 + r0 tanh t).
        z0, t = np.asarray(z0, dtype=float), np.asarray(t, dtype=float)
        start = np.linalg.norm(z0, axis=-1, keepdims=True)
        radius = (start + np.tanh(t)) / (1.0 + start * np.tanh(t))
        return _rotate(z0, omega * t) * (radius / start)[..., None]

    return Target(
        "radial cycle",
        rhs,
        jacobian,
        np.array([[-1.5, 1.5], [-1.5, 1.5]]),
        np.zeros((0, 2)),
        "the paper, Fig. 2",
        lambda z: np.linalg.norm(z, axis=-1) - 1.0,
        2 * np.pi / omega,
        flow,
    )


def ring():
    """dz/dt = (1 - |z|^2) z: the unit circle consists of fixed points, the origin is unstable.

    `fixed_points` holds the isolated one, `invariant` describes the circle.
    """

    def rhs(z):
        z = np.asarray(z, dtype=float)
        return (1.0 - np.sum(z**2, axis=-1, keepdims=True)) * z

    def jacobian(z):
        z = np.asarray(z, dtype=float)
        shrink = 1.0 - np.sum(z**2, axis=-1)
        return shrink[..., None, None] * np.eye(2) - 2 * z[..., :, None] * z[..., None, :]

    return Target(
        "ring attractor",
        rhs,
        jacobian,
        np.array([[-1.5, 1.5], [-1.5, 1.5]]),
        np.zeros((1, 2)),
        "ring attractor, normal form",
        lambda z: np.linalg.norm(z, axis=-1) - 1.0,
    )


def van_der_pol(mu=1.0):
    """dz1/dt = z2, dz2/dt = mu (1 - z1^2) z2 - z1: a stable cycle of relaxation type for large mu.

    mu : float, > 0
    """
    mu = positive("mu", mu)

    def rhs(z):
        z1, z2 = np.moveaxis(np.asarray(z, dtype=float), -1, 0)
        return np.stack([z2, mu * (1.0 - z1**2) * z2 - z1], axis=-1)

    def jacobian(z):
        z1, z2 = np.moveaxis(np.asarray(z, dtype=float), -1, 0)
        return _matrix([[0 * z1, 1 + 0 * z1], [-2 * mu * z1 * z2 - 1, mu * (1 - z1**2)]])

    return Target(
        "Van der Pol",
        rhs,
        jacobian,
        np.array([[-2.5, 2.5], [-3.5, 3.5]]),
        np.zeros((1, 2)),
        "van der Pol (1926)",
    )


def lorenz(sigma=10.0, rho=28.0, beta=8.0 / 3.0):
    """The Lorenz system in its own units; `affine` brings it to the scale of a network.

    sigma, rho, beta : float; sigma and beta > 0, rho > 1, so that there are three fixed points
    """
    sigma, beta = positive("sigma", sigma), positive("beta", beta)
    if not rho > 1:
        raise ValueError(f"rho must be greater than 1, got {rho!r}")

    def rhs(z):
        z1, z2, z3 = np.moveaxis(np.asarray(z, dtype=float), -1, 0)
        return np.stack([sigma * (z2 - z1), z1 * (rho - z3) - z2, z1 * z2 - beta * z3], axis=-1)

    def jacobian(z):
        z1, z2, z3 = np.moveaxis(np.asarray(z, dtype=float), -1, 0)
        one = np.ones_like(z1)
        return _matrix(
            [
                [-sigma * one, sigma * one, 0 * one],
                [rho - z3, -one, -z1],
                [z2, z1, -beta * one],
            ]
        )

    side = np.sqrt(beta * (rho - 1.0))
    return Target(
        "Lorenz",
        rhs,
        jacobian,
        np.array([[-20.0, 20.0], [-30.0, 30.0], [0.0, 50.0]]),
        np.array([[-side, -side, rho - 1.0], [0.0, 0.0, 0.0], [side, side, rho - 1.0]]),
        "Lorenz (1963)",
    )


def affine(target, *, offset, scale=1.0):
    """The same system in coordinates w = (z - offset)/scale, with all that is known of it.

    offset : (R,), the point that becomes the origin
    scale : float, > 0
    Raises : ValueError if the shape of `offset` is not (R,) or scale <= 0
    """
    offset = finite_array("offset", offset, (target.dimension,))
    scale = positive("scale", scale)

    def old(w):
        return offset + scale * np.asarray(w, dtype=float)

    def new(z):
        return (z - offset) / scale

    invariant, flow = target.invariant, target.flow
    return target._replace(
        rhs=lambda w: target.rhs(old(w)) / scale,
        jacobian=lambda w: target.jacobian(old(w)),
        domain=new(target.domain.T).T,
        fixed_points=new(target.fixed_points),
        invariant=None if invariant is None else (lambda w: invariant(old(w))),
        flow=None if flow is None else (lambda w0, t: new(flow(old(w0), t))),
    )


def _rotate(z0, angle):
    """z0 (..., 2) turned by each angle (T,): (..., T, 2)."""
    cos, sin = np.cos(angle), np.sin(angle)
    z1, z2 = z0[..., 0, None], z0[..., 1, None]
    return np.stack([cos * z1 - sin * z2, sin * z1 + cos * z2], axis=-1)


def _matrix(rows):
    """Entries of shape (...) into matrices (..., R, R)."""
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
