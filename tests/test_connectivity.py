"""Estimators against known matrices, scikit-learn, least squares by brute force and invariances."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import TimeSeriesSplit

from lrnn import connectivity as con
from lrnn import datasets
from lrnn.scan import Scan, censor, concatenate, make_scan, split

RIDGES = (1e-4, 1e-2, 1.0)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def brain(rng):
    """Six regions, 400 frames, and the matrix that made them."""
    matrices = datasets.synthetic_brains(1, 6, decay=0.3, rng=rng)
    return datasets.simulate(matrices, 400, rng=rng)[0]


@pytest.fixture
def scan(brain):
    return brain.scan


@pytest.fixture
def broken(scan):
    """The same scan with one frame in eight censored, and a second run behind it."""
    keep = np.arange(scan.n_frames) % 8 != 3
    return concatenate([censor(scan, keep), scan._replace(data=scan.data[::-1] + 50)])


def listed_pairs(scan, lag=1):
    """The pairs of a scan, written out one by one."""
    both = [
        (scan.data[t], scan.data[t + lag])
        for t in range(scan.n_frames - lag)
        if scan.segment[t] == scan.segment[t + lag]
    ]
    return np.array([x for x, _ in both]), np.array([y for _, y in both])


@pytest.mark.parametrize("lag", [1, 3])
def test_pairs_are_those_listed_by_hand(broken, lag):
    for ours, theirs in zip(con.pairs(broken, lag=lag), listed_pairs(broken, lag), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("frames", [1, 3])
def test_histories_are_those_listed_by_hand(broken, frames):
    listed = [
        (broken.data[t : t + frames], broken.data[t + frames])
        for t in range(broken.n_frames - frames)
        if broken.segment[t] == broken.segment[t + frames]
    ]
    x, y = con.histories(broken, frames=frames)
    np.testing.assert_array_equal(x, [window for window, _ in listed])
    np.testing.assert_array_equal(y, [after for _, after in listed])


def test_pairs_never_join_what_censoring_or_a_run_has_parted():
    """Each frame holds the moment it was taken, so a joined pair shows as a step other than 1."""
    clock = np.arange(100.0)[:, None]
    run = Scan(clock, 1.0, np.zeros(100, int))
    keep = np.ones(100, bool)
    keep[[10, 40, 41, 99]] = False
    x, y = con.pairs(concatenate([censor(run, keep), run._replace(data=clock + 1000)]))
    assert np.all(y - x == 1)
    assert len(x) == (96 - 1 - 2) + 99  # frames kept, less one, less two gaps; then the other run


def test_joining_runs_would_bias_the_matrix(brain, rng):
    """Short runs of one brain on a drifting scanner: the wrong pairs pull A towards the drift."""
    runs = [
        part.scan._replace(data=part.scan.data + 30 * rng.standard_normal(6))
        for part in datasets.simulate(np.repeat(brain.truth[None], 60, axis=0), 10, rng=rng)
    ]
    centred = [run._replace(data=run.data - run.data.mean(axis=0)) for run in runs]
    apart = concatenate(centred)
    joined = apart._replace(segment=np.zeros_like(apart.segment))

    def error(scan):
        return np.linalg.norm(con.ridge_var(scan, ridge=0).matrix - brain.truth)

    assert len(con.pairs(joined)[0]) == len(con.pairs(apart)[0]) + 59
    assert error(joined) > 1.05 * error(apart)


def test_ridge_var_is_scikit_learns_ridge(broken):
    x, y = listed_pairs(broken)
    for ridge in RIDGES:
        alpha = len(x) * ridge * y.var(axis=0).sum()
        theirs = Ridge(alpha=alpha).fit(x, y)
        ours = con.ridge_var(broken, ridge=ridge)
        np.testing.assert_allclose(ours.matrix, theirs.coef_, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(ours.offset, theirs.intercept_, rtol=1e-8, atol=1e-8)


def test_cross_validation_is_scikit_learns(broken):
    x, y = listed_pairs(broken)
    expected = np.zeros(len(RIDGES))
    for train, test in TimeSeriesSplit(4).split(x):
        for k, ridge in enumerate(RIDGES):
            alpha = len(train) * ridge * y[train].var(axis=0).sum()
            fitted = Ridge(alpha=alpha).fit(x[train], y[train])
            expected[k] += np.mean((fitted.predict(x[test]) - y[test]) ** 2) / 4
    errors = con.ridge_errors(broken, ridges=RIDGES, n_splits=4)
    np.testing.assert_allclose(errors, expected, rtol=1e-8)
    chosen = con.ridge_var_cv(broken, ridges=RIDGES, n_splits=4)
    assert chosen.ridge == RIDGES[int(expected.argmin())]


def test_without_ridge_it_is_least_squares_even_when_singular(scan, broken):
    for case in (broken, scan._replace(data=scan.data[:, [0, 1, 1, 2]])):
        x, y = listed_pairs(case)
        design = x - x.mean(axis=0)
        expected = np.linalg.lstsq(design, y - y.mean(axis=0), rcond=None)[0].T
        np.testing.assert_allclose(con.ridge_var(case, ridge=0).matrix, expected, atol=1e-9)


def test_ridge_var_finds_the_matrix_at_the_rate_of_statistics(brain, rng):
    """The error of least squares falls as 1 / sqrt(T): a hundredfold scan, a tenfold gain."""
    errors = [
        np.linalg.norm(
            con.ridge_var(
                datasets.simulate(brain.truth[None], frames, rng=rng)[0].scan, ridge=0
            ).matrix
            - brain.truth
        )
        for frames in (300, 30000)
    ]
    assert 5 < errors[0] / errors[1] < 20


def test_rows_are_targets(rng):
    """Region 0 drives region 1 and nothing else: the entry is at [1, 0]."""
    chain = np.zeros((1, 3, 3))
    chain[0, 1, 0] = 0.9
    scan = datasets.simulate(chain, 2000, rng=rng)[0].scan
    for matrix in (
        con.ridge_var_cv(scan).matrix,
        con.reduced_rank(scan, rank=1).matrix,
        con.lagged_correlation(scan),
        con.from_npi(chain[0].T),
        con.granger(scan),
    ):
        assert np.unravel_index(np.abs(matrix).argmax(), (3, 3)) == (1, 0)


def test_correlations_are_numpys(broken):
    np.testing.assert_allclose(
        con.functional_connectivity(broken), np.corrcoef(broken.data.T), atol=1e-12
    )
    x, y = listed_pairs(broken, lag=2)
    expected = [[np.corrcoef(y[:, i], x[:, j])[0, 1] for j in range(6)] for i in range(6)]
    np.testing.assert_allclose(con.lagged_correlation(broken, lag=2), expected, atol=1e-12)


@pytest.mark.parametrize("frames", [1, 2])
def test_granger_is_that_of_regressions_done_again_without_each_source(broken, frames):
    x, y = con.histories(broken, frames=frames)

    def residual(kept):
        design = np.column_stack([x[:, :, kept].reshape(len(x), -1), np.ones(len(x))])
        return np.linalg.lstsq(design, y, rcond=None)[1]

    every = np.arange(6)
    expected = [np.log(residual(every[every != j]) / residual(every)) for j in range(6)]
    found = con.granger(broken, frames=frames)
    # Logarithms of ratios near 1, of sums of hundreds of squares.
    np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-7, atol=1e-11)


@pytest.mark.parametrize("frames", [1, 3])
def test_granger_of_unrelated_regions_is_chi_squared(frames, rng):
    """Its mean is frames/P: 20 scans of 30 entries, whose mean has a standard error of 6-3%."""
    means = []
    for _ in range(20):
        scan = make_scan(rng.standard_normal((2000, 6)), tr=1.0)
        means.append(2000 * con.off_diagonal(con.granger(scan, frames=frames)).mean())
    assert np.mean(means) == pytest.approx(frames, rel=0.25)


def test_granger_does_not_change_with_the_unit_of_each_region(scan, rng):
    changed = scan._replace(data=scan.data * rng.uniform(0.1, 10, 6) + 3)
    np.testing.assert_allclose(con.granger(changed), con.granger(scan), rtol=1e-8, atol=1e-12)


def test_conversion_to_npi_and_back(brain):
    a = brain.truth
    theirs = con.to_npi(a)
    assert theirs[2, 0] == a[0, 2]
    np.testing.assert_array_equal(theirs.diagonal(), 0)
    np.testing.assert_array_equal(con.off_diagonal(con.from_npi(theirs)), con.off_diagonal(a))


def test_reduced_rank_is_the_best_of_its_rank(scan, rng):
    """Against the closed form, then against every competitor a local search can find."""
    x, y = listed_pairs(scan)
    x0, y0 = x - x.mean(axis=0), y - y.mean(axis=0)
    fitted = x0 @ np.linalg.lstsq(x0, y0, rcond=None)[0]
    axes = np.linalg.svd(fitted)[2][:2]
    closed = axes.T @ axes @ con.ridge_var(scan, ridge=0).matrix
    model = con.reduced_rank(scan, rank=2)
    np.testing.assert_allclose(model.matrix, closed, atol=1e-9)
    u, s, vt = np.linalg.svd(model.matrix)
    assert np.all(s[2:] < 1e-12)
    best = con.r_squared(model, scan)
    for _ in range(200):
        left, right = 1e-2 * rng.standard_normal((2, 6, 2))
        other = (u[:, :2] * s[:2] + left) @ (vt[:2].T + right).T
        offset = y.mean(axis=0) - other @ x.mean(axis=0)
        assert con.r_squared(con.OneStepModel(other, offset), scan) < best
    plain = (u := np.linalg.svd(con.ridge_var(scan, ridge=0).matrix))[0][:, :2]
    truncated = plain * u[1][:2] @ u[2][:2]
    offset = y.mean(axis=0) - truncated @ x.mean(axis=0)
    assert con.r_squared(con.OneStepModel(truncated, offset), scan) < best


def test_reduced_rank_with_a_ridge_is_that_of_the_data_with_rows_added(scan):
    ridge, rank, memory = 0.02, 3, 0.4
    x, y = listed_pairs(scan)
    x0, change = x - x.mean(axis=0), y - memory * x
    rows = np.sqrt(len(x) * ridge * change.var(axis=0).sum()) * np.eye(6)
    design = np.vstack([x0, rows])
    target = np.vstack([change - change.mean(axis=0), np.zeros((6, 6))])
    coefficients = np.linalg.lstsq(design, target, rcond=None)[0]
    axes = np.linalg.svd(design @ coefficients)[2][:rank]
    expected = memory * np.eye(6) + (coefficients @ axes.T @ axes).T
    ours = con.reduced_rank(scan, rank=rank, ridge=ridge, memory=memory)
    np.testing.assert_allclose(ours.matrix, expected, atol=1e-9)


def test_reduced_rank_from_none_to_all(scan):
    np.testing.assert_array_equal(
        con.reduced_rank(scan, rank=0, memory=0.3).matrix, 0.3 * np.eye(6)
    )
    full = con.ridge_var(scan, ridge=0.01)
    np.testing.assert_allclose(con.reduced_rank(scan, rank=6, ridge=0.01).matrix, full.matrix)


def test_r_squared_is_scikit_learns(scan):
    before, after = split(scan, 0.7)
    model = con.ridge_var_cv(before)
    x, y = listed_pairs(after)
    predicted = x @ model.matrix.T + model.offset
    expected = r2_score(y, predicted, multioutput="variance_weighted")
    assert con.r_squared(model, after) == pytest.approx(expected, rel=1e-10)


def test_baselines(scan):
    x, y = listed_pairs(scan)
    expected = r2_score(y, x, multioutput="variance_weighted")
    assert con.r_squared(con.persistence(scan), scan) == pytest.approx(expected, rel=1e-10)
    model = con.own_lag(scan)
    for region in range(6):
        slope, offset = np.polyfit(x[:, region], y[:, region], 1)
        assert model.matrix[region, region] == pytest.approx(slope)
        assert model.offset[region] == pytest.approx(offset, abs=1e-10)
    assert np.count_nonzero(con.off_diagonal(model.matrix)) == 0


def test_noise_alone_is_not_predictable(rng):
    scan = make_scan(rng.standard_normal((400, 6)), tr=1.0)
    before, after = split(scan, 0.5)
    assert con.r_squared(con.ridge_var_cv(before), after) < 0.02


def test_what_changes_when_regions_are_renamed_or_units_change(scan, rng):
    order = rng.permutation(6)
    for estimate in (
        con.functional_connectivity,
        con.lagged_correlation,
        lambda s: con.ridge_var_cv(s).matrix,
        lambda s: con.reduced_rank(s, rank=2, ridge=0.01).matrix,
    ):
        matrix = estimate(scan)
        renamed = estimate(scan._replace(data=scan.data[:, order]))
        np.testing.assert_allclose(renamed, matrix[np.ix_(order, order)], atol=1e-9)
        rescaled = estimate(scan._replace(data=1000 * scan.data - 7))
        np.testing.assert_allclose(rescaled, matrix, atol=1e-9)
    units = rng.uniform(0.1, 10, 6)
    changed = con.ridge_var(scan._replace(data=scan.data * units), ridge=0).matrix
    expected = units[:, None] * con.ridge_var(scan, ridge=0).matrix / units
    np.testing.assert_allclose(changed, expected, atol=1e-8)


def test_interaction_is_what_memory_leaves(brain):
    a = brain.truth
    k = con.interaction(a)
    assert np.trace(k) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(con.off_diagonal(k), con.off_diagonal(a))
    np.testing.assert_allclose(con.interaction(a + 0.3 * np.eye(6)), k, atol=1e-12)
    np.testing.assert_allclose(con.interaction(np.stack([a, 2 * a])), np.stack([k, 2 * k]))


def test_identification_of_brains_by_their_halves(rng):
    brains = datasets.synthetic_brains(5, 8, decay=0.2, rng=rng)
    halves = [split(brain.scan) for brain in datasets.simulate(brains, 1500, rng=rng)]
    first, second = (
        np.array([con.ridge_var_cv(half[k]).matrix for half in halves]) for k in (0, 1)
    )
    similar = con.similarity(first, second)
    expected = np.corrcoef(con.off_diagonal(first[1]), con.off_diagonal(second[3]))[0, 1]
    assert similar[1, 3] == pytest.approx(expected)
    assert con.identification(similar) == 1
    assert con.identification(similar[:, [1, 0, 2, 3, 4]]) == pytest.approx(3 / 5)
    # Rows are looked up among columns: the second subject here is mistaken for the first.
    assert con.identification([[0.9, 0.1], [0.8, 0.7]]) == pytest.approx(1 / 2)


def test_errors_name_what_is_wrong(scan):
    alone = scan._replace(segment=np.arange(scan.n_frames))
    flat = scan._replace(data=np.where(np.arange(6) == 2, 1.0, scan.data))
    cases = [
        (lambda: con.pairs(scan, lag=0), "lag is 0"),
        (lambda: con.pairs(alone), "no two frames 1 apart"),
        (lambda: con.histories(scan, frames=0), "frames is 0"),
        (lambda: con.histories(alone, frames=2), "no two frames 2 apart"),
        (lambda: con.granger(scan, frames=100), "300 pairs are too few for 600 regressors"),
        (lambda: con.granger(scan._replace(data=scan.data[:, [0, 1, 1]])), "linearly dependent"),
        (lambda: con.to_npi(np.ones((2, 3))), r"shape \(2, 3\)"),
        (lambda: con.ridge_var(scan, ridge=-1.0), "expected >= 0"),
        (lambda: con.reduced_rank(scan, rank=7), "rank is 7; expected 0 to 6"),
        (lambda: con.functional_connectivity(flat), r"regions \[2\] are constant"),
        (lambda: con.own_lag(flat), r"regions \[2\] are constant"),
        (lambda: con.r_squared(con.OneStepModel(np.eye(3), np.zeros(3)), scan), "6 regions"),
        (lambda: con.from_npi(np.ones((2, 3))), r"shape \(2, 3\)"),
        (lambda: con.similarity(np.ones((2, 3, 3)), np.ones((1, 3, 3))), r"\(2, 3, 3\)"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
