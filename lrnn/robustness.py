"""What small errors of its weights do to a network: a synapse is not known to sixteen digits.

Weight noise of level d multiplies every entry of m, n, w_in and bias by 1 + d xi, with independent
standard normal xi: the network stays of low rank, as in a device that stores its factors. Noise in
the N^2 entries of J itself is another model; `synaptic_gain` is about that one.
"""

from dataclasses import replace

import numpy as np

from lrnn._check import finite_array, not_negative, positive
from lrnn.basis import argument
from lrnn.network import connectivity, drive


def perturbed(net, level, *, rng):
    """The network with weight noise; its readout stays.

    level : float, >= 0, relative size of the noise
    rng : numpy Generator
    Returns : LowRankRNN
    Raises : ValueError if level is not a number of at least 0
    """
    level = not_negative("level", level)
    noisy = {
        name: array * (1 + level * rng.standard_normal(array.shape))
        for name in ("m", "n", "w_in", "bias")
        for array in (getattr(net, name),)
    }
    return replace(net, **noisy)


def noise_gain(net, kappa, v=None):
    """Error of the flow per level of weight noise, to first order and exactly so for small levels.

    A level d moves tau dkappa/dt by a random vector of root mean squared length d * gain over the
    points: gain^2 = sum_i |n_i|^2 c_i with c_i = <phi_i^2 + phi'_i^2 (sum_k m_ik^2 kappa_k^2 +
    sum_d w_id^2 v_d^2 + bias_i^2)>. So a fit of error e on paper is one of about
    sqrt(e^2 + d^2 gain^2) in a network whose weights are known to d.

    kappa : (P, R), the points; v : (P, D), None only without input channels
    Returns : float, latent units
    Raises : ValueError if a shape disagrees
    """
    return float(np.sqrt(_exposure(net, kappa, v) @ np.sum(net.n**2, axis=1)))


def advised_ridge(velocity, basis, kappa, *, v=None, tau=1.0, level):
    """The ridge for a network whose weights will be off by a relative `level`.

    The expected squared error under weight noise has a price level^2 c_i on |n_i|^2, with the c_i
    of `noise_gain`; their mean, over the variance of the target, is a ridge.

    velocity : (P, R), wanted dkappa/dt at the points, latent units per s
    basis : Basis; kappa : (P, R); v : (P, D), None only without input channels
    tau : float, s, > 0
    level : float, >= 0
    Returns : float, dimensionless, for `lrnn.nef` and `lrnn.regression`
    Raises : ValueError if a shape disagrees, a number is out of range, or the target kappa + tau
        velocity is the same at all points
    """
    kappa = finite_array("kappa", kappa, ("P", basis.rank))
    velocity = finite_array("velocity", velocity, kappa.shape)
    variance = (kappa + positive("tau", tau) * velocity).var(axis=0).sum()
    if not variance > 0:
        raise ValueError("velocity must make kappa + tau velocity vary over the points")
    return float(not_negative("level", level) ** 2 * _exposure(basis, kappa, v).mean() / variance)


def _exposure(neurons, kappa, v):
    """c_i of each neuron of a network or basis, (N,): what weight noise does to its rate."""
    inside = argument(neurons, kappa, v)
    moved = np.square(kappa) @ np.square(neurons.m).T + np.square(neurons.bias)
    if neurons.n_inputs:
        moved = moved + np.square(v) @ np.square(neurons.w_in).T
    phi = neurons.phi
    return np.mean(phi.function(inside) ** 2 + phi.derivative(inside) ** 2 * moved, axis=0)


def synaptic_gain(net, kappa, v=None):
    """`noise_gain` where the N^2 entries of J are off, each by itself, and not m, n and bias.

    Every J_ij is multiplied by 1 + d xi_ij. The error of a neuron's current is then a fixed number
    at a fixed state, whatever m is, and the latents see it through n: gain^2 = sum_i |n_i|^2
    <phi'_i^2 sum_j J_ij^2 phi_j^2>, to first order and for currents that have come to rest at that
    error. It falls as 1/N where weights are spread evenly, and grows as |n|^2.

    Current form only; arguments, result and errors as for `noise_gain`, and ValueError for a
    network in rate form. Costs P N^2 operations.
    """
    if net.form != "current":
        raise ValueError("synaptic_gain needs a network in current form")
    inside = drive(net, kappa, v)
    arriving = net.phi.function(inside) ** 2 @ np.square(connectivity(net)).T  # (P, N)
    variance = net.phi.derivative(inside) ** 2 * arriving
    return float(np.sqrt(np.mean(variance @ np.sum(net.n**2, axis=1))))
