"""Compiled passes against plain torch in float64, for every parameter, input and starting point."""

import itertools

import numpy as np
import pytest
import torch

from lrnn import _sequences
from lrnn.bptt import FullRank, LowRank, random_connectivity, random_low_rank

# Two whole groups of trials and a part of one.
B, T, D, O = 10, 9, 3, 2  # noqa: E741  # the letter of the axis
DT, TAU = 0.1, 0.4
# The precision times the sums over B T N terms and over T steps of recurrence, with room.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-11}


def module(kind, N, R, phi, form, *, backend, dtype):
    rng = np.random.default_rng(N)
    net = random_low_rank(N, R, D, O, overlap=0.5, rng=rng)
    rest = {
        "w_in": net.w_in,
        "w_out": net.w_out,
        "bias": rng.normal(size=N),
        "tau": TAU,
        "dt": DT,
        "phi": phi,
        "form": form,
        "backend": backend,
        "dtype": dtype,
    }
    if kind == "low":
        return LowRank(net.m, net.n, **rest)
    J = random_connectivity(N, gain=1.5, rng=rng)
    if kind == "full":
        return FullRank(J, **rest)
    return FullRank(J, m=net.m, n=net.n, trainable=["m", "n", "w_in", "w_out", "bias"], **rest)


def results(model, data):
    """Every output and the gradient of a sum over all of them, by name."""
    dtype = model.bias.dtype
    leaves = {
        name: torch.tensor(value, dtype=dtype, requires_grad=True) for name, value in data.items()
    }
    call = model.latents if isinstance(model, LowRank) else model.activity
    outputs = call(leaves["u"], **{name: leaf for name, leaf in leaves.items() if name != "u"})
    rng = np.random.default_rng(1)
    loss = sum(
        (value * torch.tensor(rng.normal(size=value.shape), dtype=dtype)).sum() for value in outputs
    )
    loss = loss + outputs.y.square().sum()
    leaves |= dict(model.named_parameters())
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    named = dict(zip(outputs._fields, outputs, strict=True))
    named |= {f"d{name}": grad for name, grad in zip(leaves, gradients, strict=True)}
    return {name: value.detach().double() for name, value in named.items()}


def data(N, R, start, noisy):
    rng = np.random.default_rng(0)
    made = {"u": rng.normal(size=(B, T, D))}
    if start == "state0":
        made["state0"] = rng.normal(size=(B, N))
    if start == "kappa0":
        made["kappa0"] = rng.normal(size=(B, R))
    if noisy:
        made["noise"] = 0.2 * rng.normal(size=(B, T, N))
    return made


def assert_agree(kind, N, R, phi, form, start, noisy, dtype):
    given = data(N, R, start, noisy)
    fast = results(module(kind, N, R, phi, form, backend="kernel", dtype=dtype), given)
    slow = results(module(kind, N, R, phi, form, backend="torch", dtype=torch.float64), given)
    assert fast.keys() == slow.keys()
    for name, value in slow.items():
        error = (fast[name] - value).abs().max() / value.abs().max()
        assert error < TOLERANCE[dtype], (name, float(error))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", ["current", "rate"])
@pytest.mark.parametrize("kind", ["low", "full", "mixed"])
def test_outputs_and_all_gradients_are_those_of_plain_torch(kind, form, dtype):
    """Trials that do not fill a group, more latents than a group of rows, neurons than a block."""
    starts = ["zero", "state0", "kappa0"] if kind == "low" else ["zero", "state0"]
    for start, noisy in itertools.product(starts, [False, True]):
        for N, R in ((3, 1), (40, 6)):
            assert_agree(kind, N, R, "tanh", form, start, noisy, dtype)
        if kind == "low":
            assert_agree(kind, 600, 2, "tanh", form, start, noisy, dtype)
    if kind != "low":
        assert_agree(kind, 300, 2, "tanh", form, "state0", True, dtype)


@pytest.mark.parametrize(
    ("kind", "phi"), [("low", "relu"), ("full", "relu"), ("low", "sigmoid"), ("full", "linear")]
)
@pytest.mark.parametrize("form", ["current", "rate"])
def test_other_nonlinearities(kind, phi, form):
    # In float32 a current next to zero may lie on the other side of relu's kink.
    assert_agree(kind, 20, 2, phi, form, "state0", False, torch.float64)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("form", ["current", "rate"])
def test_all_rows_of_a_full_group_count_whether_rates_are_kept_or_not(form, keep, monkeypatch):
    """Two latents, inputs and outputs: four rows on either side, none of them empty."""
    monkeypatch.setitem(globals(), "D", 2)
    monkeypatch.setitem(globals(), "O", 2)
    if not keep:
        monkeypatch.setattr(_sequences, "KEPT_UP_TO", 0)
    for N, start in ((5, "zero"), (600, "kappa0")):
        for dtype in TOLERANCE:
            assert_agree("low", N, 2, "tanh", form, start, False, dtype)


@pytest.mark.parametrize("form", ["current", "rate"])
def test_threads_change_nothing_but_round_off_and_repeat_exactly(form, monkeypatch):
    monkeypatch.setattr(_sequences, "PARALLEL_FROM", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert _sequences._workers(B, T, 5) == 2
    assert_agree("low", 5, 2, "tanh", form, "state0", True, torch.float64)
    once, twice = (
        results(
            module("low", 5, 2, "tanh", form, backend="kernel", dtype=torch.float32),
            data(5, 2, "state0", False),
        )
        for _ in range(2)
    )
    assert all(torch.equal(once[name], twice[name]) for name in once)


def tanh_of(x):
    """The kernels' tanh, through a step of a network that is nothing else."""
    x = torch.tensor(x)
    net = LowRank(
        [[0.0]], [[0.0]], w_in=[[1.0]], w_out=[[1.0]], form="rate", dt=1.0, dtype=x.dtype,
        backend="kernel",
    )  # fmt: skip
    return net(x[:, None, None])[:, 1, 0].detach().numpy()


@pytest.mark.parametrize(
    ("real", "tolerance"),
    # What the module promises; in float64 a few units in the last place.
    [(np.float32, 3e-7), (np.float64, 1e-15)],
)
def test_tanh_is_that_of_numpy_in_extended_precision(real, tolerance):
    x = np.concatenate([np.linspace(-25, 25, 20001), np.logspace(-30, 1, 2001)]).astype(real)
    exact = np.tanh(x.astype(np.longdouble))
    # Relative, so that it holds in small networks near the origin too.
    error = np.abs(tanh_of(x) - exact) / np.maximum(np.abs(exact), np.finfo(real).tiny)
    assert error.max() < (tolerance if real is np.float32 else 3 * tolerance)
    assert np.abs(tanh_of(x) - exact).max() < tolerance
    np.testing.assert_array_equal(tanh_of(-x), -tanh_of(x))
    np.testing.assert_allclose(tanh_of(real([np.inf, -np.inf])), [1, -1], atol=tolerance)
    assert np.isnan(tanh_of(real([np.nan]))).all()


def test_other_loops_over_products_give_the_same(monkeypatch):
    """Below and above the size from which torch makes the products."""
    for form in ("current", "rate"):
        found = []
        for limit in (1, 10**6):
            monkeypatch.setattr(_sequences, "TORCH_PRODUCTS_FROM", limit)
            _sequences._full_rank_passes.cache_clear()
            model = module("full", 30, 2, "tanh", form, backend="kernel", dtype=torch.float64)
            found.append(results(model, data(30, 2, "state0", True)))
        for name, value in found[0].items():
            torch.testing.assert_close(value, found[1][name], rtol=1e-11, atol=1e-12)  # round-off
    _sequences._full_rank_passes.cache_clear()
