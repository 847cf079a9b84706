"""The scan: a record of frames that knows where time is broken, and what is done to it first.

Preprocessing steps are functions from a scan to a scan.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import signal

MIN_FRAMES = 30  # below this a correlation's standard error is near 0.2

Array = NDArray[np.floating]


class Scan(NamedTuple):
    """A time series and what is needed to use it: x[t] of shape (n,), one frame every `tr` seconds.

    data : (T, n), T kept frames of n regions
    tr : float, repetition time, s
    segment : (T,) int, frames with one number are consecutive in time; a censored frame or the
        end of a run starts a new number, and no pair of frames is ever formed across it
    name : str, for labels and messages
    """

    data: Array
    tr: float
    segment: NDArray[np.integer]
    name: str = ""

    @property
    def n_frames(self) -> int:
        return self.data.shape[0]

    @property
    def n_regions(self) -> int:
        return self.data.shape[1]


def make_scan(data: ArrayLike, *, tr: float, name: str = "scan") -> Scan:
    """A checked scan of one uninterrupted run.

    data : (T, n), T frames of n regions, T >= n and T >= 30, finite, no region constant
    tr : float > 0, repetition time, s
    Raises : ValueError naming the scan, the offending value and what to do
    """
    if not (np.isfinite(tr) and tr > 0):
        raise ValueError(f"{name}: tr is {tr}; expected the repetition time in seconds, > 0")
    try:
        frames = np.asarray(data, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: the data are not numbers ({error})") from error
    if frames.ndim != 2:
        raise ValueError(f"{name}: data has shape {frames.shape}; expected (frames, regions)")
    n_frames, n_regions = frames.shape
    if n_regions > n_frames:
        raise ValueError(
            f"{name}: {n_frames} frames of {n_regions} regions look transposed; rows must be"
            " frames, so pass data.T (or, if this is right, use fewer regions: a one-step matrix"
            " of n regions needs more than n frames)"
        )
    if n_frames < MIN_FRAMES:
        raise ValueError(
            f"{name}: {n_frames} frames are too few for any measure here; expected {MIN_FRAMES}"
            " or more"
        )
    bad = ~np.isfinite(frames)
    if bad.any():
        frame, region = (int(index[0]) for index in np.nonzero(bad))
        raise ValueError(
            f"{name}: {int(bad.sum())} values are NaN or infinite, first at frame {frame}, region"
            f" {region}; drop those regions, or censor the frames and pass the rest"
        )
    constant = np.flatnonzero(np.ptp(frames, axis=0) == 0)
    if constant.size:
        raise ValueError(
            f"{name}: regions {constant.tolist()} never change (outside the brain mask?); drop them"
        )
    return Scan(frames, float(tr), np.zeros(n_frames, dtype=int), name)


def standardize(scan: Scan) -> Scan:
    """Each region to mean 0 and standard deviation 1 over the scan."""
    centred = scan.data - scan.data.mean(axis=0)
    return scan._replace(data=centred / centred.std(axis=0))


def band_pass(scan: Scan, *, low: float = 0.01, high: float = 0.1, order: int = 2) -> Scan:
    """Butterworth band-pass run forwards and backwards (no phase shift), in each segment.

    low, high : Hz, 0 < low < high < 1 / (2 tr)
    order : int >= 1, of the filter, before the two passes double it
    Raises : ValueError if the band does not fit below the Nyquist frequency, or a segment is too
        short for the filter's own start-up
    """
    nyquist = 0.5 / scan.tr
    if not 0 < low < high < nyquist:
        raise ValueError(
            f"{scan.name}: low and high are {low} and {high} Hz; expected 0 < low < high <"
            f" {nyquist:.3g} Hz, the Nyquist frequency at tr = {scan.tr} s"
        )
    sections = signal.butter(order, (low, high), btype="bandpass", fs=1 / scan.tr, output="sos")
    padding = 3 * (2 * len(sections) + 1)
    data = np.empty_like(scan.data)
    for label in np.unique(scan.segment):
        inside = scan.segment == label
        if inside.sum() <= padding:
            raise ValueError(
                f"{scan.name}: segment {label} has {inside.sum()} frames; this filter needs more"
                f" than {padding}: filter before censoring"
            )
        data[inside] = signal.sosfiltfilt(sections, scan.data[inside], axis=0, padlen=padding)
    return scan._replace(data=data)


def remove_global_signal(scan: Scan) -> Scan:
    """Regress the mean over regions, and the constant, out of every region."""
    centred = scan.data - scan.data.mean(axis=0)
    common = centred.mean(axis=1)
    return scan._replace(data=centred - np.outer(common, common @ centred / (common @ common)))


def select(scan: Scan, regions: ArrayLike) -> Scan:
    """Keep these regions, in this order.

    regions : (k,) int, indices from 0
    Raises : ValueError if an index does not exist or comes twice
    """
    index = np.asarray(regions, dtype=int)
    if index.size == 0 or index.min() < 0 or index.max() >= scan.n_regions:
        raise ValueError(f"{scan.name}: regions must be indices from 0 to {scan.n_regions - 1}")
    if len(np.unique(index)) < index.size:
        raise ValueError(f"{scan.name}: regions holds an index twice")
    return scan._replace(data=scan.data[:, index])


def window(scan: Scan, start: int, stop: int) -> Scan:
    """Frames start to stop - 1.

    Raises : ValueError unless 0 <= start < stop <= T
    """
    if not 0 <= start < stop <= scan.n_frames:
        raise ValueError(
            f"{scan.name}: frames {start} to {stop} do not lie in 0 to {scan.n_frames}"
        )
    return scan._replace(data=scan.data[start:stop], segment=scan.segment[start:stop])


def split(scan: Scan, fraction: float = 0.5) -> tuple[Scan, Scan]:
    """The scan before and after a moment: to fit on one part and test on the other.

    fraction : float in (0, 1), share of the frames in the first part
    """
    moment = round(fraction * scan.n_frames)
    return window(scan, 0, moment), window(scan, moment, scan.n_frames)


def censor(scan: Scan, keep: ArrayLike) -> Scan:
    """Drop frames (for head motion, say); what was on either side of a gap stays apart.

    keep : (T,) bool, True for the frames to keep
    Raises : ValueError if keep is not a boolean mask of T frames or keeps none
    """
    mask = np.asarray(keep)
    if mask.shape != (scan.n_frames,) or mask.dtype != bool:
        raise ValueError(
            f"{scan.name}: keep has shape {mask.shape} and type {mask.dtype}; expected"
            f" ({scan.n_frames},) and bool"
        )
    if not mask.any():
        raise ValueError(f"{scan.name}: keep drops every frame")
    breaks = np.diff(scan.segment) != 0
    gaps = ~mask[1:]  # the frame after a dropped one cannot follow what came before it
    segment = np.concatenate([[0], np.cumsum(breaks | gaps)])
    return scan._replace(data=scan.data[mask], segment=segment[mask])


def concatenate(scans: Sequence[Scan], *, name: str = "") -> Scan:
    """Runs end to end, as separate segments.

    Raises : ValueError if there is none, or their regions or repetition times differ
    """
    if not scans:
        raise ValueError("scans is empty; expected at least one")
    kinds = {(scan.n_regions, scan.tr) for scan in scans}
    if len(kinds) > 1:
        raise ValueError(f"scans differ in (regions, tr): {sorted(kinds)}; expected one kind")
    segment: list[NDArray[np.integer]] = []
    offset = 0
    for scan in scans:
        segment.append(scan.segment - scan.segment.min() + offset)
        offset = int(segment[-1].max()) + 1
    data = np.concatenate([scan.data for scan in scans])
    return Scan(data, scans[0].tr, np.concatenate(segment), name or scans[0].name)
