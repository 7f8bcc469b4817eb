from dataclasses import replace

import pytest

from tuning.arms import arms, spread
from tuning.auto_settings import AutoSettings, SearchSettings, of_choice
from utils.build import build
from utils.configuration import option
from utils.overrides import options


def chosen(**changes) -> dict:
    return option("optimizers", "adamw") | {"option": "auto"} | changes


def test_every_yaml_with_a_range_is_a_candidate_with_its_own_rates_and_decay():
    found = arms(chosen(), AutoSettings(), SearchSettings())
    names = [name for name in options("optimizers") if option("optimizers", name)["lr_range"]]
    assert {"sgd", "adamw", "nadamw", "lamb", "lion", "adopt", "muon"} <= set(names)
    assert sorted(arm.name for arm in found) == [name for name in names for _ in range(3)]
    for name in names:
        own, rates = option("optimizers", name), sorted(arm.lr for arm in found if arm.name == name)
        assert [rates[0], rates[-1]] == own["lr_range"] and rates == sorted(set(rates))
        assert {arm.node["weight_decay"] for arm in found if arm.name == name} == {own["weight_decay"]}


def test_the_likeliest_are_tried_first_each_at_the_middle_of_its_rates():
    rules = of_choice(chosen())[1]
    tried = [arm.name for arm in arms(chosen(), AutoSettings(), rules)]
    assert set(rules.order) == set(tried[:7]) and tried == [*rules.order] * 3
    few = arms(chosen(), AutoSettings(candidates=["sgd", "muon"]), replace(rules, order=["sgd"]))
    assert [(arm.name, arm.lr) for arm in few[:4]] == [("sgd", 0.055), ("muon", 0.0055), ("sgd", 0.01), ("muon", 0.001)]
    others = [arm.name for arm in arms(chosen(), AutoSettings(), SearchSettings(rates=1, order=["sgd", "lion"]))]
    assert others == ["sgd", "lion", "adamw", "adopt", "lamb", "muon", "nadamw"]


def test_a_node_is_complete_and_its_choice_made():
    import torch

    for arm in arms(chosen(num_epochs=2), AutoSettings(), SearchSettings()):
        assert arm.node["option"] is None and arm.node["lr"] == arm.lr and arm.node["num_epochs"] == 2
        optimizer = build(arm.node)(torch.nn.Linear(3, 2))
        assert {group["lr"] for group in optimizer.param_groups} == {arm.lr}


def test_what_belongs_to_the_network_is_shared_by_all_candidates():
    found = arms(chosen(layer_decay=0.7), AutoSettings(candidates=["sgd", "lion"]), SearchSettings())
    assert {arm.node["layer_decay"] for arm in found} == {0.7}


def test_a_given_range_is_that_of_the_chosen_optimizer_alone():
    found = arms(chosen(lr_range=[0.001, 0.002]), AutoSettings(candidates=["adamw", "lion"]), SearchSettings())
    rates = {name: sorted(arm.lr for arm in found if arm.name == name) for name in ("adamw", "lion")}
    assert (rates["adamw"][0], rates["adamw"][-1]) == (0.001, 0.002)
    assert [rates["lion"][0], rates["lion"][-1]] == option("optimizers", "lion")["lr_range"]
    with pytest.raises(ValueError, match=r"lr_range=\[0\.001, 0\.002\] is of adamw, which is none of .* sgd, lion"):
        arms(chosen(lr_range=[0.001, 0.002]), AutoSettings(candidates=["sgd", "lion"]), SearchSettings())


@pytest.mark.parametrize("name", ["laprop", "Adafactor"])
def test_any_name_of_timm_or_torch_can_be_a_candidate(name):
    [*found] = arms(chosen(), AutoSettings(candidates=[name]), SearchSettings(rates=2))
    assert [arm.node["name"] for arm in found] == [name, name]


@pytest.mark.parametrize(("name", "near"), [("sgdd", "sgd"), ("adamwq", "adamw")])
def test_an_unknown_candidate_is_refused_with_the_nearest(name, near):
    with pytest.raises(
        ValueError, match=f"optimizers.candidates={name}: timm and torch have no .*; did you mean .*{near}"
    ):
        AutoSettings(candidates=[name])


def test_the_plain_rule_takes_each_candidate_at_its_own_rate():
    found = arms(chosen(), AutoSettings(), SearchSettings(rule="lowest_train_loss"))
    assert [arm.lr for arm in found] == [option("optimizers", arm.name)["lr"] for arm in found]


def test_rates_are_even_in_the_logarithm_and_a_range_upside_down_is_refused():
    assert spread({"lr": 1, "lr_range": [0.001, 0.1]}, 3) == [0.001, 0.01, 0.1]
    with pytest.raises(ValueError, match=r"lr_range=\[0.1, 0.001\]: give \[lowest, highest\]"):
        spread({"lr": 1, "lr_range": [0.1, 0.001]}, 3)
