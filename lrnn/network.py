"""The low-rank recurrent network, its velocity field and its exact low-dimensional description.

Connectivity is J = m n^T, without a factor 1/N, and never formed except by `connectivity`. The
network exists in two forms, and a record says which one it is:

- current form, tau dx/dt = -x + J phi(x + bias) + w_in u: the state x is a current, rates are
  phi(x + bias);
- rate form, tau dh/dt = -h + phi(J h + bias + w_in u): the state h is itself a rate.

In both, R latent variables kappa obey the same closed equation,

    tau dkappa/dt = -kappa + n^T phi(m kappa + w_in v + bias),

with two differences. The input v that the neurons see is u filtered by the membrane
(tau dv/dt = -v + u) in current form, and u itself in rate form. And kappa is a projection of the
state in current form, x = m kappa + w_in v + rest, but the overlap kappa = n^T h in rate form.
"""

from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import numpy as np

from lrnn._check import finite_array, freeze, positive
from lrnn.nonlinearity import TANH, Nonlinearity, nonlinearity

FORMS = ("current", "rate")


@dataclass(frozen=True, eq=False)
class LowRankRNN:
    """A low-rank network; every field is checked at construction and read-only afterwards.

    m : (N, R), output vectors: the directions in which recurrence moves the neurons
    n : (N, R), input-selection vectors: what the recurrence reads from the rates
    w_in : (N, D), input weights; without it the network has no input channel, D = 0
    w_out : (N, O), readout weights, y = w_out^T r with the rates r; without it O = 0
    bias : (N,), constant current inside phi; zero without it
    tau : float, time constant, s, > 0
    phi : Nonlinearity or the name of one: tanh, relu, erf, sigmoid, linear
    form : "current" or "rate", see the module's first lines
    Raises : ValueError if a shape disagrees, a value is not finite, tau <= 0, or phi or form is
        unknown
    """

    m: np.ndarray
    n: np.ndarray
    _: KW_ONLY
    w_in: np.ndarray = None  # type: ignore[assignment]  # an array (N, D) once constructed
    w_out: np.ndarray = None  # type: ignore[assignment]  # an array (N, O) once constructed
    bias: np.ndarray = None  # type: ignore[assignment]  # an array (N,) once constructed
    tau: float = 1.0
    phi: Nonlinearity = TANH
    form: str = "current"

    def __post_init__(self):
        m = finite_array("m", self.m, ("N", "R"))
        N, R = m.shape
        if N == 0 or R == 0:
            raise ValueError(f"m must have at least one neuron and one column, got {m.shape}")
        n = finite_array("n", self.n, ("N", "R"))
        if n.shape != m.shape:
            raise ValueError(f"n must have the shape of m, {m.shape}, got {n.shape}")
        absent = {"w_in": np.zeros((N, 0)), "w_out": np.zeros((N, 0)), "bias": np.zeros(N)}
        given = {
            name: default if getattr(self, name) is None else getattr(self, name)
            for name, default in absent.items()
        }
        arrays = {
            "m": m,
            "n": n,
            "w_in": finite_array("w_in", given["w_in"], (N, "D")),
            "w_out": finite_array("w_out", given["w_out"], (N, "O")),
            "bias": finite_array("bias", given["bias"], (N,)),
        }
        freeze(self, arrays)
        object.__setattr__(self, "tau", positive("tau", self.tau))
        object.__setattr__(self, "phi", nonlinearity(self.phi))
        if self.form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}, got {self.form!r}")

    @property
    def n_neurons(self):
        """N."""
        return self.m.shape[0]

    @property
    def rank(self):
        """R, the number of columns of m; the rank of J can be lower if they are dependent."""
        return self.m.shape[1]

    @property
    def n_inputs(self):
        """D."""
        return self.w_in.shape[1]

    @property
    def n_outputs(self):
        """O."""
        return self.w_out.shape[1]


class Decomposition(NamedTuple):
    """x = m kappa + w_in v + rest, with rest orthogonal to every column of m and w_in.

    kappa : (..., R), v : (..., D), rest : (..., N)
    """

    kappa: np.ndarray
    v: np.ndarray
    rest: np.ndarray


def connectivity(net):
    """J = m n^T, (N, N), indexed [post, pre]. Costs N^2 memory: for pictures and for checks."""
    return net.m @ net.n.T


def velocity(net, state, u=None):
    """dx/dt or dh/dt of all N neurons, at the cost of two thin products.

    state : (..., N), x in current form, h in rate form
    u : (..., D), the raw input; None only if the network has no input channel
    Returns : (..., N), state units per s
    Raises : ValueError if a shape disagrees
    """
    state = _states(net, state)
    injected = _channels(net, "u", u) @ net.w_in.T
    phi = net.phi.function
    if net.form == "current":
        target = phi(state + net.bias) @ net.n @ net.m.T + injected
    else:
        target = phi(state @ net.n @ net.m.T + net.bias + injected)
    return (target - state) / net.tau


def jacobian(net, state, u=None):
    """Derivative of `velocity` with respect to the state, (..., N, N), 1/s.

    For current form (-1 + m n^T diag(phi'(x + bias)))/tau, whatever the input; for rate form
    (-1 + diag(phi'(J h + bias + w_in u)) m n^T)/tau. N - R of its eigenvalues are -1/tau; at a
    state that `lift` gives, the others are those of `latent_jacobian`.

    state : (..., N); u : (..., D), or None if the network has no input channel
    Raises : ValueError if a shape disagrees
    """
    state = _states(net, state)
    injected = _channels(net, "u", u) @ net.w_in.T
    if net.form == "current":
        slope = net.phi.derivative(state + net.bias)
        recurrent = np.einsum("ir,jr,...j->...ij", net.m, net.n, slope, optimize=True)
    else:
        slope = net.phi.derivative(state @ net.n @ net.m.T + net.bias + injected)
        recurrent = np.einsum("...i,ir,jr->...ij", slope, net.m, net.n, optimize=True)
    return (recurrent - np.eye(net.n_neurons)) / net.tau


def drive(net, kappa, v=None):
    """The argument of phi on the low-dimensional manifold, m kappa + w_in v + bias.

    kappa : (..., R)
    v : (..., D), the input that the neurons see: filtered in current form, raw in rate form;
        None only if the network has no input channel
    Returns : (..., N)
    Raises : ValueError if a shape disagrees
    """
    kappa = _latents(net, kappa)
    return kappa @ net.m.T + _channels(net, "v", v) @ net.w_in.T + net.bias


def latent_velocity(net, kappa, v=None):
    """dkappa/dt = (-kappa + n^T phi(m kappa + w_in v + bias))/tau, the same for both forms.

    This is a neural ODE whose network has one hidden layer: N hidden units with input weights m,
    offsets w_in v + bias, output weights n, and a skip connection -kappa (the paper, eq. 7).

    kappa : (..., R); v : (..., D) as in `drive`
    Returns : (..., R), latent units per s
    Raises : ValueError if a shape disagrees
    """
    return (net.phi.function(drive(net, kappa, v)) @ net.n - kappa) / net.tau


def latent_jacobian(net, kappa, v=None):
    """Derivative of `latent_velocity`, (-1 + n^T diag(phi') m)/tau, exactly.

    kappa : (..., R); v : (..., D) as in `drive`
    Returns : (..., R, R), 1/s
    Raises : ValueError if a shape disagrees
    """
    slope = net.phi.derivative(drive(net, kappa, v))
    # One product for all points: R^2 numbers a neuron, n_r m_s.
    loops = (net.n[:, :, None] * net.m[:, None, :]).reshape(net.n_neurons, -1)
    feedback = (slope @ loops).reshape(*slope.shape[:-1], net.rank, net.rank)
    return (feedback - np.eye(net.rank)) / net.tau


def lift(net, kappa, v=None):
    """The N-dimensional state that goes with a latent state.

    Current form: x = m kappa + w_in v, true at every time once the rest has decayed. Rate form:
    h = phi(m kappa + w_in v + bias), true at a fixed point only; elsewhere h trails behind it.

    kappa : (..., R); v : (..., D) as in `drive`
    Returns : (..., N)
    Raises : ValueError if a shape disagrees
    """
    argument = drive(net, kappa, v)
    return argument - net.bias if net.form == "current" else net.phi.function(argument)


def latent(net, state, v=None):
    """The latent state kappa (..., R) that goes with an N-dimensional state.

    Current form: kappa = (m^T m)^-1 m^T (x - w_in v), the projection on m of what the input did
    not put there. Rate form: kappa = n^T h, for which v is not needed and not used.

    state : (..., N)
    v : (..., D), the filtered input; None only in rate form or if there is no input channel
    Raises : ValueError if a shape disagrees, or in current form if the columns of m are dependent
    """
    state = _states(net, state)
    if net.form == "rate":
        return state @ net.n
    recurrent = state - _channels(net, "v", v) @ net.w_in.T
    return recurrent @ _pseudo_inverse("m", net.m).T


def decompose(net, x):
    """Split a current-form state into recurrent part, input part and rest, knowing x alone.

    The projection is joint, on all columns of [m, w_in] at once, so they need not be orthogonal:
    linearly independent is enough.

    x : (..., N)
    Returns : Decomposition
    Raises : ValueError in rate form (its state lies in no such span), if a shape disagrees, or if
        the columns of [m, w_in] are dependent, when kappa and v cannot be told apart from x alone
    """
    if net.form != "current":
        raise ValueError("decompose needs a network in current form; in rate form use latent()")
    x = _states(net, x)
    span = np.hstack([net.m, net.w_in])
    coefficients = x @ _pseudo_inverse("[m, w_in]", span).T
    kappa, v = np.split(coefficients, [net.rank], axis=-1)
    return Decomposition(kappa, v, x - coefficients @ span.T)


def rates(net, state):
    """Firing rates, (..., N): phi(x + bias) in current form, h itself in rate form."""
    state = _states(net, state)
    return net.phi.function(state + net.bias) if net.form == "current" else state


def readout(net, state):
    """y = w_out^T r with the rates r, (..., O)."""
    return rates(net, state) @ net.w_out


def _states(net, state):
    return _last_axis("state", state, net.n_neurons, "N neurons")


def _latents(net, kappa):
    return _last_axis("kappa", kappa, net.rank, "R latents")


def _channels(net, name, value):
    if value is None:
        if net.n_inputs:
            raise ValueError(f"{name} must be given: the network has {net.n_inputs} input channels")
        return np.zeros(0)
    return _last_axis(name, value, net.n_inputs, "D input channels")


def _last_axis(name, value, length, meaning):
    array = np.asarray(value, dtype=float)
    if array.ndim == 0 or array.shape[-1] != length:
        raise ValueError(
            f"{name} must have a last axis of {length} ({meaning}), got shape {array.shape}"
        )
    return array


def _pseudo_inverse(name, columns):
    """(K, N) left inverse of N x K `columns`, through the SVD; columns must be independent."""
    rank = np.linalg.matrix_rank(columns)
    if rank < columns.shape[1]:
        raise ValueError(
            f"the columns of {name} must be linearly independent, "
            f"got rank {rank} of {columns.shape[1]}"
        )
    return np.linalg.pinv(columns)
