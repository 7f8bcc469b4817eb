"""What single strategies promise, against plain arithmetic."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare

from active.strategies.auto import Auto
from active.strategies.badge import badge
from active.strategies.bald import disagreement
from active.strategies.core_set import k_centre
from active.strategies.dcom import competence
from active.strategies.entropy import Entropy, entropy
from active.strategies.herding import Cover, held_by, herd, refined
from active.strategies.kernels import Ball, Gaussian
from active.strategies.least_confidence import LeastConfidence, least_confidence
from active.strategies.margin import Margin, margin
from active.strategies.max_herding import MaxHerding
from active.strategies.prob_cover import ProbCover
from active.strategies.radius import pure_radius
from active.strategies.typiclust import TypiClust, typicality
from active.strategies.uherding import UHerding, joint, shrinking_width
from active.view import View, unit
from active.worth import Worth, gumbel
from tests.active.views import softmax, view

SURE, TORN, SPREAD = [0.98, 0.01, 0.01], [0.5, 0.49, 0.01], [0.4, 0.3, 0.3]


def three() -> View:
    return View(np.arange(3, dtype=np.uint64), np.full(3, -1), unit(np.eye(3)), np.array([SURE, TORN, SPREAD]))


@pytest.mark.parametrize(("strategy", "first"), [(Margin(), 1), (LeastConfidence(), 2), (Entropy(), 2)])
def test_prefers_the_unsure_image(strategy, first):
    found = strategy.pick(three(), 3, np.random.default_rng(0)).rows.tolist()
    assert found[0] == first and found[-1] == 0


def test_scores_of_single_images():
    probs = np.array([[1.0, 0.0], [0.5, 0.5]])
    assert margin(probs) == pytest.approx([0, 1])
    assert least_confidence(probs) == pytest.approx([0, 0.5])
    assert entropy(probs) == pytest.approx([0, np.log(2)])


def test_bald_wants_draws_that_disagree_rather_than_draws_that_are_unsure():
    disagree = np.array([[1.0, 0.0], [0.0, 1.0]])
    unsure = np.full((2, 2), 0.5)
    found = disagreement(np.stack([disagree, unsure], axis=1))
    assert found == pytest.approx([np.log(2), 0])


def test_ties_are_broken_by_the_seed_alone():
    seen = replace(three(), probs=np.full((3, 3), 1 / 3))
    firsts = {Margin().pick(seen, 1, np.random.default_rng(seed)).rows[0] for seed in range(30)}
    assert firsts == {0, 1, 2}


def plain_k_centre(embedding, centres, pool, count):
    """The search that looks at all images for each pick."""
    similar = (embedding @ embedding[centres].T).max(1)
    rows = []
    for _ in range(count):
        left = np.setdiff1d(pool, rows)
        best = left[similar[left].argmin()]
        rows.append(int(best))
        similar = np.maximum(similar, embedding @ embedding[best])
    return rows


@pytest.mark.parametrize("inside", [3, 20, 500])
def test_core_set_in_blocks_picks_what_the_plain_search_picks(inside):
    seen = view(images=800, classes=12, dimension=16, labelled=5)
    rows, gains = k_centre(seen.embedding, seen.labelled, seen.pool, 60, Worth(seen), inside)
    assert rows.tolist() == plain_k_centre(seen.embedding, seen.labelled, seen.pool, 60)
    assert (np.diff(gains) <= 1e-6).all()


@pytest.mark.parametrize("inside", [4, 100])
def test_core_set_in_blocks_stays_exact_with_costs_and_balance(inside):
    seen = replace(view(images=200), worth=np.random.default_rng(1).random(200) + 0.1, balance=True)
    rows, _ = k_centre(seen.embedding, seen.labelled, seen.pool, 30, Worth(seen), inside)
    whole, _ = k_centre(seen.embedding, seen.labelled, seen.pool, 30, Worth(seen), 10**6)
    assert rows.tolist() == whole.tolist()


def gradients(probs, features):
    residual = probs - np.eye(probs.shape[1])[probs.argmax(1)]
    return np.einsum("nc,nf->ncf", residual, features).reshape(len(probs), -1)


def test_badge_begins_with_the_largest_gradient_and_draws_by_squared_distance():
    seen = view(images=12, labelled=0)
    built = gradients(seen.probs, seen.features)
    first = np.linalg.norm(built, axis=1).argmax()
    distance = ((built - built[first]) ** 2).sum(1)
    seconds = np.zeros(12)
    for seed in range(3000):
        rows, gains = badge(seen.probs, seen.features, 2, np.random.default_rng(seed), Worth(seen), np.arange(12))
        assert rows[0] == first
        assert gains[1] == pytest.approx(distance[rows[1]], rel=1e-4)
        seconds[rows[1]] += 1
    likely = distance > 0
    assert chisquare(seconds[likely], 3000 * distance[likely] / distance.sum()).pvalue > 1e-3
    assert seconds[first] == 0


def test_badge_never_builds_the_gradients():
    """An array of images x (classes * features) would hold 16 GB here."""
    rng = np.random.default_rng(0)
    probs, features = softmax(rng.normal(size=(4_000, 1000))), rng.normal(size=(4_000, 512))
    seen = View(np.arange(4_000, dtype=np.uint64), np.full(4_000, -1), features, probs)
    rows, _ = badge(probs, features, 2, rng, Worth(seen), np.arange(4_000))
    assert len(set(rows.tolist())) == 2


def plain_herd(cover, candidates, count):
    """Every gain anew for every pick."""
    held, rows = cover.held.copy(), []
    near = cover.kernel(candidates @ cover.reference.T)
    for _ in range(count):
        gain = (np.maximum(near - held, 0) * cover.weight).sum(1)
        gain[rows] = -1
        rows.append(int(gain.argmax()))
        held = np.maximum(held, near[rows[-1]])
    return rows


@pytest.mark.parametrize("kernel", [Gaussian(0.7), Ball(0.8)])
def test_lazy_herding_picks_what_the_plain_search_picks(kernel):
    seen = view(images=150, classes=6)
    held = held_by(seen.embedding[seen.labelled], seen.embedding, kernel)
    weight = np.random.default_rng(2).random(150).astype(np.float32)
    cover = Cover(seen.embedding, weight, held, kernel)
    rows, _ = herd(cover, seen.embedding, np.arange(150), 12, Worth(seen))
    assert rows.tolist() == plain_herd(cover, seen.embedding, 12)


def test_refining_never_covers_less_than_the_greedy_picks():
    seen = view(images=150, classes=6, labelled=0, model=False)
    cover = Cover(seen.embedding, np.full(150, 1 / 150, np.float32), np.zeros(150, np.float32), Gaussian(0.7))
    rows = np.arange(150)
    greedy, _ = herd(cover, seen.embedding, rows, 6, Worth(seen))
    better, _ = refined(cover, seen.embedding, rows, greedy, Worth(seen), 3)
    covered = [held_by(seen.embedding[picks], seen.embedding, cover.kernel).mean() for picks in (greedy, better)]
    assert covered[1] > covered[0] and len(set(better.tolist())) == 6


def separate_clusters(each=40, clusters=5) -> tuple[View, np.ndarray]:
    """Tight clusters on the axes, and each image's cluster."""
    own = np.repeat(np.arange(clusters), each)
    embedding = unit(np.eye(8)[own] + 0.1 * np.random.default_rng(0).normal(size=(len(own), 8)))
    return View(np.arange(len(own), dtype=np.uint64), np.full(len(own), -1), embedding), own


@pytest.mark.parametrize(
    "strategy", [MaxHerding(), ProbCover(classes=5), TypiClust()], ids=lambda one: type(one).__name__
)
def test_what_covers_takes_one_image_of_each_cluster_first(strategy):
    seen, own = separate_clusters()
    assert len({own[row] for row in strategy.pick(seen, 5, np.random.default_rng(0)).rows}) == 5


def test_herding_by_doubt_leaves_alone_what_the_model_is_sure_of():
    seen = view(images=100, labelled=10)
    probs = np.tile([0.97, 0.01, 0.01, 0.01], (100, 1))
    probs[40:50] = 0.25
    similar = seen.embedding.copy()
    similar[40:50] = unit(np.ones((10, 8)) + 0.1 * np.random.default_rng(0).normal(size=(10, 8)))
    found = UHerding().pick(replace(seen, probs=probs, embedding=similar), 1, np.random.default_rng(0))
    assert 40 <= found.rows[0] < 50


def test_herding_by_doubt_does_not_take_for_covered_what_the_model_tells_apart():
    probs = np.tile([0.6, 0.4, 0.0, 0.0], (30, 1))
    probs[25:] = [0.0, 0.0, 0.6, 0.4]
    label = np.full(30, -1)
    label[0] = 0
    seen = View(np.arange(30, dtype=np.uint64), label, unit(np.ones((30, 8))), probs)
    assert UHerding().pick(seen, 1, np.random.default_rng(0)).rows[0] >= 25


def test_joint_distances_are_the_mean_of_images_and_probabilities():
    embedding, probs = unit(np.eye(3)[[0, 1, 0]]), np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    rows = joint(embedding, probs)
    assert ((rows[0] - rows[1:]) ** 2).sum(1) == pytest.approx([1, 1]) and rows.dtype == np.float32
    assert ((rows[1] - rows[2]) ** 2).sum() == pytest.approx(2)


def test_the_width_shrinks_as_labels_grow_dense():
    rows = unit(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [1.0, 0.0]]))
    assert shrinking_width(rows[:2], 0.9) == 0.9
    assert shrinking_width(rows, 0.9) == pytest.approx(np.linalg.norm(rows[0] - rows[2]), rel=1e-3)
    assert shrinking_width(rows[:1], 0.9) == shrinking_width(rows[[0, 0]], 0.9) == 0.9


def test_typicality_is_highest_in_the_middle():
    rng = np.random.default_rng(0)
    members = unit(np.vstack([[1, 0, 0], np.array([1, 0, 0]) + 0.3 * rng.normal(size=(40, 3)), [-1, 0.2, 0]]))
    found = typicality(members)
    assert found.argmin() == 41 and found[0] > np.median(found)


def test_typiclust_takes_clusters_without_a_label_first():
    seen, own = separate_clusters()
    label = np.full(len(own), -1)
    label[[0, 50]] = 0, 1
    found = TypiClust().pick(replace(seen, label=label), 3, np.random.default_rng(0))
    assert {own[row] for row in found.rows} == {2, 3, 4}


def test_balls_grow_as_purity_is_asked_less_of():
    embedding = view(images=300, classes=4).embedding
    radii = [pure_radius(embedding, 4, purity, np.random.default_rng(0)) for purity in (0.99, 0.9, 0.5)]
    assert radii == sorted(radii) and radii[0] < radii[-1]


def test_competence_goes_from_covering_to_uncertainty():
    values = [competence(coverage, 0.9, 30.0) for coverage in (0.0, 0.5, 0.9, 1.0)]
    assert values == sorted(values) and values[0] < 0.01 and values[-1] == pytest.approx(1.0)


def test_balance_turns_to_the_class_with_few_labels():
    seen = view(images=200, classes=2, labelled=40)
    label = np.where(np.arange(200) < 40, 0, -1)
    probs = np.tile([0.6, 0.4], (200, 1))
    probs[100:] = [0.4, 0.6]
    unfair = replace(seen, label=label, probs=probs)
    found = Margin().pick(replace(unfair, balance=True), 20, np.random.default_rng(0))
    assert (found.rows >= 100).mean() > 0.9
    assert 0.3 < (Margin().pick(unfair, 60, np.random.default_rng(0)).rows >= 100).mean() < 0.9


def test_a_stochastic_batch_draws_in_proportion_to_the_gain():
    gain, firsts = np.array([1.0, 2.0, 5.0]), np.zeros(3)
    for seed in range(4000):
        firsts[(gain * gumbel(3, 1.0, np.random.default_rng(seed))).argmax()] += 1
    assert chisquare(firsts, 4000 * gain / gain.sum()).pvalue > 1e-3


def test_auto_says_which_strategy_ran_and_why():
    rng = np.random.default_rng(0)
    large = view(images=2000, labelled=6)
    assert Auto().pick(view(model=False, labelled=0), 5, rng).why.startswith("MaxHerding (no model yet)")
    assert Auto().pick(large, 5, rng).why.startswith("UHerding (coverage is")
    assert Auto().pick(large, 500, rng).why.startswith("Margin with noise (the batch is 25.1% of the pool)")
    assert Auto(covered=0.01).pick(large, 5, rng).why.startswith("Margin with noise (coverage is")


def test_a_strategy_that_needs_a_model_says_that_it_drew_at_random():
    assert Margin().pick(view(model=False), 5, np.random.default_rng(0)).why.startswith("drawn at random: Margin needs")
