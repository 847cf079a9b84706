"""Dimensionality of a spectrum, and the heterogeneity of the responses of a matrix.

No measure here computes its own spectrum: take one of the four spectra below, hand it over, and the
call says which it was. `participation_ratio(singular_values(a) ** 2)` and
`participation_ratio(singular_values(a))` are different numbers under one common name.

Spectra are `(..., n)`: leading axes are batches, the measure of each is returned.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating]


def covariance_eigenvalues(series: ArrayLike) -> Array:
    """Eigenvalues of the covariance of a time series, largest first, in the series' unit squared.

    series : (..., T, n), T frames of n regions, T >= 2
    Returns : (..., n), non-negative
    Raises : ValueError if there are fewer than two frames or a value is not finite
    """
    centred = _frames(series) - _frames(series).mean(axis=-2, keepdims=True)
    gram = np.swapaxes(centred, -1, -2) @ centred / (centred.shape[-2] - 1)
    # Round-off can leave a zero eigenvalue at -1e-17; a covariance has none below zero.
    return np.clip(np.linalg.eigvalsh(gram)[..., ::-1], 0.0, None)


def correlation_eigenvalues(series: ArrayLike) -> Array:
    """Eigenvalues of the correlation matrix (functional connectivity), largest first; sum n.

    series : (..., T, n), T frames of n regions, T >= 2, no region constant
    Returns : (..., n), non-negative, dimensionless
    Raises : ValueError if a region is constant, a value is not finite or T < 2
    """
    frames = _frames(series)
    scale = frames.std(axis=-2, keepdims=True)
    if not np.all(scale > 0):
        raise ValueError("series has a constant region: its correlations are undefined; drop it")
    spectrum = covariance_eigenvalues(frames / scale)
    return spectrum * (frames.shape[-2] - 1) / frames.shape[-2]


def singular_values(matrix: ArrayLike) -> Array:
    """Singular values of a matrix, largest first: the gains of x -> A x along its own axes.

    matrix : (..., m, n)
    Returns : (..., min(m, n)), non-negative
    Raises : ValueError if a value is not finite
    """
    return np.linalg.svd(_finite(matrix, "matrix"), compute_uv=False)


def eigenvalue_moduli(matrix: ArrayLike) -> Array:
    """Moduli of the eigenvalues of a matrix, largest first; the first is the spectral radius.

    They say how fast the modes of x -> A x decay. They are not the singular values unless A is
    normal: a feed-forward chain has all eigenvalues 0 and all singular values but one equal to 1.

    matrix : (..., n, n)
    Returns : (..., n), non-negative
    Raises : ValueError if the matrix is not square or a value is not finite
    """
    square = _finite(matrix, "matrix")
    if square.ndim < 2 or square.shape[-1] != square.shape[-2]:
        raise ValueError(f"matrix has shape {square.shape}; eigenvalues need (..., n, n)")
    return np.sort(np.abs(np.linalg.eigvals(square)), axis=-1)[..., ::-1]


def entropy(spectrum: ArrayLike, *, base: float = np.e) -> Array:
    """Shannon entropy of the normalised spectrum, H = -sum p log p with p = s / sum s.

    spectrum : (..., n), non-negative, not all zero
    base : float > 1, of the logarithm: e gives nats, 2 gives bits
    Returns : (...), between 0 (one mode) and log n (all modes alike)
    Raises : ValueError if the spectrum is negative, zero or not finite, or base <= 1
    """
    if not base > 1:
        raise ValueError(f"base is {base}; a logarithm of entropy needs base > 1")
    s = _spectrum(spectrum)
    p = s / s.sum(axis=-1, keepdims=True)
    terms = p * np.log(np.where(p > 0, p, 1.0))
    return -terms.sum(axis=-1) / np.log(base)


def effective_rank(spectrum: ArrayLike) -> Array:
    """exp(H), H the entropy in nats: the number of equal modes with the same entropy.

    The effective rank of Roy & Vetterli (2007) is this measure of the *singular values* of a
    matrix. It is not the participation ratio: both count modes, but participation_ratio <= exp(H).

    spectrum : (..., n), non-negative, not all zero
    Returns : (...), between 1 and n
    Raises : ValueError as `entropy`
    """
    return np.exp(entropy(spectrum))


def participation_ratio(spectrum: ArrayLike) -> Array:
    """(sum s)^2 / sum s^2: the number of equal modes with the same concentration.

    On covariance eigenvalues this is the dimension of activity of Gao & Ganguli (2015).

    spectrum : (..., n), non-negative, not all zero
    Returns : (...), between 1 and n
    Raises : ValueError if the spectrum is negative, zero or not finite
    """
    s = _spectrum(spectrum)
    s = s / s.max(axis=-1, keepdims=True)  # squares of tiny or huge values would leave the floats
    return s.sum(axis=-1) ** 2 / (s**2).sum(axis=-1)


def participation_fraction(spectrum: ArrayLike) -> Array:
    """mean(s)^2 / mean(s^2), the participation ratio divided by n: evenness of a spectrum.

    The fMRI framework's D(C), which it calls eigenvalue dispersion. It falls as variance
    concentrates; what is usually called dispersion rises: see `relative_dispersion`.

    spectrum : (..., n), non-negative, not all zero
    Returns : (...), between 1/n (one mode) and 1 (all modes alike)
    Raises : ValueError as `participation_ratio`
    """
    return participation_ratio(spectrum) / np.shape(spectrum)[-1]


def relative_dispersion(spectrum: ArrayLike) -> Array:
    """Variance of the spectrum over its greatest possible value at this mean and n.

    V = sum (s - mean)^2 / (n (n - 1) mean^2), the relative eigenvalue variance of morphometrics
    (Pavlicev, Cheverud & Wagner 2009), and the usual sense of eigenvalue dispersion. With D the
    participation fraction, V = (1/D - 1) / (n - 1): the same order of spectra, turned round.

    spectrum : (..., n), non-negative, not all zero, n >= 2
    Returns : (...), between 0 (all modes alike) and 1 (one mode)
    Raises : ValueError if n < 2, or as `participation_ratio`
    """
    s = _spectrum(spectrum)
    n = s.shape[-1]
    if n < 2:
        raise ValueError("spectrum has one value; its dispersion needs at least two")
    s = s / s.mean(axis=-1, keepdims=True)
    return ((s - 1) ** 2).sum(axis=-1) / (n * (n - 1))


def stable_rank(singular: ArrayLike) -> Array:
    """sum sigma^2 / max sigma^2, the squared Frobenius norm over the squared spectral norm.

    singular : (..., n), singular values (not their squares), non-negative, not all zero
    Returns : (...), between 1 and n
    Raises : ValueError if the spectrum is negative, zero or not finite
    """
    s = _spectrum(singular)
    return ((s / s.max(axis=-1, keepdims=True)) ** 2).sum(axis=-1)


def decay_rate(spectrum: ArrayLike, *, modes: int, threshold: float = 0.01) -> Array:
    """gamma of s_i ~ exp(-gamma i), the least-squares slope of log s over the first modes.

    A real spectrum is not one exponential, so gamma depends on the window: state it.

    spectrum : (..., n), non-negative, in any order (it is sorted, largest first)
    modes : int >= 2, the fit uses modes 1 to this one (all of them if it exceeds n)
    threshold : float in [0, 1), modes at or below this share of the largest are left out, since
        the logarithm of a mode that is zero but for round-off would decide the slope
    Returns : (...), per mode; NaN where fewer than two modes are left
    Raises : ValueError if modes < 2, threshold is outside [0, 1), or the spectrum is not valid
    """
    if modes < 2:
        raise ValueError(f"modes is {modes}; a slope needs at least 2")
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold is {threshold}; expected a share of the largest in [0, 1)")
    s = np.sort(_spectrum(spectrum), axis=-1)[..., ::-1][..., :modes]
    used = s > threshold * s[..., :1]
    logs = np.log(np.where(used, s, 1.0))
    index = np.arange(s.shape[-1], dtype=float)
    count = used.sum(axis=-1, keepdims=True)
    x = np.where(used, index - (used * index).sum(axis=-1, keepdims=True) / count, 0.0)
    with np.errstate(invalid="ignore"):  # 0 / 0 where one mode is left
        return -(x * logs).sum(axis=-1) / (x**2).sum(axis=-1)


def response_norms(matrix: ArrayLike) -> Array:
    """|A e_j|, the size of the whole brain's next frame after a unit push to region j.

    matrix : (..., n, n), A[target, source]
    Returns : (..., n), one norm a source region
    Raises : ValueError if a value is not finite
    """
    return np.linalg.norm(_finite(matrix, "matrix"), axis=-2)


def response_variance(matrix: ArrayLike) -> Array:
    """Variance over source regions of |A e_j|: quadruples when A doubles, so compare with care.

    matrix : (..., n, n), A[target, source]
    Returns : (...), >= 0
    Raises : ValueError if a value is not finite
    """
    return response_norms(matrix).var(axis=-1)


def response_cv(matrix: ArrayLike) -> Array:
    """Standard deviation over mean of |A e_j| over source regions: free of the scale of A.

    matrix : (..., n, n), A[target, source], not all zero
    Returns : (...), >= 0, dimensionless
    Raises : ValueError if a value is not finite or the matrix is zero
    """
    norms = response_norms(matrix)
    mean = norms.mean(axis=-1)
    if not np.all(mean > 0):
        raise ValueError("matrix is zero: its responses have no coefficient of variation")
    return norms.std(axis=-1) / mean


def expected_gain_cv2(singular: ArrayLike) -> Array:
    """Expected squared CV of the gains |A e_j|^2 in a matrix random but for its singular values.

    For A = U diag(sigma) V^T with V uniform on the orthogonal group, the mean over V of
    Var_j |A e_j|^2 / mean_j^2 is 2 (n - 1) / (n + 2) times the relative dispersion of sigma^2:
    the heterogeneity that comes with a rank, whatever the regions do (chapter 2 derives it).

    singular : (..., n), all n singular values of an n x n matrix, zeros included, n >= 2
    Returns : (...), between 0 and 2 (n - 1) / (n + 2)
    Raises : ValueError as `relative_dispersion`
    """
    s = _spectrum(singular)
    n = s.shape[-1]
    return 2 * (n - 1) / (n + 2) * relative_dispersion((s / s.max(axis=-1, keepdims=True)) ** 2)


def _finite(values: ArrayLike, name: str) -> Array:
    array = np.asarray(values, dtype=float)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has {np.sum(~np.isfinite(array))} values that are not finite")
    return array


def _frames(series: ArrayLike) -> Array:
    frames = _finite(series, "series")
    if frames.ndim < 2 or frames.shape[-2] < 2:
        raise ValueError(f"series has shape {frames.shape}; expected (..., T, n) with T >= 2")
    return frames


def _spectrum(values: ArrayLike) -> Array:
    s = _finite(values, "spectrum")
    if s.ndim < 1 or s.shape[-1] == 0:
        raise ValueError(f"spectrum has shape {s.shape}; expected (..., n) with n >= 1")
    if (s < 0).any():
        raise ValueError(f"spectrum has a negative value, {s.min():.3g}; expected s >= 0")
    if not np.all(s.max(axis=-1) > 0):
        raise ValueError("spectrum is all zero; it has no dimension")
    return s
