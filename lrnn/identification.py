"""Which system made these data? Model selection from responses to perturbations, or from noise.

Candidates differ in how a displacement d of the state develops: d(t) = amplitude h(t) with a
template h of each. Observations carry white noise of known standard deviation.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from lrnn._check import finite_array, not_negative, positive


class Pooled(NamedTuple):
    """One response made of those of K trials.

    response : (..., T), the response to a displacement of dose 1
    std : float, the standard deviation of its noise per unit of that of a single observation
    """

    response: np.ndarray
    std: float


def pool(observed, reference, doses, *, n_reference):
    """The best linear unbiased estimate of the response per dose from K perturbed trials.

    The reference is a mean of unperturbed trials; its error is common to all differences, and
    generalised least squares allows for that: doses of both signs cancel it.

    observed : (..., K, T), perturbed trials
    reference : (..., T), mean of unperturbed trials; (T,) is common to all
    doses : (K,), signed relative size of each perturbation, not all 0
    n_reference : int, >= 1, unperturbed trials behind the reference
    Returns : Pooled
    Raises : ValueError if a shape disagrees or a number is out of range
    """
    doses = finite_array("doses", doses, ("K",))
    if not doses.any():
        raise ValueError(f"doses must not all be 0, got {doses.tolist()}")
    observed = np.asarray(observed, dtype=float)
    if observed.ndim < 2 or observed.shape[-2] != len(doses):
        raise ValueError(f"observed must be (..., {len(doses)}, T), got {observed.shape}")
    reference = np.asarray(reference, dtype=float)
    own = (*observed.shape[:-2], observed.shape[-1])
    if reference.shape not in {own, own[-1:]}:
        raise ValueError(f"reference must have shape {own}, got {reference.shape}")
    weights = doses - doses.sum() / (positive("n_reference", n_reference) + len(doses))
    precision = weights @ doses
    response = np.einsum("k,...kt->...t", weights, observed)
    response = (response - weights.sum() * reference) / precision
    return Pooled(response, float(1.0 / np.sqrt(precision)))


def explained(response, templates):
    """Share of a response's energy that each template explains, its amplitude being free.

    The template of the largest share has the largest likelihood, whatever the noise.

    response : (..., T); templates : (M, T), none of them zero
    Returns : (..., M), between 0 and 1
    Raises : ValueError if a shape disagrees or a template is zero
    """
    templates = _unit(templates)
    return (response @ templates.T) ** 2 / np.sum(np.square(response), axis=-1, keepdims=True)


def log_evidence(response, families, *, std):
    """Bayesian information criterion of families of templates, as a log likelihood.

    A family of one template has one free parameter, its amplitude; one of several, such as one for
    each value of an unknown rate, has two, and pays log(T)/2 more (Schwarz 1978).

    response : (..., T)
    families : F arrays (M_f, T), the templates of each
    std : float, > 0, standard deviation of the noise of the response
    Returns : (..., F), up to a constant common to all
    Raises : ValueError if a shape disagrees, a template is zero or std is not positive
    """
    std = positive("std", std)
    best = []
    for templates in families:
        projections = response @ _unit(templates).T
        price = 0.5 * np.log(response.shape[-1]) if len(templates) > 1 else 0.0
        best.append((projections**2).max(axis=-1) / (2 * std**2) - price)
    return np.stack(best, axis=-1)


def confusion(template, other, *, std):
    """Probability that `other` explains a response better than the template that made it, exactly.

    With projections X, Y on the two unit vectors, |Y| > |X| where X - Y and X + Y differ in sign,
    and these two are independent normal variables.

    template : (T,), the noiseless response, not zero; its size counts
    other : (T,), another template; its size does not
    std : float, > 0, standard deviation of the noise of the response
    Returns : float, at most 1/2, which it nears as the response becomes small or the two alike
    Raises : ValueError if a shape disagrees, a template is zero or std is not positive
    """
    size, overlap = np.linalg.norm(template), float(_unit(template) @ _unit(other))
    apart, together = (
        size / positive("std", std) * np.sqrt(np.clip((1 + sign * overlap) / 2, 0, 1))
        for sign in (-1, 1)
    )
    return float(ndtr(-apart) * ndtr(together) + ndtr(apart) * ndtr(-together))


def fluctuation_likelihood(deviation, growth, process_std, *, noise_std):
    """Log likelihood of trial-to-trial deviations under a linear growth, by the Kalman filter.

    x_{k+1} = growth_k x_k + process_std_k xi_k from x_0 = 0, observed as x_k + noise_std eta_k.
    With noise_std = 0 this is a regression of each step on the last.

    deviation : (..., T), observed, of which the first may carry noise only
    growth : (T - 1,), factor per step; process_std : (T - 1,), > 0, noise added in each
    noise_std : float, >= 0
    Returns : (...)
    Raises : ValueError if a shape disagrees or a number is out of range
    """
    deviation, noise_std = np.asarray(deviation, dtype=float), not_negative("noise_std", noise_std)
    growth = finite_array("growth", growth, ("T - 1",))
    process_std = finite_array("process_std", process_std, (len(growth),))
    if not (process_std > 0).all():
        raise ValueError("process_std must be greater than 0 in every step")
    if deviation.ndim < 1 or deviation.shape[-1] != len(growth) + 1:
        raise ValueError(f"deviation must be (..., {len(growth) + 1}), got {deviation.shape}")
    mean, variance = np.zeros(deviation.shape[:-1]), 0.0
    total = np.zeros(deviation.shape[:-1])
    for k, (factor, added) in enumerate(zip(growth, process_std, strict=True)):
        mean, variance = factor * mean, factor**2 * variance + added**2
        spread = variance + noise_std**2
        surprise = deviation[..., k + 1] - mean
        total -= 0.5 * (surprise**2 / spread + np.log(2 * np.pi * spread))
        gain = variance / spread
        mean, variance = mean + gain * surprise, (1 - gain) * variance
    return total


def _unit(templates):
    """Templates (..., T) scaled to length 1."""
    templates = np.asarray(templates, dtype=float)
    length = np.linalg.norm(templates, axis=-1, keepdims=True)
    if not (length > 0).all():
        raise ValueError("templates must not be zero")
    return templates / length
