"""Tangents of pulses against finite differences of simulations, closed forms and autograd."""

import dataclasses

import numpy as np
import pytest
import torch

from lrnn import penalties
from lrnn.bptt import LowRank, random_low_rank
from lrnn.responses import pulse_responses, response_sizes
from lrnn.simulate import simulate

N, D, DT, TAU, B = 7, 3, 0.3, 1.0, 2
A = DT / TAU
ONTO = pytest.mark.parametrize("onto", ["input", "state"])


def case(phi="tanh", T=4, seed=0, form="rate", biased=True):
    """A network, its module, states and inputs."""
    rng = np.random.default_rng(seed)
    net = random_low_rank(N, 2, D, 1, overlap=1.0, tau=TAU, phi=phi, form=form, rng=rng)
    net = dataclasses.replace(net, bias=rng.normal(size=N) if biased else None)
    module = LowRank.from_network(net, dt=DT, dtype=torch.float64)
    return net, module, rng.normal(size=(B, N)), rng.normal(size=(B, T, D))


@ONTO
@pytest.mark.parametrize("phi", ["tanh", "sigmoid", "erf"])
@pytest.mark.parametrize("T", [1, 4])
def test_responses_are_differences_of_simulations(onto, phi, T):
    net, module, state, u = case(phi, T)
    found = pulse_responses(module, state, u, onto=onto).detach().numpy()
    step = 1e-5
    for j in range(D if onto == "input" else N):
        ends = []
        for sign in (1, -1):
            at, given = state.copy(), u.copy()
            (given[:, 0] if onto == "input" else at)[:, j] += sign * step
            ends.append(simulate(net, at, given, dt=DT).state[:, -1])
        # Central differences: errors of 1e-10 by curvature, 1e-11 by round-off.
        np.testing.assert_allclose(found[:, :, j], (ends[0] - ends[1]) / (2 * step), atol=1e-9)


@pytest.mark.parametrize("T", [1, 5])
def test_responses_of_a_linear_network_are_powers_of_its_step(T):
    net, module, state, u = case("linear", T)
    step = (1 - A) * np.eye(N) + A * net.m @ net.n.T
    power = np.linalg.matrix_power
    for onto, known in (("input", A * power(step, T - 1) @ net.w_in), ("state", power(step, T))):
        found = pulse_responses(module, state, u, onto=onto).detach()
        np.testing.assert_allclose(found, np.stack([known] * B), atol=1e-12)


def test_one_step_after_an_input_at_rest_no_recurrence_is_seen():
    net, module, _, _ = case(biased=False)
    quiet = np.zeros((B, N)), np.zeros((B, 1, D))
    found = pulse_responses(module, *quiet).detach()
    np.testing.assert_allclose(found[0], A * net.w_in, rtol=1e-12)


@ONTO
def test_heterogeneity_of_responses_has_exact_gradients(onto):
    _, module, state, u = case()

    def penalty(m, n, w_in, state):
        module.m, module.n, module.w_in = m, n, w_in
        sizes = response_sizes(pulse_responses(module, state, u, onto=onto))
        assert sizes.shape == (B, D if onto == "input" else N)
        return penalties.heterogeneity(sizes), penalties.heterogeneity_target(sizes, 0.7)

    leaves = [getattr(module, name).detach().clone() for name in ("m", "n", "w_in")]
    for name in ("m", "n", "w_in"):
        delattr(module, name)
    leaves = [leaf.requires_grad_() for leaf in (*leaves, torch.tensor(state))]
    assert torch.autograd.gradcheck(penalty, leaves)


def test_sizes_are_norms_over_neurons():
    responses = np.random.default_rng(1).normal(size=(B, N, D))
    known = np.sqrt((responses**2).sum(axis=1))
    np.testing.assert_allclose(response_sizes(torch.tensor(responses)), known, rtol=1e-12)


def test_bad_arguments_are_named():
    _, module, state, u = case()
    current = case(form="current")[1]
    cases = [
        (lambda: pulse_responses(current, state, u), "rate form, got current form"),
        (lambda: pulse_responses(module, state, u, onto="output"), "input, state, got 'output'"),
        (lambda: pulse_responses(module, state[:, :3], u), r"got \(2, 3\) and \(2, 4, 3\)"),
        (lambda: pulse_responses(module, state, u[:, :0]), "T >= 1"),
        (lambda: pulse_responses(module, state, u[:1]), r"\(B, T, 3\)"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
