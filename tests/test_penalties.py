"""Penalties against their definitions, numpy's measures and finite differences, and descents."""

import numpy as np
import pytest
import torch

from lrnn import dimensionality, penalties
from lrnn.bptt import LowRank
from lrnn.training import train

OF_SIGMA = {
    "nuclear norm": penalties.nuclear_norm,
    "effective rank": penalties.effective_rank,
    "participation ratio": penalties.participation_ratio,
    "distance": lambda sigma: penalties.spectral_distance(sigma, [3.0, 1.0, 0.5, 0.2, 0.1]),
}
EACH = pytest.mark.parametrize("name", OF_SIGMA)


def factors(N=7, R=2, seed=0):
    rng = np.random.default_rng(seed)
    return (torch.tensor(rng.normal(size=(N, R))) for _ in range(2))


def test_frobenius_is_the_sum_of_squares_and_of_squared_singular_values():
    J = np.random.default_rng(1).normal(size=(5, 5))
    value = float(penalties.frobenius(torch.tensor(J)))
    assert value == pytest.approx(sum(x**2 for x in J.ravel()), rel=1e-13)
    assert value == pytest.approx(np.sum(np.linalg.svd(J, compute_uv=False) ** 2), rel=1e-12)


def test_balance_sees_what_a_neuron_sends_and_not_what_it_receives():
    """J[post, pre] = a_pre has column means a and row means all alike; J^T has them reversed."""
    a = torch.tensor([1.0, -2.0, 1.0])  # without a mean of its own
    J = a.repeat(3, 1)
    assert float(penalties.balance(J)) == pytest.approx(6.0)
    assert float(penalties.balance(J.T)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("R", [1, 3])
def test_factors_give_the_penalty_of_the_matrix(R):
    m, n = factors(R=R)
    J = m @ n.T
    for whole, parts in (
        (penalties.frobenius, penalties.frobenius_factors),
        (penalties.balance, penalties.balance_factors),
    ):
        # Sums of 49 R^2 products in another order.
        assert float(parts(m, n)) == pytest.approx(float(whole(J)), rel=1e-12)


@pytest.mark.parametrize("penalty", ["frobenius", "balance"])
def test_gradients_are_exact(penalty):
    J = torch.tensor(np.random.default_rng(2).normal(size=(4, 4)), requires_grad=True)
    assert torch.autograd.gradcheck(getattr(penalties, penalty), J)
    m, n = factors(N=4)
    m.requires_grad_(), n.requires_grad_()
    assert torch.autograd.gradcheck(getattr(penalties, penalty + "_factors"), (m, n))


def test_descent_on_the_balance_shrinks_column_sums_at_the_stated_rate_and_keeps_the_rest():
    N, rate, weight = 6, 0.5, 0.8
    J = torch.tensor(np.random.default_rng(3).normal(size=(N, N)), requires_grad=True)
    start = J.detach().clone()
    for _ in range(10):
        (gradient,) = torch.autograd.grad(weight * penalties.balance(J), J)
        with torch.no_grad():
            J -= rate * gradient
    factor = (1 - 2 * rate * weight / N) ** 10
    end = J.detach()
    np.testing.assert_allclose(end.sum(dim=0), factor * start.sum(dim=0), rtol=1e-12, atol=1e-13)
    # Only the component along 1 moved.
    np.testing.assert_allclose(end - end.mean(dim=0), start - start.mean(dim=0), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("N", "R"), [(7, 1), (7, 3), (3, 5)])
def test_singular_values_are_numpys_from_the_matrix_and_from_factors(N, R):
    m, n = factors(N, R)
    known = np.linalg.svd(m @ n.T, compute_uv=False)
    whole, parts = penalties.singular_values(m @ n.T), penalties.singular_values_factors(m, n)
    np.testing.assert_allclose(whole, known, rtol=1e-12, atol=1e-13)  # round-off
    np.testing.assert_allclose(parts, known[: min(N, R)], rtol=1e-12, atol=1e-13)
    assert np.all(whole[R:].numpy() == 0)


def test_two_products_are_one_of_stacked_factors():
    (m, n), (M, N) = factors(R=1), factors(R=2, seed=1)
    known = np.linalg.svd(m @ n.T + M @ N.T, compute_uv=False)[:3]
    stacked = penalties.singular_values_factors(torch.cat((m, M), dim=1), torch.cat((n, N), dim=1))
    np.testing.assert_allclose(stacked, known, rtol=1e-12)


def test_small_singular_values_survive_factors_of_unlike_size():
    """No Gram matrix is formed, which would lose what is 1e-8 of the largest."""
    rng = np.random.default_rng(3)
    u, v = (np.linalg.qr(rng.normal(size=(9, 3)))[0] for _ in range(2))
    sigma = np.array([1.0, 1e-5, 1e-10])
    mix = np.diag([1e3, 1.0, 1e-3])
    m, n = torch.tensor(u * sigma @ mix), torch.tensor(v @ np.linalg.inv(mix))
    # Absolute error: round-off, 1e-16, times |m| |n| = 1e6.
    np.testing.assert_allclose(penalties.singular_values_factors(m, n), sigma, atol=1e-10)
    balanced = torch.tensor(u * np.sqrt(sigma)), torch.tensor(v * np.sqrt(sigma))
    found = penalties.singular_values_factors(*balanced)
    np.testing.assert_allclose(found, sigma, rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_a_mode_that_is_what_columns_leave_when_they_cancel_counts_as_none(seed):
    """K a c^T - (K a + b) c^T = -b c^T, of rank 1 but for K = 1e6 times round-off."""
    a, b, c = np.random.default_rng(seed).normal(size=(3, 7))
    m, n = (torch.tensor(np.stack(f, axis=1)) for f in ((1e6 * a, 1e6 * a + b), (c, -c)))
    found = penalties.singular_values_factors(m, n)
    assert float(found[0]) == pytest.approx(np.linalg.norm(b) * np.linalg.norm(c), rel=1e-8)
    assert found[1] == 0


def test_measures_are_those_of_numpy():
    spectra = np.array([[3.0, 2.0, 1e-9, 0.0], [1.0, 1.0, 1.0, 1.0]])
    for ours, theirs in (
        (penalties.effective_rank, dimensionality.effective_rank),
        (penalties.participation_ratio, dimensionality.participation_ratio),
    ):
        np.testing.assert_allclose(ours(torch.tensor(spectra)), theirs(spectra), rtol=1e-12)
    np.testing.assert_allclose(penalties.nuclear_norm(torch.tensor(spectra)), [5, 4], rtol=1e-9)


@EACH
def test_gradients_through_singular_values_are_exact(name):
    J = torch.tensor(np.random.default_rng(2).normal(size=(4, 4)), requires_grad=True)
    assert torch.autograd.gradcheck(lambda J: OF_SIGMA[name](penalties.singular_values(J)), J)
    m, n = (each.requires_grad_() for each in factors(N=6, R=3))
    assert torch.autograd.gradcheck(
        lambda m, n: OF_SIGMA[name](penalties.singular_values_factors(m, n)), (m, n)
    )


@pytest.mark.parametrize("name", ["nuclear norm", "effective rank", "participation ratio"])
def test_gradients_are_exact_where_singular_values_are_repeated(name):
    """Symmetric functions of them are smooth there. Factors m = n = 2 Q: sigma = 4, 4, 4."""
    q = np.linalg.qr(np.random.default_rng(4).normal(size=(6, 3)))[0]
    m, n = (torch.tensor(2 * q, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(
        lambda m, n: OF_SIGMA[name](penalties.singular_values_factors(m, n)), (m, n)
    )
    J = torch.eye(4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda J: OF_SIGMA[name](penalties.singular_values(J)), J)


def split_mode(m, n):
    """The same J = m n^T with its last column in two dependent parts."""
    return torch.cat((m, m[:, -1:]), dim=1), torch.cat(
        (n[:, :-1], 0.3 * n[:, -1:], 0.7 * n[:, -1:]), 1
    )


@EACH
def test_gradients_at_zero_singular_values_are_those_of_the_modes_that_live(name):
    """dL/dJ of rank R, so that dL/dm = dL/dJ n, whether the zeros come from factors or columns."""
    m, n = factors(N=6, R=2)
    J = (m @ n.T).requires_grad_()
    (slope,) = torch.autograd.grad(OF_SIGMA[name](penalties.singular_values(J)), J)
    assert torch.linalg.matrix_rank(slope) == 2
    zero = torch.zeros(6, 1, dtype=m.dtype)
    for more_m, more_n in (
        (torch.cat((m, zero), 1), torch.cat((n, zero), 1)),
        (torch.cat((m, zero), 1), torch.cat((n, torch.ones_like(zero)), 1)),
        split_mode(m, n),
    ):
        more_m.requires_grad_(), more_n.requires_grad_()
        value = OF_SIGMA[name](penalties.singular_values_factors(more_m, more_n))
        by_m, by_n = torch.autograd.grad(value, (more_m, more_n))
        np.testing.assert_allclose(by_m, slope @ more_n.detach(), atol=1e-12)  # round-off
        np.testing.assert_allclose(by_n, slope.T @ more_m.detach(), atol=1e-12)


def test_a_descent_to_rank_zero_and_beyond_stays_finite():
    """Steps of the nuclear norm are of one size, rate |m| |n|, and overshoot zero by so much."""
    for dtype in (torch.float32, torch.float64):
        m, n = (each.to(dtype).requires_grad_() for each in factors(N=6, R=4))
        optimizer = torch.optim.SGD((m, n), lr=0.05)
        for _ in range(200):
            optimizer.zero_grad()
            sigma = penalties.singular_values_factors(m, n)
            (penalties.nuclear_norm(sigma) + sigma.square().sum()).backward()
            optimizer.step()
        assert torch.isfinite(m).all()
        assert torch.isfinite(n).all()
        assert penalties.nuclear_norm(penalties.singular_values_factors(m, n)) < 0.2


def test_factors_of_one_matrix_give_one_value():
    m, n = factors(R=3)
    mix = torch.tensor(np.random.default_rng(5).normal(size=(3, 3)))
    other = m @ mix, n @ torch.linalg.inv(mix).T
    for function in OF_SIGMA.values():
        one, two = (function(penalties.singular_values_factors(*f)) for f in ((m, n), other))
        assert float(two) == pytest.approx(float(one), rel=1e-10)  # a mix of condition 10


def test_scale_moves_the_nuclear_norm_and_not_the_ranks():
    sigma = penalties.singular_values_factors(*factors(R=3))
    assert float(
        penalties.nuclear_norm(5 * sigma) / penalties.nuclear_norm(sigma)
    ) == pytest.approx(5)
    for rank in (penalties.effective_rank, penalties.participation_ratio):
        assert float(rank(5 * sigma)) == pytest.approx(float(rank(sigma)), rel=1e-12)


def test_weight_decay_on_factors_is_the_nuclear_norm_at_its_least():
    m, n = factors(N=8, R=3)
    nuclear = float(penalties.nuclear_norm(penalties.singular_values_factors(m, n)))
    u, s, vt = np.linalg.svd((m @ n.T).numpy())
    balanced = u[:, :3] * np.sqrt(s[:3]), vt[:3].T * np.sqrt(s[:3])
    decay = [0.5 * sum(float((f**2).sum()) for f in pair) for pair in ((m, n), balanced)]
    assert decay[1] == pytest.approx(nuclear, rel=1e-12)
    assert decay[0] > nuclear


def test_distance_from_a_spectrum_is_that_from_the_nearest_matrix_which_has_it():
    """At singular vectors of J; other vectors are farther (von Neumann)."""
    rng = np.random.default_rng(6)
    J, target = rng.normal(size=(5, 5)), np.array([4.0, 2.0, 1.0, 0.5, 0.25])
    value = float(penalties.spectral_distance(penalties.singular_values(torch.tensor(J)), target))
    u, _, vt = np.linalg.svd(J)
    assert value == pytest.approx(np.sum((J - u * target @ vt) ** 2), rel=1e-12)
    for _ in range(100):
        a, b = (np.linalg.qr(rng.normal(size=(5, 5)))[0] for _ in range(2))
        assert np.sum((J - a * target @ b) ** 2) > value


def test_a_target_longer_than_the_rank_has_a_floor_and_a_shorter_one_counts_what_is_too_much():
    sigma, target = torch.tensor([2.0, 1.0]), penalties.exponential_spectrum(5, rate=0.5, largest=2)
    assert float(target[3]) == pytest.approx(2 * np.exp(-1.5))
    value = float(penalties.spectral_distance(sigma, target))
    floor = 4 * np.exp(-2.0) * (1 + np.exp(-1) + np.exp(-2))
    assert value == pytest.approx(floor + (1 - 2 * np.exp(-0.5)) ** 2, rel=1e-6)  # float32
    assert float(penalties.spectral_distance(sigma, target[:1])) == pytest.approx(1.0)


def test_descent_brings_the_spectrum_to_its_target():
    m, n = (each.requires_grad_() for each in factors(N=8, R=4))
    target = penalties.exponential_spectrum(4, rate=0.7, largest=5.0)
    optimizer = torch.optim.Adam((m, n), lr=0.02)
    for _ in range(400):
        optimizer.zero_grad()
        penalties.spectral_distance(penalties.singular_values_factors(m, n), target).backward()
        optimizer.step()
    found = penalties.singular_values_factors(m, n).detach()
    np.testing.assert_allclose(found, target, rtol=1e-3)  # what Adam leaves at this rate
    assert dimensionality.decay_rate(found, modes=4) == pytest.approx(0.7, rel=1e-3)


def norms_of(J):
    return torch.linalg.vector_norm(J, dim=0)


def test_heterogeneity_is_that_of_numpy_and_only_the_published_form_grows_with_scale():
    J = torch.tensor(np.random.default_rng(7).normal(size=(5, 5)))
    norms = norms_of(J)
    assert float(penalties.heterogeneity(norms)) == pytest.approx(
        -dimensionality.response_variance(J.numpy()), rel=1e-12
    )
    cv = dimensionality.response_cv(J.numpy())
    assert float(penalties.heterogeneity_target(norms, 0.9)) == pytest.approx((cv - 0.9) ** 2)
    assert float(penalties.heterogeneity(2 * norms) / penalties.heterogeneity(norms)) == (
        pytest.approx(4)
    )
    bounded = [float(penalties.heterogeneity_target(k * norms, 0.9)) for k in (1, 2)]
    assert bounded[0] == pytest.approx(bounded[1], rel=1e-12)
    # Leading axes are averaged over; CV is at most sqrt(n - 1), of one response alone.
    both = torch.stack([norms, 3 * norms])
    assert float(penalties.heterogeneity(both)) == pytest.approx(
        5 * float(penalties.heterogeneity(norms))
    )
    alone = torch.tensor([[0.0, 0, 7, 0, 0], [1, 1, 1, 1, 1]])
    assert float(penalties.heterogeneity_target(alone, 2.0)) == pytest.approx(2.0)  # (0 + 4)/2


def test_gradients_of_heterogeneity_are_exact_and_finite_where_all_responses_are_alike():
    norms = torch.tensor(np.random.default_rng(8).uniform(1, 2, (3, 4)), requires_grad=True)
    assert torch.autograd.gradcheck(penalties.heterogeneity, norms)
    assert torch.autograd.gradcheck(lambda x: penalties.heterogeneity_target(x, 0.5), norms)
    alike = torch.ones(4, requires_grad=True)
    (slope,) = torch.autograd.grad(penalties.heterogeneity_target(alike, 0.5), alike)
    assert (slope == 0).all()


def test_descent_on_the_published_heterogeneity_runs_away_and_on_the_target_arrives():
    sizes, cvs = {}, {}
    for name, penalty in (
        ("none", lambda norms: 0 * norms.sum()),
        ("published", penalties.heterogeneity),
        ("target", lambda norms: penalties.heterogeneity_target(norms, 0.8)),
    ):
        J = torch.tensor(np.random.default_rng(9).normal(size=(6, 6)), requires_grad=True)
        optimizer = torch.optim.SGD([J], lr=5.0)
        for _ in range(60):
            optimizer.zero_grad()
            penalty(norms_of(J)).backward()
            optimizer.step()
        sizes[name] = float(torch.linalg.matrix_norm(J.detach()))
        cvs[name] = dimensionality.response_cv(J.detach().numpy())
    assert sizes["published"] > 1e6 * sizes["none"]
    assert sizes["target"] < 2 * sizes["none"]
    assert cvs["none"] < 0.4
    assert cvs["target"] == pytest.approx(0.8, abs=1e-2)  # slowing down as it arrives


def test_terms_are_summed_with_weights_that_follow_their_ramps():
    J = torch.full((2, 2), 3.0)
    total = penalties.weighted(
        penalties.Term(lambda J: J.sum(), 0.5),
        penalties.Term(lambda J: J.square().sum(), 2.0, "falling"),
        penalties.Term(lambda J: J.mean(), 1.0, "rising"),
        penalties.Term(lambda J: J.mean(), 1.0, lambda done: done**2),
    )
    for done in (0.0, 0.25, 0.9):
        expected = 6 + 72 * (1 - done) + 3 * done + 3 * done**2
        assert float(total(J, done)) == pytest.approx(expected)


def test_ramps_decide_the_rank_that_training_ends_with():
    """A weight w against a pull |J - S|_F^2/2 holds max(s - w, 0) of each s in 2, 1, 0.5.

    Rising to 1.5 it leaves 0.5, 0, 0. Falling to 0 it gives back 2 and 1, but not the mode that it
    had lowered to zero for longest: there factors have no slope to leave by.
    """
    S = torch.diag(torch.tensor([2.0, 1.0, 0.5, 0.0, 0.0], dtype=torch.float64))
    start = S[:, :3].sqrt().numpy()

    def pull(model, _):
        return 0.5 * (model.m @ model.n.T - S).square().sum()

    def nuclear(model):
        return penalties.nuclear_norm(penalties.singular_values_factors(model.m, model.n))

    for ramp, end in (("rising", [0.5, 0, 0]), ("falling", [2, 1, 0])):
        model = LowRank(start, start, dt=1.0, trainable=("m", "n"), dtype=torch.float64)
        train(
            model, lambda rng: None, steps=800, rate=0.05, rng=None, optimizer="sgd", loss=pull,
            penalty=penalties.weighted(penalties.Term(nuclear, 1.5, ramp)),
        )  # fmt: skip
        sigma = penalties.singular_values_factors(model.m, model.n).detach()
        # sigma lags behind its weight by 1/(2 sigma rate) steps, of which there are 800.
        np.testing.assert_allclose(sigma, end, atol=0.05)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: penalties.singular_values(torch.ones(2, 3)), "J must be square"),
        (
            lambda: penalties.singular_values_factors(torch.ones(3, 1), torch.ones(3, 2)),
            "one shape",
        ),
        (lambda: penalties.effective_rank(torch.zeros(3)), "all zero"),
        (lambda: penalties.participation_ratio(torch.zeros(3)), "all zero"),
        (lambda: penalties.heterogeneity_target(torch.zeros(3), 1.0), "all zero"),
        (
            lambda: penalties.heterogeneity_target(torch.ones(3), -1.0),
            "cv must be at least 0, got -1.0",
        ),
        (
            lambda: penalties.spectral_distance(torch.ones(2, 2), torch.ones(2)),
            r"must be vectors, got shapes \(2, 2\) and \(2,\)",
        ),
        (
            lambda: penalties.weighted(penalties.Term(torch.sum, -1.0)),
            "weight must be at least 0, got -1.0",
        ),
        (
            lambda: penalties.weighted(penalties.Term(torch.sum, 1.0, "up")),
            "constant, falling, rising or a function, got 'up'",
        ),
        (lambda: penalties.frobenius(torch.ones(2, 3)), r"J must be square, got shape \(2, 3\)"),
        (lambda: penalties.balance(torch.ones(3)), r"J must be square, got shape \(3,\)"),
        (
            lambda: penalties.frobenius_factors(torch.ones(3, 1), torch.ones(3, 2)),
            r"m and n must have one shape \(N, R\), got \(3, 1\) and \(3, 2\)",
        ),
        (lambda: penalties.balance_factors(torch.ones(3), torch.ones(3)), "one shape"),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
