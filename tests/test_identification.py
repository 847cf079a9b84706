"""Model selection against explicit covariance matrices, least squares and simulated experiments."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from lrnn.identification import (
    confusion,
    explained,
    fluctuation_likelihood,
    log_evidence,
    pool,
)

DOSES = {
    "one": [1.0],
    "all alike": [1.0, 1.0, 1.0],
    "both signs": [1.0, -1.0, 1.0, -1.0],
    "of any size": [2.0, -0.5, 0.0, 1.0, 0.3],
}
EACH_DOSE = pytest.mark.parametrize("doses", DOSES.values(), ids=DOSES)


def least_squares(doses, n_reference):
    """Weights (K,) on the differences, and the variance, by generalised least squares written out.

    Differences share the error of the reference: covariance 1 + 1/n_reference in units of that of
    one observation.
    """
    doses = np.array(doses)
    covariance = np.eye(len(doses)) + 1.0 / n_reference
    precision = doses @ np.linalg.solve(covariance, doses)
    return np.linalg.solve(covariance, doses) / precision, 1.0 / precision


@EACH_DOSE
@pytest.mark.parametrize("n_reference", [1, 4])
def test_pool_is_generalised_least_squares(doses, n_reference):
    rng = np.random.default_rng(0)
    observed = rng.normal(size=(2, 3, len(doses), 7))
    reference = rng.normal(size=(2, 3, 7))
    weights, variance = least_squares(doses, n_reference)
    pooled = pool(observed, reference, doses, n_reference=n_reference)
    by_hand = np.einsum("k,...kt->...t", weights, observed - reference[..., None, :])
    np.testing.assert_allclose(pooled.response, by_hand, atol=1e-13)  # round-off
    assert pooled.std == pytest.approx(np.sqrt(variance), rel=1e-12)
    # A reference common to all experiments.
    common = pool(observed, reference[0, 0], doses, n_reference=n_reference).response
    same = pool(observed[0, 0], reference[0, 0], doses, n_reference=n_reference).response
    np.testing.assert_allclose(common[0, 0], same, atol=1e-13)


@EACH_DOSE
def test_pool_is_unbiased_and_its_noise_as_stated(doses):
    """Within five standard errors over 20,000 experiments, whose error the other trials share."""
    n, n_reference, true, noise, rng = 20_000, 3, 0.7, 0.4, np.random.default_rng(1)
    observed = true * np.array(doses)[:, None] + noise * rng.normal(size=(n, len(doses), 1))
    reference = noise * rng.normal(size=(n, n_reference, 1)).mean(axis=1)
    pooled = pool(observed, reference, doses, n_reference=n_reference)
    std = noise * pooled.std
    assert pooled.response.mean() == pytest.approx(true, abs=5 * std / np.sqrt(n))
    assert pooled.response.std() == pytest.approx(std, rel=5 / np.sqrt(2 * n))


def test_no_other_unbiased_estimate_is_less_noisy():
    """Weights with w . doses = 1, one of them the plain mean of differences per dose."""
    doses, rng = np.array(DOSES["of any size"]), np.random.default_rng(2)
    covariance = np.eye(5) + 1.0 / 2
    least = pool(np.zeros((5, 1)), np.zeros(1), doses, n_reference=2).std
    for _ in range(100):
        weights = rng.normal(size=5)
        weights /= weights @ doses
        assert np.sqrt(weights @ covariance @ weights) >= least


def test_doses_of_both_signs_cancel_the_error_of_the_reference():
    rng = np.random.default_rng(3)
    observed, reference = rng.normal(size=(4, 6)), rng.normal(size=6)
    for doses, cancels in (("both signs", True), ("of any size", False)):
        seen = observed if cancels else np.vstack([observed, observed[:1]])
        first, second = (
            pool(seen, reference + error, DOSES[doses], n_reference=2).response
            for error in (0.0, 10.0)
        )
        # Exactly zero weight on the reference, but for round-off in numbers of order 10.
        assert np.allclose(first, second, atol=1e-13) == cancels
    alone = pool(observed, reference, DOSES["both signs"], n_reference=1).std
    assert alone == 0.5  # 1/sqrt(4), as if the reference were known


def test_explained_is_r_squared_of_least_squares_through_the_origin():
    rng = np.random.default_rng(4)
    response, templates = rng.normal(size=(2, 3, 9)), rng.normal(size=(4, 9))
    share = explained(response, templates)
    assert share.shape == (2, 3, 4)
    for i, j, m in np.ndindex(2, 3, 4):
        y, h = response[i, j], templates[m]
        residual = np.linalg.lstsq(h[:, None], y, rcond=None)[1][0]
        assert share[i, j, m] == pytest.approx(1 - residual / (y @ y), abs=1e-13)  # round-off
    np.testing.assert_allclose(explained(-3.0 * templates, 0.1 * templates).diagonal(), 1.0)


@pytest.mark.parametrize("std", [0.1, 3.0])
def test_the_template_that_explains_most_is_the_likeliest(std):
    rng = np.random.default_rng(5)
    response, templates = rng.normal(size=(50, 8)), rng.normal(size=(5, 8))
    likelihood = []
    for h in templates:
        amplitude = response @ h / (h @ h)
        density = multivariate_normal(cov=std**2 * np.eye(8))
        likelihood.append(density.logpdf(response - amplitude[:, None] * h))
    np.testing.assert_array_equal(
        np.argmax(explained(response, templates), axis=1), np.argmax(likelihood, axis=0)
    )


def test_evidence_is_the_best_likelihood_less_the_price_of_a_second_parameter():
    rng = np.random.default_rng(6)
    T, std = 12, 0.7
    response = rng.normal(size=(20, T))
    one, many = rng.normal(size=(1, T)), rng.normal(size=(6, T))
    density = multivariate_normal(cov=std**2 * np.eye(T))

    def best(templates):
        amplitudes = response @ templates.T / np.sum(templates**2, axis=1)  # (20, M)
        fits = amplitudes[..., None] * templates
        return density.logpdf(response[:, None] - fits).reshape(20, -1).max(axis=1)

    # -BIC/2 is the likelihood less log(T)/2 a parameter; one, the amplitude, is common to all.
    by_hand = np.stack([best(one), best(many) - np.log(T) / 2], axis=1)
    evidence = log_evidence(response, [one, many], std=std)
    np.testing.assert_allclose(np.diff(evidence), np.diff(by_hand), atol=1e-11)  # round-off
    # A family pays once, not by its members, and a doubled template adds nothing but the price.
    twice, alone = log_evidence(response, [np.vstack([one, one]), one], std=std).T
    np.testing.assert_allclose(alone - twice, np.log(T) / 2, atol=1e-12)


@pytest.mark.parametrize("size", [0.3, 1.5, 4.0])
@pytest.mark.parametrize("overlap", [0.95, 0.5, 0.0, -0.4])
def test_confusion_is_the_share_of_simulated_experiments_decided_wrongly(size, overlap):
    """200,000 experiments, within five standard errors."""
    n, std, rng = 200_000, 0.8, np.random.default_rng(7)
    template = size * std * np.array([1.0, 0.0, 0.0])
    other = 2.5 * np.array([overlap, np.sqrt(1 - overlap**2), 0.0])
    response = template + std * rng.normal(size=(n, 3))
    share = explained(response, np.array([template, other]))
    wrong = np.mean(share[:, 1] > share[:, 0])
    p = confusion(template, other, std=std)
    assert 0 < p < 0.5
    assert wrong == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / n))


def test_limits_of_confusion():
    rng = np.random.default_rng(8)
    h, other = rng.normal(size=(2, 10))
    # The square root of round-off in the overlap, 1e-8, times a size of 30 standard deviations.
    assert confusion(h, 3 * h, std=0.1) == pytest.approx(0.5, abs=1e-6)
    assert confusion(h, -h, std=0.1) == pytest.approx(0.5, abs=1e-6)
    # It falls from 1/2 by the square of the size.
    assert confusion(1e-9 * h, other, std=1.0) == pytest.approx(0.5, abs=1e-15)
    assert confusion(1e3 * h, other, std=1.0) < 1e-100
    falling = [confusion(size * h, other, std=1.0) for size in np.linspace(0.01, 3, 20)]
    assert (np.diff(falling) < 0).all()
    assert confusion(h, 100 * other, std=1.0) == pytest.approx(confusion(h, other, std=1.0))
    assert confusion(2 * h, other, std=2.0) == pytest.approx(confusion(h, other, std=1.0))


def covariance(growth, process_std, noise_std):
    """Of observations 1 to T - 1: each state is the sum of all noise so far, grown since."""
    T = len(growth)
    grown = np.zeros((T, T))
    for k in range(T):
        for j in range(k + 1):
            grown[k, j] = process_std[j] * np.prod(growth[j + 1 : k + 1])
    return grown @ grown.T + noise_std**2 * np.eye(T)


@pytest.mark.parametrize("noise_std", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_fluctuation_likelihood_is_that_of_one_normal_vector(noise_std, seed):
    rng = np.random.default_rng(seed)
    growth, process_std = rng.uniform(0.5, 1.5, size=8), rng.uniform(0.2, 1.0, size=8)
    deviation = rng.normal(size=(2, 3, 9))
    likelihood = fluctuation_likelihood(deviation, growth, process_std, noise_std=noise_std)
    density = multivariate_normal(cov=covariance(growth, process_std, noise_std))
    # Round-off in a covariance matrix of condition number up to 1e4.
    np.testing.assert_allclose(likelihood, density.logpdf(deviation[..., 1:]), rtol=1e-9)


def test_without_observation_noise_each_step_is_regressed_on_the_last():
    rng = np.random.default_rng(9)
    growth, process_std = rng.uniform(0.5, 1.5, size=6), rng.uniform(0.2, 1.0, size=6)
    x = np.concatenate([[0.0], rng.normal(size=6)])
    z = (x[1:] - growth * x[:-1]) / process_std
    by_hand = -0.5 * np.sum(z**2 + np.log(2 * np.pi * process_std**2))
    likelihood = fluctuation_likelihood(x, growth, process_std, noise_std=0)
    assert likelihood == pytest.approx(by_hand, rel=1e-12)


def test_fluctuations_tell_the_growth_that_made_them():
    """200 trials of 30 steps: the information on one growth is some 200 * 30, so 0.1 is 5 sigma."""
    rng = np.random.default_rng(10)
    x, process = np.zeros((200, 31)), np.full(30, 0.5)
    for k in range(30):
        x[:, k + 1] = 0.9 * x[:, k] + 0.5 * rng.normal(size=200)
    seen = x + 0.2 * rng.normal(size=x.shape)
    growths = np.linspace(0.5, 1.3, 17)
    total = [
        fluctuation_likelihood(seen, np.full(30, g), process, noise_std=0.2).sum() for g in growths
    ]
    assert growths[np.argmax(total)] == pytest.approx(0.9, abs=1e-9)  # of steps of 0.05


H, LAW = np.ones(5), (np.ones(4), np.ones(4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: pool(np.ones((2, 5)), H, [0, 0], n_reference=1),
            r"not all be 0, got \[0.0, 0.0\]",
        ),
        (lambda: pool(np.ones((2, 5)), H, [1, np.nan], n_reference=1), "doses must be finite"),
        (lambda: pool(np.ones((2, 5)), H, [1], n_reference=1), r"be \(..., 1, T\), got \(2, 5\)"),
        (lambda: pool(H, H, [1], n_reference=1), r"observed must be \(..., 1, T\), got \(5,\)"),
        (lambda: pool(np.ones((1, 5)), H, [1], n_reference=0), "n_reference must be greater than"),
        (
            lambda: pool(np.ones((1, 5)), np.ones((3, 5)), [1], n_reference=1),
            r"reference must have shape \(5,\), got \(3, 5\)",
        ),
        (
            lambda: pool(np.ones((3, 1, 5)), np.ones(1), [1], n_reference=1),
            r"reference must have shape \(3, 5\), got \(1,\)",
        ),
        (lambda: explained(H, np.zeros((1, 5))), "templates must not be zero"),
        (lambda: explained(H, np.ones((1, 4))), "mismatch"),
        (lambda: log_evidence(H, [np.ones((1, 5)), 0 * H[None]], std=1), "must not be zero"),
        (lambda: log_evidence(H, [np.ones((1, 5))], std=0), "std must be greater than 0, got 0"),
        (lambda: confusion(H, 0 * H, std=1), "templates must not be zero"),
        (lambda: confusion(0 * H, H, std=1), "templates must not be zero"),
        (lambda: confusion(H, H, std=-1), "std must be greater than 0, got -1"),
        (lambda: fluctuation_likelihood(H, *LAW, noise_std=-1), "noise_std must be at least 0"),
        (
            lambda: fluctuation_likelihood(H[:4], *LAW, noise_std=0),
            r"deviation must be \(..., 5\), got \(4,\)",
        ),
        (
            lambda: fluctuation_likelihood(H, LAW[0], np.zeros(4), noise_std=0),
            "process_std must be greater than 0 in every step",
        ),
        (
            lambda: fluctuation_likelihood(H, LAW[0], np.ones(3), noise_std=0),
            r"process_std must have shape \(4,\), got \(3,\)",
        ),
        (
            lambda: fluctuation_likelihood(H, [1, 1, 1, np.inf], LAW[1], noise_std=0),
            "growth must be finite, got inf",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
