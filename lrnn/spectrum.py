"""Eigenvalues of a connectivity matrix: its bulk, its outliers, and their paths during training.

A bulk, here, is what independent entries of variance radius^2/N make: eigenvalues that fill a disc
evenly (the circular law). What low-rank structure does to them is the subject of `lrnn.outliers`.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq, linear_sum_assignment
from scipy.sparse.linalg import ArpackNoConvergence, aslinearoperator, eigs
from scipy.special import gammaincc
from scipy.stats import kstest

from lrnn._check import finite_array, not_negative, positive

KRYLOV = 60  # vectors that Arnoldi keeps


class Spectrum(NamedTuple):
    """The eigenvalues of a matrix, and those of them that no bulk explains.

    eigenvalues : (N,) complex, of falling modulus
    radius : float, of the bulk
    edge : float, modulus beyond which an eigenvalue counts as an outlier
    outliers : (K,) complex, those beyond, of falling modulus, both of a conjugate pair
    """

    eigenvalues: np.ndarray
    radius: float
    edge: float
    outliers: np.ndarray


class CircularLaw(NamedTuple):
    """Kolmogorov-Smirnov distances of a bulk from the circular law, of any shape.

    radial : of |lambda|^2/radius^2 from evenness on (0, 1)
    angular : of the angles of eigenvalues above the real axis from evenness on (0, pi)
    """

    radial: np.ndarray
    angular: np.ndarray


def spectrum(J, *, radius=None, false_alarms=0.01):
    """All eigenvalues, and those that stand out from the bulk.

    An outlier lies beyond radius * `edge(N)`.

    J : (N, N)
    radius : float, >= 0, of the bulk, such as g; None estimates it from the eigenvalues. That needs
        an even bulk: the Jacobian J diag(phi') of a driven network has none, so give its
        sqrt(sum_ij J_ij^2 phi'_j^2 / N), J without its low-rank part.
    false_alarms : as for `edge`
    Returns : Spectrum
    Raises : ValueError if J is not square and finite, or a number is out of range
    """
    J = finite_array("J", J, (len(J), len(J)))
    eigenvalues = np.linalg.eigvals(J).astype(complex)
    eigenvalues = eigenvalues[np.argsort(-np.abs(eigenvalues), kind="stable")]
    factor = edge(len(J), false_alarms=false_alarms)
    if radius is None:
        radius = bulk_radius(eigenvalues, factor=factor)
    limit = not_negative("radius", radius) * factor
    return Spectrum(eigenvalues, float(radius), limit, eigenvalues[np.abs(eigenvalues) > limit])


def edge(n, *, false_alarms=0.01):
    """Modulus, in radii of the bulk, that random eigenvalues of n neurons rarely exceed.

    For n^2 independent normal entries of variance 1/n and x = n edge^2, it solves

        [n Q(n + 1, x) - x Q(n, x)] / 2 + Q(n/2, x/2) = false_alarms,

    Q the regularised upper incomplete gamma function: the expected numbers of conjugate pairs and
    of real eigenvalues beyond. The first is half that of complex matrices, exact away from the real
    axis; the second is the tail of a chi distribution. Both are upper bounds that become exact as
    the edge moves out: for n from 20 on, their sum is 3 % above the exact number (from the
    densities of Edelman, Kostlan & Shub 1994 and Edelman 1997) at 0.01 and 4 to 10 % at 0.05. Real
    eigenvalues stray further and decide where `false_alarms` is small. For large n the edge tends
    to that of the Gumbel law of Rider & Sinclair (2014), 1 + sqrt(log(n)/(4 n)) at leading order,
    which is of no use at the sizes here: its corrections are of order log log n / log n.

    n : int, >= 1
    false_alarms : float in (0, 0.5), expected number of outliers, a pair being one, in a matrix
        that has none; the probability of any is a little less
    Returns : float, > 1
    Raises : ValueError if an argument is out of range
    """
    n, wanted = positive("n", n), positive("false_alarms", false_alarms)
    if not wanted < 0.5:
        raise ValueError(f"false_alarms must be less than 0.5, got {false_alarms!r}")

    def excess(radius):
        x = n * radius**2
        pairs = 0.5 * (n * gammaincc(n + 1, x) - x * gammaincc(n, x))
        return pairs + gammaincc(0.5 * n, 0.5 * x) - wanted

    return float(brentq(excess, 1.0, 1.0 + 20.0 / np.sqrt(n)))


def bulk_radius(eigenvalues, *, factor):
    """sqrt(2 <|lambda|^2>) over the bulk, whose |lambda|^2 are spread evenly up to radius^2.

    The bulk is told apart by a first estimate from the median, which a few outliers hardly move.

    eigenvalues : (N,), all of one matrix
    factor : float, >= 1, those beyond factor * radius are left out
    Returns : float
    """
    moduli = np.abs(eigenvalues)
    radius = np.sqrt(2.0) * np.median(moduli)
    for _ in range(2):
        radius = np.sqrt(2.0 * np.mean(moduli[moduli <= factor * radius] ** 2))
    return float(radius)


def leading_outliers(J, limit, *, most=6, restarts=4, rng):
    """Eigenvalues beyond a modulus, from a few hundred products J x: no decomposition of J.

    By Arnoldi iteration (ARPACK). What stands out converges first and the rest is not waited for;
    an eigenvalue may be missed if (modulus/radius of the bulk)^(60 restarts) is less than 1e10,
    which is within a tenth of the bulk at the default.

    J : (N, N) array, sparse matrix or LinearOperator. A large bulk and factors U, V (N, R) make
        aslinearoperator(bulk) + aslinearoperator(U) @ aslinearoperator(V.T)
    limit : float, >= 0, such as `Spectrum.edge`
    most : int, >= 1, eigenvalues that are looked for: two more than there may be outliers, at least
    restarts : int, >= 1, each costs some 50 products and 60 N numbers are kept
    rng : numpy Generator, of the first vector
    Returns : (K,) complex, of falling modulus
    Raises : ValueError if limit is negative, most is not below N - 1, or as many as `most` lie
        beyond the limit, so that there may be more
    """
    operator, limit = aslinearoperator(J), not_negative("limit", limit)
    N = operator.shape[0]
    if not 1 <= most < N - 1:
        raise ValueError(f"most must be from 1 to N - 2 = {N - 2}, got {most}")
    basis = min(N, max(KRYLOV, 3 * most))
    try:
        found = eigs(
            operator, most, ncv=basis, maxiter=restarts, tol=1e-10, rng=rng,
            return_eigenvectors=False,
        )  # fmt: skip
    except ArpackNoConvergence as stopped:
        found = stopped.eigenvalues
    found = found[np.abs(found) > limit]
    if len(found) >= most:
        raise ValueError(f"most must exceed the number of outliers, got {most}, and all lie beyond")
    return found[np.argsort(-np.abs(found), kind="stable")]


def track(spectra):
    """Follow each eigenvalue through the spectra of a matrix that changes.

    Going back from the last, each spectrum is matched to the one after it so that the sum of
    squared displacements is least. In the bulk identities are lost once a step is as long as the
    spacing; an outlier keeps its own as long as its steps are short beside its distance to others.

    spectra : (T, N), all eigenvalues at each time, in any order
    Returns : (T, N) complex, a column an eigenvalue, ordered as the last spectrum: with
        `Spectrum.eigenvalues` column 0 ends as the leading one
    Raises : ValueError if spectra is not two-dimensional
    """
    tracks = np.array(spectra, dtype=complex)
    if tracks.ndim != 2:
        raise ValueError(f"spectra must have shape (T, N), got {tracks.shape}")
    for t in range(len(tracks) - 1, 0, -1):
        distance = np.abs(tracks[t][:, None] - tracks[t - 1]) ** 2
        tracks[t - 1] = tracks[t - 1][linear_sum_assignment(distance)[1]]
    return tracks


def circular_law(bulk, radius):
    """How far eigenvalues are from an even disc.

    They repel each other, so they fill it more evenly than independent points, and on the real axis
    there are more than its share: tables of the Kolmogorov-Smirnov test do not hold. Compare with
    `circular_law_null`.

    bulk : (N,), eigenvalues without outliers; radius : float, > 0
    Returns : CircularLaw of two floats
    Raises : ValueError if radius is not positive or no eigenvalue lies above the real axis
    """
    bulk, radius = np.asarray(bulk), positive("radius", radius)
    above = np.angle(bulk[bulk.imag > 0]) / np.pi
    if not len(above):
        raise ValueError("bulk must have eigenvalues above the real axis, got none")
    distances = (kstest(x, "uniform").statistic for x in (np.abs(bulk / radius) ** 2, above))
    return CircularLaw(*map(float, distances))


def circular_law_null(n, n_draws, *, rng):
    """`circular_law` of matrices with independent normal entries, their radius known.

    Where the radius was estimated from the eigenvalues, it fits them a little too well, and the
    test is cautious.

    n, n_draws : int, neurons and matrices; rng : numpy Generator
    Returns : CircularLaw of two arrays (n_draws,), for `p_value`
    """
    draws = (rng.standard_normal((n, n)) / np.sqrt(n) for _ in range(n_draws))
    return CircularLaw(*np.transpose([circular_law(np.linalg.eigvals(W), 1.0) for W in draws]))


def p_value(observed, null):
    """Share of a null's draws at least as large, the observed value counted as one of them.

    observed : (...); null : (n_draws, ...)
    Returns : (...), between 1/(n_draws + 1) and 1
    """
    null = np.asarray(null)
    return (1 + np.sum(null >= observed, axis=0)) / (1 + len(null))
