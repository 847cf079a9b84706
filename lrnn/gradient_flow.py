"""Gradient flow, dy/dt = -dL/dy: what gradient descent becomes as its rate goes to zero.

Learning is stiff: the largest curvature of a loss bounds the rate of descent, while what is still
to be learned lies along small ones. A Runge-Kutta-Legendre step of s stages is stable over a time
of (s^2 + s - 2)/2 over the largest curvature, where s steps of descent cover 2 s at most, so that
the flow over a time T costs about sqrt(T) gradients. t is in units of the rate: step k of descent
with a small rate is at t = k rate.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lrnn._check import finite_array, positive
from lrnn.simulate import DivergenceError


class Path(NamedTuple):
    """y : (T, n), the solution at the times asked for; evaluations : int, of the gradient."""

    y: np.ndarray
    evaluations: int


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is looked for
def gradient_flow(gradient, y0, t, *, tolerance=1e-3):
    """Solve dy/dt = -gradient(y) by Runge-Kutta-Legendre steps of order 2 (Meyer et al. 2014).

    Steps are as long as their error allows, by the estimate of Sommeijer, Shampine & Verwer (1998),
    and have as many stages as the largest curvature asks for, which the power method keeps track
    of. A step that leads to where the gradient is not finite is taken again, shorter.

    gradient : (n,) -> (n,), of a loss; NaN where the loss does not exist
    y0 : (n,), the start, at t[0]
    t : (T,), increasing
    tolerance : float, > 0, length of the error of a step; that of y is a few times as large
    Returns : Path
    Raises : ValueError if y0 or the gradient there is not finite, t does not increase or tolerance
        is not positive; DivergenceError where no step is short enough
    """
    y, t = finite_array("y0", y0, ("n",)), finite_array("t", t, ("T",))
    if len(t) < 1 or (np.diff(t) <= 0).any():
        raise ValueError("t must hold at least one time and increase")
    field = _Field(gradient)
    slope = finite_array("gradient at y0", field(y), y.shape)
    curvature, ahead = _curvature(field, y, slope, slope, trials=20)
    now, step = t[0], 1.0 / max(curvature, 1e-300)
    path, tolerance = [y], positive("tolerance", tolerance)
    for end in t[1:]:
        while now < end:
            h = min(step, end - now)
            if now + h == now:
                raise DivergenceError(now, "the flow has no solution beyond")
            new = legendre_step(field, y, slope, h, stages=_stages(h * curvature))
            new_slope = field(new)
            error = np.linalg.norm(0.8 * (y - new) - 0.4 * h * (slope + new_slope)) / tolerance
            # The error falls as h^3; a point without a gradient says only that h was too long.
            change = min(max(0.8 * max(error, 1e-9) ** (-1 / 3), 0.1), 5.0)
            if not error <= 1.0:
                step = h * (change if error > 1.0 else 0.1)
                continue
            # A step that was cut short at `end` says little about the next one.
            step = h * change if h == step else max(step, h * change)
            now = end if h == end - now else now + h
            y, slope = new, new_slope
            curvature, ahead = _curvature(field, y, slope, ahead, trials=3)
        path.append(y)
    return Path(np.array(path), field.evaluations)


def legendre_step(gradient, y, slope, h, *, stages):
    """One step of RKL2 for dy/dt = -gradient(y): its stability polynomial is a Legendre polynomial.

    gradient : (n,) -> (n,)
    y, slope : (n,), the state and its gradient
    h : float, at most (stages^2 + stages - 2)/2 over the largest curvature
    stages : int, >= 2
    Returns : (n,), the state after h
    """
    j = np.arange(stages + 1.0)
    b = np.append(np.full(2, 1 / 3), (j[2:] ** 2 + j[2:] - 2) / (2 * j[2:] * (j[2:] + 1)))
    scaled = 4.0 * h / (stages**2 + stages - 2)
    before, last = y, y - scaled / 3 * slope
    for k in range(2, stages + 1):
        mu = (2 * k - 1) / k * b[k] / b[k - 1]
        nu = -(k - 1) / k * b[k] / b[k - 2]
        moved = gradient(last) - (1.0 - b[k - 1]) * slope
        before, last = last, mu * last + nu * before + (1 - mu - nu) * y - mu * scaled * moved
    return last


def _stages(stiffness):
    """The fewest stages that are stable, with a margin of a fifth for the curvature to grow."""
    return max(2, math.ceil((math.sqrt(9 + 9.6 * stiffness) - 1) / 2))


def _curvature(gradient, y, slope, ahead, *, trials):
    """The largest curvature at y and its direction, by the power method from a direction `ahead`.

    The curvature is that of a difference of gradients, and too small by a little, as the power
    method's values are.
    """
    length, size = 1e-5 * (1.0 + np.linalg.norm(y)), 0.0
    for _ in range(trials):
        if not np.any(ahead):
            ahead = np.ones_like(y)
        ahead = ahead / np.linalg.norm(ahead)
        curved = (gradient(y + length * ahead) - slope) / length
        new = np.linalg.norm(curved)
        if not np.isfinite(new):
            break  # too near to where the loss ends; the error of the step has to do
        last, size, ahead = size, new, curved
        if abs(size - last) <= 0.05 * size:
            break
    return size, ahead


class _Field:
    """A gradient that counts how often it is asked for."""

    def __init__(self, gradient: Callable):
        self.gradient, self.evaluations = gradient, 0

    def __call__(self, y):
        self.evaluations += 1
        return np.asarray(self.gradient(y), dtype=float)
