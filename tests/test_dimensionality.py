"""Measures of a spectrum against closed forms, brute force, other libraries and invariances."""

import numpy as np
import pytest
from scipy import stats

from lrnn import dimensionality as dim

COUNTS = [dim.effective_rank, dim.participation_ratio, dim.stable_rank]
SCALE_FREE = [
    *COUNTS,
    dim.entropy,
    dim.participation_fraction,
    dim.relative_dispersion,
    dim.expected_gain_cv2,
    lambda s: dim.decay_rate(s, modes=6),
]


@pytest.fixture
def rng():
    return np.random.default_rng(20)


@pytest.fixture
def matrix(rng):
    return rng.standard_normal((7, 7))


@pytest.mark.parametrize("measure", COUNTS)
@pytest.mark.parametrize("n", [1, 2, 40])
def test_equal_modes_count_as_themselves(measure, n):
    assert measure(np.full(n, 3.7)) == pytest.approx(n, rel=1e-12)


@pytest.mark.parametrize("measure", COUNTS)
def test_rank_one_counts_as_one_whatever_zeros_follow(measure):
    assert measure([2.0, 0.0, 0.0, 0.0]) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("gamma", [0.05, 0.25, 1.0])
def test_geometric_spectrum_closed_forms(gamma):
    """s_i = q^i, i = 0..n-1: sums of geometric series."""
    n, q = 40, np.exp(-gamma)
    s = q ** np.arange(n)
    total, squares = (1 - q**n) / (1 - q), (1 - q ** (2 * n)) / (1 - q**2)
    # sum_i i q^i of the truncated series, by differentiating (1 - q^n) / (1 - q).
    first_moment = q * (1 - n * q ** (n - 1) + (n - 1) * q**n) / (1 - q) ** 2
    closed_entropy = np.log(total) + gamma * first_moment / total
    assert dim.entropy(s) == pytest.approx(closed_entropy, rel=1e-10)
    assert dim.participation_ratio(s) == pytest.approx(total**2 / squares, rel=1e-10)
    assert dim.stable_rank(s) == pytest.approx(squares, rel=1e-10)
    assert dim.decay_rate(s, modes=n, threshold=0.0) == pytest.approx(gamma, rel=1e-10)


def test_entropy_is_scipys_in_any_base(rng):
    s = rng.random((5, 9))
    for base in (np.e, 2, 10):
        expected = stats.entropy(s, axis=-1, base=base)
        np.testing.assert_allclose(dim.entropy(s, base=base), expected, rtol=1e-12)


def test_participation_ratio_never_exceeds_effective_rank(rng):
    """Renyi entropies fall with their order: order 2 is log PR, order 1 is H, order 0 is log n."""
    for concentration in (0.05, 0.5, 5.0):
        s = rng.dirichlet(np.full(12, concentration), size=200) + 1e-12
        ratio, rank = dim.participation_ratio(s), dim.effective_rank(s)
        assert np.all(ratio <= rank * (1 + 1e-12))
        assert np.all(rank <= 12 * (1 + 1e-12))


def test_usual_dispersion_is_the_fraction_turned_round(rng):
    s = rng.random((50, 8))
    fraction, dispersion = dim.participation_fraction(s), dim.relative_dispersion(s)
    np.testing.assert_allclose(dispersion, (1 / fraction - 1) / 7, rtol=1e-10)
    assert stats.spearmanr(fraction, dispersion).statistic == pytest.approx(-1)
    brute = np.array([np.var(row) / (np.mean(row) ** 2 * 7) for row in s])
    np.testing.assert_allclose(dispersion, brute, rtol=1e-10)
    assert dim.relative_dispersion([1.0, 0.0, 0.0]) == pytest.approx(1)
    assert dim.relative_dispersion([2.0, 2.0, 2.0]) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("measure", SCALE_FREE)
def test_scale_and_order_do_not_matter(measure, rng):
    s = rng.random(11) + 0.05
    for other in (s * 1e-200, s * 1e150, rng.permutation(s)):
        assert measure(other) == pytest.approx(measure(s), rel=1e-9)


@pytest.mark.parametrize("measure", SCALE_FREE)
def test_a_batch_is_its_members(measure, rng):
    s = rng.random((3, 4, 9)) + 0.05
    each = np.array([[measure(row) for row in block] for block in s])
    np.testing.assert_allclose(measure(s), each, rtol=1e-12)


def test_decay_window_and_threshold_choose_the_modes():
    # Two exponentials in a row: the window decides which one is found.
    s = np.concatenate([np.exp(-0.5 * np.arange(6)), np.exp(-2.5 - 0.1 * np.arange(1, 15))])
    assert dim.decay_rate(s, modes=6) == pytest.approx(0.5)
    polyfit = -np.polyfit(np.arange(20), np.log(s), 1)[0]
    assert dim.decay_rate(s, modes=99) == pytest.approx(polyfit)
    floor = np.concatenate([np.exp(-0.5 * np.arange(6)), np.full(6, 1e-17)])
    assert dim.decay_rate(floor, modes=12) == pytest.approx(0.5)
    assert np.isnan(dim.decay_rate([1.0, 1e-9], modes=2))


def test_covariance_and_correlation_eigenvalues_are_numpys(rng):
    x = rng.standard_normal((60, 5)) @ rng.standard_normal((5, 5)) + 4
    for ours, theirs in (
        (dim.covariance_eigenvalues(x), np.cov(x.T)),
        (dim.correlation_eigenvalues(x), np.corrcoef(x.T)),
    ):
        np.testing.assert_allclose(ours, np.linalg.eigvalsh(theirs)[::-1], rtol=1e-10)
    # Fewer frames than regions: the missing directions are zero, never negative.
    assert np.all(dim.covariance_eigenvalues(rng.standard_normal((4, 9))) >= 0)


def test_spectra_under_rotation(matrix, rng):
    """Rotating both sides keeps singular values; only a similarity keeps eigenvalues."""
    q, p = (np.linalg.qr(rng.standard_normal((7, 7)))[0] for _ in range(2))
    np.testing.assert_allclose(dim.singular_values(q @ matrix @ p), dim.singular_values(matrix))
    turned = dim.eigenvalue_moduli(q @ matrix @ q.T)
    np.testing.assert_allclose(turned, dim.eigenvalue_moduli(matrix), rtol=1e-8)


def test_singular_values_are_not_eigenvalues():
    chain = np.diag(np.ones(5), -1)  # region k drives region k + 1 and nothing returns
    np.testing.assert_allclose(dim.eigenvalue_moduli(chain), 0, atol=1e-12)
    assert dim.effective_rank(dim.singular_values(chain)) == pytest.approx(5)


def test_responses_are_columns_because_columns_are_sources(matrix):
    brute = [np.linalg.norm(matrix @ unit) for unit in np.eye(7)]
    np.testing.assert_allclose(dim.response_norms(matrix), brute)
    assert dim.response_variance(matrix) == pytest.approx(np.var(brute))
    assert dim.response_cv(matrix) == pytest.approx(np.std(brute) / np.mean(brute))


def test_response_measures_under_scale_and_rotation(matrix, rng):
    q = np.linalg.qr(rng.standard_normal((7, 7)))[0]
    assert dim.response_variance(2 * matrix) == pytest.approx(4 * dim.response_variance(matrix))
    assert dim.response_cv(-3 * matrix) == pytest.approx(dim.response_cv(matrix))
    # Rotating what the targets do leaves the size of a response; rotating the sources does not.
    assert dim.response_cv(q @ matrix) == pytest.approx(dim.response_cv(matrix))
    assert dim.response_cv(q) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("gamma", [0.05, 0.3, 2.0])
def test_expected_heterogeneity_by_monte_carlo(gamma, rng):
    n = 12
    sigma = np.exp(-gamma * np.arange(n))
    v = stats.ortho_group(n, seed=rng).rvs(4000)
    gains = dim.response_norms(sigma[:, None] * np.swapaxes(v, 1, 2)) ** 2
    sample = gains.var(axis=-1) / gains.mean(axis=-1) ** 2
    error = sample.std() / np.sqrt(len(sample))
    assert abs(sample.mean() - dim.expected_gain_cv2(sigma)) < 4 * error  # 4 standard errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dim.entropy([1.0, -0.1]), "negative value, -0.1"),
        (lambda: dim.participation_ratio([0.0, 0.0]), "all zero"),
        (lambda: dim.stable_rank([np.nan, 1.0]), "not finite"),
        (lambda: dim.effective_rank(np.ones((3, 0))), r"shape \(3, 0\)"),
        (lambda: dim.entropy([1.0, 2.0], base=1.0), "base is 1.0"),
        (lambda: dim.decay_rate([1.0, 0.5], modes=1), "modes is 1"),
        (lambda: dim.decay_rate([1.0, 0.5], modes=2, threshold=1.0), "threshold is 1.0"),
        (lambda: dim.relative_dispersion([1.0]), "at least two"),
        (lambda: dim.covariance_eigenvalues(np.ones((1, 4))), "T >= 2"),
        (lambda: dim.correlation_eigenvalues(np.ones((9, 4))), "constant region"),
        (lambda: dim.eigenvalue_moduli(np.ones((3, 4))), r"shape \(3, 4\)"),
        (lambda: dim.singular_values([[np.inf]]), "not finite"),
        (lambda: dim.response_cv(np.zeros((3, 3))), "matrix is zero"),
    ],
)
def test_errors_name_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
