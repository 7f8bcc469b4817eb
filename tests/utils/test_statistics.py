import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import binomtest

from utils.statistics import Interval, bootstrap, mcnemar, mcnemar_power, paired_bootstrap, wilson


def mean(totals):
    return {"mean": totals["value"] / totals["one"]}


def columns(values):
    return {"value": np.asarray(values, float)[:, None], "one": np.ones((len(values), 1))}


@pytest.mark.parametrize(("successes", "trials", "low", "high"), [(0, 10, 0.0, 0.2775), (8, 10, 0.4902, 0.9433)])
def test_wilson_gives_the_published_interval(successes, trials, low, high):
    found = wilson(successes, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_wilson_is_not_certain_after_a_perfect_score():
    assert wilson(50, 50).high == 1.0
    assert wilson(50, 50).low < 0.95


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (5, 4), (-1, 3)])
def test_wilson_refuses_impossible_counts(successes, trials):
    with pytest.raises(ValueError, match=f"{successes} of {trials}"):
        wilson(successes, trials)


def test_an_interval_outside_its_value_is_refused():
    with pytest.raises(ValueError, match="must hold its value"):
        Interval(0.5, 0.6, 0.7)


def test_bootstrap_of_a_mean_agrees_with_the_normal_interval():
    values = np.random.default_rng(0).normal(3, 2, size=2000)
    found = bootstrap(columns(values), mean, np.random.default_rng(1), repeats=4000)["mean"][0]
    reach = 1.96 * values.std() / np.sqrt(len(values))
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.1 * reach)


def test_the_same_generator_gives_the_same_interval():
    values = np.arange(50.0)
    first, second = (bootstrap(columns(values), mean, np.random.default_rng(7))["mean"][0] for _ in range(2))
    assert first == second


def test_sparse_columns_give_the_same_interval_as_dense_ones():
    dense = columns((np.arange(60) % 7 == 0).astype(float))
    sparse = dense | {"value": csr_array(dense["value"])}
    found = [bootstrap(part, mean, np.random.default_rng(0))["mean"][0] for part in (dense, sparse)]
    assert found[0] == found[1]


def test_resampling_in_chunks_draws_each_sample_as_often_as_it_has_samples(monkeypatch):
    monkeypatch.setattr("utils.statistics._DRAWS_AT_ONCE", 100)
    counts = []
    bootstrap(columns(np.ones(30)), lambda t: counts.append(t["one"]) or mean(t), np.random.default_rng(0), repeats=10)
    drawn = np.concatenate(counts[1:])
    assert drawn.shape == (10, 1)
    assert (drawn == 30).all()


def test_a_figure_undefined_everywhere_has_no_interval():
    found = bootstrap(columns(np.ones(9)), lambda t: {"none": t["value"] * np.nan}, np.random.default_rng(0))
    assert found["none"][0] is None


def test_a_pivotal_interval_holds_a_truth_that_resampling_is_pushed_away_from():
    """The mean absolute bin mean of pure noise is 0 in truth, and biased upwards in each resample."""
    hits = {"plain": 0, "mirrored": 0}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        noise = rng.normal(0.05, 1, size=(400, 15))
        for name in hits:
            found = bootstrap(
                {"noise": noise},
                lambda t: {"size": np.abs(t["noise"]).mean(1, keepdims=True) / 400},
                rng,
                repeats=200,
                pivotal={"size"} if name == "mirrored" else (),
            )["size"][0]
            hits[name] += found.low <= 0.05 <= found.high
    assert hits["mirrored"] >= 30 > hits["plain"]


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"one length above zero.*'one': 2"):
        bootstrap({"value": np.ones((3, 1)), "one": np.ones((2, 1))}, mean, np.random.default_rng(0))


def test_pairing_narrows_the_interval_of_a_difference():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 5, size=500)
    first, second = columns(shared + 0.2), columns(shared)
    paired = paired_bootstrap(first, second, mean, rng)["mean"][0]
    unpaired = paired_bootstrap(first, columns(rng.permutation(shared)), mean, rng)["mean"][0]
    assert paired.low == pytest.approx(0.2)
    assert paired.high == pytest.approx(0.2)
    assert unpaired.high - unpaired.low > 0.5


def test_a_paired_comparison_of_different_samples_is_refused():
    with pytest.raises(ValueError, match="the same samples, got 3 and 4"):
        paired_bootstrap(columns(np.ones(3)), columns(np.ones(4)), mean, np.random.default_rng(0))


def right(only_first, only_second, both, neither=0):
    first = np.repeat([1, 0, 1, 0], [only_first, only_second, both, neither])
    return first, np.repeat([0, 1, 1, 0], [only_first, only_second, both, neither])


@pytest.mark.parametrize(("gained", "lost"), [(9, 1), (1, 9), (5, 5), (0, 0), (40, 20)])
def test_mcnemar_is_the_exact_binomial_test_of_the_disagreements(gained, lost):
    found = mcnemar(*right(gained, lost, both=200))
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert found.p == pytest.approx(expected)
    assert found.difference == pytest.approx((gained - lost) / (200 + gained + lost))


def test_mcnemar_power_agrees_with_simulation():
    images, disagreement, effect = 300, 0.12, 0.06
    rng = np.random.default_rng(0)
    chances = [(disagreement + effect) / 2, (disagreement - effect) / 2, 1 - disagreement]
    draws = rng.multinomial(images, chances, size=3000)
    found = np.mean([binomtest(int(a), int(a + b)).pvalue <= 0.05 for a, b, _ in draws[:1500] if a + b])
    assert mcnemar_power(images, disagreement, effect) == pytest.approx(found, abs=0.04)


def test_the_detectable_difference_is_found_four_times_out_of_five():
    found = mcnemar(*right(30, 24, both=900, neither=46))
    assert mcnemar_power(1000, 0.054, found.detectable) == pytest.approx(0.8, abs=0.02)
    assert mcnemar_power(4000, 0.054, found.detectable) > 0.99


def test_a_handful_of_images_has_no_power():
    found = mcnemar(*right(1, 0, both=4))
    assert found.power < 0.05
    assert found.detectable == pytest.approx(1.0, abs=0.01)


def test_mcnemar_refuses_different_sets():
    with pytest.raises(ValueError, match="same images for both"):
        mcnemar(np.ones(3, bool), np.ones(4, bool))
