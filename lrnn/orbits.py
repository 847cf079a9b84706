"""Solutions of an autonomous field dz/dt = rhs(z), and the limit cycles among them.

A field is given by two functions, `rhs`, (..., R) -> (..., R), and its derivative `jacobian`,
(..., R) -> (..., R, R). The same code thus serves a `Target`, by its two attributes, and a network,
by `latent_velocity` and `latent_jacobian`:

    rhs = lambda kappa: latent_velocity(net, kappa)
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.integrate import DOP853
from scipy.optimize import brentq

from lrnn._check import finite_array, positive
from lrnn.simulate import DivergenceError, integrate


class NoCycleError(ArithmeticError):
    """No limit cycle was found from this start; the message says what was found instead."""


class Cycle(NamedTuple):
    """A periodic solution and its linear stability.

    period : float, s, the smallest
    multipliers : (R,) complex, Floquet multipliers. The first is the trivial one, of perturbations
        along the cycle: exactly it is 1, so that |multipliers[0] - 1| is the error of them all, in
        absolute terms. The others follow by decreasing modulus: the factors by which perturbations
        grow in a turn
    path : (P, R), the states at the times 0, period/P, 2 period/P, ...
    residual : float, |z(period) - z(0)|, latent units
    """

    period: float
    multipliers: np.ndarray
    path: np.ndarray
    residual: float

    @property
    def point(self):
        """A state on the cycle, (R,): the first row of `path`."""
        return self.path[0]

    @property
    def amplitude(self):
        """Half of the range of each coordinate along `path`, (R,), latent units."""
        return 0.5 * np.ptp(self.path, axis=0)

    @property
    def stable(self):
        """Whether all multipliers but the trivial one lie inside the unit circle."""
        return bool((np.abs(self.multipliers[1:]) < 1).all())


def trajectory(rhs, z0, t, *, rtol=1e-9, atol=1e-11):
    """Solutions by an adaptive Runge-Kutta method of order 8 (scipy's DOP853).

    All trials take the same steps, and share the error allowed to one.

    rhs : (..., R) -> (..., R), latent units per s
    z0 : (B, R), the states at t[0]
    t : (T,), the times to report, s, increasing, at least two
    rtol, atol : float, > 0, error allowed to a step: relative, and in latent units
    Returns : (B, T, R)
    Raises : ValueError if a shape disagrees; DivergenceError where no finite step goes on
    """
    z0 = finite_array("z0", z0, ("B", "R"))
    t = finite_array("t", t, ("T",))
    if len(t) < 2 or (np.diff(t) <= 0).any():
        raise ValueError("t must hold at least two increasing times")
    rtol, atol = positive("rtol", rtol), positive("atol", atol)
    _check_shape("rhs", rhs, z0, z0.shape)
    return integrate(lambda _, z: rhs(z), z0, t, rtol=rtol, atol=atol)


def variational(rhs, jacobian, z0):
    """The field of a state and of n tangent vectors V at it: dz/dt = rhs(z), dV/dt = jacobian(z) V.

    rhs : (..., R) -> (..., R), latent units per s
    jacobian : (..., R) -> (..., R, R), its derivative, 1/s
    z0 : (B, R), states at which both are tried once
    Returns : function (B, R + R n) -> (B, R + R n) of rows that hold z (R) and then V (R, n)
    Raises : ValueError if a shape disagrees
    """
    B, R = z0.shape
    _check_shape("rhs", rhs, z0, (B, R))
    _check_shape("jacobian", jacobian, z0, (B, R, R))

    def field(y):
        z, tangent = y[:, :R], y[:, R:].reshape(len(y), R, -1)
        velocity = np.empty_like(y)
        velocity[:, :R] = rhs(z)
        velocity[:, R:] = (jacobian(z) @ tangent).reshape(len(y), -1)
        return velocity

    return field


def limit_cycle(
    rhs,
    jacobian,
    z0,
    *,
    transient,
    longest=None,
    near=0.05,
    n_points=200,
    tol=1e-9,
    rtol=1e-11,
    atol=1e-13,
):
    """The limit cycle that a start leads to, with its period and its Floquet multipliers.

    After the transient the orbit is followed through a Poincare section, the plane through its
    state normal to the flow there, until a crossing is near an earlier one. From there Newton's
    method solves z(T) = z for z and T together (single shooting); M = dz(T)/dz comes from the
    variational equation dM/dt = jacobian(z) M, and its eigenvalues are the multipliers.

    Newton's method does not mind instability: from a chaotic orbit it closes on one of the unstable
    cycles that the orbit passes, and `Cycle.stable` says so.

    rhs : (..., R) -> (..., R), latent units per s
    jacobian : (..., R) -> (..., R, R), its derivative, 1/s
    z0 : (R,), the start
    transient : float, s, > 0, for the orbit to come near the cycle
    longest : float, s, > 0, in which the orbit must return; without it as long as the transient
    near : float, > 0, distance of near crossings, relative to how far the orbit goes
    n_points : int, >= 1, rows of the cycle's `path`
    tol : float, > 0, |z(T) - z| before the last Newton step, relative to how far the orbit goes
    rtol, atol : float, > 0, error allowed to a step of the integrator: relative, in latent units
    Returns : Cycle
    Raises : ValueError if a shape disagrees; DivergenceError if the orbit leaves the finite
        numbers; NoCycleError if it comes to rest, does not return, or Newton's method fails
    """
    z0 = finite_array("z0", z0, ("R",))
    transient, near = positive("transient", transient), positive("near", near)
    tol = positive("tol", tol)
    longest = transient if longest is None else positive("longest", longest)
    if n_points < 1:
        raise ValueError(f"n_points must be at least 1, got {n_points!r}")
    field = _Field(
        rhs, jacobian, variational(rhs, jacobian, z0[None]), {"rtol": rtol, "atol": atol}
    )

    z = field.path(z0, [0.0, transient])[-1]
    if _rests(field, z):
        raise NoCycleError(f"the orbit comes to rest at {_text(z)}")
    z, period, crossings, extent = _return(field, z, longest, near)
    try:
        z, period = _shoot(field, z, period, tol * extent)
    except DivergenceError as error:
        raise NoCycleError("Newton's method led to where the solution diverges") from error
    for k in range(crossings, 1, -1):
        # Where a multiplier is negative, every other return is the nearer one: that is two turns.
        if np.linalg.norm(field.path(z, [0.0, period / k])[-1] - z) <= 1e-6 * extent:
            period /= k
            break
    path = field.path(z, period * np.arange(n_points + 1) / n_points)
    _, monodromy = field.turn(z, period)
    return Cycle(
        float(period),
        _trivial_first(np.linalg.eigvals(monodromy).astype(complex)),
        path[:-1],
        float(np.linalg.norm(path[-1] - z)),
    )


class _Field(NamedTuple):
    """What `limit_cycle` integrates, and how."""

    rhs: Callable
    jacobian: Callable
    both: Callable
    tolerance: dict

    def path(self, z, t):
        """The solution from z (R,) at the times t: (T, R)."""
        return trajectory(self.rhs, z[None], t, **self.tolerance)[0]

    def turn(self, z, period):
        """z(period), (R,), and its derivative with respect to z = z(0), (R, R)."""
        R = len(z)
        start = np.concatenate([z, np.eye(R).ravel()])[None]
        times = np.array([0.0, period])
        end = integrate(lambda _, y: self.both(y), start, times, **self.tolerance)[0, -1]
        return end[:R], end[R:].reshape(R, R)


def _rests(field, z):
    """Whether z is a fixed point: velocity over rate is the distance from one."""
    speed, rate = np.linalg.norm(field.rhs(z)), np.linalg.norm(field.jacobian(z))
    return speed <= 1e-8 * rate * (1.0 + np.linalg.norm(z))


def _return(field, z, longest, near):
    """First crossing of the section at z that is near an earlier one.

    Returns : its state, the time since the earlier one, the number of crossings from that one to
        this, and how far the orbit went from z
    """
    normal = field.rhs(z)
    solver = DOP853(lambda _, y: field.rhs(y), 0.0, z, longest, **field.tolerance)
    times, states, extent, closest = [0.0], [z], 0.0, np.inf
    while solver.status == "running":
        before = (solver.y - z) @ normal
        with np.errstate(over="ignore", invalid="ignore"):
            solver.step()
        extent = max(extent, np.linalg.norm(solver.y - z))
        if before < 0 <= (solver.y - z) @ normal:
            orbit = solver.dense_output()
            time = brentq(lambda t, at=orbit: (at(t) - z) @ normal, solver.t_old, solver.t)
            distance = np.linalg.norm(orbit(time) - states, axis=1) / extent
            earlier = np.flatnonzero(distance <= near)
            if len(earlier):
                last = earlier[-1]
                return orbit(time), time - times[last], len(times) - last, extent
            closest = min(closest, distance.min())
            times.append(time)
            states.append(orbit(time))
    if solver.status == "failed" or not np.isfinite(solver.y).all():
        raise DivergenceError(solver.t, "counted from the end of the transient")
    if _rests(field, solver.y):
        raise NoCycleError(f"the orbit comes to rest at {_text(solver.y)}")
    found = f"at best to {closest:.2g} of how far it goes" if len(times) > 1 else "no crossing"
    raise NoCycleError(
        f"the orbit does not return within {longest:g} s after the transient ({found}); "
        "try a longer transient"
    )


def _shoot(field, z, period, tol):
    """Newton's method for z(T) = z, from a state z and a period that nearly solve it."""
    guess, R = period, len(z)
    for _ in range(20):
        end, monodromy = field.turn(z, period)
        missed = z - end
        # z may slide along the cycle, so the last row asks for a step normal to it. A cycle that is
        # one of a family makes the system singular, hence least squares.
        system = np.block([[monodromy - np.eye(R), field.rhs(end)[:, None]], [field.rhs(z), 0.0]])
        step = np.linalg.lstsq(system, np.append(missed, 0.0), rcond=1e-9)[0]
        z, period = z + step[:R], period + step[R]
        if _rests(field, z):
            raise NoCycleError(f"Newton's method led to the fixed point {_text(z)}")
        if np.linalg.norm(missed) <= tol:
            return z, period
        if not guess / 2 < period < 2 * guess:
            break
    raise NoCycleError(
        f"Newton's method finds no cycle near the return after {guess:.3g} s; "
        "try a longer transient, or a smaller near"
    )


def _text(z):
    return np.array2string(z, precision=6)


def _trivial_first(multipliers):
    """The multiplier nearest to 1, then the others by decreasing modulus."""
    trivial = np.argmin(np.abs(multipliers - 1.0))
    others = np.delete(multipliers, trivial)
    return np.append(multipliers[trivial], others[np.argsort(-np.abs(others), kind="stable")])


def _check_shape(name, function, z, wanted):
    shape = np.shape(function(z))
    if shape != wanted:
        raise ValueError(f"{name} must map shape {z.shape} to {wanted}, got {shape}")
