"""The root search against closed forms, a bracketing solver and the full network."""

import numpy as np
import pytest
from scipy.optimize import brentq

from lrnn.fixed_points import fixed_points, latent_bound
from lrnn.network import LowRankRNN, jacobian, latent_velocity, lift, velocity

SEEDS = [0, 1, 2, 3]


def box(net, seed, n=60):
    bound = latent_bound(net)
    return np.random.default_rng(seed).uniform(-bound, bound, size=(n, net.rank))


def rank_one(seed, N=25):
    rng = np.random.default_rng(seed)
    m = 2 * rng.normal(size=(N, 1))
    n = (m + rng.normal(size=(N, 1))) / N
    return LowRankRNN(m, n, bias=rng.normal(size=N), tau=0.2)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_roots_of_a_rank_one_network_are_found(seed):
    net = rank_one(seed)
    found = fixed_points(net, box(net, seed))
    field = lambda k: latent_velocity(net, np.array([k]))[0]  # noqa: E731
    line = np.linspace(-latent_bound(net)[0], latent_bound(net)[0], 4001)
    values = latent_velocity(net, line[:, None])[:, 0]
    crossings = np.flatnonzero(values[:-1] * values[1:] < 0)
    roots = [brentq(field, line[i], line[i + 1], xtol=1e-14) for i in crossings]
    np.testing.assert_allclose(found.kappa[:, 0], roots, atol=1e-10)
    # A stable root is where the field falls through zero.
    np.testing.assert_array_equal(found.stable, values[crossings] > 0)
    assert found.hits.sum() + len(found.failed_starts) == 60


def pitchfork():
    """Two independent neurons, kappa_i = 2 tanh(kappa_i): nine fixed points, four stable."""
    return LowRankRNN(np.eye(2), 2 * np.eye(2), tau=0.5)


def test_two_uncoupled_neurons_have_nine_fixed_points():
    net = pitchfork()
    found = fixed_points(net, box(net, 0, n=300))
    side = brentq(lambda k: 2 * np.tanh(k) - k, 1, 3, xtol=1e-14)
    expected = [[a, b] for a in (-side, 0, side) for b in (-side, 0, side)]
    np.testing.assert_allclose(found.kappa, expected, atol=1e-10)
    inside, outside = (2 - 1) / 0.5, (2 / np.cosh(side) ** 2 - 1) / 0.5
    rates = [
        [max(x, y), min(x, y)]
        for x, y in ([inside if abs(k) < 0.1 else outside for k in point] for point in found.kappa)
    ]
    np.testing.assert_allclose(found.eigenvalues, rates, atol=1e-9)
    assert found.stable.sum() == 4
    assert (found.residual < 1e-12).all()


@pytest.mark.parametrize("form", ["current", "rate"])
@pytest.mark.parametrize("seed", SEEDS)
def test_fixed_points_and_stability_are_those_of_all_neurons(seed, form):
    rng = np.random.default_rng(seed)
    m = rng.normal(size=(40, 2))
    net = LowRankRNN(
        m, m @ np.diag([2.5, 1.8]) / 40, w_in=rng.normal(size=(40, 1)), tau=0.3, form=form
    )
    v = np.array([0.2])
    found = fixed_points(net, box(net, seed), v)
    assert len(found.kappa) >= 3
    for kappa, values, stable in zip(found.kappa, found.eigenvalues, found.stable, strict=True):
        state = lift(net, kappa, v)
        np.testing.assert_allclose(velocity(net, state, v), 0, atol=1e-8)  # residual tolerance/tau
        full = np.linalg.eigvals(jacobian(net, state, v))
        assert (full.real.max() < 0) == stable
        for value in values:
            assert np.abs(full - value).min() < 1e-8


def test_oscillation_has_a_complex_pair():
    m = np.random.default_rng(0).normal(size=(400, 2))
    turn = np.array([[2.0, -1.5], [1.5, 2.0]])
    net = LowRankRNN(m, np.linalg.solve(m.T @ m, (m @ turn.T).T).T)
    origin = fixed_points(net, np.zeros((1, 2)))
    # n^T m = turn, so the origin's Jacobian is turn - 1.
    np.testing.assert_allclose(sorted(origin.eigenvalues[0], key=np.imag), [1 - 1.5j, 1 + 1.5j])
    assert not origin.stable[0]


def test_starts_that_arrive_nowhere_are_reported():
    """kappa = 1 + relu(kappa) has no solution: kappa <= 0 gives 1, kappa > 0 gives kappa + 1."""
    net = LowRankRNN([[1.0], [0.0]], [[1.0], [1.0]], bias=[0.0, 1.0], phi="relu")
    starts = np.array([[-3.0], [0.5], [4.0]])
    found = fixed_points(net, starts)
    assert found.kappa.shape == (0, 1)
    assert found.eigenvalues.shape == (0, 1)
    np.testing.assert_array_equal(found.failed_starts, starts)
    assert (found.failed_residual >= 1.0 - 1e-6).all()


def test_a_continuum_returns_a_point_for_every_start():
    """kappa = relu(kappa) for all kappa >= 0: nothing is isolated, nothing is called stable."""
    net = LowRankRNN([[1.0]], [[1.0]], phi="relu")
    starts = np.array([[0.5], [1.0], [2.0]])
    found = fixed_points(net, starts)
    np.testing.assert_allclose(found.kappa, starts, atol=1e-9)
    np.testing.assert_allclose(found.eigenvalues, 0.0, atol=1e-12)
    assert not found.stable.any()


@pytest.mark.parametrize("seed", SEEDS)
def test_box_holds_every_fixed_point(seed):
    net = rank_one(seed)
    wide = np.random.default_rng(seed).uniform(-50, 50, size=(60, 1))
    found = fixed_points(net, wide)
    assert (np.abs(found.kappa) <= latent_bound(net)).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fixed_points(pitchfork(), np.zeros(2)), r"starts must have shape \(S, 2\)"),
        (
            lambda: fixed_points(pitchfork(), np.zeros((1, 2)), np.ones(1)),
            r"v must have shape \(0,",
        ),
        (lambda: fixed_points(pitchfork(), np.zeros((1, 2)), tol=0), "tol must be greater than 0"),
        (
            lambda: latent_bound(LowRankRNN([[1.0]], [[1.0]], phi="relu")),
            "phi = relu is not bounded",
        ),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
