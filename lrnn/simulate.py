"""Simulation of a `LowRankRNN`: all N neurons or its latents, by Euler steps or adaptively.

Networks whose recurrent matrix has no low rank are for `simulate_matrix`.

Arrays are (B, T, D), trials first. Input u[:, k] acts from t_k to t_{k+1}, so that T inputs give
T + 1 states. A leading axis of length 1, of the input or of the initial state, is repeated for all
trials.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

from lrnn._check import finite_array, positive
from lrnn.network import connectivity, velocity
from lrnn.nonlinearity import nonlinearity


class DivergenceError(ArithmeticError):
    """A simulation left the finite numbers.

    time : float, s, the first time at which the state was not finite
    """

    def __init__(self, time, advice):
        super().__init__(f"the state is not finite at t = {time:.6g} s; {advice}")
        self.time = time


class Trajectory(NamedTuple):
    """t : (T + 1,), s; state : (B, T + 1, N), x in current form and h in rate form."""

    t: np.ndarray
    state: np.ndarray


class LatentTrajectory(NamedTuple):
    """Everything that a latent simulation knows.

    t : (T + 1,), s
    kappa : (B, T + 1, R)
    v : (B, T + 1, D), the input that the neurons see: filtered in current form, raw in rate form
    y : (B, T + 1, O), the readout w_out^T r
    """

    t: np.ndarray
    kappa: np.ndarray
    v: np.ndarray
    y: np.ndarray


def simulate(net, state0, u, *, dt):
    """All N neurons by Euler's method, without ever forming J.

    state0 : (B, N) or (1, N), the state at t = 0
    u : (B, T, D) or (1, T, D), raw input; `lrnn.inputs.silence` makes one that is zero
    dt : float, s, > 0
    Returns : Trajectory
    Raises : ValueError if a shape disagrees; DivergenceError at the first time that is not finite
    """
    state0, u, dt = _start(net, state0, u, dt)
    path = _euler(lambda k, x: velocity(net, x, u[:, k]), state0, u.shape[1], dt)
    return Trajectory(_times(u, dt), path)


def simulate_dense(net, state0, u, *, dt):
    """`simulate` through the dense N x N matrix: the slow reference for the other methods.

    Arguments, result and errors as for `simulate`; costs N^2 memory and N^2 operations a step.
    """
    state0, u, dt = _start(net, state0, u, dt)
    transposed, phi = connectivity(net).T, net.phi.function

    def current(k, x):
        return (-x + phi(x + net.bias) @ transposed + u[:, k] @ net.w_in.T) / net.tau

    def rate(k, h):
        return (-h + phi(h @ transposed + net.bias + u[:, k] @ net.w_in.T)) / net.tau

    dense = current if net.form == "current" else rate
    return Trajectory(_times(u, dt), _euler(dense, state0, u.shape[1], dt))


def simulate_matrix(J, state0, drive, *, dt, tau=1.0, phi="tanh"):
    """Any recurrent matrix in current form, tau dx/dt = -x + J phi(x) + drive, by Euler's method.

    J : (N, N), [post, pre]
    state0 : (B, N) or (1, N), x at t = 0
    drive : (B, T, N), the current into each neuron from t_k to t_{k+1}; a last axis of length 1 is
        the same current into all
    dt, tau : float, s, > 0
    phi : Nonlinearity or the name of one
    Returns : Trajectory
    Raises : ValueError if a shape disagrees or a number is out of range; DivergenceError at the
        first time that is not finite
    """
    J = finite_array("J", J, ("N", "N"))
    N = len(J)
    state0 = finite_array("state0", state0, ("B", N))
    drive = finite_array("drive", drive, ("B", "T", "N"))
    if J.shape[1] != N or drive.shape[2] not in {1, N}:
        raise ValueError(f"J must be square and drive as wide, got {J.shape} and {drive.shape}")
    state0, drive, dt = _broadcast("state0", state0, drive, dt)
    phi, tau = nonlinearity(phi).function, positive("tau", tau)
    path = _euler(lambda k, x: (phi(x) @ J.T - x + drive[:, k]) / tau, state0, drive.shape[1], dt)
    return Trajectory(_times(drive, dt), path)


def simulate_latent(net, kappa0, u, *, dt, v0=None, rest0=None, y0=None):
    """The R latents by Euler's method: the same numbers as `simulate`, at a cost linear in N.

    kappa0 : (B, R) or (1, R), the latents at t = 0
    u : (B, T, D) or (1, T, D), raw input
    dt : float, s, > 0
    v0 : (B, D), current form: the filtered input at t = 0; zero without it
    rest0 : (B, N), current form: the part of x(0) that is neither m kappa0 nor w_in v0
    y0 : (B, O), rate form: the readout at t = 0, w_out^T h(0); zero without it
    Returns : LatentTrajectory; in rate form its v repeats the last input at the final time
    Raises : ValueError if a shape disagrees or an argument belongs to the other form;
        DivergenceError at the first time that is not finite
    """
    kappa0, u, dt = _latent_start(net, kappa0, u, dt)
    reduced = _Reduced(net, len(kappa0), v0, rest0, y0)
    decay = 1.0 - dt / net.tau
    path = _euler(
        lambda k, z: reduced.velocity(z, u[:, k], decay**k), reduced.pack(kappa0), u.shape[1], dt
    )
    held = np.concatenate([u, u[:, -1:]], axis=1)
    return reduced.unpack(_times(u, dt), path, held, decay ** np.arange(u.shape[1] + 1))


def solve(net, state0, u, t, *, breaks=(), rtol=1e-8, atol=1e-10):
    """All N neurons by an adaptive Runge-Kutta method of order 8 (scipy's DOP853).

    state0 : (B, N), the state at t[0]
    u : function of the time (s) that returns (D,) or (B, D), or None if there is no input channel
    t : (T + 1,), the times to report, s, increasing
    breaks : times at which u jumps, s; no step is taken across one
    Returns : Trajectory
    Raises : ValueError if a shape disagrees; DivergenceError where no finite step goes on
    """
    state0, u, t = _adaptive_start(net, "state0", state0, net.n_neurons, u, t)
    path = integrate(
        lambda time, x: velocity(net, x, u(time)), state0, t, breaks=breaks, rtol=rtol, atol=atol
    )
    return Trajectory(t, path)


def solve_latent(
    net, kappa0, u, t, *, v0=None, rest0=None, y0=None, breaks=(), rtol=1e-8, atol=1e-10
):
    """The R latents by the adaptive method of `solve`.

    kappa0 : (B, R), the latents at t[0]; u, t, breaks, rtol, atol as for `solve`
    v0, rest0, y0 : as for `simulate_latent`
    Returns : LatentTrajectory
    Raises : as `simulate_latent`
    """
    kappa0, u, t = _adaptive_start(net, "kappa0", kappa0, net.rank, u, t)
    reduced = _Reduced(net, len(kappa0), v0, rest0, y0)

    def field(time, z):
        return reduced.velocity(z, u(time), np.exp(-(time - t[0]) / net.tau))

    path = integrate(field, reduced.pack(kappa0), t, breaks=breaks, rtol=rtol, atol=atol)
    seen = np.stack([np.broadcast_to(u(time), (len(kappa0), net.n_inputs)) for time in t], axis=1)
    return reduced.unpack(t, path, seen, np.exp(-(t - t[0]) / net.tau))


def integrate(field, y0, t, *, breaks=(), rtol=1e-8, atol=1e-10):
    """Solve dy/dt = field(t, y) adaptively: what `solve` and `solve_latent` run on.

    All trials take the same steps, and share the error allowed to one.

    field : (time s, (B, D)) -> (B, D), state units per s
    y0 : (B, D), the state at t[0]
    t : (T + 1,), the times to report, s, increasing
    breaks, rtol, atol : as for `solve`
    Returns : (B, T + 1, D)
    Raises : DivergenceError where no finite step goes on
    """
    shape = y0.shape
    inner = sorted({float(b) for b in breaks if t[0] < b < t[-1]})
    edges = [t[0], *inner, t[-1]]
    path = np.empty((shape[0], len(t), shape[1]))
    y, reached = y0.ravel(), t[0]
    for start, stop in pairwise(edges):
        before = np.nextafter(stop, start)  # an input that jumps at `stop` has not yet jumped

        def flat(time, y, before=before):
            nonlocal reached
            reached = max(reached, time)
            return field(min(time, before), y.reshape(shape)).ravel()

        own = (t >= start) & (t <= stop)
        wanted = np.union1d(t[own], [stop])
        with np.errstate(over="ignore", invalid="ignore"):
            solution = solve_ivp(
                flat, (start, stop), y, method="DOP853", t_eval=wanted, rtol=rtol, atol=atol
            )
        if not solution.success or not np.isfinite(solution.y).all():
            raise DivergenceError(reached, "no step of the adaptive method goes beyond it")
        keep = np.isin(wanted, t[own])
        path[:, own] = solution.y.T[keep].reshape(-1, *shape).swapaxes(0, 1)
        y = solution.y[:, -1]
    return path


class _Reduced:
    """The closed system of the state z: [kappa, v] in current form, [kappa, y] in rate form."""

    def __init__(self, net, n_trials, v0, rest0, y0):
        foreign = {"current": {"y0": y0}, "rate": {"v0": v0, "rest0": rest0}}[net.form]
        for name, value in foreign.items():
            if value is not None:
                raise ValueError(f"{name} has no meaning for a network in {net.form} form")
        self.net = net
        self.rest = None if rest0 is None else _trials("rest0", rest0, net.n_neurons, n_trials)
        name, second, width = (
            ("v0", v0, net.n_inputs) if net.form == "current" else ("y0", y0, net.n_outputs)
        )
        second = np.zeros((1, width)) if second is None else second
        self.second = _trials(name, second, width, n_trials)
        # One product with all that feeds phi, the bias times 1 included, into one buffer: beside
        # it, what a step costs is phi itself. (Stacked transposes come in the slow order.)
        self.sources = np.ascontiguousarray(np.vstack([net.m.T, net.w_in.T, net.bias]))
        self.fed = np.ones((n_trials, len(self.sources)))
        self.argument = np.empty((n_trials, net.n_neurons))
        self.pull = np.empty((n_trials, net.rank + width))
        self.targets = net.n if net.form == "current" else np.hstack([net.n, net.w_out])

    def pack(self, kappa0):
        return np.hstack([kappa0, self.second])

    def rates(self, kappa_v, remaining):
        """phi(m kappa + w_in v + bias + remaining rest); kappa_v (B, R + D), remaining a factor."""
        self.fed[:, :-1] = kappa_v
        np.matmul(self.fed, self.sources, out=self.argument)
        if self.rest is not None:
            self.argument += remaining * self.rest
        phi = self.net.phi.function
        return (
            phi(self.argument, out=self.argument)
            if isinstance(phi, np.ufunc)
            else phi(self.argument)
        )

    def velocity(self, z, u, remaining):
        if self.net.form == "current":
            self.pull[:, : self.net.rank] = self.rates(z, remaining) @ self.targets
            self.pull[:, self.net.rank :] = u
        else:
            seen = np.hstack([z[:, : self.net.rank], u])
            np.matmul(self.rates(seen, remaining), self.targets, out=self.pull)
        return (self.pull - z) / self.net.tau

    def unpack(self, t, path, seen, remaining):
        """The record of a path (B, T + 1, .), given the raw input seen and the rest's factors."""
        kappa, second = np.split(path, [self.net.rank], axis=2)
        if self.net.form == "rate":
            return LatentTrajectory(t, kappa, seen, second)
        y = np.empty((*path.shape[:2], self.net.n_outputs))
        if self.net.n_outputs:
            for k in range(len(t)):
                y[:, k] = self.rates(path[:, k], remaining[k]) @ self.net.w_out
        return LatentTrajectory(t, kappa, second, y)


def _euler(field, y0, n_steps, dt):
    path = np.empty((len(y0), n_steps + 1, y0.shape[1]))
    path[:, 0] = y0
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(n_steps):
            path[:, k + 1] = path[:, k] + dt * field(k, path[:, k])
            if not np.isfinite(path[:, k + 1]).all():
                raise DivergenceError((k + 1) * dt, f"try a smaller dt than {dt:g} s")
    return path


def _start(net, state0, u, dt):
    state0 = finite_array("state0", state0, ("B", net.n_neurons))
    return _broadcast("state0", state0, finite_array("u", u, ("B", "T", net.n_inputs)), dt)


def _latent_start(net, kappa0, u, dt):
    kappa0 = finite_array("kappa0", kappa0, ("B", net.rank))
    return _broadcast("kappa0", kappa0, finite_array("u", u, ("B", "T", net.n_inputs)), dt)


def _broadcast(name, y0, u, dt):
    if u.shape[1] == 0:
        raise ValueError(f"u must have at least one step, got shape {u.shape}")
    B = max(len(y0), len(u))
    if {len(y0), len(u)} - {1, B}:
        raise ValueError(f"{name} and u must have as many trials, got {y0.shape} and {u.shape}")
    y0 = np.broadcast_to(y0, (B, y0.shape[1]))
    return y0, np.broadcast_to(u, (B, *u.shape[1:])), positive("dt", dt)


def _adaptive_start(net, name, y0, width, u, t):
    y0 = finite_array(name, y0, ("B", width))
    t = finite_array("t", t, ("T",))
    if len(t) < 2 or (np.diff(t) <= 0).any():
        raise ValueError("t must hold at least two increasing times")
    if u is None and net.n_inputs:
        raise ValueError(f"u must be a function: the network has {net.n_inputs} input channels")
    source = (lambda time: np.zeros(0)) if u is None else u
    first = np.asarray(source(t[0]), dtype=float)
    if first.shape not in {(net.n_inputs,), (len(y0), net.n_inputs)}:
        raise ValueError(
            f"u(t) must have shape ({net.n_inputs},) or ({len(y0)}, {net.n_inputs}), "
            f"got {first.shape}"
        )
    return y0, lambda time: np.broadcast_to(source(time), (len(y0), net.n_inputs)), t


def _trials(name, value, width, n_trials):
    array = finite_array(name, value, ("B", width))
    if len(array) not in {1, n_trials}:
        raise ValueError(f"{name} must have 1 or {n_trials} trials, got shape {array.shape}")
    return np.broadcast_to(array, (n_trials, width))


def _times(u, dt):
    return dt * np.arange(u.shape[1] + 1)
