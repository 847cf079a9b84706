"""Bulk, outliers and their paths: against exact densities, whole decompositions and drawn nulls."""

import numpy as np
import pytest
import scipy.sparse
from scipy.integrate import quad
from scipy.sparse.linalg import LinearOperator, aslinearoperator
from scipy.special import erfcx, gammainc, gammaincc, gammaln
from scipy.stats import kstwo

from lrnn.spectrum import (
    bulk_radius,
    circular_law,
    circular_law_null,
    edge,
    leading_outliers,
    p_value,
    spectrum,
    track,
)


def random_matrix(n, seed, g=1.0):
    return g * np.random.default_rng(seed).standard_normal((n, n)) / np.sqrt(n)


def planted(n, seed, g=0.8, strengths=(1.5, -1.2)):
    """A bulk of radius g and symmetric terms along orthogonal unit vectors, one a strength."""
    rng = np.random.default_rng(1000 + seed)
    u = np.linalg.qr(rng.standard_normal((n, len(strengths))))[0]
    return random_matrix(n, seed, g) + (u * strengths) @ u.T


def expected_beyond(n, radius):
    """Conjugate pairs and real eigenvalues beyond, by quadrature of the exact densities.

    Real: Edelman, Kostlan & Shub 1994. Complex: Edelman 1997.
    """
    s = radius * np.sqrt(n)

    def real(x):
        flat = gammaincc(n - 1, x * x) / np.sqrt(2 * np.pi)
        log_tail = (n - 1) * np.log(x) - x * x / 2 - gammaln(n / 2) - n / 2 * np.log(2)
        return flat + np.exp(log_tail) * gammainc((n - 1) / 2, x * x / 2)

    def pairs(rho):
        def along(angle):
            y = rho * np.sin(angle)
            return np.sqrt(2 / np.pi) * y * erfcx(np.sqrt(2) * y)

        half = quad(along, 0, np.pi / 2, points=[1 / rho])[0]
        return 2 * half * rho * gammaincc(n - 1, rho * rho)

    return quad(pairs, s, s + 8)[0], 2 * quad(real, s, s + 12)[0]


# The edge


@pytest.mark.parametrize("n", [20, 200, 2000])
@pytest.mark.parametrize(("false_alarms", "least"), [(0.05, 0.9), (0.01, 0.965), (1e-3, 0.99)])
def test_the_edge_is_beyond_what_exact_densities_say_by_little(n, false_alarms, least):
    exact = sum(expected_beyond(n, edge(n, false_alarms=false_alarms)))
    assert least < exact / false_alarms < 1


def test_each_part_of_the_edge_is_the_exact_number_where_the_other_is_nothing():
    """Real eigenvalues decide far out at small n, pairs near the disc at large n."""
    pairs, real = expected_beyond(20, edge(20, false_alarms=1e-5))
    assert pairs < 1e-3 * real
    assert real == pytest.approx(1e-5, rel=1e-3)  # the chi tail, less what lies in the bulk
    # The share of real ones falls as n^(-1/4), and so does the error; n = 1e5 leaves 3 %.
    pairs, real = expected_beyond(10**5, edge(10**5, false_alarms=0.4))
    assert pairs > 3 * real
    assert pairs + real == pytest.approx(0.4, rel=0.03)


@pytest.mark.parametrize(("n", "seeds"), [(30, 3000), (80, 600)])
def test_false_alarms_are_as_rare_as_asked_for(n, seeds):
    """Over seeds, radius known and radius estimated, a pair counted once."""
    wanted, known, estimated = 0.05, 0, 0
    for seed in range(seeds):
        found = spectrum(random_matrix(n, seed, g=1.3), false_alarms=wanted)
        upper = found.eigenvalues[found.eigenvalues.imag >= 0]
        known += np.sum(np.abs(upper) > 1.3 * edge(n, false_alarms=wanted))
        estimated += np.sum(found.outliers.imag >= 0)
    # 0.92 of 0.05 by the exact densities; five standard errors of a count. The error of an
    # estimated radius is 1/n; that of the edge is seven times larger, which changes little.
    spread = np.sqrt(wanted / seeds)
    assert known / seeds == pytest.approx(0.92 * wanted, abs=5 * spread)
    assert estimated / seeds == pytest.approx(0.92 * wanted, abs=5 * spread + 0.15 * wanted)


def test_the_edge_tends_to_the_gumbel_law_as_slowly_as_it_must():
    """Rider & Sinclair 2014: P(none beyond 1 + sqrt(c/4n) + t/sqrt(4nc)) -> exp(-exp(-t)/2)."""
    errors = []
    for n in (10**4, 10**8, 10**12):
        c = np.log(n / (2 * np.pi)) - 2 * np.log(np.log(n))
        t = -np.log(2 * 0.2)
        gumbel = np.sqrt(c / (4 * n)) + t / np.sqrt(4 * n * c)
        errors.append((edge(n, false_alarms=0.2) - 1) / gumbel - 1)
    assert errors[0] > errors[1] > errors[2] > 0
    assert errors[0] > 0.05
    assert errors[2] < 0.02  # log log n / log n, squared


def test_the_edge_moves_in_with_n_and_out_with_caution():
    assert (np.diff([edge(n) for n in (1, 2, 5, 10, 100, 1000, 10**5)]) < 0).all()
    rare = [edge(100, false_alarms=a) for a in (0.49, 0.1, 1e-3, 1e-6, 1e-12, 1e-30)]
    assert (np.diff(rare) > 0).all()
    assert rare[0] > 1


# Whole spectra


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("radius", [0.8, None])
def test_spectrum_tells_planted_outliers_from_the_bulk(seed, radius):
    J = planted(300, seed)
    found = spectrum(J, radius=radius)
    np.testing.assert_allclose(
        np.sort_complex(found.eigenvalues), np.sort_complex(np.linalg.eigvals(J)), atol=1e-12
    )
    assert (np.diff(np.abs(found.eigenvalues)) <= 0).all()
    # Spread 0.8/sqrt(300 (1.2^2 - 0.8^2)) = 0.05 and less; five of them.
    np.testing.assert_allclose(found.outliers, [1.5, -1.2], atol=0.26)
    assert found.radius == pytest.approx(0.8, rel=5e-2 if radius is None else 1e-15)
    assert found.edge == pytest.approx(found.radius * edge(300))


def test_both_of_a_pair_are_outliers():
    u = np.linalg.qr(np.random.default_rng(1).standard_normal((200, 2)))[0]
    turn = 1.5 * np.array([[0.6, -0.8], [0.8, 0.6]])
    found = spectrum(random_matrix(200, 0, 0.5) + u @ turn @ u.T).outliers
    assert len(found) == 2
    assert found[0] == found[1].conj()
    np.testing.assert_allclose(np.abs(found), 1.5, atol=0.15)  # spread 0.5/sqrt(200 * 2) = 0.025


def test_the_radius_is_estimated_without_bias_and_outliers_hardly_move_it():
    """Its error is 1/n: 0.020, 0.010, 0.005 at n = 50, 100, 200 as measured beforehand."""
    clean, with_outliers, spread = [], [], []
    for n in (50, 200):
        factor = edge(n)
        eigenvalues = [np.linalg.eigvals(random_matrix(n, s)) for s in range(60)]
        radii = [bulk_radius(values, factor=factor) for values in eigenvalues]
        clean.append(np.mean(radii))
        spread.append(np.std(radii))
        moved = [planted(n, s, g=1.0, strengths=(3.0, -2.5, 2.0)) for s in range(20)]
        with_outliers.append(np.mean([spectrum(J).radius for J in moved]))
    np.testing.assert_allclose(clean, 1.0, atol=5 * 0.02 / np.sqrt(60))
    assert spread[0] / spread[1] == pytest.approx(4, rel=0.5)  # 60 draws: 10 % each
    # Where they come from they leave a hole of 3/n, half of which shows in the radius.
    np.testing.assert_allclose(with_outliers, 1.0, atol=0.03)


def test_the_radius_stands_a_tenth_of_outliers_just_beyond():
    """An even disc of 54 and six at 1.35, which a mean over all would take in, at 1.12."""
    disc, factor = np.sqrt((np.arange(54) + 0.5) / 54), edge(60)
    assert bulk_radius(np.append(disc, [1.35] * 6), factor=factor) == pytest.approx(1, abs=1e-12)


def test_spectrum_scales():
    J = planted(80, 5)
    one, three = spectrum(J), spectrum(-3 * J)
    assert three.radius == pytest.approx(3 * one.radius)
    np.testing.assert_allclose(three.outliers, -3 * one.outliers)


# Without a decomposition

FORMS = {
    "array": lambda J: J,
    "sparse": scipy.sparse.csr_array,
    "operator": lambda J: LinearOperator(J.shape, matvec=lambda x: J @ x, dtype=float),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("n", [50, 400])
def test_arnoldi_finds_the_outliers_of_a_decomposition(n, form):
    for seed in range(3):
        J = planted(n, seed, strengths=(1.5, -1.4, 1.3))
        whole = spectrum(J, radius=0.8)
        found = leading_outliers(form(J), 1.1, rng=np.random.default_rng(seed))
        beyond = whole.eigenvalues[np.abs(whole.eigenvalues) > 1.1]
        assert len(found) == len(beyond)
        np.testing.assert_allclose(found, beyond, atol=1e-10)  # the tolerance of the iteration


def test_arnoldi_on_a_bulk_and_factors_that_are_never_multiplied_out():
    n, rng = 3000, np.random.default_rng(0)
    entries = scipy.sparse.random_array((n, n), density=20 / n, rng=rng)
    entries.data = rng.standard_normal(entries.nnz)
    bulk = 0.5 / np.sqrt(20) * entries.tocsr()  # 20 inputs a neuron: radius 0.5
    U = np.linalg.qr(rng.standard_normal((n, 2)))[0]
    V = U @ np.array([[0.9, 0.8], [-0.8, 0.9]])
    J = aslinearoperator(bulk) + aslinearoperator(U) @ aslinearoperator(V.T)
    found = leading_outliers(J, 0.5 * edge(n), rng=rng)
    assert len(found) == 2
    # A pair at 0.9 -+ 0.8i, spread 1.2 * 0.5/sqrt(3000 * 1.2) = 0.01; five of them.
    np.testing.assert_allclose(found.real, 0.9, atol=0.05)
    np.testing.assert_allclose(np.sort(found.imag), [-0.8, 0.8], atol=0.05)


def test_arnoldi_finds_nothing_where_nothing_stands_out():
    for seed in range(5):
        W, limit = random_matrix(300, seed), edge(300, false_alarms=1e-4)
        assert leading_outliers(W, limit, rng=np.random.default_rng(0)).shape == (0,)
    structure = aslinearoperator(np.ones((300, 1))) @ aslinearoperator(np.ones((1, 300)))
    found = leading_outliers(structure, 1.0, rng=np.random.default_rng(0))  # no bulk at all
    np.testing.assert_allclose(found, [300.0])


def test_arnoldi_misses_no_outlier_a_tenth_beyond_the_bulk():
    """At 1.1 radii, as the docstring has it, in networks whose own edge is nearer."""
    for seed in range(5):
        J = planted(600, seed, g=0.8, strengths=(0.93,))
        whole = spectrum(J, radius=0.8).eigenvalues
        beyond = whole[np.abs(whole) > 0.88]
        found = leading_outliers(J, 0.88, rng=np.random.default_rng(seed))
        assert len(found) == len(beyond)


def test_more_outliers_than_are_looked_for_are_not_cut_off_in_silence():
    J = planted(100, 0, strengths=(2.0, 2.5, 3.0))
    with pytest.raises(ValueError, match="most must exceed the number of outliers, got 3"):
        leading_outliers(J, 1.2, most=3, rng=np.random.default_rng(0))
    assert len(leading_outliers(J, 1.2, most=4, rng=np.random.default_rng(0))) == 3


# Tracks


def test_tracks_are_recovered_from_shuffled_spectra():
    rng, t = np.random.default_rng(0), np.linspace(0, 1, 40)[:, None]
    phase, size = 2 * np.pi * np.arange(30) / 30, 0.8
    paths = size * np.exp(1j * (phase + 0.5 * t))  # a turn of 0.013 a step, 0.17 apart
    paths = np.hstack([2.0 * t - 0.3, paths])  # one that crosses the circle from within
    shuffled = np.array([row[rng.permutation(31)] for row in paths])
    shuffled[-1] = paths[-1]
    np.testing.assert_array_equal(track(shuffled), paths)


@pytest.mark.parametrize("seed", range(4))
def test_the_track_of_an_outlier_is_continuous_and_ends_where_it_leads(seed):
    n, steps = 100, 41
    u = np.random.default_rng(seed).standard_normal(n) / np.sqrt(n)
    J0, strengths = random_matrix(n, 50 + seed, 0.5), np.linspace(0, 2, steps)
    spectra = [spectrum(J0 + m * np.outer(u, u)).eigenvalues for m in strengths]
    tracks = track(spectra)
    np.testing.assert_array_equal(tracks[-1], spectra[-1])
    leader = tracks[:, 0]
    assert leader[-1] == spectra[-1][0]
    # Once outside the bulk the outlier is the leading eigenvalue, and moves by |u|^2 a strength.
    outside = strengths > 1
    np.testing.assert_array_equal(leader[outside], np.array(spectra)[outside, 0])
    assert np.abs(np.diff(leader)).max() < 0.15  # three steps of 0.05: it may be repelled
    for row, before in zip(tracks, spectra, strict=True):
        np.testing.assert_array_equal(np.sort_complex(row), np.sort_complex(before))


# The circular law


def test_distances_are_the_greatest_gaps_between_distribution_functions():
    rng = np.random.default_rng(0)
    bulk = rng.uniform(0, 1.5, 40) * np.exp(2j * np.pi * rng.uniform(size=40))
    law = circular_law(np.concatenate([bulk, bulk.conj(), [0.3, -0.7]]), 1.5)

    def gap(sample):
        grid = np.linspace(0, 1, 100_001)
        share = np.searchsorted(np.sort(sample), grid) / len(sample)
        return np.abs(share - grid).max()

    both = np.concatenate([bulk, bulk, [0.3, -0.7]])
    angles = np.abs(np.angle(bulk)) / np.pi
    assert law.radial == pytest.approx(gap(np.abs(both) ** 2 / 1.5**2), abs=2e-5)  # the grid
    assert law.angular == pytest.approx(gap(angles), abs=2e-5)


N_LAW = 60


@pytest.fixture(scope="module")
def null():
    return circular_law_null(N_LAW, 400, rng=np.random.default_rng(0))


ENTRIES = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "signs": lambda rng, shape: rng.choice([-1.0, 1.0], shape),
    "uniform": lambda rng, shape: rng.uniform(-np.sqrt(3), np.sqrt(3), shape),
}


@pytest.mark.parametrize("draw", ENTRIES.values(), ids=ENTRIES)
def test_the_drawn_null_holds_for_independent_entries_of_any_kind(null, draw):
    """The spectrum is universal. Level 0.05, se 0.014 of matrices and 0.011 of the null."""
    rejected = np.zeros(2)
    for seed in range(250):
        W = draw(np.random.default_rng(10**6 + seed), (N_LAW, N_LAW)) / np.sqrt(N_LAW)
        law = circular_law(np.linalg.eigvals(W), 1.0)
        rejected += [p_value(a, b) <= 0.05 for a, b in zip(law, null, strict=True)]
    np.testing.assert_allclose(rejected / 250, 0.05, atol=5 * 0.018)


def test_tables_for_independent_points_reject_too_rarely(null):
    """Eigenvalues repel: a nominal level of 0.05 is one of less than 0.02."""
    assert np.mean(null.radial > kstwo.ppf(0.95, N_LAW)) < 0.02
    assert np.mean(null.angular > kstwo.ppf(0.95, N_LAW // 2)) < 0.02


def test_bulks_that_are_not_even_discs_are_told(null):
    for seed in range(5):
        rng = np.random.default_rng(2000 + seed)
        W = rng.standard_normal((N_LAW, N_LAW)) / np.sqrt(N_LAW)
        wrong_radius = circular_law(np.linalg.eigvals(W), 1.25)
        assert p_value(wrong_radius.radial, null.radial) < 0.01
        gains = rng.choice([0.1, 1.0], N_LAW)  # a driven network's J diag(phi')
        unequal = circular_law(np.linalg.eigvals(W * gains), np.sqrt(np.mean(gains**2)))
        assert p_value(unequal.radial, null.radial) < 0.01
        symmetric = (W + W.T) / 2  # an ellipse: correlation 1/2 between J_ij and J_ji
        elliptic = circular_law(np.linalg.eigvals(W + symmetric), 1.2)
        assert p_value(elliptic.angular, null.angular) < 0.01


def test_low_rank_structure_leaves_the_bulk_circular(null):
    """With outliers taken out and the radius estimated: rejections are rare, at most by chance."""
    rejected = np.zeros(2)
    for seed in range(100):
        found = spectrum(planted(N_LAW, seed))
        law = circular_law(found.eigenvalues[len(found.outliers) :], found.radius)
        rejected += [p_value(a, b) <= 0.05 for a, b in zip(law, null, strict=True)]
    assert (rejected <= 16).all()  # 5 expected, sd 2.2; five of them


def test_p_values_count_the_observed_among_the_draws():
    assert p_value(3.0, np.array([1.0, 2.0, 3.0, 4.0])) == 3 / 5
    np.testing.assert_allclose(p_value(np.array([0.0, 9.0]), np.ones((99, 2))), [1.0, 0.01])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spectrum(np.ones((2, 3))), r"J must have shape \(2, 2\)"),
        (lambda: spectrum(np.full((2, 2), np.nan)), "J must be finite"),
        (lambda: spectrum(np.eye(3), radius=-1.0), "radius must be at least 0"),
        (lambda: edge(0), "n must be greater than 0"),
        (lambda: edge(10, false_alarms=0.5), "false_alarms must be less than 0.5"),
        (lambda: edge(10, false_alarms=0), "false_alarms must be greater than 0"),
        (
            lambda: leading_outliers(np.eye(9), 0.5, most=8, rng=np.random.default_rng(0)),
            "most must be from 1 to N - 2 = 7, got 8",
        ),
        (
            lambda: leading_outliers(np.eye(9), -1.0, rng=np.random.default_rng(0)),
            "limit must be at least 0",
        ),
        (lambda: track(np.ones(3)), r"spectra must have shape \(T, N\), got \(3,\)"),
        (lambda: circular_law(np.ones(3), 1.0), "above the real axis"),
        (lambda: circular_law(np.ones(3), 0.0), "radius must be greater than 0"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
