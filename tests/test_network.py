"""The fields and projections against the dense formula, finite differences and invariances."""

import dataclasses

import numpy as np
import pytest

from lrnn.network import (
    LowRankRNN,
    connectivity,
    decompose,
    drive,
    jacobian,
    latent,
    latent_jacobian,
    latent_velocity,
    lift,
    rates,
    readout,
    velocity,
)

FORMS = ["current", "rate"]
NAMES = ["tanh", "relu", "erf", "sigmoid", "linear"]
SEEDS = [0, 1, 2]


def random_network(seed, *, N=30, R=2, D=2, form="current", phi="tanh"):
    rng = np.random.default_rng(seed)
    return LowRankRNN(
        rng.normal(size=(N, R)),
        rng.normal(size=(N, R)) / np.sqrt(N),
        w_in=rng.normal(size=(N, D)),
        w_out=rng.normal(size=(N, 3)),
        bias=rng.normal(size=N),
        tau=0.3,
        phi=phi,
        form=form,
    )


def difference(function, x, step=1e-6):
    """Central differences, the derivative's index last."""
    basis = step * np.eye(len(x))
    return np.stack([(function(x + e) - function(x - e)) / (2 * step) for e in basis], axis=-1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("phi", NAMES)
@pytest.mark.parametrize("seed", SEEDS)
def test_velocity_is_the_dense_formula(seed, phi, form):
    net = random_network(seed, form=form, phi=phi)
    rng = np.random.default_rng(seed + 10)
    state, u = rng.normal(size=(4, 5, 30)), rng.normal(size=(4, 5, 2))
    J, f = net.m @ net.n.T, net.phi.function
    for index in np.ndindex(4, 5):
        x, injected = state[index], net.w_in @ u[index]
        target = J @ f(x + net.bias) + injected
        if form == "rate":
            target = f(J @ x + net.bias + injected)
        # Round-off of sums over 30 neurons.
        np.testing.assert_allclose(velocity(net, state, u)[index], (target - x) / 0.3, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("phi", ["tanh", "erf", "sigmoid", "linear"])
def test_jacobians_are_derivatives(phi, form):
    net = random_network(3, form=form, phi=phi)
    rng = np.random.default_rng(4)
    x, kappa, u = rng.normal(size=30), rng.normal(size=2), rng.normal(size=2)
    # Step 1e-6: 1e-12 of truncation and 1e-16/1e-6 of round-off, times 1/tau.
    full = difference(lambda y: velocity(net, y, u), x)
    np.testing.assert_allclose(jacobian(net, x, u), full, atol=1e-8)
    reduced = difference(lambda k: latent_velocity(net, k, u), kappa)
    np.testing.assert_allclose(latent_jacobian(net, kappa, u), reduced, atol=1e-8)


@pytest.mark.parametrize("form", FORMS)
def test_jacobians_keep_leading_axes(form):
    net = random_network(5, form=form)
    rng = np.random.default_rng(5)
    x, kappa, u = rng.normal(size=(3, 30)), rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    for i in range(3):
        np.testing.assert_allclose(jacobian(net, x, u)[i], jacobian(net, x[i], u[i]), atol=1e-13)
        np.testing.assert_allclose(
            latent_jacobian(net, kappa, u)[i], latent_jacobian(net, kappa[i], u[i]), atol=1e-13
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_current_form_latents_are_the_projection_of_the_full_field(seed):
    """On the manifold dx/dt = m dkappa/dt + w_in dv/dt."""
    net = random_network(seed)
    rng = np.random.default_rng(seed)
    kappa, v, u = (rng.normal(size=(7, 2)) for _ in range(3))
    full = velocity(net, lift(net, kappa, v), u)
    parts = latent_velocity(net, kappa, v) @ net.m.T + (u - v) / net.tau @ net.w_in.T
    np.testing.assert_allclose(full, parts, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_rate_form_latents_are_the_overlap_of_the_full_field(seed):
    """n^T dh/dt = dkappa/dt at any h, also off every manifold."""
    net = random_network(seed, form="rate")
    rng = np.random.default_rng(seed)
    h, u = rng.normal(size=(7, 30)), rng.normal(size=(7, 2))
    np.testing.assert_allclose(
        velocity(net, h, u) @ net.n, latent_velocity(net, latent(net, h), u), atol=1e-12
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("form", FORMS)
def test_full_spectrum_is_the_latent_spectrum_and_the_leak(seed, form):
    net = random_network(seed, form=form)
    kappa, v = np.random.default_rng(seed).normal(size=(2, 2))
    # In rate form the slope depends on n^T h, so take a state whose overlap is kappa.
    state = lift(net, kappa, v) if form == "current" else np.linalg.pinv(net.n.T) @ kappa
    full = np.linalg.eigvals(jacobian(net, state, v))
    small = np.linalg.eigvals(latent_jacobian(net, kappa, v))
    for value in small:
        assert np.abs(full - value).min() < 1e-9
    # The leak is a semisimple eigenvalue of multiplicity N - R, resolved to about round-off.
    assert (np.abs(full + 1 / net.tau) < 1e-9).sum() == 28


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("form", FORMS)
def test_a_change_of_latent_coordinates_changes_nothing_else(seed, form):
    """m -> m A, n -> n A^-T keeps J and the network, and sends kappa to A^-1 kappa."""
    net = random_network(seed, form=form)
    rng = np.random.default_rng(seed + 50)
    A = rng.normal(size=(2, 2)) + 2 * np.eye(2)
    other = dataclasses.replace(net, m=net.m @ A, n=net.n @ np.linalg.inv(A).T)
    np.testing.assert_allclose(connectivity(other), connectivity(net), atol=1e-12)
    state, v = rng.normal(size=(5, 30)), rng.normal(size=(5, 2))
    np.testing.assert_allclose(velocity(other, state, v), velocity(net, state, v), atol=1e-11)
    kappa = latent(net, state, v)
    moved = latent(other, state, v)
    np.testing.assert_allclose(moved @ A.T, kappa, atol=1e-11)
    np.testing.assert_allclose(
        latent_velocity(other, moved, v) @ A.T, latent_velocity(net, kappa, v), atol=1e-10
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_odd_without_bias_and_input(seed):
    """tanh without offsets gives an odd vector field; a bias breaks it."""
    rng = np.random.default_rng(seed)
    m, n, bias = rng.normal(size=(3, 20, 1))
    kappa = rng.normal(size=(50, 1))
    plain, offset = LowRankRNN(m, n), LowRankRNN(m, n, bias=bias[:, 0])
    np.testing.assert_allclose(
        latent_velocity(plain, -kappa), -latent_velocity(plain, kappa), atol=1e-13
    )
    even = latent_velocity(offset, -kappa) + latent_velocity(offset, kappa)
    assert np.abs(even).max() > 1e-2


@pytest.mark.parametrize("seed", SEEDS)
def test_decompose_returns_the_parts_of_which_a_state_was_made(seed):
    net = random_network(seed)
    rng = np.random.default_rng(seed)
    kappa, v = rng.normal(size=(2, 6, 2))
    span = np.hstack([net.m, net.w_in])
    outside = rng.normal(size=(6, 30))
    outside -= outside @ np.linalg.pinv(span).T @ span.T
    parts = decompose(net, lift(net, kappa, v) + outside)
    np.testing.assert_allclose(parts.kappa, kappa, atol=1e-12)
    np.testing.assert_allclose(parts.v, v, atol=1e-12)
    np.testing.assert_allclose(parts.rest, outside, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_latent_knows_the_input_and_needs_no_orthogonality(seed):
    """kappa comes back even for an input vector along m, where x alone cannot tell kappa and v."""
    net = random_network(seed, D=1)
    along = dataclasses.replace(net, w_in=net.m @ [[1.0], [0.5]])
    rng = np.random.default_rng(seed)
    kappa, v = rng.normal(size=(6, 2)), rng.normal(size=(6, 1))
    for case in (net, along):
        np.testing.assert_allclose(latent(case, lift(case, kappa, v), v), kappa, atol=1e-12)
    with pytest.raises(ValueError, match=r"columns of \[m, w_in\] .* got rank 2 of 3"):
        decompose(along, lift(along, kappa, v))


@pytest.mark.parametrize("form", FORMS)
def test_rates_and_readout_by_form(form):
    net = random_network(0, form=form)
    state = np.random.default_rng(1).normal(size=(4, 30))
    expected = np.tanh(state + net.bias) if form == "current" else state
    np.testing.assert_array_equal(rates(net, state), expected)
    np.testing.assert_allclose(readout(net, state), expected @ net.w_out)


def test_drive_and_lift():
    net = random_network(0)
    kappa, v = np.array([1.0, -2.0]), np.array([0.5, 0.0])
    x = net.m @ kappa + net.w_in @ v
    np.testing.assert_allclose(drive(net, kappa, v), x + net.bias, atol=1e-13)
    np.testing.assert_allclose(lift(net, kappa, v), x, atol=1e-13)
    rate = dataclasses.replace(net, form="rate")
    np.testing.assert_allclose(lift(rate, kappa, v), np.tanh(x + net.bias), atol=1e-13)


def test_fields_are_private_copies_and_read_only():
    m = np.ones((4, 1))
    net = LowRankRNN(m, m)
    m[0] = 5.0
    assert net.m[0, 0] == 1.0
    assert (net.n_neurons, net.rank, net.n_inputs, net.n_outputs) == (4, 1, 0, 0)
    with pytest.raises(ValueError, match="read-only"):
        net.m[0] = 2.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        net.tau = 2.0


ONE = np.ones((4, 2))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"m": np.ones(4)}, r"m must have shape \(N, R\), got \(4,\)"),
        ({"m": np.ones((0, 2))}, r"m must have at least one neuron and one column, got \(0, 2\)"),
        ({"m": "abc"}, "m must be an array of numbers, got 'abc'"),
        ({"n": np.ones((4, 3))}, r"n must have the shape of m, \(4, 2\), got \(4, 3\)"),
        ({"n": ONE * [1, np.nan]}, r"n must be finite, got nan at index \(0, 1\)"),
        ({"w_in": np.ones((3, 1))}, r"w_in must have shape \(4, D\), got \(3, 1\)"),
        ({"w_out": np.ones(4)}, r"w_out must have shape \(4, O\), got \(4,\)"),
        ({"bias": np.ones((4, 1))}, r"bias must have shape \(4,\), got \(4, 1\)"),
        ({"bias": [0, 0, np.inf, 0]}, r"bias must be finite, got inf at index \(2,\)"),
        ({"tau": 0.0}, "tau must be greater than 0, got 0.0"),
        ({"tau": -1}, "tau must be greater than 0, got -1"),
        ({"tau": np.nan}, "tau must be finite, got nan"),
        ({"tau": "fast"}, "tau must be a number, got 'fast'"),
        ({"phi": "swish"}, "phi must be one of tanh, .* got 'swish'"),
        ({"form": "spiking"}, "form must be one of current, rate, got 'spiking'"),
    ],
)
def test_bad_fields_are_named_at_construction(arguments, words):
    arguments = {"m": ONE, "n": ONE} | arguments
    with pytest.raises(ValueError, match=words):
        LowRankRNN(arguments.pop("m"), arguments.pop("n"), **arguments)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda net: velocity(net, np.ones(3), np.ones(2)), r"state .* 30 \(N neurons\).*\(3,\)"),
        (lambda net: velocity(net, np.ones(30)), "u must be given: the network has 2 input"),
        (lambda net: latent_velocity(net, np.ones(3), np.ones(2)), r"kappa .* 2 \(R latents\)"),
        (lambda net: latent_velocity(net, 1.0, np.ones(2)), r"kappa must .* got shape \(\)"),
        (lambda net: drive(net, np.ones(2), np.ones(1)), r"v .* of 2 \(D input channels\)"),
        (lambda net: latent(net, np.ones(30)), "v must be given"),
        (
            lambda net: decompose(dataclasses.replace(net, form="rate"), np.ones(30)),
            "decompose needs a network in current form",
        ),
        (
            lambda net: latent(LowRankRNN(np.ones((4, 2)), np.ones((4, 2))), np.ones(4)),
            "columns of m must be linearly independent, got rank 1 of 2",
        ),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(random_network(0))
