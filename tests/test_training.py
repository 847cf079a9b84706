"""The training loop against closed forms, a plain loop, and itself after an interruption."""

import functools

import numpy as np
import pytest
import torch

from lrnn.bptt import LowRank, masked_mse, random_low_rank
from lrnn.tasks import flip_flop
from lrnn.tracking import ou_integration
from lrnn.training import TrainingDivergedError, train, trial_loss


class Bowl(torch.nn.Module):
    """A loss |w - batch|^2/2, whose gradient step is known."""

    def __init__(self, start=(3.0, 4.0)):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))


def bowl_loss(model, batch):
    return 0.5 * (model.w - batch).square().sum()


def still(rng):
    return torch.zeros(2, dtype=torch.float64)


def noisy(rng):
    return torch.tensor(rng.normal(size=2))


go = functools.partial(train, batches=still, loss=bowl_loss, rng=None)


def test_gradient_descent_is_its_closed_form():
    """w_k = (1 - rate)^k w_0, with every column of the history."""
    model = Bowl()
    history = go(model, steps=20, rate=0.1, optimizer="sgd")
    shrink = 0.9 ** np.arange(20)
    # Rounding of 20 steps.
    np.testing.assert_allclose(history.loss, 12.5 * shrink**2, rtol=1e-12)
    np.testing.assert_allclose(history.grad_norm, 5 * shrink, rtol=1e-12)
    np.testing.assert_allclose(model.w.detach(), 0.9**20 * np.array([3, 4]), rtol=1e-12)
    np.testing.assert_array_equal(history.rate, 0.1)
    assert (np.diff(history.seconds) > 0).all()
    assert (history.best_step, history.stopped) == (19, "steps")


def test_clipping_bounds_the_step_and_records_the_norm_before_it():
    model = Bowl()
    history = go(model, steps=3, rate=1.0, optimizer="sgd", clip=0.5)
    # Along a straight line to the minimum, half a unit a step; clipping adds 1e-6 to the norm.
    np.testing.assert_allclose(history.grad_norm, [5, 4.5, 4], rtol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25]),
        ("cosine", [1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5]),
        (lambda done: 1 + done, [1, 1.25, 1.5, 1.75]),
    ],
)
def test_schedules(schedule, factors):
    rates = go(Bowl(), steps=4, rate=0.2, schedule=schedule).rate
    np.testing.assert_allclose(rates, 0.2 * np.array(factors), rtol=1e-12)
    warm = go(Bowl(), steps=4, rate=0.2, schedule=schedule, warmup=3).rate
    np.testing.assert_allclose(warm, rates * [0.25, 0.5, 0.75, 1], rtol=1e-12)


def test_adam_is_that_of_torch_in_a_plain_loop():
    model, other = Bowl(), Bowl()
    go(model, batches=noisy, rng=np.random.default_rng(0), steps=30, rate=0.05)
    rng, optimizer = np.random.default_rng(0), torch.optim.Adam(other.parameters(), lr=0.05)
    for _ in range(30):
        optimizer.zero_grad()
        bowl_loss(other, noisy(rng)).backward()
        optimizer.step()
    # The fused step rounds differently.
    torch.testing.assert_close(model.w, other.w, rtol=1e-10, atol=0)


def test_the_best_weights_come_back_and_patience_ends_a_run():
    """A step too large: the loss on validation data grows from the start."""
    target = torch.tensor([3.0, 4.1], dtype=torch.float64)
    sgd = {"steps": 100, "rate": 0.1, "optimizer": "sgd", "validation": target}
    model = Bowl()
    history = go(model, validate_every=5, patience=3, restore_best=True, **sgd)
    assert history.stopped == "patience"
    assert (history.best_step, history.best) == (0, pytest.approx(0.005))
    np.testing.assert_array_equal(history.validated_at, [0, 5, 10, 15])
    assert len(history.loss) == 15
    np.testing.assert_array_equal(model.w.detach(), [3, 4])
    last = Bowl()
    go(last, validate_every=5, patience=3, **sgd)
    assert last.w[0] < 1
    full = go(Bowl(), validate_every=30, **sgd)
    np.testing.assert_array_equal(full.validated_at, [0, 30, 60, 90, 100])
    expected = 0.5 * np.sum((np.outer(0.9**full.validated_at, [3, 4]) - [3, 4.1]) ** 2, axis=1)
    np.testing.assert_allclose(full.validation, expected, rtol=1e-12)  # rounding


def test_the_best_weights_can_lie_on_the_way():
    """Along w_k = 0.9^k (3, 4), the validation target 0.9^6 (3, 4) is met after 6 steps."""
    target = torch.tensor([3.0, 4.0], dtype=torch.float64) * 0.9**6
    model = Bowl()
    history = go(
        model, steps=20, rate=0.1, optimizer="sgd", validation=target, validate_every=2,
        restore_best=True,
    )  # fmt: skip
    assert history.best_step == 6
    np.testing.assert_allclose(model.w.detach(), target, rtol=1e-12)  # rounding


def test_a_penalty_acts_on_steps_with_a_changing_weight_and_not_on_validation():
    """Steps on |w|^2/2 + c_k |w|^2/2 with c_k = k/4: w shrinks by 1 - rate (1 + k/4)."""
    model = Bowl()
    history = go(
        model, steps=4, rate=0.1, optimizer="sgd", validation=still(None), validate_every=1,
        penalty=lambda model, done: 0.5 * done * model.w.square().sum(),
    )  # fmt: skip
    weight = 1 + np.arange(4) / 4
    size = 5 * np.cumprod([1, *(1 - 0.1 * weight)])
    np.testing.assert_allclose(history.loss, 0.5 * weight * size[:-1] ** 2, rtol=1e-12)  # rounding
    np.testing.assert_allclose(history.validation, 0.5 * size**2, rtol=1e-12)


class Interruption(Exception):
    pass


@pytest.mark.parametrize("optimizer", ["adam", functools.partial(torch.optim.SGD, momentum=0.9)])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, optimizer):
    validation = torch.ones(2, dtype=torch.float64)
    same = {
        "loss": bowl_loss,
        "steps": 50,
        "rate": 0.1,
        "schedule": "cosine",
        "optimizer": optimizer,
        "validation": validation,
        "validate_every": 7,
        "restore_best": True,
        "checkpoint_every": 10,
    }
    whole = Bowl()
    known = train(whole, noisy, rng=np.random.default_rng(1), **same)
    count = 0

    def breaking(rng):
        nonlocal count
        count += 1
        if count == 34:
            raise Interruption
        return noisy(rng)

    same |= {"checkpoint": tmp_path / "run.pt", "resume": True}
    with pytest.raises(Interruption):
        train(Bowl(), breaking, rng=np.random.default_rng(1), **same)
    assert len(torch.load(tmp_path / "run.pt", weights_only=True)["columns"]["loss"]) == 30
    # All that matters comes from the file: other weights, another generator.
    model = Bowl(start=(9.0, 9.0))
    history = train(model, noisy, rng=np.random.default_rng(2), **same)
    for name in ("loss", "grad_norm", "rate", "validation", "validated_at"):
        np.testing.assert_array_equal(getattr(history, name), getattr(known, name))
    assert torch.equal(model.w, whole.w)
    assert (history.best, history.best_step) == (known.best, known.best_step)
    # A finished run is not taken further.
    again = train(Bowl(), noisy, rng=np.random.default_rng(3), **same)
    np.testing.assert_array_equal(again.loss, known.loss)
    with pytest.raises(ValueError, match="steps must be those of the checkpoint, 50, got 60"):
        train(Bowl(), noisy, rng=np.random.default_rng(3), **{**same, "steps": 60})


def test_divergence_names_the_step_and_keeps_what_was_good():
    def loss(model, batch):
        value = bowl_loss(model, batch)
        return value if value < 1e4 else value * float("nan")

    model = Bowl()
    with pytest.raises(
        TrainingDivergedError, match="the loss is not finite after 4 steps"
    ) as caught:
        go(model, loss=loss, steps=100, rate=4.0, optimizer="sgd")
    # w grows by -3 a step: losses are 12.5 9^k, and the fourth of them was the last below 1e4.
    np.testing.assert_allclose(caught.value.history.loss, 12.5 * 9.0 ** np.arange(4), rtol=1e-12)
    assert caught.value.history.stopped == "diverged"
    assert caught.value.step == 4
    np.testing.assert_allclose(caught.value.state["w"], [3 * (-3.0) ** 3, 4 * (-3.0) ** 3])
    assert torch.equal(model.w, caught.value.state["w"])
    assert isinstance(caught.value, ArithmeticError)


def test_a_gradient_that_is_not_finite_is_a_divergence_too():
    with pytest.raises(TrainingDivergedError, match="the gradient is not finite after 0 steps"):
        go(Bowl(start=(0.0, 0.0)), loss=lambda model, batch: model.w.sum().sqrt(), steps=3, rate=1)


def test_a_network_that_overflows_is_a_divergence():
    """relu with a loop gain of 50 leaves float32 within a hundred steps."""
    trials = ou_integration(4, duration=20.0, dt=0.2, rng=np.random.default_rng(0))
    m = np.ones((2, 1))
    model = LowRank(
        m, 25 * m, w_in=np.ones((2, 1)), w_out=np.ones((2, 1)), phi="relu", bias=np.ones(2), dt=0.2
    )
    with pytest.raises(TrainingDivergedError, match="loss is not finite after 0 steps"):
        train(model, trials, steps=5, rate=1e-3, rng=None)


def test_batches_are_drawn_from_trials_without_repetition():
    trials = flip_flop(10, rng=np.random.default_rng(0))
    seen = []

    def loss(model, batch):
        seen.append(batch)
        return trial_loss(model, batch)

    net = random_low_rank(8, 3, 3, 3, rng=np.random.default_rng(1))
    train(
        LowRank.from_network(net, dt=0.2), trials,
        loss=loss, steps=4, rate=1e-3, batch_size=6, rng=np.random.default_rng(2),
    )  # fmt: skip
    firsts = trials.inputs.sum(axis=(1, 2)) + 100 * trials.inputs[:, 40:].sum(axis=(1, 2))
    for batch in seen:
        assert batch.inputs.shape == (6, *trials.inputs.shape[1:])
        sums = (batch.inputs.sum(dim=(1, 2)) + 100 * batch.inputs[:, 40:].sum(dim=(1, 2))).numpy()
        places = [int(np.argmin(np.abs(firsts - each))) for each in sums]
        assert len(set(places)) == 6
        for name in ("inputs", "targets", "scored", "mask"):
            np.testing.assert_array_equal(getattr(batch, name), getattr(trials, name)[places])


def test_trial_loss_leaves_out_the_time_before_any_input():
    trials = flip_flop(5, rng=np.random.default_rng(0))
    net = random_low_rank(8, 3, 3, 3, rng=np.random.default_rng(1))
    model = LowRank.from_network(net, dt=0.2, dtype=torch.float64)
    expected = masked_mse(model(trials.inputs)[:, 1:], trials.targets, trials.scored)
    assert torch.equal(trial_loss(model, trials), expected)


def test_a_low_rank_network_learns_the_flip_flop():
    """Two seeds end far below chance, which is 1."""
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        trials = flip_flop(32, rng=rng)
        net = random_low_rank(20, 3, 3, 3, overlap=1.5, rng=rng)
        model = LowRank.from_network(net, dt=0.2)
        history = train(model, trials, steps=300, rate=1e-2, clip=1.0, schedule="cosine", rng=None)
        assert history.loss[0] > 0.2
        # Twice what the worse of the two reaches.
        assert history.loss[-1] < 1.1e-2


def test_the_progress_bar_is_shown_when_asked(capsys):
    go(Bowl(), steps=5, rate=0.1)
    assert capsys.readouterr() == ("", "")
    go(Bowl(), steps=5, rate=0.1, progress=True)
    assert "100%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"rate": -1.0}, "rate must be greater than 0, got -1.0"),
        ({"clip": 0.0}, "clip must be greater than 0"),
        ({"optimizer": "lbfgs"}, "optimizer must be one of adam, sgd or a function, got 'lbfgs'"),
        ({"schedule": "step"}, "schedule must be one of constant, linear, cosine or a function"),
        ({"patience": 3}, "give validation data"),
        ({"resume": True}, "resume needs the path"),
        ({"batch_size": 3}, "batch_size is for Trials"),
        ({"warmup": -1}, "warmup must be a whole number of at least 0"),
        ({"validate_every": 2.5}, "validate_every must be a whole number"),
    ],
)
def test_bad_arguments_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        go(Bowl(), **{"steps": 5, "rate": 0.1, **change})


def test_bad_batches_are_named():
    trials = flip_flop(4, rng=np.random.default_rng(0))
    net = random_low_rank(8, 3, 3, 3, rng=np.random.default_rng(1))
    model = LowRank.from_network(net, dt=0.2)
    with pytest.raises(ValueError, match="at most the 4 trials, got 5"):
        train(model, trials, steps=1, rate=0.1, batch_size=5, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="rng must be given"):
        train(model, trials, steps=1, rate=0.1, batch_size=2, rng=None)
    fixed = LowRank.from_network(net, dt=0.2, trainable=[])
    with pytest.raises(ValueError, match="no parameter to train"):
        train(fixed, lambda rng: trials, steps=1, rate=0.1, rng=None)
