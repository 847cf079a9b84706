"""Surrogates against regressions, known connectomes and products of weights; loops against laws."""

import functools

import numpy as np
import pytest
import torch
from scipy.linalg import solve_discrete_lyapunov
from sklearn.linear_model import Ridge

from lrnn import connectivity as con
from lrnn import datasets, npi
from lrnn.scan import censor, make_scan, split
from lrnn.training import History

REGIONS = 6
SEEDS = pytest.mark.parametrize("seed", range(3))
QUICK = {"epochs": 60, "rate": 3e-3}  # a fit of 1600 windows takes a second


@functools.cache
def brain(seed, phi="linear", frames=2000):
    """A scan of six regions and the matrix that made it."""
    rng = np.random.default_rng(seed)
    matrices = datasets.synthetic_brains(1, REGIONS, decay=0.3, rng=rng)
    return datasets.simulate(matrices, frames, phi=phi, rng=rng)[0]


@functools.cache
def fitted(seed, phi="tanh", frames=2):
    """A perceptron fitted to four fifths of a scan, and the windows of all of it."""
    scan = brain(seed, phi).scan
    surrogate = npi.fit(
        *split(scan, 0.8), frames=frames, rng=np.random.default_rng(seed), **QUICK
    )  # fmt: skip
    return surrogate, con.histories(scan, frames=frames)[0]


def linear(*matrices, mean=None, scale=1.0):
    """x[t + 1] = mean + sum_k matrices[k] (x[t - K + 1 + k] - mean), as a surrogate."""
    stacked = np.concatenate(matrices, axis=1)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(*stacked.T.shape)).double()
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor(stacked))
        net[1].bias.zero_()
    net.requires_grad_(False)
    mean = np.zeros(len(stacked)) if mean is None else mean
    history = History(*(np.empty(0),) * 6, np.inf, -1, "steps")
    return npi.Surrogate(net, len(matrices), mean, scale, 0.5, history)


def likeness(a, b):
    return np.corrcoef(con.off_diagonal(a), con.off_diagonal(b))[0, 1]


# What is learned


@pytest.mark.parametrize("frames", [1, 2])
def test_the_linear_surrogate_is_ridge_regression_on_the_frames_before(frames):
    """With a weight decay of twice the ridge; data of any unit, in segments."""
    data = brain(0, frames=300).scan
    scan = censor(data._replace(data=40 * data.data + 7), np.arange(300) % 9 != 5)
    decay = 0.04
    surrogate = npi.fit(
        scan, scan, kind="linear", frames=frames, epochs=1500, batch_size=300, rate=0.02,
        weight_decay=decay, patience=None, schedule="cosine", rng=np.random.default_rng(0),
    )  # fmt: skip
    x, y = con.histories(scan, frames=frames)
    alpha = 0.5 * decay * y.var(axis=0).sum() * len(y)
    known = Ridge(alpha=alpha).fit(x.reshape(len(x), -1), y)
    # What Adam leaves in float32 at the end of its schedule.
    np.testing.assert_allclose(
        npi.predict(surrogate, x), known.predict(x.reshape(len(x), -1)), atol=1e-4 * y.std()
    )
    for frame in range(frames):
        block = known.coef_[:, frame * REGIONS : (frame + 1) * REGIONS]
        for found in (
            npi.connectome(surrogate, x, frame=frame, size=3.0),
            npi.mean_jacobian(surrogate, x, frame=frame - frames),
        ):
            np.testing.assert_allclose(found, block, atol=1e-4)
    if frames == 1:
        model = con.ridge_var(scan, ridge=0.5 * decay)
        np.testing.assert_allclose(npi.connectome(surrogate, x), model.matrix, atol=1e-4)
        assert npi.r_squared(surrogate, scan) == pytest.approx(con.r_squared(model, scan), abs=1e-5)


@SEEDS
@pytest.mark.parametrize("phi", ["linear", "tanh"])
def test_a_perceptron_recovers_a_known_connectome_and_ridge_recovers_it_better(seed, phi):
    known = brain(seed, phi)
    surrogate, windows = fitted(seed, phi)
    effective = npi.connectome(surrogate, windows)
    # At these lengths r was 0.86 to 0.96 over seeds; functional connectivity 0.3 to 0.7.
    assert likeness(effective, known.truth) > 0.8
    assert likeness(effective, known.truth) > likeness(effective.T, known.truth) + 0.2
    assert likeness(effective, known.truth) > likeness(
        con.functional_connectivity(known.scan), known.truth
    )
    assert likeness(con.ridge_var_cv(known.scan).matrix, known.truth) > likeness(
        effective, known.truth
    )


def test_rows_are_targets():
    """Region 0 drives region 1 and nothing else: the entry is at [1, 0], in NPI's at [0, 1]."""
    chain = np.zeros((1, 3, 3))
    chain[0, 1, 0] = 0.9
    scan = datasets.simulate(chain, 1000, rng=np.random.default_rng(0))[0].scan
    surrogate = npi.fit(*split(scan, 0.8), frames=1, rng=np.random.default_rng(0), **QUICK)
    windows = con.histories(scan)[0]
    for matrix in (
        npi.connectome(surrogate, windows),
        npi.mean_jacobian(surrogate, windows),
        con.to_npi(npi.connectome(surrogate, windows)).T,
    ):
        assert np.unravel_index(np.abs(matrix).argmax(), (3, 3)) == (1, 0)
        assert matrix[1, 0] > 0.7


def test_patience_ends_a_fit_to_noise_and_the_best_weights_are_kept():
    """White noise in 20 regions has no next frame to learn: all that is learned is by heart."""
    noise = make_scan(np.random.default_rng(1).standard_normal((200, 20)), tr=1.0)
    scan, later = split(noise, 0.8)
    fit = functools.partial(npi.fit, scan, later, epochs=100, rate=3e-3)
    stopped = fit(patience=5, rng=np.random.default_rng(0))
    to_the_end = fit(patience=None, rng=np.random.default_rng(0))
    assert stopped.history.stopped == "patience"
    assert to_the_end.history.stopped == "steps"
    assert npi.r_squared(to_the_end, scan) > 0.5
    assert npi.r_squared(to_the_end, later) < -0.5
    assert npi.r_squared(stopped, later) > -0.1
    # Validated at the start, after each epoch of ceil(157/50) steps, and once more in the end.
    np.testing.assert_array_equal(np.diff(stopped.history.validated_at), 4)
    assert len(to_the_end.history.loss) == 4 * 100
    best = stopped.history.best * stopped.scale**2
    y = con.histories(later, frames=3)[1]
    error = (1 - npi.r_squared(stopped, later)) * y.var(axis=0).mean()
    assert error == pytest.approx(best, rel=1e-5)  # float32


def test_the_same_seed_gives_the_same_surrogate_in_any_unit():
    scan = brain(2, frames=300).scan
    effective = []
    for unit, zero in ((1.0, 0.0), (1.0, 0.0), (2.0**10, 2.0**12)):
        changed = scan._replace(data=unit * scan.data + zero)
        surrogate = npi.fit(changed, changed, epochs=5, rng=np.random.default_rng(3))
        windows = con.histories(changed, frames=3)[0]
        effective.append(npi.connectome(surrogate, windows, size=unit))
    np.testing.assert_array_equal(effective[0], effective[1])
    np.testing.assert_allclose(effective[0], effective[2], atol=1e-5)  # float32 in training
    other = npi.fit(scan, scan, epochs=5, rng=np.random.default_rng(4))
    assert not np.allclose(npi.connectome(other, con.histories(scan, frames=3)[0]), effective[0])


def test_each_window_is_seen_once_an_epoch():
    x = torch.arange(7.0)
    draw, rng = npi._minibatches(x, -x, 3), np.random.default_rng(0)
    orders = []
    for _ in range(2):
        batches = [draw(rng) for _ in range(3)]
        assert [len(batch[0]) for batch in batches] == [3, 3, 1]
        assert all(torch.equal(batch[0], -batch[1]) for batch in batches)
        orders.append(torch.cat([batch[0] for batch in batches]))
        assert torch.equal(orders[-1].sort().values, x)
    assert not torch.equal(*orders)


def test_the_published_layers():
    n, frames = 10, 3
    scan = make_scan(np.random.default_rng(0).standard_normal((100, n)), tr=1.0)
    net = npi.fit(scan, scan, epochs=1, rng=np.random.default_rng(0)).net
    shapes = [tuple(layer.weight.shape) for layer in net if hasattr(layer, "weight")]
    assert shapes == [(20, frames * n), (8, 20), (10, 8)]
    assert sum(isinstance(layer, torch.nn.ReLU) for layer in net) == 2


# What pushes show


def test_the_mean_jacobian_is_the_product_of_weights_with_those_units_off_that_are_silent():
    surrogate, windows = fitted(0)
    first, second, last = (layer for layer in surrogate.net if hasattr(layer, "weight"))
    x = torch.tensor((windows - surrogate.mean) / surrogate.scale).flatten(1)
    one = first(x)
    two = second(one.relu())
    slopes = [
        last.weight @ torch.diag((b > 0) * 1.0).double() @ second.weight
        @ torch.diag((a > 0) * 1.0).double() @ first.weight
        for a, b in zip(one, two, strict=True)
    ]  # fmt: skip
    expected = torch.stack(slopes).mean(dim=0).numpy()
    for frame in (0, 1):
        block = expected[:, frame * REGIONS : (frame + 1) * REGIONS]
        found = npi.mean_jacobian(surrogate, windows, frame=frame)
        np.testing.assert_allclose(found, block, atol=1e-12)  # round-off
    # The narrowest layer bounds the rank at each window.
    assert torch.linalg.matrix_rank(slopes[0]) <= int(0.8 * REGIONS)


@SEEDS
def test_small_pushes_give_the_jacobian_and_large_ones_nearly(seed):
    """Of 2000 windows, a push moves a share proportional to its size past a corner of a ReLU."""
    surrogate, windows = fitted(seed)
    exact = npi.mean_jacobian(surrogate, windows)
    errors = [
        np.abs(npi.connectome(surrogate, windows, size=size) - exact).max()
        for size in (1.0, 0.1, 1e-3)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-3
    assert likeness(npi.connectome(surrogate, windows), exact) > 0.98


def test_responses_are_differences_of_predictions_and_the_connectome_their_mean():
    surrogate, windows = fitted(1)
    for region, frame, size in ((2, -1, 1.0), (0, 0, -0.3)):
        pushed = windows.copy()
        pushed[:, frame, region] += size
        by_hand = (npi.predict(surrogate, pushed) - npi.predict(surrogate, windows)) / size
        found = npi.responses(surrogate, windows, region, size=size, frame=frame)
        np.testing.assert_allclose(found, by_hand, atol=1e-12)  # round-off
        effective = npi.connectome(surrogate, windows, size=size, frame=frame)
        np.testing.assert_allclose(effective[:, region], by_hand.mean(axis=0), atol=1e-12)


# In closed loop


def test_a_closed_loop_follows_its_recursion():
    rng = np.random.default_rng(5)
    mean = rng.normal(size=REGIONS)
    older, newer = 0.3 * rng.normal(size=(2, REGIONS, REGIONS))
    surrogate = linear(older, newer, mean=mean, scale=2.0)
    start, noise = rng.normal(size=(2, REGIONS)), rng.normal(size=(20, REGIONS))
    frames = list(start)
    for kick in noise:
        before, last = frames[-2:]
        frames.append(mean + older @ (before - mean) + newer @ (last - mean) + kick)
    scan = npi.simulate(surrogate, start, noise)
    np.testing.assert_allclose(scan.data, frames[2:], atol=1e-12)  # round-off
    assert (scan.tr, scan.n_frames) == (0.5, 20)


@SEEDS
def test_a_closed_loop_is_stationary_with_the_covariance_of_its_law(seed):
    """Lyapunov's equation. 8000 frames with a memory of some 10: 4% a variance, 5 times that."""
    rng = np.random.default_rng(seed)
    a = brain(seed).truth
    noise = rng.standard_normal((8200, REGIONS))
    frames = npi.simulate(linear(a), np.zeros((1, REGIONS)), noise).data[200:]
    law = solve_discrete_lyapunov(a, np.eye(REGIONS))
    scale = np.sqrt(np.outer(law.diagonal(), law.diagonal()))
    halves = [np.cov(half.T) / scale for half in np.split(frames, 2)]
    np.testing.assert_allclose(np.mean(halves, axis=0), law / scale, atol=0.2)
    np.testing.assert_allclose(*halves, atol=0.4)


def test_the_loop_of_a_fitted_surrogate_has_the_correlations_of_its_scan():
    """Closed on its own residuals: model against empirical functional connectivity."""
    surrogate, windows = fitted(0)
    scan = brain(0, "tanh").scan
    residual = con.histories(scan, frames=2)[1] - npi.predict(surrogate, windows)
    noise = residual[np.random.default_rng(6).integers(len(residual), size=2000)]
    loop = npi.simulate(surrogate, windows[0], noise)
    model, data = (con.functional_connectivity(each) for each in (loop, scan))
    assert likeness(model, data) > 0.9
    # In three standard errors of a standard deviation over 2000 frames, and what f leaves out.
    np.testing.assert_allclose(loop.data.std(axis=0), scan.data.std(axis=0), rtol=0.15)


def test_a_loop_that_runs_away_says_at_which_frame():
    """2^t exceeds 100 standard deviations of 3 after t = 9: 512 > 300, in frame 8 from 1."""
    surrogate = linear(2.0 * np.eye(2), scale=3.0)
    quiet = np.zeros((30, 2))
    with pytest.raises(npi.DivergedError, match="frame 8 of the closed loop is 100") as caught:
        npi.simulate(surrogate, np.ones((1, 2)), quiet)
    assert caught.value.frame == 8
    assert npi.simulate(surrogate, np.ones((1, 2)), quiet[:8]).data[-1, 0] == 256
    with pytest.raises(npi.DivergedError, match="frame 0"):
        npi.simulate(surrogate, np.ones((1, 2)), quiet, limit=0.5)


def test_bad_arguments_are_named():
    scan = brain(0, frames=300).scan
    surrogate, x = linear(np.eye(6), np.eye(6)), np.zeros((5, 2, 6))
    rng = np.random.default_rng(0)
    fit = functools.partial(npi.fit, rng=rng)
    cases = [
        (lambda: fit(scan, scan, kind="rnn"), "kind must be one of mlp, linear, got 'rnn'"),
        (
            lambda: fit(scan, scan._replace(data=scan.data[:, :4])),
            "held_out must have the 6 regions of scan, got 4",
        ),
        (lambda: fit(scan, scan, frames=0), "frames is 0"),
        (lambda: fit(scan, scan, epochs=0), "epochs must be a whole number"),
        (lambda: fit(scan, scan, batch_size=0), "batch_size must be a whole number"),
        (lambda: fit(scan, scan, weight_decay=-1), "weight_decay must be at least 0"),
        (lambda: fit(scan, scan, rate=0), "rate must be greater than 0"),
        (lambda: npi.predict(surrogate, x[:, :1]), r"windows must have shape \(P, 2, 6\)"),
        (lambda: npi.responses(surrogate, x, 6), "region must be 0 to 5, got 6"),
        (lambda: npi.responses(surrogate, x, 0, size=0.0), "size must be a number other than 0"),
        (lambda: npi.connectome(surrogate, x, size=np.inf), "size must be a number"),
        (lambda: npi.connectome(surrogate, x, frame=2), "frame must be one of 2 in a window"),
        (lambda: npi.mean_jacobian(surrogate, x, frame=-3), "frame must be one of 2"),
        (lambda: npi.simulate(surrogate, x[0, :1], x[0]), r"start must have shape \(2, 6\)"),
        (lambda: npi.simulate(surrogate, x[0], x[0, :, :2]), r"noise must have shape \(T, 6\)"),
        (lambda: npi.simulate(surrogate, x[0], x[0], limit=0), "limit must be greater than 0"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
