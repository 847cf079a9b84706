"""Where low-rank structure in a random matrix puts outliers, in theory.

    J = g W + U V^T,    W_ij independent, of mean 0 and variance 1/N,

with U, V (N, R) whose columns have a length of order 1. The structure of the training note,
-(b/N) 1 1^T + strength u v^T, has the factors that `factors` gives. The bulk of J is a disc of
radius g, whatever the structure (Rajan & Abbott 2006; Tao 2013).
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import eig
from scipy.optimize import newton

from lrnn._check import finite_array, not_negative


class Factors(NamedTuple):
    """U, V : (N, R), of the matrix U V^T."""

    U: np.ndarray
    V: np.ndarray


class Outliers(NamedTuple):
    """values : (K,) complex, of falling modulus, all beyond g
    spread : (K,), root mean square distance from there over draws of W, to leading order
    """

    values: np.ndarray
    spread: np.ndarray


def factors(strength, u, v, *, b=0.0):
    """Factors of -(b/N) 1 1^T + strength u v^T.

    strength : float, either sign; u, v : (N,); b : float
    Returns : Factors with R = 2
    Raises : ValueError if a shape disagrees or a value is not finite
    """
    u = finite_array("u", u, ("N",))
    v = finite_array("v", v, u.shape)
    e = np.full(len(u), 1.0 / np.sqrt(len(u)))
    strength, b = (float(finite_array(*pair, ())) for pair in (("strength", strength), ("b", b)))
    return Factors(np.stack([e, u], axis=1), np.stack([-b * e, strength * v], axis=1))


def outliers(U, V, g):
    """Outliers of g W + U V^T for structure independent of W: eigenvalues of V^T U beyond g.

    With left and right eigenvectors l, r of V^T U the spread of one at lambda is

        |V l| |U r| / |l^T r| * g / sqrt(N (|lambda|^2 - g^2)),

    since a^T W^k b, k >= 1, have variance |a|^2 |b|^2 / N each and are uncorrelated. For one term,
    |strength| |u| |v| g / sqrt(N (lambda^2 - g^2)). It shrinks with N only as long as vectors keep
    their length: v/(v.u), for u and v drawn independently, has one of order sqrt(N), and the
    outlier of such a structure is not self-averaging.

    U, V : (N, R); g : float, >= 0
    Returns : Outliers
    Raises : ValueError if a shape disagrees or g is negative
    """
    U = finite_array("U", U, ("N", "R"))
    V, g = finite_array("V", V, U.shape), not_negative("g", g)
    values, left, right = eig(V.T @ U, left=True)
    far = np.flatnonzero(np.abs(values) > g)
    far = far[np.argsort(-np.abs(values[far]), kind="stable")]
    values, left, right = values[far], left[:, far].conj(), right[:, far]
    lengths = np.linalg.norm(V @ left, axis=0) * np.linalg.norm(U @ right, axis=0)
    condition = lengths / np.abs(np.sum(left * right, axis=0))
    return Outliers(values, condition * g / np.sqrt(len(U) * (np.abs(values) ** 2 - g**2)))


def instance_outlier(bulk, U, V, start):
    """The eigenvalue of bulk + U V^T near `start`, with this bulk and not a typical one.

    Solves det(1 - V^T (lambda - bulk)^-1 U) = 0, exact for every eigenvalue that is not one of the
    bulk's too, by a secant search: for the eigenvalue mu(lambda) of the small matrix that is
    nearest 1, 1/mu is nearly linear in lambda. With few terms of a learned change and bulk = J0 it
    tells what these terms do, correlations with J0 included.

    bulk : (N, N); U, V : (N, R); start : complex, outside the bulk, such as one of `outliers`
    Returns : complex
    Raises : ValueError if a shape disagrees; RuntimeError if the search does not converge
    """
    U = finite_array("U", U, ("N", "R"))
    V, bulk = finite_array("V", V, U.shape), finite_array("bulk", bulk, (len(U), len(U)))
    identity = np.eye(len(U))

    def mismatch(lam):
        mu = np.linalg.eigvals(V.T @ np.linalg.solve(lam * identity - bulk, U))
        return 1.0 / mu[np.argmin(np.abs(mu - 1.0))] - 1.0

    return complex(newton(mismatch, complex(start), tol=1e-12 * max(1.0, abs(start))))


def without_row_sums(W):
    """W (1 - 1 1^T/N): what a neuron receives in sum is taken off its weights, evenly.

    Then J 1 = -b 1 exactly if v is orthogonal to 1, and the outlier at -b has no spread. A term
    1 v^T of such a v, excitation and inhibition in balance, makes no outlier at any strength, where
    chance row sums make several once its strength is of order sqrt(N) (Rajan & Abbott 2006).

    W : (N, N) -> (N, N)
    """
    return W - W.mean(axis=1, keepdims=True)


def effective_pole(J, w, B):
    """1 - w.B/H(0) with H(0) = w^T (1 - J)^-1 B: what a network is as a filter of one pole.

    y = w^T x of tau dx/dt = -x + J x + B u has the transfer function w^T (1 + s tau - J)^-1 B. If
    one eigenvalue lambda does all of it, this is w.B/(1 + s tau - lambda), and the formula returns
    lambda; a low-pass filter of rate beta (1/s) has lambda = 1 - beta tau. Here lambda is read off
    the response to constants and the initial slope to steps, wherever the eigenvalues are. Euler
    steps have the same H(0), and a pole z per step is lambda = 1 - (1 - z) tau/dt. Tells of the
    response only if the network is stable; for a nonlinear one J is J diag(phi') where it operates.

    J : (N, N); w, B : (N,)
    Returns : float, dimensionless
    Raises : ValueError if a shape disagrees, 1 is an eigenvalue of J, or constants have no response
    """
    w = finite_array("w", w, ("N",))
    J, B = finite_array("J", J, (len(w), len(w))), finite_array("B", B, w.shape)
    try:
        response = w @ np.linalg.solve(np.eye(len(w)) - J, B)
    except np.linalg.LinAlgError as error:
        raise ValueError("J must not have the eigenvalue 1") from error
    if response == 0:
        raise ValueError("the response of w to constants along B must not be 0")
    return float(1.0 - w @ B / response)


def correlated_outlier(pole, g, *, s=0.0):
    """Where a learned term puts its outlier if its vectors have come to be correlated with W.

    The gradient of a filter's loss has u along R^T w and v along R B, R = (1 + s - g W)^-1, at
    frequencies s. For u = R^T w, v = R w with a random unit vector w = B, leading order in N gives
    |u|^2 = |v|^2 = 1/((1 + s)^2 - g^2) and v^T (g W)^k u = (k + 1) q^k/(1 + s)^2, q = g^2/(1 + s),
    so

        (lambda - q)^2 = strength lambda/(1 + s)^2 and effective pole = strength/(1 + s - g^2)^2.

    What that leaves is (lambda - q)^2 = pole lambda (1 - q)^2. A stable outlier on the right lies
    nearer 1 than the pole, and they agree at 1, the border of stability; one on the left (a fast
    filter) is pulled towards the bulk. Cosines of u and v with w are sqrt(1 - g^2/(1 + s)^2).

    pole : float, of `effective_pole`, such as the optimum 1 - beta tau
    g : float in [0, 1): beyond, 1 - g W has no series
    s : float, >= 0, frequency in units of 1/tau: 0 is the limit of slow signals
    Returns : float, NaN where the root lies in the bulk and there is no outlier
    Raises : ValueError if a number is out of range
    """
    pole, g, s = float(finite_array("pole", pole, ())), not_negative("g", g), not_negative("s", s)
    if not g < 1:
        raise ValueError(f"g must be less than 1, got {g!r}")
    q = g * g / (1 + s)
    half = q + 0.5 * pole * (1 - q) ** 2
    # The product of both roots is q^2 < g^2: one at most is an outlier.
    root = half + np.copysign(np.sqrt(max(half * half - q * q, 0.0)), half)
    return float(root) if abs(root) > g else float("nan")
