"""Neural Perturbational Inference: a network learns to predict a scan, and is pushed in its place.

Luo et al. (2025). A surrogate f predicts the next frame from the last few. The effective connectome
is the mean change of its prediction when one region is pushed in the last frame it is given, always
`[target, source]` here; `lrnn.connectivity.to_npi` turns it into the published orientation. For a
linear surrogate it is the matrix of a vector autoregression, so hold it against
`lrnn.connectivity.ridge_var`, which costs a thousandth.

    fitted = fit(*split(standardize(scan), 0.8), rng=rng)
    effective = connectome(fitted, histories(scan, frames=fitted.frames)[0])
"""

import functools
import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from lrnn._check import finite_array, not_negative, positive, whole
from lrnn.connectivity import histories
from lrnn.scan import Scan
from lrnn.training import History, train

KINDS = ("mlp", "linear")


class Surrogate(NamedTuple):
    """x[t + 1] ~ mean + scale net((x[t - k + 1 .. t] - mean) / scale).

    net : torch module (P, k, n) -> (P, n), float64
    frames : int, k
    mean : (n,), in the unit of the data
    scale : float, root mean variance of a region: one number, so that the unit of the connectome
        does not depend on the region
    tr : float, s from one frame to the next
    history : lrnn.training.History; its losses are mean squared errors over scale^2
    """

    net: torch.nn.Module
    frames: int
    mean: np.ndarray
    scale: float
    tr: float
    history: History


class DivergedError(ArithmeticError):
    """A closed loop ran away.

    frame : int, the first frame out of bounds, from 0
    """

    def __init__(self, frame, limit):
        super().__init__(
            f"frame {frame} of the closed loop is {limit:g} standard deviations or more from the"
            " mean; the surrogate is unstable: stop it earlier, or raise weight_decay"
        )
        self.frame = frame


def fit(
    scan,
    held_out,
    *,
    kind="mlp",
    frames=3,
    epochs=100,
    rate=1e-3,
    batch_size=50,
    weight_decay=5e-5,
    patience=10,
    rng,
    **options,
):
    """Train a surrogate to predict the next frame, in least squares by Adam.

    The defaults are those published for fMRI, but for the patience. As published, the multilayer
    perceptron has two hidden layers of ReLU, of 2 n and 0.8 n units: whatever the data, the rank of
    its Jacobian is 0.8 n at most. The linear surrogate with one frame, trained to its end, is
    `ridge_var` with ridge = weight_decay/2.

    scan : Scan to learn from, in any unit; of regions that differ much in size, `standardize` it
    held_out : Scan, a later part of it: its error is taken after each epoch
    kind : "mlp" or "linear"
    frames : int >= 1, that a prediction is made from
    epochs : int >= 1, times that each window is seen
    rate : float > 0, learning rate
    batch_size : int >= 1, windows a step, drawn without repetition in an epoch
    weight_decay : float >= 0, weight of |weights|^2/2, biases excepted, beside the mean squared
        error per region over scale^2
    patience : int, epochs without a new least error on held_out after which to stop, with the best
        weights; None for all epochs and the last weights, as published
    rng : numpy Generator of first weights and batches
    options : further arguments of `lrnn.training.train`, such as schedule, progress or checkpoint
    Returns : Surrogate
    Raises : ValueError if an argument is out of range, the scans differ in regions, or as
        `histories`; TrainingDivergedError
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if held_out.n_regions != scan.n_regions:
        raise ValueError(
            f"held_out must have the {scan.n_regions} regions of scan, got {held_out.n_regions}"
        )
    batch_size = whole("batch_size", batch_size)
    decay = not_negative("weight_decay", weight_decay)
    x, y = histories(scan, frames=frames)
    mean, scale = scan.data.mean(axis=0), float(np.sqrt(y.var(axis=0).mean()))
    seen, later = (
        tuple(torch.tensor((part - mean) / scale, dtype=torch.float32) for part in both)
        for both in ((x, y), histories(held_out, frames=frames))
    )
    net = _network(kind, scan.n_regions, frames, rng)
    steps_an_epoch = math.ceil(len(x) / batch_size)
    history = train(
        net,
        _minibatches(*seen, batch_size),
        steps=whole("epochs", epochs) * steps_an_epoch,
        rate=rate,
        rng=rng,
        loss=_error,
        optimizer=functools.partial(_adam, decay=decay),
        validation=later,
        validate_every=steps_an_epoch,
        patience=patience,
        restore_best=patience is not None,
        **options,
    )
    net.double().requires_grad_(False)
    return Surrogate(net, frames, mean, scale, scan.tr, history)


def predict(surrogate, windows):
    """The frame after each window.

    windows : (P, k, n), k consecutive frames, oldest first, as `histories` has them
    Returns : (P, n)
    Raises : ValueError if the shape disagrees
    """
    scaled = surrogate.net(_scaled(surrogate, windows)).numpy()
    return surrogate.mean + surrogate.scale * scaled


def r_squared(surrogate, scan):
    """Share of the next frame's variance that a surrogate explains, all regions together.

    As `lrnn.connectivity.r_squared`, over this scan's windows of k frames.

    Raises : ValueError if the surrogate and scan differ in regions, or as `histories`
    """
    x, y = histories(scan, frames=surrogate.frames)
    residual = y - predict(surrogate, x)
    return float(1 - (residual**2).sum() / ((y - y.mean(axis=0)) ** 2).sum())


def responses(surrogate, windows, region, *, size=1.0, frame=-1):
    """What a push to one region does to each prediction, per unit of the push.

    (f(x + size e_region) - f(x)) / size, e_region being in one frame of the window. In a nonlinear
    surrogate it depends on the window x and on the size.

    windows : (P, k, n), as for `predict`
    region : int, from 0
    size : float, not 0, in the unit of the data; published: 1
    frame : int, of the window, the last by default; 0 is the oldest
    Returns : (P, n)
    Raises : ValueError if the shape disagrees, there is no such region or frame, or size is 0
    """
    x = _scaled(surrogate, windows)
    regions = x.shape[2]
    if region not in range(regions):
        raise ValueError(f"region must be 0 to {regions - 1}, got {region!r}")
    if size == 0 or not np.isfinite(size):
        raise ValueError(f"size must be a number other than 0, got {size!r}")
    size = size / surrogate.scale
    pushed = x.clone()
    pushed[:, _frame(surrogate, frame), region] += size
    return ((surrogate.net(pushed) - surrogate.net(x)) / size).numpy()


def connectome(surrogate, windows, *, size=1.0, frame=-1):
    """Effective connectome: the mean of `responses` over windows, for a push to each region.

    The diagonal, what a region does to itself, stays.

    Arguments : as `responses`
    Returns : (n, n), [target, source]
    Raises : ValueError as `responses`
    """
    columns = [
        responses(surrogate, windows, region, size=size, frame=frame).mean(axis=0)
        for region in range(len(surrogate.mean))
    ]
    return np.stack(columns, axis=1)


def mean_jacobian(surrogate, windows, *, frame=-1):
    """The mean over windows of df/dx[frame], exactly: `connectome` for small pushes.

    A shift common to all windows moves their mean prediction by it, so that one backward pass a
    target serves them all.

    windows, frame : as `responses`
    Returns : (n, n), [target, source]
    Raises : ValueError as `responses`
    """
    x = _scaled(surrogate, windows)
    place = torch.zeros(x.shape[1], 1, dtype=x.dtype)
    place[_frame(surrogate, frame)] = 1.0
    shift = torch.zeros(x.shape[2], dtype=x.dtype, requires_grad=True)
    mean = surrogate.net(x + place * shift).mean(dim=0)
    rows = [torch.autograd.grad(value, shift, retain_graph=True)[0] for value in mean]
    return torch.stack(rows).numpy()


def simulate(surrogate, start, noise, *, limit=100.0):
    """A scan of the surrogate in closed loop, x[t] = f(x[t - k .. t - 1]) + noise[t].

    The published loop adds noise to the frames that each prediction is made from, afresh at each
    step, and not to what is kept; for one frame, the two differ by that noise alone.

    start : (k, n), frames before the first, in the unit of the data
    noise : (T, n), such as residuals drawn again, in the unit of the data
    limit : float > 0, deviation of a region from its mean, in units of scale, at which to give up
    Returns : Scan of T frames
    Raises : ValueError if a shape disagrees; DivergedError
    """
    regions = len(surrogate.mean)
    limit = positive("limit", limit)
    noise = torch.tensor(finite_array("noise", noise, ("T", regions)) / surrogate.scale)
    start = finite_array("start", start, (surrogate.frames, regions))
    past = _scaled(surrogate, start[None])
    frames = torch.empty_like(noise)
    for t, kick in enumerate(noise):
        frames[t] = surrogate.net(past)[0] + kick
        if not frames[t].abs().max() < limit:
            raise DivergedError(t, limit)
        past = torch.cat((past[:, 1:], frames[None, None, t]), dim=1)
    data = surrogate.mean + surrogate.scale * frames.numpy()
    return Scan(data, surrogate.tr, np.zeros(len(data), dtype=int), "closed loop")


def _network(kind, n, frames, rng):
    """(P, frames, n) -> (P, n), with first weights as torch draws them, from rng."""
    sizes = [frames * n, 2 * n, max(1, int(0.8 * n)), n] if kind == "mlp" else [frames * n, n]
    layers = [torch.nn.Flatten()]
    for before, after in pairwise(sizes):
        layer, bound = torch.nn.utils.skip_init(torch.nn.Linear, before, after), before**-0.5
        with torch.no_grad():
            for parameter in layer.parameters():
                drawn = rng.uniform(-bound, bound, tuple(parameter.shape))
                parameter.copy_(torch.from_numpy(drawn))
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def _minibatches(x, y, size):
    """A function of rng that deals out an epoch's windows in random order, then the next's."""
    order = np.empty(0, dtype=int)

    def draw(rng):
        nonlocal order
        if len(order) == 0:
            order = rng.permutation(len(x))
        index, order = torch.from_numpy(order[:size]), order[size:]
        return x[index], y[index]

    return draw


def _error(net, batch):
    x, y = batch
    return torch.nn.functional.mse_loss(net(x), y)


def _adam(parameters, *, lr, decay):
    weights = [p for p in parameters if p.ndim > 1]
    biases = [p for p in parameters if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": decay}, {"params": biases}]
    return torch.optim.Adam(groups, lr=lr, fused=True)


def _scaled(surrogate, windows):
    shape = ("P", surrogate.frames, len(surrogate.mean))
    windows = finite_array("windows", windows, shape)
    return torch.from_numpy((windows - surrogate.mean) / surrogate.scale)


def _frame(surrogate, frame):
    if frame not in range(-surrogate.frames, surrogate.frames):
        raise ValueError(f"frame must be one of {surrogate.frames} in a window, got {frame!r}")
    return frame
