"""What reaches the configuration of what is written on a command line."""

import pytest

from utils.build import ConfigurationError
from utils.overrides import flags_last, options, points, prepared, unreadable


@pytest.mark.parametrize(
    "value",
    [
        "~/imgs",
        "/home/jürgen/Bilder",
        "a b/(1)",
        "logs/lr=0.1,bs=3",
        "imgs/[ab]*.jpg",
        "postgresql://u@h/d?sslmode=require",
        "it's",
        "a\\b",
    ],
)
def test_paths_that_hydra_refuses_reach_the_configuration(value, hydra_parse):
    [override] = prepared(f"datamodule.root={value}")
    expected = value.replace("~", __import__("os").path.expanduser("~"), 1) if value.startswith("~") else value
    assert hydra_parse(override).value() == expected


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("a=1 -m b=1,2", "a=1 b=1,2 -m"),
        ("--cfg job a=1 ~b --resolve c=1", "a=1 ~b c=1 --cfg job --resolve"),
        ("-m a word", "a word -m"),
        ("a=1 b", "a=1 b"),
    ],
)
def test_hydras_flags_may_stand_between_overrides(line, told):
    assert flags_last(line.split()) == told.split()


def test_words_and_quoted_paths_are_left_alone():
    for argument in ("resume_full_training=True", "run=latest", "reproduce=null", "datamodule.root='my imgs'"):
        assert prepared(argument) == [argument]


def test_a_sweep_over_paths_stays_a_sweep():
    assert prepared("datamodule.root=a,b", multirun=True) == ["datamodule.root=a,b"]
    assert prepared("datamodule.root=a,b") == ["datamodule.root='a,b'"]


def test_in_a_multirun_what_is_no_sweep_is_quoted_as_ever():
    assert prepared("datamodule.root=my", multirun=True) == ["datamodule.root='my'"]


def test_a_sweep_may_go_over_names_of_timm_and_over_options_but_not_over_both():
    spelt_out = ["models=timm", "models.architecture=resnet18,vit_tiny_patch16_224.augreg_in21k"]
    assert prepared("models=resnet18,vit_tiny_patch16_224.augreg_in21k", multirun=True) == spelt_out
    assert prepared("models=resnet18, resnet50", multirun=True)[1] == "models.architecture=resnet18, resnet50"
    assert prepared("models=simple_cnn,unet", multirun=True) == ["models=simple_cnn,unet"]
    with pytest.raises(ConfigurationError, match="resnet18 is no option of models.* names of timm alone"):
        prepared("models=simple_cnn,resnet18", multirun=True)


def test_a_sweep_stands_for_a_command_line_for_each_of_its_points():
    assert points(["seed=1,2", "logs='a b'", "--multirun"]) == [["seed=1", "logs='a b'"], ["seed=2", "logs='a b'"]]
    every = [[f"optimizers={name}"] for name in options("optimizers")]
    assert points(["optimizers=glob(*)"]) == every


@pytest.mark.parametrize("value", [";", "\\t", ",", "|", "~", "'"])
def test_any_delimiter_reaches_the_configuration(value, hydra_parse):
    quoted = f'"{value}"' if value == "'" else value
    [override] = prepared(f"datamodule.delimiter={quoted}")
    assert hydra_parse(override).value() == value


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("run_name=42", "42"),
        ("experiment_name=1e5", "1e5"),
        ("run_name=null", None),
        ("datamodule.salt=true", "true"),
        ("datamodule.label_column=3", "3"),
        ("datamodule.label_column=[0,1]", ["0", "1"]),
        ("datamodule.class_names=[new york, 1_0,'a, 2',\"it's\"]", ["new york", "1_0", "a, 2", "it's"]),
        ("trainer.max_time=5", "5"),
    ],
)
def test_a_name_that_looks_like_a_number_is_a_name(given, meant, hydra_parse):
    [override] = prepared(given)
    assert hydra_parse(override).value() == meant


def test_option_names_an_optimizer():
    assert prepared("optimizers.option=sgd") == ["optimizers=sgd"]
    assert prepared("optimizers.option=auto") == ["optimizers.option=auto"]


def test_an_unknown_optimizer_is_refused_by_the_key_that_was_given():
    for option, near in (("automatic", "auto"), ("adamv", "adam"), ("muons", "muon")):
        with pytest.raises(ValueError, match=f"optimizers.option={option}: .*; did you mean .*{near}"):
            prepared(f"optimizers.option={option}")
    assert prepared("optimizers.option=lookahead_lamb") == ["optimizers=timm", "optimizers.name=lookahead_lamb"]


def test_timm_names_need_no_yaml():
    assert prepared("models=resnet18") == ["models=timm", "models.architecture=resnet18"]
    assert prepared("optimizers=adabelief") == ["optimizers=timm", "optimizers.name=adabelief"]
    assert prepared("models=simple_cnn") == ["models=simple_cnn"]
    assert prepared("models=resnet18.a1_in1k") == ["models=timm", "models.architecture=resnet18.a1_in1k"]
    assert prepared("models=a,b") == ["models=a,b"]


@pytest.mark.parametrize("group", ["callback", "models", "task/distill"])
def test_a_group_of_nothing_is_refused_with_its_options(group):
    with pytest.raises(ConfigurationError, match=rf"{group}=null: leave it out, or give {options(group)[0]}"):
        prepared(f"{group}=null")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a=[b=choice(x,y]", "a ( is not closed: (x,y]"),
        ("a=[3", "a [ is not closed: [3"),
        ("a=3)", "a ) closes nothing: a=3)"),
        ("a=it's", "a ' has no second one: 's"),
        ('a=["b=choice(0.1,0.2,0.3,0.4,0.5)]', 'a " has no second one: "b=choice(0.1,0.2,0.3,0.…'),
        (r"a=[\(,'(',b=c]", "it cannot be read from here on: =c]"),
        ("a=x<=1", "it cannot be read from here on: <=1"),
        ("a=(1)", "a ( is out of place"),
        ("a=b,", "something is missing at its end"),
        ("a=chioce(1,2)", "there is no word chioce (did you mean choice?)"),
        ("a=interval(1,b)", "interval(1,b) is not what interval takes"),
        ("a=int(null)", "int(null) is not what int takes"),
        ("a=interval(1)", "interval(1): missing a required argument: 'end'"),
        ("a=choice(null,b)", "choice takes no null"),
    ],
)
def test_what_the_grammar_does_not_take_is_told_without_its_words(text, told):
    assert unreadable(text) == f"{text}: {told}"


@pytest.mark.parametrize("text", ["a=1", r"a=\(", "a=[b,'it\\'s',\"(\"]", "a=choice(1,2)", "~a"])
def test_nothing_is_wrong_with_what_the_grammar_takes(text):
    assert unreadable(text) == ""
