"""Theory of outliers against eigenvalues of drawn matrices, over draws, sizes and structures."""

import numpy as np
import pytest

from lrnn.outliers import (
    correlated_outlier,
    effective_pole,
    factors,
    instance_outlier,
    outliers,
    without_row_sums,
)
from lrnn.spectrum import edge, leading_outliers, spectrum
from lrnn.structure import rank_one_terms, truncated


def random_matrix(n, seed, g):
    return g * np.random.default_rng(seed).standard_normal((n, n)) / np.sqrt(n)


def pair(n, seed, noise=0.5):
    """u of unit length, and v = u + something independent of length `noise`; v.u = 1 exactly."""
    rng = np.random.default_rng(10**5 + seed)
    u, other = np.linalg.qr(rng.standard_normal((n, 2)))[0].T
    return u, u + noise * other


def spiral(n, seed):
    """U, V of one conjugate pair at 0.9 -+ 0.8i, whose eigenvectors are not orthogonal."""
    rng = np.random.default_rng(2 * 10**5 + seed)
    U = np.linalg.qr(rng.standard_normal((n, 2)))[0]
    skew = np.array([[1.0, 0.7], [0.0, 1.0]])
    turn = np.linalg.solve(skew, np.array([[0.9, 0.8], [-0.8, 0.9]])) @ skew
    return U, U @ turn.T


STRUCTURES = {
    "right": lambda n: factors(1.5, *pair(n, 0)),
    "left": lambda n: factors(-1.3, *pair(n, 1)),
    "balanced": lambda n: factors(0.0, *pair(n, 2), b=3.0),
    "both": lambda n: factors(1.5, *pair(n, 3), b=1.4),
    "pair": lambda n: spiral(n, 4),
}


# Structure independent of the bulk


def test_factors_are_of_the_note_s_matrix():
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((2, 7))
    U, V = factors(-1.7, u, v, b=0.6)
    np.testing.assert_allclose(U @ V.T, -0.6 / 7 * np.ones((7, 7)) - 1.7 * np.outer(u, v))


@pytest.mark.parametrize("g", [0.0, 0.4])
def test_outliers_are_eigenvalues_of_the_small_matrix_of_overlaps(g):
    rng = np.random.default_rng(1)
    u, v = rng.standard_normal((2, 50)) / np.sqrt(50)
    v, e = u + 0.3 * v, np.full(50, 1 / np.sqrt(50))
    m, b = 1.8, 0.9
    small = np.array([[-b, m * (e @ u)], [-b * (v @ e), m * (v @ u)]])
    expected = np.linalg.eigvals(small)
    expected = expected[np.abs(expected) > g]
    np.testing.assert_allclose(
        np.sort_complex(outliers(*factors(m, u, v, b=b), g).values),
        np.sort_complex(expected),
        atol=1e-14,
    )


def test_only_what_lies_beyond_the_bulk_is_an_outlier():
    U, V = STRUCTURES["both"](60)
    assert outliers(U, V, 0.5).values.shape == (2,)
    assert len(outliers(U, V, 1.46).values) == 1
    assert outliers(U, V, 2.0).values.shape == outliers(U, V, 2.0).spread.shape == (0,)
    assert (np.diff(np.abs(outliers(U, V, 0.5).values)) < 0).all()


def test_the_spread_of_one_term_in_closed_form():
    n, m, g = 250, 1.5, 0.8
    u, v = pair(n, 0)
    by_hand = m * np.linalg.norm(u) * np.linalg.norm(v) * g / np.sqrt(n * (1.5**2 - g**2))
    assert outliers(*factors(m, u, v), g).spread[0] == pytest.approx(by_hand, rel=1e-12)
    assert by_hand == pytest.approx(0.067, abs=5e-4)
    # Only J counts: the size of u and v, and how V is split from U, do not.
    again = outliers(*factors(m / 6, 2 * u, 3 * v), g)
    assert again.spread[0] == pytest.approx(by_hand, rel=1e-12)
    U, V = spiral(n, 0)
    mix = np.array([[1.0, 2.0], [0.5, -1.0]])
    mixed = outliers(U @ mix, V @ np.linalg.inv(mix).T, g)
    np.testing.assert_allclose(mixed.spread, outliers(U, V, g).spread, rtol=1e-12)


def deviations(make, n, g, seeds):
    """Eigenvalues less their predictions, (seeds, K), with one structure and many bulks."""
    U, V = make(n)
    predicted = outliers(U, V, g)
    found = []
    for seed in range(seeds):
        J = random_matrix(n, 7 * 10**5 + seed, g) + U @ V.T
        values = (
            np.linalg.eigvals(J)
            if n < 200
            else leading_outliers(J, 1.1 * g, restarts=2, rng=np.random.default_rng(seed))
        )
        nearest = np.argmin(np.abs(values[:, None] - predicted.values), axis=0)
        found.append(values[nearest] - predicted.values)
    return np.array(found), predicted.spread


@pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES)
def test_outliers_lie_where_theory_has_them_and_spread_as_it_says(make):
    g = 0.6
    small, small_spread = deviations(make, 60, g, 300)
    large, large_spread = deviations(make, 400, g, 60)
    for found, spread in ((small, small_spread), (large, large_spread)):
        rms = np.sqrt(np.mean(np.abs(found) ** 2, axis=0))
        # 300 and 60 draws: 4 % and 9 % of the size; at n = 60 terms of order 1/n add some 5 %.
        np.testing.assert_allclose(rms / spread, 1, atol=0.25)
        # The mean is off by order 1/n: a 1/sqrt(n) of the spread, under 0.3 of it at n = 60.
        assert (np.abs(found.mean(axis=0)) < (0.3 + 5 / np.sqrt(len(found))) * spread).all()
    # From 60 to 400 neurons errors shrink by sqrt(400/60).
    np.testing.assert_allclose(small_spread / large_spread, np.sqrt(400 / 60), rtol=0.05)


def test_a_vector_divided_by_its_chance_overlap_is_not_self_averaging():
    """v/(v.u): the overlap is 1 by construction, but more neurons bring the outlier no closer."""
    g, m = 0.8, 1.5
    # |v| / |v.u| is sqrt(n) over a standard normal number, of median size 0.674.
    theory = m / 0.674 * g / np.sqrt(m**2 - g**2)
    for n in (80, 320):
        spreads, off = [], []
        for seed in range(600):
            u, v = np.random.default_rng(seed).standard_normal((2, n)) / np.sqrt(n)
            U, V = factors(m, u, v / (v @ u))
            predicted = outliers(U, V, g)
            assert predicted.values[0] == pytest.approx(m)
            spreads.append(predicted.spread[0])
            if seed < 25:
                J = random_matrix(n, 3 * 10**5 + seed, g) + U @ V.T
                off.append(np.abs(spectrum(J).eigenvalues[0] - m))
        assert np.median(spreads) == pytest.approx(theory, rel=0.2)  # four standard errors
        assert np.median(off) > 0.5  # a third of m itself
    assert outliers(*factors(m, *pair(320, 0)), g).spread[0] < 0.07


# One bulk


@pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES)
@pytest.mark.parametrize("seed", range(3))
def test_the_instance_equation_gives_eigenvalues_to_round_off(make, seed):
    n, g = 120, 0.5
    U, V = make(n)
    bulk = random_matrix(n, seed, g)
    eigenvalues = np.linalg.eigvals(bulk + U @ V.T)
    for start in outliers(U, V, g).values:
        found = instance_outlier(bulk, U, V, start)
        assert np.abs(eigenvalues - found).min() < 1e-11
        assert np.abs(found - start) < 0.6  # the one meant: 5 spreads of 0.12 at most


def test_series_in_powers_of_the_bulk_agree_with_the_instance_equation():
    """lambda = strength sum_k v^T (g W / lambda)^k u, iterated: slow, independent of any solver."""
    m, (u, v), bulk = 1.5, pair(100, 0), random_matrix(100, 0, 0.5)
    moments, x = [], u
    for _ in range(200):
        moments.append(v @ x)
        x = bulk @ x
    lam = m
    for _ in range(200):
        lam = m * np.polynomial.polynomial.polyval(1 / lam, moments)
    found = instance_outlier(bulk, m * u[:, None], v[:, None], m)
    assert found == pytest.approx(lam, abs=1e-12)


@pytest.mark.parametrize("R", [1, 2])
def test_few_terms_of_a_learned_change_with_the_initial_bulk_kept(R):
    """A change correlated with J0: its terms and J0 predict, overlaps alone do not."""
    n, g = 150, 0.6
    J0 = random_matrix(n, 0, g)
    rng = np.random.default_rng(1)
    b, c = np.linalg.qr(rng.standard_normal((n, 2)))[0].T
    R0 = np.linalg.inv(np.eye(n) - J0)
    delta = 0.35 * np.outer(R0.T @ b, R0 @ b) + 0.1 * np.outer(c, b)
    terms = rank_one_terms(delta)
    U, V = terms.u[:, :R] * terms.strength[:R], terms.v[:, :R]
    found = instance_outlier(J0, U, V, 0.9)
    whole = np.linalg.eigvals(J0 + truncated(terms, R))
    assert np.abs(whole - found).min() < 1e-11
    actual = spectrum(J0 + delta).eigenvalues[0]
    assert abs(found - actual) < (0.05 if R == 1 else 1e-11)
    assert actual.real - max((V.T @ U).diagonal()) > 0.15


def test_a_search_from_nowhere_says_so():
    bulk, e = np.zeros((4, 4)), np.ones((4, 1)) / 2
    with pytest.raises(RuntimeError, match="converge"):
        instance_outlier(bulk, e, np.array([[1.0], [-1.0], [1.0], [-1.0]]) * 1e-9, 5.0)


# Row sums


def test_without_row_sums_the_balanced_outlier_is_exact():
    n, b = 90, 2.0
    e = np.ones(n) / np.sqrt(n)
    rng = np.random.default_rng(3)
    u, v = rng.standard_normal((2, n)) / np.sqrt(n)
    v -= (v @ e) * e
    W = rng.standard_normal((n, n)) / np.sqrt(n)
    U, V = factors(1.2, u, v, b=b)
    balanced = 0.8 * without_row_sums(W) + U @ V.T
    np.testing.assert_allclose(balanced @ np.ones(n), -b, atol=1e-13)
    loose = 0.8 * W + U @ V.T
    assert np.abs(np.linalg.eigvals(balanced) + b).min() < 1e-12
    assert np.abs(np.linalg.eigvals(loose) + b).min() > 1e-3
    np.testing.assert_allclose(without_row_sums(W).sum(axis=1), 0, atol=1e-13)
    assert np.abs(without_row_sums(W).sum(axis=0)).max() > 0.5  # columns keep theirs


@pytest.mark.parametrize("seed", range(3))
def test_without_row_sums_balanced_excitation_and_inhibition_make_no_outliers(seed):
    n = 200
    signs = np.repeat([1.0, -1.0], n // 2)
    W, limit = random_matrix(n, seed, 1.0), edge(n, false_alarms=1e-3)
    U, V = factors(2 * np.sqrt(n), np.ones(n) / np.sqrt(n), signs / np.sqrt(n))
    loose, balanced = (spectrum(x + U @ V.T, radius=1.0) for x in (W, without_row_sums(W)))
    assert np.abs(loose.eigenvalues).max() > limit
    assert np.abs(balanced.eigenvalues).max() < limit


# Poles


def network(seed, n=40, g=0.5):
    rng = np.random.default_rng(10**6 + seed)
    return random_matrix(n, seed, g), *(rng.standard_normal((2, n)) / np.sqrt(n))


@pytest.mark.parametrize("lam", [-3.0, 0.0, 0.7])
def test_the_effective_pole_of_one_mode_is_its_eigenvalue(lam):
    _, w, B = network(0)
    v = w / (w @ B)
    assert effective_pole(lam * np.outer(B, v), 3 * w, -2 * B) == pytest.approx(lam)


@pytest.mark.parametrize(("tau", "dt"), [(1.0, 0.02), (0.3, 0.001)])
def test_the_effective_pole_is_read_off_a_simulated_response_to_a_step(tau, dt):
    """Initial slope w.B/tau and final value H(0), for any time constant, continuous or Euler."""
    J, w, B = network(1)
    x, response = np.zeros(len(w)), []
    for _ in range(int(40 * tau / dt)):
        x = x + dt / tau * (-x + J @ x + B)
        response.append(w @ x)
    slope = response[0] / dt
    # A one-pole filter of rate beta has final value slope/beta and lambda = 1 - beta tau.
    beta = slope / response[-1]
    assert effective_pole(J, w, B) == pytest.approx(1 - beta * tau, rel=1e-6)  # e^(-40 (1 - .5))


def test_the_effective_pole_depends_on_no_basis_and_no_scale():
    J, w, B = network(2)
    T = np.random.default_rng(0).standard_normal(J.shape)
    other = T @ J @ np.linalg.inv(T), np.linalg.solve(T.T, w), T @ B
    assert effective_pole(*other) == pytest.approx(effective_pole(J, w, B), rel=1e-8)
    assert effective_pole(J, 5 * w, -B) == pytest.approx(effective_pole(J, w, B))


def test_at_the_border_of_stability_the_effective_pole_is_one():
    J, w, B = network(3)
    u = np.random.default_rng(1).standard_normal(len(w))
    v = w / (w @ np.linalg.solve(np.eye(len(w)) - J, u))  # 1 is an eigenvalue of J + u v^T
    near = effective_pole(J + (1 - 1e-7) * np.outer(u, v), w, B)
    assert near == pytest.approx(1, abs=1e-5)


# Structure correlated with the bulk


def learned(n, seed, pole, g, s):
    """A network with the term that slow (s = 0) or faster learning gives it, and its direction."""
    W = random_matrix(n, seed, g)
    b = np.random.default_rng(4 * 10**5 + seed).standard_normal(n)
    b /= np.linalg.norm(b)
    R = np.linalg.inv((1 + s) * np.eye(n) - W)
    return W + pole * (1 + s - g * g) ** 2 * np.outer(R.T @ b, R @ b), b


CORRELATED = [(0.7, 0.3, 0.0), (0.7, 0.5, 0.0), (0.7, 0.5, 0.3), (-2.0, 0.5, 3.0), (-3.0, 0.3, 0.0)]


@pytest.mark.parametrize(("pole", "g", "s"), CORRELATED)
def test_correlated_outlier_against_networks_of_two_sizes(pole, g, s):
    theory, errors = correlated_outlier(pole, g, s=s), {}
    for n, seeds in ((100, 40), (400, 10)):
        found = []
        for seed in range(seeds):
            J, b = learned(n, seed, pole, g, s)
            lam = leading_outliers(J, 1.1 * g, rng=np.random.default_rng(seed))
            found.append((lam[np.argmin(np.abs(lam - theory))].real, effective_pole(J, b, b)))
        found = np.array(found)
        errors[n] = found.std(axis=0)
        off = np.abs(found.mean(axis=0) - [theory, pole])
        # Five standard errors of the mean, and terms of order 1/n of a few times their size.
        assert (off < 5 * errors[n] / np.sqrt(seeds) + 5 / n * abs(pole)).all()
    # Twice as close with four times the neurons; 10 seeds leave 25 % of a standard deviation.
    assert (errors[400] < 0.9 * errors[100]).all()


def test_correlated_vectors_keep_the_cosine_with_the_readout_that_is_stated():
    for g, s in ((0.5, 0.0), (0.8, 0.0), (0.8, 2.0)):
        found = []
        for seed in range(5):
            n = 400
            b = np.random.default_rng(10**6 + seed).standard_normal(n)
            Rb = np.linalg.solve((1 + s) * np.eye(n) - random_matrix(n, seed, g), b)
            found.append(Rb @ b / np.linalg.norm(Rb) / np.linalg.norm(b))
        # Standard error 0.03 at g = 0.8 and s = 0, less elsewhere.
        assert np.mean(found) == pytest.approx(np.sqrt(1 - (g / (1 + s)) ** 2), abs=0.06)


def test_the_strength_alone_misses_the_correlated_outlier():
    """m (1/(1-g^2))^2 is the pole and m v.u -> m the naive outlier, at the strength m."""
    for g, naive in ((0.3, 0.58), (0.5, 0.39), (0.7, 0.18)):
        strength = 0.7 * (1 - g * g) ** 2
        assert strength == pytest.approx(naive, abs=5e-3)
        assert correlated_outlier(0.7, g) - strength > 0.15
    J, _ = learned(400, 0, 0.7, 0.5, 0.0)
    lam = spectrum(J).eigenvalues[0].real
    assert abs(lam - correlated_outlier(0.7, 0.5)) < 0.15 < lam - 0.39


def test_the_correlated_outlier_solves_its_equation():
    for pole in (-4.0, -1.5, 0.6, 0.9, 1.4):
        for g in (0.2, 0.5):
            for s in (0.0, 0.7, 5.0):
                lam = correlated_outlier(pole, g, s=s)
                if np.isnan(lam):
                    continue
                strength, q = pole * (1 + s - g * g) ** 2, g * g / (1 + s)
                assert (lam - q) ** 2 == pytest.approx(strength * lam / (1 + s) ** 2)
                # Other forms: the series it sums, at large order.
                k = np.arange(400)
                series = strength / lam * np.sum((k + 1) * (q / lam) ** k) / (1 + s) ** 2
                assert series == pytest.approx(1)


def test_limits_of_the_correlated_outlier():
    assert correlated_outlier(1.0, 0.6, s=0.8) == pytest.approx(1)  # the border of stability
    assert correlated_outlier(-1.7, 0.0) == -1.7  # no bulk
    assert correlated_outlier(-1.7, 0.6, s=1e9) == pytest.approx(-1.7)  # no correlation
    right, left = correlated_outlier(0.6, 0.5), correlated_outlier(-3.0, 0.5)
    assert 0.6 < right < 1
    assert -3.0 < left < -0.5


@pytest.mark.parametrize(("g", "s"), [(0.5, 0.0), (0.8, 0.0), (0.5, 2.0)])
def test_there_is_an_outlier_exactly_where_the_root_leaves_the_bulk(g, s):
    q = g * g / (1 + s)
    right = (g - q) ** 2 / (g * (1 - q) ** 2)
    left = -((g + q) ** 2) / (g * (1 - q) ** 2)
    for pole, sign in ((right, 1), (left, -1)):
        assert correlated_outlier(pole * 1.001, g, s=s) == pytest.approx(sign * g, rel=0.05)
        assert np.isnan(correlated_outlier(pole * 0.999, g, s=s))
    assert np.isnan(correlated_outlier(0.0, g, s=s))


def test_the_rule_for_visible_outliers_agrees_with_drawn_networks():
    """Poles on either side of the threshold, at g = 0.5, slow: 0.22 and -2."""
    limit = 0.5 * edge(400, false_alarms=1e-3)
    for pole in (0.1, 0.4, -0.8, -4.0):
        J, _ = learned(400, 1, pole, 0.5, 0.0)
        seen = spectrum(J, radius=0.5).eigenvalues[0]
        assert (abs(seen) > limit) == (not np.isnan(correlated_outlier(pole, 0.5)))


N4 = np.ones(4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: factors(1.0, N4, np.ones(5)), r"v must have shape \(4,\), got \(5,\)"),
        (lambda: factors(np.nan, N4, N4), "strength must be finite"),
        (lambda: factors(1.0, N4, N4, b=[1.0]), r"b must have shape \(\)"),
        (lambda: outliers(np.ones((4, 1)), np.ones((4, 2)), 0.5), r"V must have shape \(4, 1\)"),
        (lambda: outliers(np.ones((4, 1)), np.ones((4, 1)), -0.5), "g must be at least 0"),
        (
            lambda: instance_outlier(np.eye(3), np.ones((4, 1)), np.ones((4, 1)), 2.0),
            r"bulk must have shape \(4, 4\), got \(3, 3\)",
        ),
        (lambda: effective_pole(np.eye(3), N4, N4), r"J must have shape \(4, 4\)"),
        (lambda: effective_pole(np.zeros((4, 4)), N4, np.ones(3)), r"B must have shape \(4,\)"),
        (lambda: effective_pole(np.eye(4), N4, N4), "J must not have the eigenvalue 1"),
        (
            lambda: effective_pole(np.zeros((2, 2)), np.array([1.0, 0]), np.array([0, 1.0])),
            "response of w to constants along B must not be 0",
        ),
        (lambda: correlated_outlier(0.5, 1.0), "g must be less than 1, got 1.0"),
        (lambda: correlated_outlier(0.5, 0.5, s=-0.1), "s must be at least 0"),
        (lambda: correlated_outlier(np.inf, 0.5), "pole must be finite"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
