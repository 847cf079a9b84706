"""What is read off a change of weights: against brute force, and chance levels against draws."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from lrnn.spectrum import p_value
from lrnn.structure import (
    block_means,
    chance_cosine,
    cosines,
    rank_one_terms,
    regress_out,
    shuffled_block_means,
    subspace_overlap,
    truncated,
    variance_fractions,
)


def random_matrix(n, seed, g=1.0):
    return g * np.random.default_rng(seed).standard_normal((n, n)) / np.sqrt(n)


def orthonormal(n, k, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, k)))[0]


# What training added


@pytest.mark.parametrize("seed", range(3))
def test_decay_is_told_from_what_was_learned(seed):
    """J = 0.7 J0 + strong rank one: the difference looks full-rank, the remainder does not."""
    n, g, decay = 200, 0.8, 0.7
    J0 = random_matrix(n, seed, g)
    u, v = orthonormal(n, 2, 100 + seed).T
    J = decay * J0 + 1.5 * np.outer(u, v)
    factor, remainder = regress_out(J, J0)
    # The term's overlap with J0 is 1.5 u.J0 v/|J0|^2: standard deviation 1.5/(g sqrt(n) n) = 7e-4.
    assert factor == pytest.approx(decay, abs=5 * 1.5 / (g * n**1.5))
    assert abs(np.vdot(remainder, J0)) < 1e-10
    np.testing.assert_allclose(factor * J0 + remainder, J, atol=1e-15)
    raw, cleaned = (variance_fractions(rank_one_terms(d))[0] for d in (J - J0, remainder))
    # 1.5^2 against (0.3 g)^2 n = 11.5 before, nothing but the error of the factor after.
    assert raw < 0.35
    assert cleaned > 0.999


def test_regression_on_itself_and_on_nothing_alike():
    J0 = random_matrix(30, 0)
    factor, remainder = regress_out(-2 * J0, J0)
    assert factor == pytest.approx(-2)
    np.testing.assert_allclose(remainder, 0, atol=1e-14)
    e = np.eye(4)
    assert regress_out(np.outer(e[0], e[1]), np.outer(e[1], e[0])).factor == 0


def test_terms_rebuild_the_change_and_have_unit_length():
    delta = random_matrix(20, 1)
    terms = rank_one_terms(delta)
    np.testing.assert_allclose(truncated(terms, 20), delta, atol=1e-13)
    np.testing.assert_allclose(terms.u.T @ terms.u, np.eye(20), atol=1e-13)
    np.testing.assert_allclose(terms.v.T @ terms.v, np.eye(20), atol=1e-13)
    assert (np.diff(terms.strength) <= 0).all()
    assert terms.strength[-1] >= 0
    by_hand = sum(terms.strength[k] * np.outer(terms.u[:, k], terms.v[:, k]) for k in range(3))
    np.testing.assert_allclose(truncated(terms, 3), by_hand, atol=1e-14)
    assert not truncated(terms, 0).any()


@pytest.mark.parametrize("overlap", [0.6, -0.6])
def test_signs_are_fixed_and_those_that_matter_are_kept(overlap):
    """Strength is positive; v.u has the sign of the outlier that a lone term makes."""
    a, b = orthonormal(50, 2, 2).T
    u, v = a, overlap * a + 0.8 * b
    for sign in (1, -1):
        terms = rank_one_terms(3 * np.outer(sign * u, sign * v), reference=-u)
        assert terms.strength[0] == pytest.approx(3)
        np.testing.assert_allclose(terms.u[:, 0], -u, atol=1e-13)
        np.testing.assert_allclose(terms.v[:, 0], -v, atol=1e-13)
        assert terms.strength[0] * terms.v[:, 0] @ terms.u[:, 0] == pytest.approx(3 * overlap)


def test_without_a_reference_the_largest_entry_of_u_is_positive():
    delta = random_matrix(30, 3)
    first, second = rank_one_terms(delta), rank_one_terms(delta.T)
    for terms in (first, second):
        largest = np.argmax(np.abs(terms.u), axis=0)
        assert (terms.u[largest, np.arange(30)] > 0).all()
    # Transposition swaps u and v, up to the common sign that each fixes by its own u.
    alike = np.abs(np.sum(first.u * second.v, axis=0))
    np.testing.assert_allclose(alike, 1, atol=1e-9)


def test_fractions_are_what_truncation_explains_and_none_does_better():
    delta = random_matrix(25, 4) + 2 * np.outer(*orthonormal(25, 2, 5).T)
    terms, total = rank_one_terms(delta), np.sum(delta**2)
    fractions = variance_fractions(terms)
    for R in (1, 2, 10, 25):
        left = np.sum((delta - truncated(terms, R)) ** 2)
        assert fractions[R - 1] == pytest.approx(1 - left / total, abs=1e-12)
    for seed in range(50):  # Eckart & Young: projections on any other two directions leave more
        P = orthonormal(25, 2, 100 + seed)
        assert np.sum((P @ P.T @ delta) ** 2) < fractions[1] * total


# Alignment


def test_cosines_are_of_columns():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((30, 2)), rng.standard_normal((30, 3))
    table = cosines(a, b)
    for i, j in np.ndindex(2, 3):
        x, y = a[:, i], b[:, j]
        assert table[i, j] == pytest.approx(x @ y / np.sqrt((x @ x) * (y @ y)))
    np.testing.assert_allclose(cosines(-5 * a, 0.1 * a).diagonal(), -1)


@pytest.mark.parametrize("n", [2, 3, 50])
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_chance_cosine_is_exceeded_as_often_as_stated(n, level):
    drawn = np.random.default_rng(n).standard_normal((40_000, n))
    size = np.abs(drawn[:, 0]) / np.linalg.norm(drawn, axis=1)
    share = np.mean(size > chance_cosine(n, level=level))
    assert share == pytest.approx(1 - level, abs=5 * 0.5 / np.sqrt(40_000))


def test_chance_cosine_in_closed_form():
    assert chance_cosine(3, level=0.3) == pytest.approx(0.3)  # on a sphere a coordinate is uniform
    assert chance_cosine(2, level=0.5) == pytest.approx(np.sqrt(0.5))
    assert chance_cosine(10**4) == pytest.approx(1.96e-2, rel=1e-3)  # normal, sd 1/sqrt(n)


def test_overlap_is_the_mean_squared_cosine_of_principal_angles():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((20, 3)), rng.standard_normal((20, 5))
    overlap = subspace_overlap(a, b)
    assert overlap == pytest.approx(np.mean(np.cos(subspace_angles(a, b)) ** 2))
    mixed = subspace_overlap(b @ rng.standard_normal((5, 5)), a[:, ::-1] * [1, -7, 0.1])
    assert mixed == pytest.approx(overlap)  # bases do not matter, nor which comes first
    assert subspace_overlap(np.hstack([a, a @ np.ones((3, 2))]), b) == pytest.approx(overlap)
    assert subspace_overlap(a, np.hstack([a, b])) == pytest.approx(1)
    assert subspace_overlap(np.eye(6)[:, :2], np.eye(6)[:, 2:]) == 0
    one = subspace_overlap(a[:, :1], b[:, :1])
    assert one == pytest.approx(cosines(a[:, :1], b[:, :1])[0, 0] ** 2)


def test_chance_overlap_is_the_larger_dimension_over_n():
    seeds = range(400)
    drawn = [subspace_overlap(orthonormal(40, 2, s), orthonormal(40, 6, s + 999)) for s in seeds]
    assert np.mean(drawn) == pytest.approx(6 / 40, abs=5 * np.std(drawn) / 20)


# Means of weights


def test_block_means_by_brute_force():
    rng = np.random.default_rng(2)
    J, labels = rng.standard_normal((12, 12)), rng.permutation([0] * 5 + [1] * 3 + [2] * 4)
    means = block_means(J, labels)
    for a, b in np.ndindex(3, 3):
        entries = [J[i, j] for i, j in np.ndindex(12, 12) if (labels[i], labels[j]) == (a, b)]
        assert means[a, b] == pytest.approx(np.mean(entries))
    one = block_means(J, np.zeros(12, dtype=int))
    assert one == pytest.approx(J.mean())
    each = np.argsort(rng.standard_normal(12))
    np.testing.assert_allclose(block_means(J, np.argsort(each)), J[np.ix_(each, each)])


def within_less_between(means):
    """(..., K, K) -> (...), mean weight within clusters less that between them."""
    K = means.shape[-1]
    within = np.trace(means, axis1=-2, axis2=-1) / K
    return within - (means.sum(axis=(-2, -1)) - K * within) / (K * (K - 1))


LABELS = np.repeat([0, 1, 2], 20)


def contrast_p(J, labels, seed):
    null = shuffled_block_means(J, labels, 199, rng=np.random.default_rng(10**6 + seed))
    return p_value(within_less_between(block_means(J, labels)), within_less_between(null))


def test_the_shuffled_null_keeps_sizes_and_repeats_with_its_seed():
    J, labels = random_matrix(12, 0), np.array([0] * 9 + [1] * 3)
    null = shuffled_block_means(J, labels, 50, rng=np.random.default_rng(1))
    assert null.shape == (50, 2, 2)
    sizes = np.array([9, 3])
    np.testing.assert_allclose(null @ sizes @ sizes / 144, J.mean(), atol=1e-13)
    again = shuffled_block_means(J, labels, 50, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(null, again)
    assert null.std(axis=0).min() > 0


def test_independent_labels_show_structure_where_there_is_some_only():
    """Level 0.05 over 200 matrices: 10, sd 3.1."""
    blank = [contrast_p(random_matrix(60, s), LABELS, s) <= 0.05 for s in range(200)]
    assert np.mean(blank) == pytest.approx(0.05, abs=5 * 0.0155)
    group = (LABELS[:, None] == LABELS) / 20.0
    for seed in range(5):
        assert contrast_p(random_matrix(60, seed) + group, LABELS, seed) == 1 / 200


def test_clusters_of_the_matrix_itself_stand_out_in_any_matrix():
    """Labels from its own leading singular vectors: no structure, and yet always significant."""
    for seed in range(5):
        J = random_matrix(60, seed)
        terms = rank_one_terms(J)
        labels = (terms.u[:, 0] + terms.v[:, 0] > 0).astype(int)
        assert contrast_p(J, labels, seed) <= 0.01


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: regress_out(np.ones((2, 3)), np.ones((2, 3))), r"J must have shape \(2, 2\)"),
        (lambda: regress_out(np.eye(2), np.eye(3)), r"J0 must have shape \(2, 2\), got \(3, 3\)"),
        (lambda: regress_out(np.eye(2), np.zeros((2, 2))), "J0 must not be zero"),
        (lambda: rank_one_terms(np.full((2, 2), np.inf)), "delta must be finite"),
        (
            lambda: rank_one_terms(np.eye(3), reference=np.ones(2)),
            r"reference must have shape \(3,\), got \(2,\)",
        ),
        (lambda: variance_fractions(rank_one_terms(np.zeros((2, 2)))), "of a zero matrix"),
        (lambda: cosines(np.ones(3), np.ones((3, 1))), r"a must have shape \(N, P\)"),
        (lambda: cosines(np.ones((3, 1)), np.ones((4, 1))), r"b must have shape \(3, Q\)"),
        (lambda: cosines(np.ones((3, 1)), np.zeros((3, 1))), "must not be zero"),
        (lambda: subspace_overlap(np.zeros((3, 1)), np.ones((3, 1))), "not zero"),
        (lambda: block_means(np.eye(3), [0, 1]), r"labels must be 3 integers"),
        (lambda: block_means(np.eye(2), [0.0, 1.0]), r"labels must be 2 integers"),
        (lambda: block_means(np.eye(2), [0, -1]), r"labels must be 2 integers"),
        (lambda: block_means(np.eye(2), [0, 2]), r"no cluster empty, got sizes \[1, 0, 1\]"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
