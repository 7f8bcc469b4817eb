"""A search space: Hydra's sweep words in, parameters out, and what is refused in which words."""

import pytest

from tuning.checks import check
from tuning.grid import grid
from tuning.space import Parameter, around, automatic_space, configured, overrides, read_space
from utils.build import ConfigurationError
from utils.configuration import composed


def compose(values):
    return composed([], values)


def parameter(text, *when):
    return read_space([text], list(when), compose)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optimizers.lr=tag(log, interval(1e-4, 1e-1))", Parameter("optimizers.lr", "float", 1e-4, 0.1, log=True)),
        ("models.dropout=interval(0, 0.5)", Parameter("models.dropout", "float", 0.0, 0.5)),
        ("models.dense_width=int(interval(8, 64))", Parameter("models.dense_width", "int", 8, 64)),
        ("datamodule.batch_size=range(16,129,16)", Parameter("datamodule.batch_size", "int", 16, 128, step=16)),
        ("models.dropout=range(0, 0.5, 0.1)", Parameter("models.dropout", "float", 0, 0.4, step=0.1)),
        ("task.class_weights=null,balanced", Parameter("task.class_weights", "choice", choices=("null", "balanced"))),
        ("models=choice(timm,simple_cnn)", Parameter("models", "choice", choices=("timm", "simple_cnn"))),
        ("task/loss=choice(cross_entropy,focal)", Parameter("task/loss", "choice", choices=("cross_entropy", "focal"))),
        ("datamodule.mean=choice([0.1],[0.5])", Parameter("datamodule.mean", "choice", choices=("[0.1]", "[0.5]"))),
    ],
)
def test_sweep_words_become_parameters(text, expected):
    assert parameter(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimizers.lrr=interval(0.1, 1)", r"optimizers\.lrr: there is no such key; did you mean optimizers\.lr"),
        ("optimizers.lr=interval(3, 1)", r"3\.0 is not below 1\.0"),
        ("optimizers.lr=interval(0, inf)", r"optimizers\.lr=interval\(0, inf\): .* to inf; give a number"),
        ("models.dense_width=range(1, inf)", "to inf; give a number"),
        ("models.dense_width=range(9, 3)", r"9 is not below 3"),
        ("optimizers.lr=tag(log, interval(0, 1))", "lower end must be above 0"),
        ("optimizers.lr=tag(logarithmic, interval(0.1, 1))", "no tag logarithmic"),
        ("optimizers.lr=interval(0.1", r"a \( is not closed: \(0\.1; write it as KEY=choice\(a,b\), "),
        ("optimizers.lr=0.1", "nothing to choose from"),
        ("optimizers.lr", r"optimizers\.lr: write it as KEY=choice\(a,b\), "),
        ("=choice(1,2)", r"=choice\(1,2\): write it as KEY"),
        ("optimizers.lr=tag(log, choice(1,2))", "a choice has no magnitudes"),
        ("optimizers=glob(*)", "nothing to choose from"),
        ("optimizers.lr=choice(1,2),choice(3,4)", "nothing to choose from"),
        ("task=choice(classification,regressio)", "task has no such option; did you mean regression"),
        ("+optimizers.eps=choice(1,2)", "only keys that are there"),
        ("models.dropout=choice(0.1,0.1)", "names each value once"),
        ("optimizers.momentum=interval(0.1, 0.9)", r"this configuration has no such key; .*if GROUP=OPTION"),
    ],
)
def test_a_malformed_space_is_refused_in_clear_words(text, message):
    with pytest.raises(ConfigurationError, match=rf"^tune\.space: .*{message}"):
        parameter(text)


@pytest.mark.parametrize(("text", "said"), [
    ("trainer.max_steps=choice(9,0)", r"trainer\.max_steps=0 trains nothing"),
    ("datamodule.power=interval(0, 2)", r"datamodule\.power=2\.0 must lie between 0"),
    ("datamodule.power=range(0, 4)", r"datamodule\.power=3 must lie between 0"),
    ("datamodule.batch_size=interval(8, 64)", r".*a whole number .*: datamodule\.batch_size=int\(interval\(8, 64\)\)$"),
    ("models.num_filters=tag(log, interval(8, 64))", r".*a whole number .*=tag\(log, int\(interval\(8, 64\)\)\)$"),
])  # fmt: skip
def test_the_last_value_of_a_space_and_one_between_are_tried_as_well_as_the_first(text, said):
    def checked(values):
        check(config := compose(values))
        return config

    with pytest.raises(ConfigurationError, match=f"^tune.space: {said}"):
        read_space([text], [], checked)


SPACE = ["optimizers.momentum=interval(0.5, 0.99)", "optimizers=choice(adamw,sgd)"]


def test_a_key_that_only_some_options_have_needs_a_condition():
    with pytest.raises(ConfigurationError, match=r"optimizers\.momentum: optimizers=adamw has no such key"):
        read_space(SPACE, [], compose)
    first, second = read_space(SPACE, ["optimizers.momentum if optimizers=sgd"], compose)
    assert (first.key, second.key) == ("optimizers", "optimizers.momentum")
    assert second.is_active({"optimizers": "sgd"}) and not second.is_active({"optimizers": "adamw"})


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("optimizers.momentum when sgd", "write it as"),
        ("optimizers.momentun if optimizers=sgd", r"not in tune\.space; did you mean optimizers\.momentum"),
        ("optimizers.momentum if optimizer=sgd", r"not in tune\.space; did you mean optimizers"),
        ("optimizers.momentum if optimizers=sgdd", r"never sgdd; did you mean sgd"),
    ],
)
def test_a_wrong_condition_is_refused(when, message):
    with pytest.raises(ConfigurationError, match=message):
        read_space(SPACE, [when], compose)


@pytest.mark.parametrize(
    ("further", "when", "message"),
    [
        (["schedulers=choice(cosine,typo)"], ["schedulers if optimizers=sgd"], "schedulers has no such option"),
        (
            ["schedulers=choice(cosine,step)", "schedulers.typo=interval(0, 1)"],
            ["schedulers if optimizers=sgd", "schedulers.typo if schedulers=step"],
            "schedulers.typo: there is no such key",
        ),
    ],
)
def test_what_only_some_trials_have_is_tried_before_the_search(further, when, message):
    with pytest.raises(ValueError, match=message):
        read_space(["optimizers=choice(adamw,sgd)", *further], when, compose)


def test_a_key_is_searched_once():
    with pytest.raises(ConfigurationError, match=r"models\.dropout is there twice"):
        read_space(["models.dropout=interval(0, 1)", "models.dropout=choice(1,2)"], [], compose)


def test_values_become_overrides_that_compose_to_them():
    values = {"optimizers.lr": 1.25e-05, "models": "simple_cnn", "models.dense_width": 24, "datamodule.mean": "[0.5]"}
    config = compose(overrides(values))
    assert config["optimizers"]["lr"] == 1.25e-05
    assert config["models"]["dense_width"] == 24
    assert config["datamodule"]["mean"] == [0.5]


def test_the_automatic_space_lies_around_what_is_configured_and_fits_the_model():
    config = compose(["optimizers.lr=0.02"])
    space = automatic_space(config, ["models.dropout=interval(0.0, 0.5)", "models.drop_path_rate=interval(0, 1)"])
    assert space[0] == "optimizers.lr=tag(log, interval(0.002, 0.2))"
    assert "models.dropout=interval(0.0, 0.5)" in space
    assert not [text for text in space if "drop_path_rate" in text]


def test_the_automatic_space_is_widened_to_what_is_configured():
    space = [
        "datamodule.batch_size=choice(32,64)",
        "models.dropout=interval(0, 0.5)",
        "models.dense_width=range(2,9,2)",
    ]
    config = compose(["datamodule.batch_size=16", "models.dropout=0.7", "models.dense_width=5"])
    size, dropout, width = around(read_space(space, [], compose), config)
    assert size.choices == ("16", "32", "64")
    assert (dropout.low, dropout.high) == (0.0, 0.7)
    assert (width.low, width.high) == (2, 8)  # no step of it


def test_the_automatic_space_leaves_the_rate_to_the_automatic_optimizer():
    config = compose(["optimizers.option=auto"])
    assert automatic_space(config, ["models.dropout=interval(0.0, 0.5)"]) == ["models.dropout=interval(0.0, 0.5)"]


def test_the_configuration_as_it_stands_is_a_trial_where_it_lies_in_the_space():
    parameters = read_space(["models.dropout=interval(0, 0.5)", "optimizers=choice(adamw,sgd)"], [], compose)
    config = compose(["models.dropout=0.3"])
    assert configured(parameters, config, {"optimizers": "adamw"}) == {"models.dropout": 0.3, "optimizers": "adamw"}
    assert configured(parameters, compose(["models.dropout=0.7"]), {"optimizers": "adamw"}) == {}


def test_a_grid_has_every_combination_once_and_only_values_that_can_be_counted():
    space = ["optimizers=choice(adamw,sgd)", "optimizers.momentum=range(0.8, 0.99, 0.1)"]
    parameters = read_space(space, ["optimizers.momentum if optimizers=sgd"], compose)
    assert [tuple(values.values()) for values in grid(parameters)] == [("adamw",), ("sgd", 0.8), ("sgd", 0.9)]
    with pytest.raises(ValueError, match=r"models\.dropout has an interval: use choice"):
        grid(read_space(["models.dropout=interval(0, 0.5)"], [], compose))


def test_values_are_counted_before_any_is_laid_out():
    endless = Parameter("optimizers.lr", "int", 0, 10**15, step=1)
    assert endless.count == 10**15 + 1
    assert endless.holds(10**14)
    with pytest.raises(ValueError, match=r"1,000,000,000,000,001 combinations here, 10,000 at most"):
        grid([endless])


@pytest.mark.parametrize("word", [f"range(0,1{'0' * 390})", "range(0,1,1e-320)", "range(-1e308,1e308)"])
def test_numbers_beyond_all_bounds_are_refused_in_words(word):
    with pytest.raises(ConfigurationError, match="nothing can be drawn from there|leads nowhere"):
        read_space([f"optimizers.lr={word}"], [], compose)
