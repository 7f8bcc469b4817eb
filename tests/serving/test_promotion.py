"""The rules, against cases that are known by hand and against chance."""

import numpy as np
import pytest

from serving.promotion import Better, ByHand, Measured, Significant, lower_bound, merit, one_sided
from utils.statistics import mcnemar


def measured(figures=None, right=None, labels=None, task="classification", parameters=100, confidence=0.9):
    """right: whether each answer is."""
    if right is None:
        return Measured("live", task, figures or {}, 10, parameters)
    labels = ["a"] * len(right) if labels is None else labels
    rows = [
        f"{n}.png,{label},{label if ok else 'wrong'},{confidence}"
        for n, (ok, label) in enumerate(zip(right, labels, strict=True))
    ]
    text = "\n".join(["path,label,predicted,probability", *rows])
    return Measured("live", task, {"accuracy": float(np.mean(right))}, len(right), parameters, lambda: text)


@pytest.mark.parametrize(
    ("new", "live", "promoted"), [(0.3, 0.2, True), (0.2, 0.2, False), (0.1, 0.2, False), (None, 0.2, False)]
)
def test_better_takes_the_higher_figure_alone(new, live, promoted):
    verdict = Better().judge(measured({"accuracy": new}), measured({"accuracy": live}))
    assert verdict.promote is promoted and verdict.why


def test_errors_are_better_when_they_are_lower_and_a_margin_must_be_reached():
    new, live = measured({"mae": 1.0}, task="regression"), measured({"mae": 1.5}, task="regression")
    assert Better().judge(new, live).promote and not Better().judge(live, new).promote
    assert not Better(min_delta=0.5).judge(new, live).promote
    with pytest.raises(ValueError, match="promotion.min_delta=-1"):
        Better(min_delta=-1)


def test_a_figure_that_no_model_has_is_refused_with_the_nearest_one():
    for metric, near in (("acuracy", "accuracy"), ("digit/acuracy", "accuracy"), ("recall", "recall_macro")):
        with pytest.raises(ValueError, match=f"promotion.metric={metric}: .*did you mean.* {near}"):
            Better(metric)
    new, live = measured({"digit/accuracy": 0.3}), measured({"digit/accuracy": 0.2})
    assert Better("digit/accuracy").judge(new, live).promote


def test_by_hand_promotes_nothing():
    assert not ByHand().judge(measured({"accuracy": 1.0}), measured({"accuracy": 0.0})).promote


def test_significant_follows_the_exact_one_sided_test():
    rule = Significant(max_ece_rise=1.0)
    # 8 gains against 1 loss: P(Bin(9, 1/2) >= 8) = 10/512 = 0.0195; 6 against 1: 8/128 = 0.0625
    live = [False] * 8 + [True] + [True] * 91
    new = [True] * 8 + [False] + [True] * 91
    assert one_sided(mcnemar(np.array(new), np.array(live))) == pytest.approx(10 / 512)
    assert rule.judge(measured(right=new), measured(right=live)).promote
    live[0] = live[1] = True  # 6 against 1
    verdict = rule.judge(measured(right=new), measured(right=live))
    assert not verdict.promote and "p = 0.0625" in verdict.why


def test_equal_models_are_promoted_in_less_than_one_case_of_twenty():
    rng, rule, promoted, naive = np.random.default_rng(0), Significant(), 0, 0
    for _ in range(300):
        base = rng.random(300) < 0.8
        flips = [rng.random(300) < 0.07 for _ in range(2)]
        new, live = (base ^ flip for flip in flips)
        promoted += one_sided(mcnemar(new, live)) < rule.alpha
        naive += new.mean() > live.mean()
    assert promoted / 300 <= 0.05 < 0.3 < naive / 300


def test_a_class_that_loses_beyond_chance_holds_a_better_model_back():
    rule = Significant(max_ece_rise=1.0)
    labels = ["common"] * 300 + ["rare"] * 30
    live = [False] * 60 + [True] * 240 + [True] * 30
    new = [True] * 300 + [True] * 18 + [False] * 12
    verdict = rule.judge(measured(right=new, labels=labels), measured(right=live, labels=labels))
    assert not verdict.promote and "class rare loses 40.0 points of recall (30 images)" in verdict.why
    slightly = [True] * 300 + [True] * 29 + [False]
    assert rule.judge(measured(right=slightly, labels=labels), measured(right=live, labels=labels)).promote


def test_a_worse_calibration_holds_a_better_model_back():
    live, new = [False] * 30 + [True] * 70, [True] * 99 + [False]
    sure = measured(right=live, confidence=0.7)
    assert Significant().judge(measured(right=new, confidence=0.99), sure).promote
    verdict = Significant().judge(measured(right=new, confidence=0.6), sure)
    assert not verdict.promote and "calibration error is 0.390 against 0.000" in verdict.why


def test_a_smaller_model_that_is_surely_no_worse_goes_live():
    same = [True] * 9000 + [False] * 1000
    small, large = measured(right=same, parameters=10), measured(right=same, parameters=100)
    assert Significant().judge(small, large).promote
    assert not Significant().judge(large, small).promote
    assert lower_bound(mcnemar(np.array(same), np.array(same))) > -0.005


def test_answers_to_other_images_cannot_be_paired():
    few, many = measured(right=[True] * 5), measured(right=[True] * 6)
    assert "cannot be paired" in Significant().judge(few, many).why
    assert not Significant().judge(measured({"accuracy": 1.0}), few).promote


def test_each_task_has_a_merit_of_an_answer():
    assert merit("classification", {"path": "x", "label": "a", "predicted": "a"}) == 1.0
    assert merit("heads", {"label:x": "a", "predicted:x": "a", "label:y": "b", "predicted:y": "a"}) == 0.0
    assert merit("segmentation", {"right": "0.75"}) == 0.75
    assert merit("regression", {"age": "3", "predicted:age": "5"}) == -2.0


def test_numbers_are_compared_by_a_paired_bootstrap():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200)

    def said(error):
        rows = [
            f"{n}.png,{t},{t + e}" for n, (t, e) in enumerate(zip(truth, rng.normal(size=200) * error, strict=True))
        ]
        return Measured("live", "regression", {}, 200, 1, lambda: "\n".join(["path,age,predicted:age", *rows]))

    near, far = said(0.1), said(0.5)
    assert Significant().judge(near, far).promote and not Significant().judge(far, near).promote
