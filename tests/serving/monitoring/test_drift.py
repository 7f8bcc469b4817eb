"""The tests of drift against chance: how often they cry for nothing, and what they find."""

import numpy as np
import pytest

from serving.monitoring.drift import NO_EMBEDDINGS, chi_squared, judge, kolmogorov_smirnov
from serving.monitoring.embedding import embed
from serving.monitoring.scores import kept

CLASSES = [str(number) for number in range(10)]
ALPHA = 0.01


def images(rng, count):
    """Some smooth, some noisy, some dark, of many colours: (count, 32, 32, 3) uint8."""
    small = rng.normal(rng.uniform(60, 180, (count, 1, 1, 1)), 40, (count, 8, 8, 3))
    grain = rng.normal(0, rng.uniform(1, 20, (count, 1, 1, 1)), (count, 32, 32, 3))
    return np.clip(small.repeat(4, 1).repeat(4, 2) + grain, 0, 255).astype(np.uint8)


POOL = images(np.random.default_rng(99), 1000)
EMBEDDED = np.array([embed(image) for image in POOL])


def answers(rng, count, shares=None, sharpness=6.0, noise=1.5, embedded=EMBEDDED):
    """Softmax answers of a good model to images of these classes."""
    truth = rng.choice(len(CLASSES), count, p=shares)
    logits = rng.normal(0, noise, (count, len(CLASSES)))
    logits[np.arange(count), truth] += sharpness
    seen = None if embedded is None else embedded[rng.integers(len(embedded), size=count)]
    return kept("classification", CLASSES, logits, None)._replace(embedding=seen)


def share_drifted(rng, repeats, reference=2000, window=500, alpha=ALPHA, **shift):
    """Of windows, against ten at a time of one reference."""
    found = []
    for _ in range(repeats // 10):
        then = answers(rng, reference)
        found += [judge(then, answers(rng, window, **shift), CLASSES, alpha).drifted for _ in range(10)]
    return np.mean(found)


def test_windows_without_drift_are_called_drifted_no_more_often_than_stated():
    assert share_drifted(np.random.default_rng(0), 500) <= 2 * ALPHA
    assert 0.02 < share_drifted(np.random.default_rng(1), 200, alpha=0.1) <= 0.12  # where a rate can be told from zero


def test_small_windows_and_small_references_cry_no_more_often_either():
    assert share_drifted(np.random.default_rng(2), 500, reference=150, window=100) <= 2 * ALPHA


@pytest.mark.parametrize(
    "shift",
    [
        {"shares": [0.22, *[0.78 / 9] * 9]},  # one class of ten is twice as frequent
        {"sharpness": 5.0},  # blurred images: the model is less sure
        {"noise": 2.0},
    ],
    ids=["class shares", "less sure", "noise"],
)
def test_shifted_answers_are_found_nearly_always(shift):
    assert share_drifted(np.random.default_rng(3), 100, **shift) >= 0.95


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda image: np.clip(image - 20, 0, 255), "brightness"),
        (lambda image: np.clip(image * [1.0, 1.0, 0.9], 0, 255), "blue"),
        (lambda image: (image + np.roll(image, 1, axis=1)) / 2, "sharpness"),
        (lambda image: np.where(np.indices(image.shape)[:2].max(0) < 8, 0, image), "light top left"),
    ],
    ids=["darker", "yellower", "out of focus", "a dirty corner"],
)
def test_images_of_another_kind_are_found_whatever_the_model_says_of_them(change, named):
    other = np.array([embed(change(image.astype(float)).astype(np.uint8)) for image in POOL])
    assert share_drifted(np.random.default_rng(8), 100, embedded=other) >= 0.95
    rng = np.random.default_rng(9)
    assert (
        f"the images' mean {named} is"
        in judge(answers(rng, 2000), answers(rng, 500, embedded=other), CLASSES, ALPHA).why
    )


@pytest.mark.parametrize("known", [None, EMBEDDED[:, :12]], ids=["none", "of another version"])
def test_a_reference_without_embeddings_is_compared_in_the_rest_and_says_so(known):
    rng = np.random.default_rng(10)
    then = answers(rng, 2000, embedded=known)
    calm, moved = (
        judge(then, answers(rng, 500), CLASSES, ALPHA),
        judge(then, answers(rng, 500, noise=3), CLASSES, ALPHA),
    )
    assert not calm.drifted and moved.drifted and calm.why.startswith("no drift: of 12 tests")
    assert calm.why.endswith(NO_EMBEDDINGS) and moved.why.endswith(NO_EMBEDDINGS)
    assert NO_EMBEDDINGS not in judge(answers(rng, 2000), answers(rng, 500), CLASSES, ALPHA).why


def test_the_verdict_says_what_has_moved():
    rng = np.random.default_rng(4)
    verdict = judge(answers(rng, 2000), answers(rng, 500, shares=[0.55, *[0.05] * 9]), CLASSES, ALPHA)
    assert verdict.drifted and verdict.p < 1e-6
    assert "the share of 0 is 0.5" in verdict.why and "500 answers against 2,000 of the evaluation set" in verdict.why
    calm = judge(answers(rng, 2000), answers(rng, 500), CLASSES, ALPHA)
    assert not calm.drifted and calm.why.startswith("no drift: of 27 tests the smallest p is")


def test_another_engines_rounding_is_no_drift():
    """bfloat16 keeps 8 bits, and may cut them off: all logits are a little smaller, which no answer shows."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        logits = rng.normal(0, 1.0, (2500, len(CLASSES)))
        logits[np.arange(2500), rng.integers(10, size=2500)] += 14  # so sure that all probabilities are nearly 1
        cut = logits * (1 - rng.uniform(0, 2, logits.shape) / 64)
        then, now = (kept("classification", CLASSES, part, None) for part in (logits[:2000], cut[2000:]))
        assert not judge(then, now, CLASSES, ALPHA).drifted


def test_values_of_a_regression_are_compared_too():
    rng = np.random.default_rng(6)
    then, same, other = (kept("regression", ["price"], rng.normal(mean, 1, (500, 1)), None) for mean in (0, 0, 0.5))
    assert not judge(then, same, ["price"], ALPHA).drifted
    assert "the mean of price is 0.5" in judge(then, other, ["price"], ALPHA).why


def test_the_tests_agree_with_those_of_scipy():
    from scipy import stats

    rng = np.random.default_rng(7)
    for size in (50, 400):
        first, second = rng.normal(size=300), rng.normal(0.2, 1, size)
        exact = stats.ks_2samp(first, second).pvalue
        assert kolmogorov_smirnov(first, second) == pytest.approx(exact, rel=0.25, abs=0.02)
        table = np.stack([rng.multinomial(size, [0.2] * 5), rng.multinomial(300, [0.2] * 5)])
        assert chi_squared(table) == pytest.approx(stats.chi2_contingency(table).pvalue)


def test_rare_choices_count_together():
    common = np.array([[300, 300], [300, 300]])
    rare = np.array([[1] * 60, [0] * 60])  # each found once, in the first sample alone
    assert chi_squared(common) == 1.0
    assert chi_squared(np.hstack([common, rare])) < 1e-6  # all of them together are no chance
    assert chi_squared(np.array([[3, 0], [0, 2]])) == 1.0  # too few to say anything
