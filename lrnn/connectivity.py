"""From a scan to a matrix of who drives whom, always `[target, source]`, and how far to trust it.

Models of the next frame, x[t + 1] ~ offset + A x[t], share one record, so that they and their
baselines are compared by one function. Frames and what follows them come from `pairs` and
`histories` alone, which never join what censoring or the end of a run has parted.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import TimeSeriesSplit

from lrnn.scan import Scan

Array = NDArray[np.floating]

RIDGES = tuple(float(r) for r in np.logspace(-5, 1, 13))


class OneStepModel(NamedTuple):
    """x[t + 1] ~ offset + matrix x[t].

    matrix : (n, n), A[target, source]
    offset : (n,), in the unit of the data
    ridge : float, weight of the penalty it was fitted with, dimensionless
    """

    matrix: Array
    offset: Array
    ridge: float = 0.0


def pairs(scan: Scan, *, lag: int = 1) -> tuple[Array, Array]:
    """Frames and the frames `lag` later, where no gap or run boundary lies between them.

    Returns : x (P, n) and y (P, n), y[p] follows x[p] by lag frames
    Raises : ValueError if lag < 1 or no segment is longer than lag
    """
    if lag < 1:
        raise ValueError(f"lag is {lag}; expected at least 1 frame")
    unbroken = scan.segment[lag:] == scan.segment[:-lag]
    if not unbroken.any():
        raise ValueError(f"{scan.name}: no two frames {lag} apart lie in one uninterrupted segment")
    return scan.data[:-lag][unbroken], scan.data[lag:][unbroken]


def histories(scan: Scan, *, frames: int = 1) -> tuple[Array, Array]:
    """Windows of consecutive frames, and the frame after each.

    frames : int >= 1, in a window
    Returns : x (P, frames, n), oldest frame first, and y (P, n)
    Raises : ValueError if frames < 1 or no segment is longer than a window
    """
    if frames < 1:
        raise ValueError(f"frames is {frames}; expected at least 1")
    y = pairs(scan, lag=frames)[1]
    unbroken = scan.segment[frames:] == scan.segment[:-frames]
    windows = np.lib.stride_tricks.sliding_window_view(scan.data[:-1], frames, axis=0)
    return np.swapaxes(windows[unbroken], 1, 2), y


def functional_connectivity(scan: Scan) -> Array:
    """Pearson correlation between regions at the same time, (n, n), symmetric: it has no source.

    Raises : ValueError if a region is constant
    """
    z = _standard(scan.data, scan)
    return z.T @ z / scan.n_frames


def lagged_correlation(scan: Scan, *, lag: int = 1) -> Array:
    """Correlation of each target with each source `lag` frames before, (n, n), [target, source].

    Raises : ValueError as `pairs`, or if a region is constant
    """
    x, y = pairs(scan, lag=lag)
    return _standard(y, scan).T @ _standard(x, scan) / len(x)


def ridge_var(scan: Scan, *, ridge: float) -> OneStepModel:
    """First-order vector autoregression by ridge regression.

    Minimises mean_p |y_p - offset - A x_p|^2 + ridge * var(y) * |A|_F^2 over pairs of consecutive
    frames, var(y) summed over regions. scikit-learn's `Ridge(alpha)` is the same problem with
    alpha = P * ridge * var(y).

    ridge : float >= 0, dimensionless; 0 is least squares, of least norm if that is not unique
    Raises : ValueError if ridge < 0 or as `pairs`
    """
    x, y = pairs(scan)
    matrix = _ridge_path(x, y, (ridge,))[0]
    return OneStepModel(matrix, y.mean(axis=0) - matrix @ x.mean(axis=0), ridge)


def ridge_errors(
    scan: Scan, *, ridges: Sequence[float] = RIDGES, n_splits: int = 5
) -> NDArray[np.floating]:
    """Error of the next frame on later, unseen pairs, for each ridge.

    Folds are scikit-learn's `TimeSeriesSplit` over the pairs: each is fitted on what came before.

    ridges : (K,) >= 0
    n_splits : int >= 2
    Returns : (K,), mean over folds of the mean squared error, in the data's unit squared
    Raises : ValueError as `ridge_var`, or if there are fewer pairs than folds
    """
    x, y = pairs(scan)
    errors = []
    for train, test in _folds(len(x), n_splits):
        centred = x[test] - x[train].mean(axis=0)
        path = _ridge_path(x[train], y[train], ridges)
        residual = y[test] - y[train].mean(axis=0) - centred @ np.swapaxes(path, 1, 2)
        errors.append((residual**2).mean(axis=(1, 2)))
    return np.mean(errors, axis=0)


def ridge_var_cv(
    scan: Scan, *, ridges: Sequence[float] = RIDGES, n_splits: int = 5
) -> OneStepModel:
    """`ridge_var` with the ridge whose `ridge_errors` is least, fitted on all pairs."""
    errors = ridge_errors(scan, ridges=ridges, n_splits=n_splits)
    return ridge_var(scan, ridge=float(ridges[int(np.argmin(errors))]))


def reduced_rank(scan: Scan, *, rank: int, ridge: float = 0.0, memory: float = 0.0) -> OneStepModel:
    """A = memory I + B, B of given rank: reduced-rank regression of y - memory x on x.

    The best B of this rank at predicting, which is not the truncated SVD of the full-rank A: that
    one keeps large gains in directions that the data may never take (Izenman 1975; with a ridge,
    Mukherjee & Zhu 2011: the ridge is rows of data, then the rank is taken of the fitted values).

    rank : int in [0, n]
    ridge : float >= 0, as `ridge_var`, with var of y - memory x
    memory : float, the part of a region's own last value kept at full rank, e.g. 1 - leak
    Raises : ValueError if rank is out of range, or as `ridge_var`
    """
    if not 0 <= rank <= scan.n_regions:
        raise ValueError(f"rank is {rank}; expected 0 to {scan.n_regions}")
    x, y = pairs(scan)
    change = y - memory * x
    full = _ridge_path(x, change, (ridge,))[0]
    x0 = x - x.mean(axis=0)
    penalty = ridge * change.var(axis=0).sum() * np.eye(scan.n_regions)
    # Principal axes of the fitted values, the penalty's rows among them: full (X'X / P + penalty)
    # full'. `eigh` sorts upwards, so the leading `rank` axes are the last.
    fitted = full @ (x0.T @ x0 / len(x0) + penalty) @ full.T
    axes = np.linalg.eigh(fitted)[1][:, scan.n_regions - rank :]
    matrix = memory * np.eye(scan.n_regions) + axes @ (axes.T @ full)
    return OneStepModel(matrix, y.mean(axis=0) - matrix @ x.mean(axis=0), ridge)


def granger(scan: Scan, *, frames: int = 1) -> Array:
    """How much worse the next frame of a target is predicted without the past of one source.

    ln(RSS_i without source j / RSS_i), RSS_i the residual sum of squares of region i in a vector
    autoregression of this many lags by least squares (Geweke 1982, conditional on all others). It
    has no sign. For independent regions P times it has a chi-squared distribution with `frames`
    degrees of freedom, for many pairs P.

    frames : int >= 1, lags of the regression
    Returns : (n, n), [target, source], >= 0; the diagonal is what a region's own past is worth
    Raises : ValueError as `histories`, or if the regression has no unique solution or no residual
    """
    x, y = histories(scan, frames=frames)
    n = scan.n_regions
    design, y0 = x.reshape(len(x), -1) - x.reshape(len(x), -1).mean(axis=0), y - y.mean(axis=0)
    if len(x) <= design.shape[1] + 1:
        raise ValueError(
            f"{scan.name}: {len(x)} pairs are too few for {design.shape[1]} regressors; use fewer"
            " regions or frames"
        )
    q, r = np.linalg.qr(design)
    if np.abs(r.diagonal()).min() <= len(x) * np.finfo(float).eps * np.abs(r).max():
        raise ValueError(f"{scan.name}: regions are linearly dependent; drop some")
    inverse = np.linalg.inv(r)
    weights = inverse @ (q.T @ y0)
    residual = ((y0 - design @ weights) ** 2).sum(axis=0)
    # Leaving out the regressors of one source, a block b of the inverse Gram matrix G, raises RSS_i
    # by w_b' (G_bb)^-1 w_b: no regression is done twice.
    gram = (inverse @ inverse.T).reshape(frames, n, frames, n)
    own = np.swapaxes(weights.reshape(frames, n, n), 0, 1)  # source, lag, target
    rise = np.einsum("jki,jki->ij", own, np.linalg.solve(np.einsum("ajbj->jab", gram), own))
    return np.log1p(rise / residual[:, None])


def persistence(scan: Scan) -> OneStepModel:
    """The next frame is this frame: A = I. The baseline that slow signals make hard to beat."""
    return OneStepModel(np.eye(scan.n_regions), np.zeros(scan.n_regions))


def own_lag(scan: Scan) -> OneStepModel:
    """Each region from its own last value alone, by least squares: A diagonal, no interaction.

    Raises : ValueError as `pairs`, or if a region is constant
    """
    x, y = pairs(scan)
    slope = (_standard(x, scan) * (y - y.mean(axis=0))).mean(axis=0) / x.std(axis=0)
    return OneStepModel(np.diag(slope), y.mean(axis=0) - slope * x.mean(axis=0))


def r_squared(model: OneStepModel, scan: Scan) -> float:
    """Share of the next frame's variance that a model explains, all regions together.

    1 - sum |y - offset - A x|^2 / sum |y - mean y|^2, sums over the pairs of this scan: 1 is
    perfect, 0 as good as the mean, negative worse. For a held-out value pass a scan, or a later
    part of one, that the model was not fitted on.

    Raises : ValueError if the model and scan differ in regions, or as `pairs`
    """
    if model.matrix.shape != (scan.n_regions, scan.n_regions):
        raise ValueError(
            f"model has shape {model.matrix.shape}; {scan.name} has {scan.n_regions} regions"
        )
    x, y = pairs(scan)
    residual = y - model.offset - x @ model.matrix.T
    return float(1 - (residual**2).sum() / ((y - y.mean(axis=0)) ** 2).sum())


def from_npi(connectome: ArrayLike) -> Array:
    """Turn NPI's effective connectome, rows sources, into ours, [target, source].

    Neural Perturbational Inference (Luo et al. 2025) stores the effect of source j on target i at
    [j, i], with the diagonal set to zero.

    connectome : (n, n), [source, target]
    Raises : ValueError if it is not square
    """
    return _square(connectome).T.copy()


def to_npi(connectome: ArrayLike) -> Array:
    """Turn an effective connectome of ours into NPI's: rows sources, diagonal zero.

    The inverse of `from_npi` but for the diagonal, which NPI does not have.

    connectome : (n, n), [target, source]
    Raises : ValueError if it is not square
    """
    matrix = _square(connectome)
    return matrix.T - np.diag(matrix.diagonal())


def interaction(matrix: ArrayLike) -> Array:
    """K = A - c I, c the mean of A's diagonal: what regions do to each other, memory taken out.

    A one-step matrix is mostly memory, which has full rank whatever the interaction is: measures of
    rank on A and on K answer different questions.

    matrix : (..., n, n), A[target, source]
    Returns : (..., n, n), of trace 0
    """
    a = np.asarray(matrix, dtype=float)
    memory = np.trace(a, axis1=-2, axis2=-1) / a.shape[-1]
    return a - memory[..., None, None] * np.eye(a.shape[-1])


def off_diagonal(matrix: ArrayLike) -> Array:
    """The n (n - 1) entries between different regions, as a vector: what two matrices compare on.

    matrix : (n, n)
    """
    square = np.asarray(matrix, dtype=float)
    return square[~np.eye(len(square), dtype=bool)]


def similarity(first: ArrayLike, second: ArrayLike) -> Array:
    """Correlation of each of the first matrices with each of the second, off the diagonal.

    first, second : (S, n, n), e.g. one matrix a subject from each half of the scan
    Returns : (S, S); its diagonal is split-half reliability
    Raises : ValueError if the shapes differ
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.shape != b.shape or a.ndim != 3:
        raise ValueError(
            f"first and second have shapes {a.shape} and {b.shape}; expected (S, n, n)"
        )
    count = len(a)
    both = np.corrcoef([off_diagonal(m) for m in (*a, *b)])
    return both[:count, count:]


def identification(similar: ArrayLike) -> float:
    """Share of subjects whose first matrix is most like their own second (fingerprinting).

    Finn et al. (2015); chance is 1 / S.

    similar : (S, S), from `similarity`
    Returns : float in [0, 1]
    """
    matrix = np.asarray(similar, dtype=float)
    return float(np.mean(matrix.argmax(axis=1) == np.arange(len(matrix))))


def _folds(n_pairs: int, n_splits: int) -> Iterator[tuple[NDArray, NDArray]]:
    return TimeSeriesSplit(n_splits).split(np.empty((n_pairs, 1)))


def _ridge_path(x: Array, y: Array, ridges: Sequence[float]) -> Array:
    """(K, n, n): the matrix for each ridge, from one singular value decomposition of x (P, n)."""
    weights = np.asarray(ridges, dtype=float)
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError(f"ridge is {ridges}; expected >= 0")
    y0 = y - y.mean(axis=0)
    u, s, vt = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    scores = u.T @ y0
    alpha = len(x) * weights[:, None] * y0.var(axis=0).sum()
    # A direction the frames never take has s = 0 but for round-off; without a ridge it gets 0.
    kept = s > s[0] * max(x.shape) * np.finfo(float).eps
    gain = np.where(kept, s / np.where(kept, s**2 + alpha, 1.0), 0.0)
    return np.swapaxes(vt.T @ (gain[:, :, None] * scores), 1, 2)


def _square(connectome: ArrayLike) -> Array:
    matrix = np.asarray(connectome, dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"connectome has shape {matrix.shape}; expected (n, n)")
    return matrix


def _standard(values: Array, scan: Scan) -> Array:
    scale = values.std(axis=0)
    if not np.all(scale > 0):
        constant = np.flatnonzero(scale == 0).tolist()
        raise ValueError(f"{scan.name}: regions {constant} are constant; drop them")
    return (values - values.mean(axis=0)) / scale
