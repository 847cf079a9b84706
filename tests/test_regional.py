"""Starts against theorems on low rank; networks of regions against the matrix they stand for."""

import numpy as np
import pytest

from lrnn import connectivity as con
from lrnn import datasets, network, regional
from lrnn.bptt import LowRank
from lrnn.scan import censor
from lrnn.simulate import simulate
from lrnn.training import train, trial_loss

SEEDS = pytest.mark.parametrize("seed", range(3))
TR = 0.72


def brain(seed, regions=6, frames=1500):
    """A scan and its matrix, with 0.5 of each region kept."""
    rng = np.random.default_rng(seed)
    matrices = datasets.synthetic_brains(1, regions, decay=0.3, rng=rng)
    return datasets.simulate(matrices, frames, tr=TR, rng=rng)[0]


def outputs(net, start, u, scale=1.0):
    """x[1], x[2], ... of a network from h = scale E x, over scale."""
    state0 = scale * start @ net.w_in.T
    states = simulate(net, state0, scale * u, dt=TR).state
    return network.readout(net, states)[:, 1:] / scale


@SEEDS
@pytest.mark.parametrize("rank", [1, 3, 6])
def test_truncation_is_the_nearest_of_its_rank_and_balanced(seed, rank):
    """Eckart & Young: the error is what the other singular values make."""
    matrix = np.random.default_rng(seed).normal(size=(6, 6))
    m, n = regional.truncated_factors(matrix, rank)
    sigma = np.linalg.svd(matrix, compute_uv=False)
    error = np.linalg.norm(matrix - m @ n.T)
    assert error == pytest.approx(np.sqrt(np.sum(sigma[rank:] ** 2)), rel=1e-10, abs=1e-12)
    for factor in (m, n):
        np.testing.assert_allclose(factor.T @ factor, np.diag(sigma[:rank]), atol=1e-12)
    # The first mode as a common mode and again among the others: that much farther away.
    twice = m @ n.T + np.outer(m[:, 0], n[:, 0])
    assert np.linalg.norm(matrix - twice) == pytest.approx(np.hypot(error, sigma[0]))


@pytest.mark.parametrize("leak", [0.1, 0.5, 1.0])
def test_a_network_near_rest_has_the_connectome_that_it_was_made_for(leak):
    a = brain(0).truth
    m, n = regional.truncated_factors(regional.without_leak(a, leak), 6)
    net = regional.regional_network(m, n, leak=leak, tr=TR)
    np.testing.assert_allclose(
        np.eye(6) + TR * network.jacobian(net, *np.zeros((2, 6))), a, atol=1e-12
    )
    assert TR / net.tau == pytest.approx(leak)
    # As published, A for J, the leak is in it twice.
    m, n = regional.truncated_factors(a, 6)
    net = regional.regional_network(m, n, leak=leak, tr=TR)
    published = (1 - leak) * np.eye(6) + leak * a
    np.testing.assert_allclose(
        np.eye(6) + TR * network.jacobian(net, *np.zeros((2, 6))), published, atol=1e-12
    )


@SEEDS
@pytest.mark.parametrize("leak", [0.3, 0.6])
def test_fitted_factors_predict_best_and_truncation_with_the_leak_twice_worst(seed, leak):
    scan = brain(seed).scan
    scan = scan._replace(data=scan.data - scan.data.mean(axis=0))
    x, y = con.pairs(scan)
    full = con.ridge_var(scan, ridge=0).matrix
    errors = []
    for m, n in (
        regional.fitted_factors(scan, 3, leak=leak),
        regional.truncated_factors(regional.without_leak(full, leak), 3),
        regional.truncated_factors(full, 3),
    ):
        net = regional.regional_network(m, n, leak=leak, tr=TR)
        predicted = outputs(net, x, np.zeros((len(x), 1, 6)), scale=1e-4)[:, 0]
        errors.append(np.mean((predicted - y) ** 2))
    assert errors[0] < errors[1] < errors[2]
    # tanh bends by the cube of 1e-4; the offset of a centred scan is a few thousandths.
    model = con.reduced_rank(scan, rank=3, memory=1 - leak)
    assert errors[0] == pytest.approx(np.mean((y - x @ model.matrix.T) ** 2), rel=1e-6)


def test_a_ridge_reaches_the_fit():
    scan = brain(1).scan
    m, n = regional.fitted_factors(scan, 2, leak=0.4, ridge=0.1)
    model = con.reduced_rank(scan, rank=2, ridge=0.1, memory=0.6)
    np.testing.assert_allclose(0.6 * np.eye(6) + 0.4 * m @ n.T, model.matrix, atol=1e-12)


def test_random_factors_have_the_spectrum_asked_for_and_no_other_likeness():
    sigma = np.array([3.0, 1.0, 0.2])
    pair = [regional.random_factors(8, sigma, rng=np.random.default_rng(k)) for k in (0, 1)]
    for m, n in pair:
        found = np.linalg.svd(m @ n.T, compute_uv=False)
        np.testing.assert_allclose(found, [*sigma, *np.zeros(5)], atol=1e-12)
    one, two = (m @ n.T for m, n in pair)
    assert abs(np.vdot(one, two)) < 0.5 * np.vdot(one, one)


@pytest.mark.parametrize("N", [6, 12, 15])
def test_any_number_of_neurons_that_stand_for_regions_does_what_one_each_does(N):
    """Fifteen among six regions: groups of two and of three. With pushes, far from rest."""
    rng = np.random.default_rng(2)
    m, n = rng.normal(size=(2, 6, 2))
    encoder = regional.assignment(N, 6)
    np.testing.assert_array_equal(encoder.sum(axis=1), 1)
    start, u = rng.normal(size=(4, 6)), rng.normal(size=(4, 10, 6))
    one, many = (
        outputs(regional.regional_network(m, n, leak=0.4, tr=TR, encoder=e), start, u)
        for e in (None, encoder)
    )
    np.testing.assert_allclose(many, one, atol=1e-12)  # round-off
    h = start
    for k in range(10):
        h = 0.6 * h + 0.4 * np.tanh(h @ n @ m.T + u[:, k])
        np.testing.assert_allclose(one[:, k], h, atol=1e-12)


def test_fewer_neurons_than_regions_carry_what_their_axes_do():
    rng = np.random.default_rng(3)
    axes = np.linalg.qr(rng.normal(size=(6, 4)))[0].T  # (4, 6)
    a = rng.normal(size=(6, 6)) / 4
    m, n = regional.truncated_factors(regional.without_leak(a, 0.5), 6)
    net = regional.regional_network(m, n, leak=0.5, tr=TR, encoder=axes)
    assert net.n_neurons == 4
    start = rng.normal(size=(3, 6))
    seen = start @ axes.T @ axes
    found = outputs(net, start, np.zeros((3, 1, 6)), scale=1e-4)[:, 0]
    np.testing.assert_allclose(found, seen @ (axes.T @ axes @ a).T, atol=1e-6)  # tanh bends by 1e-8


def test_neurons_alike_stay_alike_in_training_unless_their_encoder_differs():
    scan = brain(0, regions=3).scan
    rng = np.random.default_rng(4)
    for gains, alike in ((np.ones(6), True), (rng.uniform(0.5, 1.5, 6), False)):
        encoder = 0.3 * gains[:, None] * regional.assignment(6, 3)
        m, n = regional.random_factors(3, [1.0, 0.5], rng=rng)
        net = regional.regional_network(m, n, leak=0.5, tr=TR, encoder=encoder)
        model = LowRank.from_network(net, dt=TR, trainable=("m", "n"))
        trials = regional.forecast_trials(scan, encoder)
        train(model, trials, steps=30, rate=0.01, rng=None)
        rows = model.m.detach().numpy() / gains[:, None]
        assert np.allclose(rows[:3], rows[3:], atol=1e-5) == alike  # float32


@pytest.mark.parametrize("horizon", [1, 3])
def test_trials_of_forecasts_are_those_listed_by_hand(horizon):
    scan = censor(brain(0, frames=60).scan, np.arange(60) % 11 != 4)
    encoder = np.random.default_rng(5).normal(size=(4, 6))
    trials = regional.forecast_trials(scan, encoder, horizon=horizon)
    starts = [
        t for t in range(scan.n_frames - horizon) if scan.segment[t] == scan.segment[t + horizon]
    ]
    later = [scan.data[t + 1 : t + 1 + horizon] for t in starts]
    np.testing.assert_array_equal(trials.targets, later)
    np.testing.assert_allclose(trials.condition["state0"], scan.data[starts] @ encoder.T)
    assert trials.inputs.shape == trials.targets.shape
    assert trials.scored.all()
    assert not trials.inputs.any()
    assert trials.dt == TR


def test_training_on_forecasts_ends_alike_from_each_start_and_begins_better_from_some():
    scan = brain(3).scan
    scan = scan._replace(data=0.3 * scan.data)
    full, leak, rank = con.ridge_var(scan, ridge=0).matrix, 0.5, 3
    starts = {
        "fitted": regional.fitted_factors(scan, rank, leak=leak),
        "published": regional.truncated_factors(full, rank),
    }
    sigma = np.linalg.norm(starts["fitted"][0], axis=0) ** 2
    starts["random"] = regional.random_factors(6, sigma, rng=np.random.default_rng(6))
    trials = regional.forecast_trials(scan)
    before, after = {}, {}
    for name, (m, n) in starts.items():
        net = regional.regional_network(m, n, leak=leak, tr=TR)
        model = LowRank.from_network(net, dt=TR, trainable=("m", "n"))
        history = train(model, trials, steps=300, rate=0.02, schedule="cosine", rng=None)
        before[name] = history.loss[0]
        after[name] = float(trial_loss(model, trials).detach())
    assert before["fitted"] < before["published"] < before["random"]
    assert after["random"] < before["published"]
    assert max(after.values()) == pytest.approx(min(after.values()), rel=0.01)


def test_bad_arguments_are_named():
    scan, eye, rng = brain(0, frames=60).scan, np.eye(6), np.random.default_rng(0)
    make = regional.regional_network
    cases = [
        (
            lambda: regional.truncated_factors(np.ones((2, 3)), 1),
            r"matrix must have shape \(2, 2\)",
        ),
        (lambda: regional.truncated_factors(eye, 7), "rank must be at most the 6 regions, got 7"),
        (lambda: regional.truncated_factors(eye, 0), "rank must be a whole number of at least 1"),
        (lambda: regional.without_leak(eye, 0.0), r"leak must be in \(0, 1\], got 0.0"),
        (lambda: regional.fitted_factors(scan, 2, leak=1.5), r"leak must be in \(0, 1\], got 1.5"),
        (lambda: regional.fitted_factors(scan, 9, leak=0.5), "rank is 9"),
        (lambda: regional.random_factors(2, [1, 1, 1], rng=rng), "at most 2 numbers >= 0"),
        (lambda: regional.random_factors(2, [-1], rng=rng), r"got \[-1.0\]"),
        (lambda: regional.assignment(5, 6), "n_neurons must be at least the 6 regions, got 5"),
        (lambda: make(eye, eye[:, :2], leak=1, tr=1), r"n must have shape \(6, 6\), got \(6, 2\)"),
        (lambda: make(eye, eye, leak=1, tr=0), "tr must be greater than 0"),
        (lambda: make(eye, eye, leak=-1, tr=1), "leak must be in"),
        (
            lambda: make(eye, eye, leak=1, tr=1, encoder=np.ones((8, 6))),
            "encoder must have full rank",
        ),
        (
            lambda: regional.forecast_trials(scan, np.ones((8, 5))),
            r"encoder must have shape \(N, 6\), got \(8, 5\)",
        ),
        (lambda: regional.forecast_trials(scan, horizon=0), "frames is 0"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
