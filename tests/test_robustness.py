"""Weight noise: the closed form against noise that is really drawn."""

import numpy as np
import pytest

from lrnn import nef, targets
from lrnn.basis import gaussian_basis
from lrnn.network import LowRankRNN, connectivity, drive, latent_velocity
from lrnn.robustness import advised_ridge, noise_gain, perturbed, synaptic_gain


def network(seed, phi="tanh"):
    rng = np.random.default_rng(seed)
    return LowRankRNN(
        rng.normal(size=(40, 2)),
        rng.normal(size=(40, 2)),
        w_in=rng.normal(size=(40, 1)),
        bias=rng.normal(size=40),
        tau=0.2,
        phi=phi,
    )


@pytest.mark.parametrize("phi", ["tanh", "relu", "sigmoid"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gain_predicts_the_error_under_small_noise(seed, phi):
    net, rng = network(seed, phi), np.random.default_rng(100 + seed)
    kappa, v = rng.normal(size=(50, 2)), rng.normal(size=(50, 1))
    clean, level, squares = latent_velocity(net, kappa, v), 1e-4, []
    for _ in range(400):
        noisy = latent_velocity(perturbed(net, level, rng=rng), kappa, v)
        squares.append(np.mean(np.sum((net.tau * (noisy - clean)) ** 2, axis=1)))
    # 400 draws of a mean square whose points share their noise: about 40 independent directions a
    # draw would give 1 %, a few give 4 %; three times that.
    assert np.sqrt(np.mean(squares)) / level == pytest.approx(noise_gain(net, kappa, v), rel=0.1)


@pytest.mark.parametrize("seed", [0, 1])
def test_synaptic_gain_predicts_the_error_under_noise_in_every_entry_of_j(seed):
    """Drawn: the current errors at a frozen state, and what the latents make of them."""
    net, rng = network(seed), np.random.default_rng(200 + seed)
    kappa, v = rng.normal(size=(20, 2)), rng.normal(size=(20, 1))
    J, phi, level, squares = connectivity(net), net.phi.function, 1e-4, []
    inside = drive(net, kappa, v)
    for _ in range(400):
        error = phi(inside) @ (level * rng.standard_normal(J.shape) * J).T
        moved = (phi(inside + error) - phi(inside)) @ net.n
        squares.append(np.mean(np.sum(moved**2, axis=1)))
    # As above: points of one draw share their noise.
    assert np.sqrt(np.mean(squares)) / level == pytest.approx(synaptic_gain(net, kappa, v), rel=0.1)


def test_synaptic_gain_is_of_the_current_form_only():
    net = network(0)
    rate = LowRankRNN(net.m, net.n, w_in=net.w_in, form="rate")
    with pytest.raises(ValueError, match="current form"):
        synaptic_gain(rate, np.ones((1, 2)), np.ones((1, 1)))


def test_gain_is_linear_in_n():
    net, kappa, v = network(3), np.ones((4, 2)), np.ones((4, 1))
    three = LowRankRNN(net.m, 3 * net.n, w_in=net.w_in, bias=net.bias, tau=net.tau)
    assert noise_gain(three, kappa, v) == pytest.approx(3 * noise_gain(net, kappa, v))


def test_noise_is_relative_and_leaves_zeros_and_the_readout_alone():
    rng = np.random.default_rng(4)
    net = LowRankRNN(np.eye(3)[:, :1] * 5, np.ones((3, 1)), w_out=np.ones((3, 1)))
    noisy = perturbed(net, 0.1, rng=rng)
    assert noisy.m[1:].tolist() == [[0.0], [0.0]]
    assert noisy.bias.tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_array_equal(noisy.w_out, net.w_out)
    many = np.array([perturbed(net, 0.1, rng=rng).m[0, 0] for _ in range(2000)])
    assert many.std() == pytest.approx(0.5, rel=0.08)  # 5 standard errors of 2000 draws
    np.testing.assert_array_equal(perturbed(net, 0.0, rng=rng).n, net.n)


def test_a_negative_level_is_named():
    with pytest.raises(ValueError, match=r"level must be at least 0, got -0\.1"):
        perturbed(network(5), -0.1, rng=np.random.default_rng(0))


@pytest.mark.parametrize("level", [1e-3, 1e-2])
@pytest.mark.parametrize("make", [targets.cubic, targets.hopf])
def test_the_advised_ridge_is_near_the_best_under_noise_that_is_drawn(make, level):
    target, tau = make(), 0.3
    kappa = targets.grid(target, 101 if target.dimension == 1 else 15)
    wanted = target.rhs(kappa)
    basis = gaussian_basis(60, target.dimension, rng=np.random.default_rng(6))
    advised = advised_ridge(wanted, basis, kappa, tau=tau, level=level)

    def drawn_error(ridge):
        net = nef.embed_samples(wanted, basis, kappa, tau=tau, ridge=ridge).network
        rng = np.random.default_rng(7)  # the same noise for every ridge
        noisy = (perturbed(net, level, rng=rng) for _ in range(100))
        return np.sqrt(np.mean([nef.flow_error(one, wanted, kappa).nmse for one in noisy]))

    around = [drawn_error(advised * factor) for factor in 10.0 ** np.arange(-4, 5)]
    # The prices of neurons are replaced by their mean, which costs a few percent.
    assert drawn_error(advised) < 1.1 * min(around)
    assert max(around) > 1.3 * min(around)  # the choice matters


def test_a_target_that_does_not_vary_has_no_ridge():
    basis = gaussian_basis(5, 1, rng=np.random.default_rng(8))
    kappa = np.linspace(-1, 1, 9)[:, None]
    with pytest.raises(ValueError, match="vary over the points"):
        advised_ridge(-kappa, basis, kappa, level=0.1)
