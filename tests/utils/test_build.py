"""The command line and the configuration: what is refused, in which words, and what is built."""

import pytest

from utils.build import (
    ConfigurationError,
    build,
    check_own,
    check_third_party,
    composed,
    known_keys,
    options,
    overridden,
    prepared,
)


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


def test_words_and_quoted_paths_are_left_alone():
    for argument in ("resume_full_training=True", "run=latest", "reproduce=null", "datamodule.root='my imgs'"):
        assert prepared(argument) == [argument]


def test_a_sweep_over_paths_stays_a_sweep():
    assert prepared("datamodule.root=a,b", multirun=True) == ["datamodule.root=a,b"]
    assert prepared("datamodule.root=a,b") == ["datamodule.root='a,b'"]


def test_in_a_multirun_what_is_no_sweep_is_quoted_as_ever():
    assert prepared("datamodule.root=my", multirun=True) == ["datamodule.root='my'"]


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


def test_a_number_for_a_name_in_a_file_is_refused_with_the_way_out():
    node = {"_target_": "datamodule.folder.Folder", "root": "images", "class_names": ["a", 1]}
    with pytest.raises(ConfigurationError, match=r"datamodule\.class_names=.*where 1 is a name, quote it"):
        check_own({"datamodule": node})


def test_option_names_an_optimizer():
    assert prepared("optimizers.option=sgd") == ["optimizers=sgd"]
    assert prepared("optimizers.option=auto") == ["optimizers.option=auto"]


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


def test_a_misspelt_option_is_refused_with_the_nearest_one_alone():
    with pytest.raises(ConfigurationError) as refused:
        composed(["callback=[ema,early_stoping]"])
    assert str(refused.value) == "callback=early_stoping: callback has no such option; did you mean early_stopping?"


def test_a_wrong_argument_is_named_with_the_nearest_right_one():
    with pytest.raises(ConfigurationError, match=r"task\.lossy: .*did you mean loss"):
        check_own({"task": {"_target_": "models.classification.Classification", "lossy": 1}})


@pytest.mark.parametrize("patience", ["five", True, "3"])
def test_a_wrong_type_is_refused_before_the_target_is_imported(patience):
    with pytest.raises(ConfigurationError, match=r"stop\.patience"):
        check_own({"stop": {"_target_": "models.callbacks.StopEarly", "patience": patience}})


def test_a_partial_third_party_target_is_checked_too():
    node = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": "fast", "momentun": 0.9}
    with pytest.raises(ConfigurationError, match="did you mean momentum") as refused:
        check_third_party({"optimizers": node})
    assert "optimizers.lr='fast'" in str(refused.value)


def test_only_named_packages_are_built():
    with pytest.raises(ConfigurationError, match="only targets of these packages"):
        build({"_target_": "os.system", "command": "true"})


def test_a_missing_package_is_named_with_its_command():
    with pytest.raises(ConfigurationError, match="there is no module|needs"):
        build({"_target_": "torchvision.nowhere.Thing"})


def test_what_the_caller_hands_in_wins_and_what_the_target_does_not_take_is_left_out():
    linear = build({"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3}, out_features=5, height=8)
    assert linear.out_features == 5


def test_a_partial_waits_for_its_arguments():
    make = build({"_target_": "torch.nn.Linear", "_partial_": True, "in_features": 2})
    assert make(out_features=4).weight.shape == (4, 2)


def test_a_stored_configuration_takes_values_but_no_other_groups():
    stored = {"seed": 0, "trainer": {"max_epochs": 3}}
    assert overridden(stored, ["trainer.max_epochs=5"])["trainer"]["max_epochs"] == 5
    with pytest.raises(ConfigurationError, match=r"trainer\.max_epoch=5.*did you mean trainer\.max_epochs"):
        overridden(stored, ["trainer.max_epoch=5"])
    with pytest.raises(ConfigurationError, match="has its own trainer"):
        overridden(stored, ["trainer=default"])


def test_a_key_is_known_with_all_that_would_bring_it():
    known = known_keys()
    assert known["limits.latency_ms"] == ["experiment=auto", "models=auto"]  # no main file takes limits=default
    assert known["benchmark.models"] == known["finetune.candidates"] == ["models=auto"]
    assert known["callback.freeze.epochs"] == ["callback=freeze"]
    for option in known["limits.latency_ms"]:
        assert composed([option], ["limits.latency_ms=5"])["limits"]["latency_ms"] == 5


def test_the_keys_of_a_yaml_are_known_where_it_puts_them():
    known = known_keys()
    assert "models.architecture" in known and "models.models.architecture" not in known
