"""Recurrent networks whose parameters are trained by gradient: backpropagation through time.

Two torch modules, `LowRank` with J = m n^T and `FullRank` with J, or with J fixed and m n^T trained
on top of it, in both forms of `lrnn.network`, by the Euler steps of `lrnn.simulate`:

    current:  x_{t+1} = (1 - a) x_t + a (J phi(x_t + bias) + w_in u_t) + noise_t
    rate:     h_{t+1} = (1 - a) h_t + a phi(J h_t + bias + w_in u_t) + noise_t,    a = dt/tau

with the output y = w_out^T r and the rates r = phi(x + bias) or r = h. Arrays are (B, T, D); T
inputs make T + 1 states and outputs, the first before any input. A task of `lrnn.tasks` scores
y[:, 1:]. Gradients are exact, of all parameters, of inputs, initial states and noise, and modules
compose with any torch loss, penalty or optimiser.

On the CPU, in float32 or float64 and for tanh, relu, sigmoid and linear, a whole sequence runs in
compiled passes. Everything else takes a loop of torch operations with the same results.
"""

from typing import NamedTuple

import numpy as np
import torch

from lrnn._check import finite_array, positive
from lrnn._sequences import PHI, Step, full_rank, leaky_sum, low_rank, why_not_kernel
from lrnn.network import FORMS, LowRankRNN, connectivity

FORM_J_UP_TO = 24  # neurons: one small product for all trials beats a pass over each trial's few
BACKENDS = ("auto", "kernel", "torch")


class Latents(NamedTuple):
    """y : (B, T + 1, O); kappa : (B, T + 1, R); v : (B, T + 1, D), as `lrnn.simulate` has them."""

    y: torch.Tensor
    kappa: torch.Tensor
    v: torch.Tensor


class Activity(NamedTuple):
    """y : (B, T + 1, O); rates : (B, T + 1, N), phi(x + bias) in current form, h in rate form."""

    y: torch.Tensor
    rates: torch.Tensor


class _Recurrent(torch.nn.Module):
    """What both modules share: parameters by name, constants of a step, the check of arguments."""

    def __init__(self, weights, trainable, *, tau, dt, phi, form, dtype, backend):
        super().__init__()
        if phi not in PHI:
            raise ValueError(f"phi must be one of {', '.join(PHI)}, got {phi!r}")
        if form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form!r}")
        if backend not in BACKENDS:
            raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
        present = [name for name, value in weights.items() if value is not None]
        trainable = tuple(present if trainable is None else trainable)
        unknown = set(trainable) - set(present)
        if unknown:
            raise ValueError(
                f"trainable must name some of {', '.join(present)}, got {sorted(unknown)}"
            )
        self.tau, self.dt = positive("tau", tau), positive("dt", dt)
        self.phi, self.form, self.backend, self.trainable = phi, form, backend, trainable
        for name, value in weights.items():
            tensor = None if value is None else torch.tensor(value, dtype=dtype)
            if name in trainable:
                self.register_parameter(name, torch.nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)

    @property
    def n_neurons(self):
        """N."""
        return len(self.bias)

    @property
    def n_inputs(self):
        """D."""
        return self.w_in.shape[1]

    @property
    def n_outputs(self):
        """O."""
        return self.w_out.shape[1]

    @property
    def step(self):
        """The constants of a step: a = dt/tau, phi and form."""
        return Step(self.dt / self.tau, self.phi, self.form)

    def extra_repr(self):
        return f"N={self.n_neurons}, {self.form} form, {self.phi}, tau={self.tau}, dt={self.dt}"

    def _input(self, u):
        u = self._tensor("u", u, ("B", "T", self.n_inputs))
        if u.shape[0] == 0 or u.shape[1] == 0:
            raise ValueError(f"u must have a trial and a step at least, got {tuple(u.shape)}")
        return u

    def _noise(self, noise, u):
        return (
            None if noise is None else self._tensor("noise", noise, (*u.shape[:2], len(self.bias)))
        )

    def _start(self, name, value, width, B):
        """An initial value (B, width) from (width,), (1, width) or (B, width)."""
        value = torch.as_tensor(value, dtype=self.bias.dtype, device=self.bias.device)
        if value.ndim == 1:
            value = value[None]
        if value.ndim != 2 or value.shape[1] != width or value.shape[0] not in {1, B}:
            raise ValueError(
                f"{name} must have shape ({width},), (1, {width}) or ({B}, {width}), "
                f"got {tuple(value.shape)}"
            )
        return value.expand(B, width)

    def _tensor(self, name, value, shape):
        value = torch.as_tensor(value, dtype=self.bias.dtype, device=self.bias.device)
        fits = value.ndim == len(shape) and all(
            isinstance(want, str) or want == have
            for want, have in zip(shape, value.shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"{name} must have shape ({', '.join(map(str, shape))}), got {tuple(value.shape)}"
            )
        return value

    def _kernel(self, *tensors):
        """Whether the compiled passes run; ValueError if they are asked for and cannot."""
        if self.backend == "torch":
            return False
        own = (*self._parameters.values(), *self._buffers.values())
        reason = why_not_kernel(self.step, (*tensors, *own))
        if reason and self.backend == "kernel":
            raise ValueError(f'backend "kernel" cannot run here: {reason}')
        return reason is None


class LowRank(_Recurrent):
    """A trainable network with J = m n^T, which is never formed: a step costs N (R + D + O).

    (But for the output of very few neurons, where forming it is faster.)

    m, n : (N, R); w_in : (N, D); w_out : (N, O); bias : (N,); as in `lrnn.network.LowRankRNN`,
        the last three zero-width or zero where they are None
    state0 : (N,), the state at t = 0 of all trials; kappa0 : (R,), the latents at t = 0, in current
        form x = m kappa0, in rate form an overlap n^T h with the readout at 0. At most one of them;
        zero without.
    trainable : names of the above that are parameters, the others are buffers; None for all given
    tau, dt : float, s, > 0
    phi : tanh, relu, sigmoid, linear or erf
    form : "current" or "rate"
    dtype : torch.float32 or torch.float64
    backend : "kernel" for the compiled passes, "torch" for the loop, "auto" for what can run
    Raises : ValueError if a shape disagrees, a value is not finite, or a name is unknown
    """

    def __init__(
        self,
        m,
        n,
        *,
        dt,
        w_in=None,
        w_out=None,
        bias=None,
        state0=None,
        kappa0=None,
        trainable=None,
        tau=1.0,
        phi="tanh",
        form="current",
        dtype=torch.float32,
        backend="auto",
    ):
        if state0 is not None and kappa0 is not None:
            raise ValueError("state0 and kappa0 say the same thing: give one of them")
        net = LowRankRNN(
            m, n, w_in=w_in, w_out=w_out, bias=bias, tau=tau,
            phi=phi if phi in PHI else "tanh",  # the module's own check names the bad one
            form=form,
        )  # fmt: skip
        weights = {"m": net.m, "n": net.n, "w_in": net.w_in, "w_out": net.w_out, "bias": net.bias}
        starts = {
            "state0": None if state0 is None else finite_array("state0", state0, (net.n_neurons,)),
            "kappa0": None if kappa0 is None else finite_array("kappa0", kappa0, (net.rank,)),
        }
        super().__init__(
            {**weights, **starts}, trainable,
            tau=tau, dt=dt, phi=phi, form=form, dtype=dtype, backend=backend,
        )  # fmt: skip

    @classmethod
    def from_network(cls, net, *, dt, **options):
        """The module of a `LowRankRNN`; options as for the constructor, such as trainable."""
        return cls(
            net.m, net.n, w_in=net.w_in, w_out=net.w_out, bias=net.bias, tau=net.tau,
            phi=net.phi.name, form=net.form, dt=dt, **options,
        )  # fmt: skip

    def to_network(self):
        """The `LowRankRNN` with the present weights, in float64."""
        return LowRankRNN(
            _numbers(self.m), _numbers(self.n), w_in=_numbers(self.w_in),
            w_out=_numbers(self.w_out), bias=_numbers(self.bias), tau=self.tau, phi=self.phi,
            form=self.form,
        )  # fmt: skip

    @property
    def rank(self):
        """R."""
        return self.m.shape[1]

    def forward(self, u, state0=None, noise=None, *, kappa0=None):
        """Output at all T + 1 times.

        u : (B, T, D), input, u[:, k] acts from t_k to t_{k+1}
        state0 : (N,), (1, N) or (B, N), the state at t = 0; the module's own without
        noise : (B, T, N), added to the state after each step, in units of the state: for an
            intensity sigma per square root of a second, sigma sqrt(dt) standard normal numbers
        kappa0 : (R,), (1, R) or (B, R), the latents at t = 0 in place of state0
        Returns : y (B, T + 1, O)
        Raises : ValueError if a shape disagrees or both state0 and kappa0 are given
        """
        u = self._input(u)
        state0, kappa0 = self._starts(u, state0, kappa0)
        noise = self._noise(noise, u)
        kernel = self._kernel(u, state0, noise)
        unknown = self.form == "rate" and kappa0 is not None  # what the state is
        if not kernel or self.n_neurons > FORM_J_UP_TO or unknown:
            return self._latents(u, state0, noise, kappa0).y
        if state0 is None:
            state0 = u.new_zeros(len(u), self.n_neurons) if kappa0 is None else kappa0 @ self.m.T
        return full_rank(
            self.step, u, None, self.m, self.n, self.w_in, self.w_out, self.bias,
            state0=state0, noise=noise, kernel=True,
        )[1]  # fmt: skip

    def latents(self, u, state0=None, noise=None, *, kappa0=None):
        """`Latents`; arguments and errors as for `forward`. In rate form v is u, end repeated."""
        u = self._input(u)
        state0, kappa0 = self._starts(u, state0, kappa0)
        return self._latents(u, state0, self._noise(noise, u), kappa0)

    def activity(self, u, state0=None, noise=None, *, kappa0=None):
        """`Activity`, which costs the memory of B (T + 1) N rates; arguments as for `forward`.

        Raises : ValueError also for kappa0 in rate form, where it does not determine the state
        """
        u = self._input(u)
        state0, kappa0 = self._starts(u, state0, kappa0)
        noise = self._noise(noise, u)
        if self.form == "rate" and kappa0 is not None:
            raise ValueError("kappa0 does not determine the state in rate form: give state0")
        y, kappa, v = self._latents(u, state0, noise, kappa0)
        x = kappa @ self.m.T + v @ self.w_in.T + self.bias
        keep, phi = 1.0 - self.step.a, PHI[self.phi]
        zero = u.new_zeros(len(u), self.n_neurons)
        first = zero if state0 is None else state0
        if self.form == "rate":
            arriving = self.step.a * phi(x[:, :-1])
            rates = leaky_sum(first, arriving if noise is None else arriving + noise, keep)
            return Activity(y, rates)
        if state0 is not None or noise is not None:
            silent = u.new_zeros(len(u), u.shape[1], self.n_neurons)
            x = x + leaky_sum(first, silent if noise is None else noise, keep)
        return Activity(y, phi(x))

    def _starts(self, u, state0, kappa0):
        if state0 is not None and kappa0 is not None:
            raise ValueError("state0 and kappa0 say the same thing: give one of them")
        if state0 is None and kappa0 is None:
            state0, kappa0 = self.state0, self.kappa0
        B = len(u)
        return (
            None if state0 is None else self._start("state0", state0, self.n_neurons, B),
            None if kappa0 is None else self._start("kappa0", kappa0, self.rank, B),
        )

    def _latents(self, u, state0, noise, kappa0):
        rest = y0 = None
        if self.form == "current":
            # x = m 0 + w_in 0 + state0 is exact, whether or not state0 lies in the span.
            rest = state0
        else:
            y0 = u.new_zeros(len(u), self.n_outputs)
            if state0 is not None:
                kappa0, y0 = state0 @ self.n, state0 @ self.w_out
        if kappa0 is None:
            kappa0 = u.new_zeros(len(u), self.rank)
        kappa, v, y = low_rank(
            self.step, u, self.m, self.n, self.w_in, self.w_out, self.bias,
            kappa0=kappa0, y0=y0, rest=rest, noise=noise, kernel=self._kernel(u, state0, noise),
        )  # fmt: skip
        return Latents(y, kappa, v)


class FullRank(_Recurrent):
    """A trainable network with any J, or with J and a low-rank part, J + m n^T.

    J : (N, N), indexed [post, pre]
    m, n : (N, R), both or neither: what is added to J. To train a low-rank part on top of a random
        one that stays, leave J out of `trainable`.
    state0 : (N,), the state at t = 0 of all trials; zero without
    All else as for `LowRank`.
    """

    def __init__(
        self,
        J,
        *,
        dt,
        m=None,
        n=None,
        w_in=None,
        w_out=None,
        bias=None,
        state0=None,
        trainable=None,
        tau=1.0,
        phi="tanh",
        form="current",
        dtype=torch.float32,
        backend="auto",
    ):
        J = finite_array("J", J, ("N", "N"))
        N = len(J)
        if N == 0 or J.shape != (N, N):
            raise ValueError(f"J must be square and not empty, got shape {J.shape}")
        if (m is None) != (n is None):
            raise ValueError(f"{'m' if m is None else 'n'} must be given: J + m n^T has both")
        weights = {
            "J": J,
            "m": None if m is None else finite_array("m", m, (N, "R")),
            "n": None,
            "w_in": finite_array("w_in", np.zeros((N, 0)) if w_in is None else w_in, (N, "D")),
            "w_out": finite_array("w_out", np.zeros((N, 0)) if w_out is None else w_out, (N, "O")),
            "bias": finite_array("bias", np.zeros(N) if bias is None else bias, (N,)),
            "state0": None if state0 is None else finite_array("state0", state0, (N,)),
        }
        if weights["m"] is not None:
            weights["n"] = finite_array("n", n, weights["m"].shape)
        super().__init__(
            weights, trainable, tau=tau, dt=dt, phi=phi, form=form, dtype=dtype, backend=backend
        )

    @classmethod
    def from_network(cls, net, *, dt, **options):
        """The module of a `LowRankRNN`, with J = m n^T formed; options as for the constructor."""
        return cls(
            connectivity(net), w_in=net.w_in, w_out=net.w_out, bias=net.bias, tau=net.tau,
            phi=net.phi.name, form=net.form, dt=dt, **options,
        )  # fmt: skip

    def to_network(self):
        """The same network as a `LowRankRNN` of rank N, with m = J (and m n^T added) and n = 1."""
        return LowRankRNN(
            self.connectivity(), np.eye(self.n_neurons), w_in=_numbers(self.w_in),
            w_out=_numbers(self.w_out), bias=_numbers(self.bias), tau=self.tau, phi=self.phi,
            form=self.form,
        )  # fmt: skip

    def connectivity(self):
        """J, with m n^T where there is one, (N, N) float64 array."""
        J = _numbers(self.J)
        return J if self.m is None else J + _numbers(self.m) @ _numbers(self.n).T

    def forward(self, u, state0=None, noise=None):
        """Output at all T + 1 times, (B, T + 1, O); arguments as for `LowRank.forward`."""
        return self.activity(u, state0, noise).y

    def activity(self, u, state0=None, noise=None):
        """`Activity`; arguments as for `LowRank.forward`."""
        u = self._input(u)
        state0 = self.state0 if state0 is None else state0
        state0 = (
            u.new_zeros(len(u), self.n_neurons)
            if state0 is None
            else self._start("state0", state0, self.n_neurons, len(u))
        )
        noise = self._noise(noise, u)
        rates, y = full_rank(
            self.step, u, self.J, self.m, self.n, self.w_in, self.w_out, self.bias,
            state0=state0, noise=noise, kernel=self._kernel(u, state0, noise),
        )  # fmt: skip
        return Activity(y, rates)


def random_low_rank(
    n_neurons, rank, n_inputs, n_outputs, *, overlap=0.0, tau=1.0, phi="tanh", form="current", rng
):
    """Gaussian starting weights of a low-rank network.

    m and w_in are standard normal, w_out is normal with standard deviation 1/N. n is
    overlap m/N plus independent normal numbers/N: at overlap 0 m and n are independent, as
    in Dubreuil et al. (2022) but for our scaling without 1/N, and activity decays at first; at
    overlap 1, n^T m is near the identity, and latents are slow from the start.

    overlap : float, mean of the diagonal of n^T m
    rng : numpy Generator
    Returns : LowRankRNN with zero bias
    """
    shape = (n_neurons, rank)
    m = rng.standard_normal(shape)
    n = (overlap * m + rng.standard_normal(shape)) / n_neurons
    w_in = rng.standard_normal((n_neurons, n_inputs))
    w_out = rng.standard_normal((n_neurons, n_outputs)) / n_neurons
    return LowRankRNN(m, n, w_in=w_in, w_out=w_out, tau=tau, phi=phi, form=form)


def random_connectivity(n_neurons, *, gain=1.0, rng):
    """J with independent normal entries of variance gain^2/N, (N, N): spectral radius near gain."""
    return gain / np.sqrt(n_neurons) * rng.standard_normal((n_neurons, n_neurons))


def masked_mse(y, target, mask=None):
    """Mean squared error over the entries that count, a tensor without axes.

    y, target : (B, T, O)
    mask : (B, T) or (B, T, O), bool or weights >= 0; all entries without it
    Raises : ValueError if a shape disagrees or the mask is zero everywhere
    """
    target = torch.as_tensor(target, dtype=y.dtype, device=y.device)
    if y.shape != target.shape:
        raise ValueError(
            f"target must have the shape of y, {tuple(y.shape)}, got {tuple(target.shape)}"
        )
    if mask is None:
        return torch.nn.functional.mse_loss(y, target)
    error = (y - target).square()
    mask = torch.as_tensor(mask, device=y.device).to(y.dtype)
    if mask.shape not in {y.shape, y.shape[:2]}:
        raise ValueError(
            f"mask must have shape {tuple(y.shape[:2])} or {tuple(y.shape)}, "
            f"got {tuple(mask.shape)}"
        )
    if mask.ndim == 2:
        mask = mask[..., None].expand(y.shape)
    total = mask.sum()
    if not total > 0:
        raise ValueError("mask must let an entry count, got zeros only")
    return (mask * error).sum() / total


def _numbers(tensor):
    return tensor.detach().cpu().double().numpy()
