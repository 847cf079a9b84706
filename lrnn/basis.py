"""The functions that a low-rank network adds up: one per neuron, phi(m kappa + w_in v + bias).

Writing dynamics into a network is regression in this basis; a set of candidate functions from which
few are chosen is the same object, called a dictionary, and its functions atoms.
"""

from dataclasses import KW_ONLY, dataclass

import numpy as np

from lrnn._check import finite_array, freeze, not_negative, positive, whole
from lrnn.nonlinearity import TANH, Nonlinearity, nonlinearity


@dataclass(frozen=True, eq=False)
class Basis:
    """N functions of the latent state; fields are checked at construction and read-only.

    m : (N, R), slopes
    bias : (N,), offsets; zero without them
    w_in : (N, D), how the functions move with the input v that the neurons see; without it D = 0
    phi : Nonlinearity or its name
    Raises : ValueError if a shape disagrees, a value is not finite, or phi is unknown
    """

    m: np.ndarray
    bias: np.ndarray = None  # type: ignore[assignment]  # an array (N,) once constructed
    _: KW_ONLY
    w_in: np.ndarray = None  # type: ignore[assignment]  # an array (N, D) once constructed
    phi: Nonlinearity = TANH

    def __post_init__(self):
        m = finite_array("m", self.m, ("N", "R"))
        if 0 in m.shape:
            raise ValueError(f"m must have at least one neuron and one column, got {m.shape}")
        N = len(m)
        bias = np.zeros(N) if self.bias is None else self.bias
        w_in = np.zeros((N, 0)) if self.w_in is None else self.w_in
        arrays = {
            "m": m,
            "bias": finite_array("bias", bias, (N,)),
            "w_in": finite_array("w_in", w_in, (N, "D")),
        }
        freeze(self, arrays)
        object.__setattr__(self, "phi", nonlinearity(self.phi))

    def __len__(self):
        """N."""
        return len(self.m)

    def __getitem__(self, index):
        """The basis of the chosen functions; `index` is a slice, a mask (N,) or integers (K,)."""
        return Basis(self.m[index], self.bias[index], w_in=self.w_in[index], phi=self.phi)

    @property
    def rank(self):
        """R, the number of latent variables."""
        return self.m.shape[1]

    @property
    def n_inputs(self):
        """D."""
        return self.w_in.shape[1]


def argument(basis, kappa, v=None):
    """What phi is applied to, m kappa + w_in v + bias.

    kappa : (P, R), one latent state a row
    v : (P, D), the input that goes with each; None only if the basis has no input channel
    Returns : (P, N)
    Raises : ValueError if a shape disagrees or a value is not finite
    """
    kappa = finite_array("kappa", kappa, ("P", basis.rank))
    if v is None and basis.n_inputs:
        raise ValueError(f"v must be given: the basis has {basis.n_inputs} input channels")
    v = np.zeros((len(kappa), 0)) if v is None else v
    v = finite_array("v", v, (len(kappa), basis.n_inputs))
    return kappa @ basis.m.T + v @ basis.w_in.T + basis.bias


def evaluate(basis, kappa, v=None):
    """The N functions at P points, the design matrix of the regression, (P, N).

    kappa : (P, R); v : (P, D) as in `argument`
    Raises : ValueError if a shape disagrees or a value is not finite
    """
    return basis.phi.function(argument(basis, kappa, v))


def gaussian_basis(n_neurons, rank, *, m_std=1.0, bias_std=1.0, input_std=(), phi=TANH, rng):
    """Slopes and offsets from a normal law, as in the paper's Fig. 1 and 2.

    n_neurons, rank : int, N and R
    m_std : float, > 0, standard deviation of the slopes
    bias_std : float, >= 0, that of the offsets; 0 gives none
    input_std : D floats, >= 0, that of the weights of each input channel
    rng : numpy Generator
    Raises : ValueError if an argument is out of range
    """
    N, R = whole("n_neurons", n_neurons), whole("rank", rank)
    m = positive("m_std", m_std) * rng.normal(size=(N, R))
    bias = not_negative("bias_std", bias_std) * rng.normal(size=N)
    scales = [not_negative("input_std", std) for std in input_std]
    return Basis(m, bias, w_in=rng.normal(size=(N, len(scales))) * scales, phi=phi)


def uniform_basis(n_neurons, rank, *, m_max=5.0, bias_max=10.0, phi=TANH, rng):
    """Slopes uniform in [-m_max, m_max], offsets in [-bias_max, bias_max].

    n_neurons, rank : int, N and R
    m_max : float, > 0; bias_max : float, >= 0
    rng : numpy Generator
    Raises : ValueError if an argument is out of range
    """
    N, R = whole("n_neurons", n_neurons), whole("rank", rank)
    m = positive("m_max", m_max) * rng.uniform(-1, 1, size=(N, R))
    return Basis(m, not_negative("bias_max", bias_max) * rng.uniform(-1, 1, size=N), phi=phi)


def tuned_basis(n_neurons, domain, *, m_std=1.0, phi=TANH, rng):
    """Gaussian slopes, and offsets that place each function's centre inside the domain.

    bias = -m . c with c uniform in the box, so that every function changes where it is needed, as
    in the tuning curves of the neural engineering framework (Eliasmith & Anderson 2003).

    n_neurons : int, N
    domain : (R, 2), the box of the latent state, low and high
    m_std : float, > 0, standard deviation of the slopes
    rng : numpy Generator
    Raises : ValueError if an argument is out of range
    """
    m, offset = _centred(n_neurons, domain, m_std, rng)
    return Basis(m, offset, phi=phi)


def moving_basis(n_neurons, domain, t, v, *, m_std=1.0, speed_std=1.0, phi=TANH, rng):
    """`tuned_basis` for an input that changes: each function is tuned to a place and a moment.

    A neuron draws a centre c, as in `tuned_basis`, and a moment s at which its function passes
    there: m . c + w_in . v(s) + bias = 0. The weight of each channel is scaled so that its part of
    the offset moves, at that moment, at a speed from a normal law. Where v fades as e^{-t} weights
    therefore grow as e^{s}, log-uniformly, and late moments have as many neurons that still move as
    early ones. Where a channel only turns around, what counts is the speed around that moment.

    n_neurons : int, N
    domain : (R, 2), the box of the latent state, low and high
    t : (T,), s, increasing, the times among which moments are drawn, where v moves
    v : (T, D), the input that the neurons see at these times
    m_std : float, > 0, standard deviation of the slopes
    speed_std : float, > 0, that of the speed of all channels together, 1/s
    rng : numpy Generator
    Raises : ValueError if an argument is out of range, a shape disagrees, or v does not move
    """
    t = finite_array("t", t, ("T",))
    v = finite_array("v", v, (len(t), "D"))
    if len(t) < 2 or (np.diff(t) <= 0).any():
        raise ValueError("t must hold at least two increasing times")
    around = _around(np.abs(np.gradient(v, t, axis=0)))
    # What moves by rounding only would make huge weights.
    moves = around > 1e-12 * (around.max(axis=0) + np.abs(v).max(axis=0) / (t[-1] - t[0]))
    moments = np.flatnonzero(moves.any(axis=1))
    if len(moments) == 0:
        raise ValueError("v must move: it is the same at all times; a bias does what it can do")
    m, offset = _centred(n_neurons, domain, m_std, rng)
    s = rng.choice(moments, size=len(m))
    speed = positive("speed_std", speed_std) * rng.normal(size=(len(m), v.shape[1]))
    share = moves[s] / np.sqrt(moves[s].sum(axis=1, keepdims=True))
    w_in = share * speed / np.where(moves[s], around[s], 1.0)
    return Basis(m, offset - np.sum(w_in * v[s], axis=1), w_in=w_in, phi=phi)


def _around(speed):
    """Speed (T, D) without its pauses: at each time the lesser of the maxima up to and from it."""
    past, future = np.maximum.accumulate(speed), np.maximum.accumulate(speed[::-1])[::-1]
    return np.minimum(past, future)


def grid_basis(n_per_axis, rank=1, *, m_max=5.0, bias_max=10.0, phi=TANH):
    """All combinations of equally spaced slopes and offsets, the paper's dictionary.

    Functions with m = 0 are left out, and for an odd phi one of each pair (m, bias), (-m, -bias),
    which differ in sign only.

    n_per_axis : int, >= 2, values of each slope, in [-m_max, m_max], and of the offset
    rank : int, R
    Raises : ValueError if an argument is out of range
    """
    if n_per_axis < 2:
        raise ValueError(f"n_per_axis must be at least 2, got {n_per_axis!r}")
    phi = nonlinearity(phi)
    slopes = positive("m_max", m_max) * np.linspace(-1, 1, n_per_axis)
    offsets = not_negative("bias_max", bias_max) * np.linspace(-1, 1, n_per_axis)
    axes = np.meshgrid(*([slopes] * rank), offsets, indexing="ij")
    table = np.stack(axes, axis=-1).reshape(-1, rank + 1)
    m = table[:, :rank]
    # The sign of the first slope that is not zero; 0 if all are.
    leading = np.sign(np.take_along_axis(m, np.argmax(m != 0, axis=1)[:, None], axis=1)[:, 0])
    kept = table[leading > 0] if is_odd(phi) else table[leading != 0]
    return Basis(kept[:, :rank], kept[:, rank], phi=phi)


def is_odd(phi):
    """Whether phi(-x) = -phi(x), judged on points between 0 and 3."""
    x = np.linspace(0, 3, 31)
    return np.allclose(phi.function(-x), -phi.function(x), rtol=0, atol=1e-12)


def _centred(n_neurons, domain, m_std, rng):
    """Gaussian slopes m (N, R), and the offsets -m . c (N,) of centres c uniform in the domain."""
    domain = finite_array("domain", domain, ("R", 2))
    if (domain[:, 0] >= domain[:, 1]).any():
        raise ValueError(f"domain must have low < high in every row, got {domain.tolist()}")
    N, R = whole("n_neurons", n_neurons), whole("rank", len(domain))
    m = positive("m_std", m_std) * rng.normal(size=(N, R))
    centre = rng.uniform(domain[:, 0], domain[:, 1], size=(N, R))
    return m, -np.sum(m * centre, axis=1)
