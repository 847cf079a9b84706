"""Different systems that share one solution z*(t), and what each makes of a perturbation.

Given a trajectory of an autonomous target, dz*/dt = g(z*), every system

    dz/dt = dz*/dt - rate (z - z*(t))

has it as a solution too, whatever the rate: positive, the others approach it; negative, they leave
it; zero, they keep their distance (the paper's section 5, with its eqs. 13 and 14 corrected).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lrnn._check import finite_array
from lrnn.targets import Target


class MovingTarget(NamedTuple):
    """dz/dt = rhs(z, t), with one solution known for t >= 0 and the response to a displacement.

    name : str
    rhs : z (..., R), t (...) -> (..., R), latent units per s
    jacobian : z (..., R), t (...) -> (..., R, R), its derivative in z, 1/s
    path : t (T,) -> (T, R), the shared solution z*
    response : (d (..., R), start, t (T,)) -> (..., T, R), z(t) - z*(t) at times t >= start after a
        displacement z(start) = z*(start) + d, exactly
    zero : t (T,) -> (T, R), where rhs vanishes at that moment, if it moves; None if it is fixed or
        there is none
    """

    name: str
    rhs: Callable
    jacobian: Callable
    path: Callable
    response: Callable
    zero: Callable | None


def autonomous(target, z0):
    """The target itself, and its trajectory from z0.

    A displacement onto the trajectory, such as any in one dimension short of a fixed point, is a
    shift in time. One to where the target escapes to infinity has no response beyond that time.

    target : Target with a closed-form flow; z0 : (R,), the state at t = 0
    Returns : MovingTarget
    Raises : ValueError if the target has no flow or z0 not its dimension
    """
    path = _path(target, z0)

    def response(d, start, t):
        there = path(np.array([start]))[0]
        since = np.asarray(t, dtype=float) - start
        return target.flow(there + np.asarray(d, dtype=float), since) - target.flow(there, since)

    return MovingTarget(
        target.name,
        lambda z, t: target.rhs(z),
        lambda z, t: target.jacobian(z),
        path,
        response,
        None,
    )


def tracking(target, z0, *, rate):
    """dz/dt = dz*/dt - rate (z - z*(t)) for the target's trajectory z* from z0.

    Its momentary zero is z* + (dz*/dt)/rate: ahead of the trajectory for rate > 0, behind it for
    rate < 0, and nowhere for rate = 0 as long as z* moves.

    target : Target with a closed-form flow; z0 : (R,), the state at t = 0
    rate : float, 1/s, any sign, at which displacements decay
    Returns : MovingTarget
    Raises : ValueError if the target has no flow, z0 not its dimension, or rate is not finite
    """
    path, rate = _path(target, z0), float(finite_array("rate", rate, ()))

    def along(t):
        """z* and its velocity, (..., R), at times of any shape."""
        z = path(np.ravel(t)).reshape(*np.shape(t), target.dimension)
        return z, target.rhs(z)

    def rhs(z, t):
        there, velocity = along(t)
        return velocity - rate * (np.asarray(z, dtype=float) - there)

    def zero(t):
        there, velocity = along(t)
        return there + velocity / rate

    def response(d, start, t):
        kept = np.exp(-rate * (np.asarray(t, dtype=float) - start))
        return np.asarray(d, dtype=float)[..., None, :] * kept[:, None]

    identity = np.eye(target.dimension)
    kind = "moving stable" if rate > 0 else "moving unstable" if rate < 0 else "no"
    return MovingTarget(
        f"{kind} fixed point",
        rhs,
        lambda z, t: np.broadcast_to(-rate * identity, (*np.shape(z), target.dimension)),
        path,
        response,
        zero if rate else None,
    )


def _path(target: Target, z0):
    if target.flow is None:
        raise ValueError(f"target must have a closed-form flow, {target.name} has none")
    z0 = finite_array("z0", z0, (target.dimension,))
    return lambda t: target.flow(z0, np.asarray(t, dtype=float))
