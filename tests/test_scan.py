"""The scan record and its preprocessing, against numpy, scipy and broken time lines."""

import numpy as np
import pytest
from scipy import signal

from lrnn import scan as sc


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def scan(rng):
    walk = np.cumsum(rng.standard_normal((240, 5)), axis=0)
    return sc.make_scan(walk + 10 * rng.standard_normal(5), tr=2.0, name="walk")


def spoiled(value, rng):
    data = rng.standard_normal((50, 4))
    data[7, 2] = value
    return data


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda rng: rng.standard_normal((20, 60)), "look transposed.*pass data.T"),
        (lambda rng: rng.standard_normal((12, 4)), "12 frames are too few.*30"),
        (lambda rng: spoiled(np.nan, rng), "first at frame 7, region 2; drop.*censor"),
        (lambda rng: spoiled(np.inf, rng), "1 values are NaN or infinite"),
        (lambda rng: np.outer(np.arange(50.0), [1, 0, 1, 0]), r"regions \[1, 3\] never change"),
        (lambda rng: rng.standard_normal(50), r"shape \(50,\); expected \(frames, regions\)"),
        (lambda rng: [["a", "b"]] * 50, "not numbers"),
    ],
)
def test_bad_data_is_refused_with_what_to_do(make, message, rng):
    with pytest.raises(ValueError, match=f"mine: .*{message}"):
        sc.make_scan(make(rng), tr=1.0, name="mine")


@pytest.mark.parametrize("tr", [0, -1.0, np.nan])
def test_repetition_time_is_checked(tr, rng):
    with pytest.raises(ValueError, match="repetition time in seconds"):
        sc.make_scan(rng.standard_normal((50, 4)), tr=tr)


def test_standardize(scan):
    z = sc.standardize(scan).data
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(axis=0), 1)


def test_band_pass_keeps_the_band_and_stops_the_rest(rng):
    time = np.arange(1000) * 0.72
    tones = [0.002, 0.04, 0.4]  # Hz: below, inside and above .01 to .1
    data = np.stack([np.sin(2 * np.pi * f * time + rng.random()) for f in tones], axis=1)
    kept = sc.band_pass(sc.make_scan(data, tr=0.72)).data[200:-200].std(axis=0)
    kept /= data[200:-200].std(axis=0)
    assert kept[1] == pytest.approx(1, abs=0.05)
    assert np.all(kept[[0, 2]] < 0.02)


def test_band_pass_filters_each_run_by_itself(scan):
    """A jump between runs must not ring into either of them."""
    both = sc.concatenate([scan, scan._replace(data=scan.data[::-1] + 1e4)])
    sos = signal.butter(2, (0.01, 0.1), btype="bandpass", fs=0.5, output="sos")
    alone = signal.sosfiltfilt(sos, scan.data, axis=0, padlen=15)
    np.testing.assert_allclose(sc.band_pass(both).data[:240], alone, atol=1e-9)


def test_global_signal_is_gone_and_nothing_else(scan, rng):
    out = sc.remove_global_signal(scan).data
    common = scan.data.mean(axis=1)
    np.testing.assert_allclose(out.T @ (common - common.mean()), 0, atol=1e-8)
    np.testing.assert_allclose(out.mean(axis=1), 0, atol=1e-9)
    design = np.column_stack([np.ones(240), common])
    residual = scan.data - design @ np.linalg.lstsq(design, scan.data, rcond=None)[0]
    np.testing.assert_allclose(out, residual, atol=1e-9)


def test_select_window_and_split(scan):
    np.testing.assert_array_equal(sc.select(scan, [3, 0]).data, scan.data[:, [3, 0]])
    first, second = sc.split(scan, 0.25)
    assert (first.n_frames, second.n_frames) == (60, 180)
    np.testing.assert_array_equal(np.concatenate([first.data, second.data]), scan.data)
    assert sc.window(scan, 10, 20).n_frames == len(sc.window(scan, 10, 20).segment) == 10


def test_censor_parts_what_lies_on_either_side(scan):
    keep = np.ones(240, bool)
    keep[[0, 5, 6, 100, 239]] = False
    out = sc.censor(scan, keep)
    np.testing.assert_array_equal(out.data, scan.data[keep])
    kept = np.flatnonzero(keep)
    consecutive = np.diff(kept) == 1
    np.testing.assert_array_equal(np.diff(out.segment) == 0, consecutive)
    # Censoring twice is censoring once, and a window keeps the gaps.
    again = sc.censor(out, np.ones(out.n_frames, bool))
    np.testing.assert_array_equal(np.diff(again.segment) == 0, consecutive)


def test_concatenate_keeps_runs_and_their_gaps_apart(scan):
    gap = sc.censor(scan, np.arange(240) != 50)
    both = sc.concatenate([gap, scan, gap], name="three")
    assert both.name == "three"
    assert len(np.unique(both.segment)) == 2 + 1 + 2
    assert np.all(np.diff(both.segment) >= 0)
    assert both.n_frames == 239 + 240 + 239


def test_steps_leave_the_scan_they_were_given(scan):
    before = scan.data.copy()
    for step in (sc.standardize, sc.band_pass, sc.remove_global_signal):
        step(scan)
    np.testing.assert_array_equal(scan.data, before)


def test_errors_name_what_is_wrong(scan, rng):
    other = sc.make_scan(rng.standard_normal((60, 4)), tr=1.0)
    cases = [
        (lambda: sc.band_pass(scan, low=0.01, high=0.3), "0.25 Hz, the Nyquist frequency"),
        (lambda: sc.band_pass(sc.window(scan, 0, 12)), "has 12 frames; this filter needs more"),
        (lambda: sc.select(scan, [0, 5]), "from 0 to 4"),
        (lambda: sc.select(scan, [1, 1]), "twice"),
        (lambda: sc.window(scan, 200, 300), "200 to 300"),
        (lambda: sc.censor(scan, np.ones(240)), "float64; expected"),
        (lambda: sc.censor(scan, np.zeros(240, bool)), "drops every frame"),
        (lambda: sc.concatenate([scan, other]), "differ in"),
        (lambda: sc.concatenate([]), "empty"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
