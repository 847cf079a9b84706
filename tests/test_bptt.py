"""Trainable modules against `lrnn.simulate`, finite differences, and the network they came from."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

from lrnn import _sequences, bptt
from lrnn.bptt import (
    FullRank,
    LowRank,
    masked_mse,
    random_connectivity,
    random_low_rank,
)
from lrnn.network import LowRankRNN, connectivity, rates, readout
from lrnn.simulate import simulate, simulate_latent

B, T, N, R, D = 4, 30, 25, 2, 2
DT, TAU = 0.05, 0.4


def network(form="current", phi="tanh", seed=0):
    rng = np.random.default_rng(seed)
    net = random_low_rank(N, R, D, 3, overlap=1.5, tau=TAU, phi=phi, form=form, rng=rng)
    return dataclasses.replace(net, bias=rng.normal(size=N))


def signal(seed=0):
    return np.random.default_rng(seed).normal(size=(B, T, D))


@pytest.mark.parametrize("backend", ["kernel", "torch"])
@pytest.mark.parametrize("form", ["current", "rate"])
@pytest.mark.parametrize("phi", ["tanh", "relu"])
def test_activity_is_that_of_simulate_from_any_state(form, phi, backend):
    net, u = network(form, phi), signal()
    x0 = np.random.default_rng(1).normal(size=(B, N))
    path = simulate(net, x0, u, dt=DT).state
    for kind in (LowRank, FullRank):
        module = kind.from_network(net, dt=DT, dtype=torch.float64, backend=backend)
        found = module.activity(u, x0)
        # Round-off, of sums in another order, through a network that is not chaotic.
        np.testing.assert_allclose(found.rates.detach(), rates(net, path), atol=1e-12)
        np.testing.assert_allclose(found.y.detach(), readout(net, path), atol=1e-12)
        np.testing.assert_allclose(module(u, x0).detach(), found.y.detach(), atol=1e-13)  # likewise


@pytest.mark.parametrize("backend", ["kernel", "torch"])
@pytest.mark.parametrize("form", ["current", "rate"])
def test_latents_are_those_of_simulate_latent(form, backend):
    net, u = network(form), signal()
    kappa0 = np.random.default_rng(1).normal(size=(B, R))
    module = LowRank.from_network(net, dt=DT, dtype=torch.float64, backend=backend)
    found, known = module.latents(u, kappa0=kappa0), simulate_latent(net, kappa0, u, dt=DT)
    for name in ("kappa", "v", "y"):
        # Round-off.
        np.testing.assert_allclose(
            getattr(found, name).detach(), getattr(known, name), atol=1e-13, err_msg=name
        )


@pytest.mark.parametrize("form", ["current", "rate"])
def test_noise_is_added_to_the_state_after_each_step(form):
    """The loop written out: one Euler step of `simulate`, then the noise."""
    net, u = network(form), signal()
    rng = np.random.default_rng(2)
    x, noise = rng.normal(size=(B, N)), 0.3 * rng.normal(size=(B, T, N))
    states = [x]
    for t in range(T):
        states.append(simulate(net, states[-1], u[:, t : t + 1], dt=DT).state[:, 1] + noise[:, t])
    path = np.stack(states, axis=1)
    for kind in (LowRank, FullRank):
        module = kind.from_network(net, dt=DT, dtype=torch.float64)
        found = module.activity(u, x, noise)
        np.testing.assert_allclose(found.rates.detach(), rates(net, path), atol=1e-12)  # round-off
        np.testing.assert_allclose(found.y.detach(), readout(net, path), atol=1e-12)


@pytest.mark.parametrize("form", ["current", "rate"])
@pytest.mark.parametrize("kind", [LowRank, FullRank])
def test_gradients_are_finite_differences(kind, form):
    """Independent of automatic differentiation, through penalties on rates and latents too."""
    module = kind.from_network(network(form), dt=DT, dtype=torch.float64)
    u = signal()

    def value():
        found = module.activity(u, noise=0.1 * np.ones((B, T, N)))
        loss = found.y[:, 1:].square().mean() + found.rates.pow(4).mean()
        if kind is LowRank:
            loss = loss + module.latents(u).kappa.pow(3).mean()
        return loss

    value().backward()
    rng = np.random.default_rng(3)
    for name, parameter in module.named_parameters():
        direction = torch.tensor(rng.normal(size=parameter.shape))
        slope = (parameter.grad * direction).sum()
        with torch.no_grad():
            sides = []
            for sign in (1, -1):
                parameter += sign * 1e-5 * direction
                sides.append(value())
                parameter -= sign * 1e-5 * direction
        # Second-order differences: error h^2 = 1e-10 and round-off 1e-16/h = 1e-11, of numbers
        # near 1, with room for third derivatives.
        assert (sides[0] - sides[1]) / 2e-5 == pytest.approx(float(slope), rel=1e-6, abs=1e-8), name


@pytest.mark.parametrize("form", ["current", "rate"])
@pytest.mark.parametrize("start", ["zero", "state0", "kappa0"])
def test_few_neurons_with_j_formed_have_the_same_output_and_gradients(form, start, monkeypatch):
    rng = np.random.default_rng(8)
    first = {"state0": rng.normal(size=(B, N)), "kappa0": rng.normal(size=(B, R))}
    given = {start: first[start]} if start != "zero" else {}
    found = []
    for limit in (N, N - 1):
        monkeypatch.setattr(bptt, "FORM_J_UP_TO", limit)
        module = LowRank.from_network(network(form), dt=DT, dtype=torch.float64, backend="kernel")
        y = module(signal(), noise=0.1 * np.ones((B, T, N)), **given)
        y.pow(3).mean().backward()
        found.append([y.detach(), *(parameter.grad for parameter in module.parameters())])
    for formed, latent in zip(*found, strict=True):
        torch.testing.assert_close(formed, latent, rtol=1e-10, atol=1e-13)  # round-off


@pytest.mark.parametrize("form", ["current", "rate"])
def test_conversion_there_and_back(form):
    net = network(form)
    back = LowRank.from_network(net, dt=DT, dtype=torch.float64).to_network()
    for name in ("m", "n", "w_in", "w_out", "bias"):
        np.testing.assert_array_equal(getattr(back, name), getattr(net, name))
    assert (back.tau, back.phi, back.form) == (net.tau, net.phi, net.form)
    single = LowRank.from_network(net, dt=DT).to_network()
    np.testing.assert_array_equal(single.m, net.m.astype(np.float32))
    J = random_connectivity(N, rng=np.random.default_rng(4))
    full = FullRank(J, m=net.m, n=net.n, dt=DT, w_out=net.w_out, dtype=torch.float64, form=form)
    assert full.to_network().form == form
    np.testing.assert_allclose(connectivity(full.to_network()), J + net.m @ net.n.T, atol=1e-15)
    np.testing.assert_allclose(full.connectivity(), J + net.m @ net.n.T, atol=1e-15)


@pytest.mark.parametrize("name", ["state0", "kappa0"])
def test_a_trainable_start_is_where_trials_begin(name):
    net, u = network(), signal()
    start = np.random.default_rng(5).normal(size=N if name == "state0" else R)
    module = LowRank.from_network(net, dt=DT, dtype=torch.float64, **{name: start})
    plain = LowRank.from_network(net, dt=DT, dtype=torch.float64)
    np.testing.assert_array_equal(module(u).detach(), plain(u, **{name: start}).detach())
    module(u).square().sum().backward()
    assert getattr(module, name).grad.abs().min() > 0
    # One that is given goes first.
    other = np.zeros(N)
    np.testing.assert_array_equal(module(u, other).detach(), plain(u, other).detach())


def test_only_what_is_trainable_has_a_gradient():
    net, u = network(), signal()
    module = LowRank.from_network(net, dt=DT, trainable=["n", "w_out"])
    module(u).square().mean().backward()
    assert {name for name, _ in module.named_parameters()} == {"n", "w_out"}
    assert not module.m.requires_grad
    J = random_connectivity(N, rng=np.random.default_rng(4))
    full = FullRank(J, m=net.m, n=net.n, w_out=net.w_out, dt=DT, trainable=["m", "n"])
    full(np.zeros((2, 5, 0)), np.ones(N)).square().mean().backward()
    assert full.J.grad is None
    assert full.m.grad.abs().max() > 0


def test_what_the_kernels_cannot_run_takes_the_loop(monkeypatch):
    u = signal()
    for change in ({"phi": "erf"}, {"dtype": torch.bfloat16}):
        options = {"dt": DT, "w_out": np.ones((N, 1)), "w_in": np.ones((N, D)), **change}
        m = np.ones((N, 1)) / N
        assert torch.isfinite(LowRank(m, m, **options)(u)).all()
        with pytest.raises(ValueError, match='backend "kernel" cannot run here'):
            LowRank(m, m, backend="kernel", **options)(u)
    mixed = LowRank.from_network(network(), dt=DT, backend="kernel")
    mixed.w_out.data = mixed.w_out.data.double()
    with pytest.raises(ValueError, match="one precision"):
        mixed(u)
    monkeypatch.setattr(_sequences, "kernels", lambda: None)
    assert torch.isfinite(LowRank.from_network(network(), dt=DT)(u)).all()
    with pytest.raises(ValueError, match="numba is not installed"):
        LowRank.from_network(network(), dt=DT, backend="kernel")(u)


def test_another_device_takes_the_loop():
    """The meta device has shapes and no numbers: it stands in for a GPU here."""
    module = LowRank.from_network(network(), dt=DT).to("meta")
    assert module(torch.zeros(B, T, D, device="meta")).shape == (B, T + 1, 3)
    full = FullRank.from_network(network(), dt=DT).to("meta")
    assert full(torch.zeros(B, T, D, device="meta")).shape == (B, T + 1, 3)


def test_science_does_not_import_torch():
    code = (
        "import sys, pkgutil, importlib, lrnn\n"
        "for each in pkgutil.iter_modules(lrnn.__path__):\n"
        "    if each.name not in 'book plotting bptt training penalties npi responses'.split() "
        "and (\n"
        "            not each.name.startswith('_')):\n"
        "        importlib.import_module('lrnn.' + each.name)\n"
        "assert not {'torch', 'numba'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_random_weights_have_the_moments_that_are_documented():
    rng = np.random.default_rng(6)
    net = random_low_rank(20000, 2, 1, 1, overlap=1.2, rng=rng)
    loops = net.n.T @ net.m
    # Means over 20000 neurons of numbers with variances near 2: 5 standard errors are 0.05.
    np.testing.assert_allclose(loops, 1.2 * np.eye(2), atol=0.06)
    assert net.m.std() == pytest.approx(1, abs=0.02)
    assert 20000 * net.w_out.std() == pytest.approx(1, abs=0.03)
    J = random_connectivity(400, gain=1.4, rng=rng)
    # Girko's law; at N = 400 the radius is a few per cent off.
    assert np.abs(np.linalg.eigvals(J)).max() == pytest.approx(1.4, rel=0.07)


def test_masked_error_is_the_mean_over_what_counts():
    rng = np.random.default_rng(7)
    y, target = rng.normal(size=(2, 3, 4, 2))
    mask = rng.random((3, 4)) < 0.5
    expected = np.mean((y - target)[mask] ** 2)
    for given in (mask, np.repeat(mask[..., None], 2, axis=2), 3.0 * mask):
        found = masked_mse(torch.tensor(y), target, given)
        assert float(found) == pytest.approx(expected, rel=1e-12)
    assert float(masked_mse(torch.tensor(y), target)) == pytest.approx(np.mean((y - target) ** 2))


Y = torch.zeros(2, 3, 1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda net: LowRank(net.m, net.n[:3], dt=DT), "n must have the shape of m"),
        (lambda net: LowRank(net.m, net.n, dt=0.0), "dt must be greater than 0, got 0.0"),
        (lambda net: LowRank(net.m, net.n, dt=DT, phi="step"), "phi must be one of tanh, .*'step'"),
        (lambda net: LowRank(net.m, net.n, dt=DT, form="spike"), "form must be one of"),
        (lambda net: LowRank(net.m, net.n, dt=DT, backend="gpu"), "backend must be one of"),
        (lambda net: LowRank(net.m, net.n, dt=DT, trainable=["J"]), "trainable must name some"),
        (lambda net: LowRank(net.m, net.n, dt=DT, state0=np.ones(3)), r"state0 must .*\(25,\)"),
        (
            lambda net: LowRank(net.m, net.n, dt=DT, state0=np.ones(N), kappa0=np.ones(R)),
            "give one of them",
        ),
        (
            lambda net: FullRank(net.m, dt=DT),
            r"J must be square and not empty, got shape \(25, 2\)",
        ),
        (lambda net: FullRank(np.eye(2), m=np.ones((2, 1)), dt=DT), "n must be given"),
        (
            lambda net: LowRank.from_network(net, dt=DT)(np.zeros((B, T, 3))),
            r"u must have shape \(B, T, 2\), got \(4, 30, 3\)",
        ),
        (lambda net: LowRank.from_network(net, dt=DT)(np.zeros((B, 0, D))), "a step at least"),
        (
            lambda net: LowRank.from_network(net, dt=DT)(signal(), np.zeros((3, N))),
            r"state0 must have shape \(25,\), \(1, 25\) or \(4, 25\), got \(3, 25\)",
        ),
        (
            lambda net: FullRank.from_network(net, dt=DT)(signal(), None, np.zeros((B, 3, N))),
            r"noise must have shape \(4, 30, 25\), got \(4, 3, 25\)",
        ),
        (
            lambda net: LowRank.from_network(net, dt=DT)(signal(), np.ones(N), kappa0=np.ones(R)),
            "give one of them",
        ),
        (
            lambda net: LowRank.from_network(dataclasses.replace(net, form="rate"), dt=DT).activity(
                signal(), kappa0=np.ones(R)
            ),
            "does not determine the state",
        ),
        (lambda net: masked_mse(Y, np.zeros((2, 3))), "target must have the shape of y"),
        (lambda net: masked_mse(Y, Y, np.zeros((2, 2))), r"mask must have shape \(2, 3\) or"),
        (lambda net: masked_mse(Y, Y, np.zeros((2, 3))), "mask must let an entry count"),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(network())


def test_a_network_without_channels_runs():
    net = LowRankRNN(np.ones((3, 1)), np.ones((3, 1)) / 3)
    module = LowRank.from_network(net, dt=DT, kappa0=[0.5])
    found = module.latents(np.zeros((1, 5, 0)))
    assert found.y.shape == (1, 6, 0)
    known = simulate_latent(net, [[0.5]], np.zeros((1, 5, 0)), dt=DT).kappa
    np.testing.assert_allclose(found.kappa.detach(), known, atol=1e-6)  # float32
