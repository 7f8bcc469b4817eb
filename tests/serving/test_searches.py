"""A job that searches: what a dropped JSON may say of it, and what gets through to no command line."""

import json

import pytest

from serving.searches import search
from serving.sweeps import BadSweep
from tuning.checks import check_line

RATE = "optimizers.lr=tag(log, interval(1e-4, 1e-1))"


@pytest.mark.parametrize(
    ("space", "tuning", "why"),
    [
        (RATE, {"trials": "many"}, "tune.trials='many'"),
        (RATE, {"trials": 0}, "tune.trials=0"),
        (RATE, {"scheduler": "nope"}, "tune.scheduler='nope'"),
        (RATE, {"searcher": "nope"}, "tune.searcher='nope'"),
        ("optimizers.lr=interval(3,1)", {}, "3.0 is not below 1.0"),
        ("models.nope=choice(1,2)", {}, "models.nope: there is no such key"),
        ("optimizers.lr=choice(abc,def)", {}, "optimizers.lr='abc'"),
    ],
)
def test_a_search_that_could_not_begin_is_refused(space, tuning, why):
    with pytest.raises(ValueError, match=why):
        check_line(search([space], tuning), [])


def test_a_search_that_could_not_begin_is_no_job(open_parts):
    parts = open_parts(check=check_line)
    with pytest.raises(BadSweep, match="tune.trials=0"):
        parts.submission.submit(json.dumps({"tune": {"space": [RATE], "trials": 0}}), "main", "a test")
    assert parts.queue.every() == []
    asked = {"EPOCHS": 2, "tune": {"space": [RATE], "trials": 2, "objective": "val/accuracy"}}
    assert parts.submission.submit(json.dumps(asked), "main", "a test")["size"] == 1


def test_a_search_is_one_job_in_hydras_words_over_allowed_keys(hydra_parse):
    lines = search(["optimizers.lr=tag(log, interval(1e-4, 1e-1))", "models.num_filters=choice(8,16)"], {"trials": 4})
    assert lines[0] == "trainer.tune=true" and lines[-1] == "tune.trials=4"
    assert hydra_parse(lines[1]).value() == [
        "optimizers.lr=tag(log, interval(1e-4, 1e-1))", "models.num_filters=choice(8,16)"
    ]  # fmt: skip
    for bad in ("datamodule.root=choice(a,b)", "optimizers.lr=0.1", "models._target_=choice(a,b)", "x"):
        with pytest.raises(BadSweep):
            search([bad], {})
    with pytest.raises(BadSweep, match=r"tune\.trial: there is no such key"):
        search(["optimizers.lr=interval(0.1,1)"], {"trial": 4})


WHOLE = {
    "trials": 4,
    "objective": ["val/accuracy", "latency_ms"],
    "mode": ["max", "min"],
    "constraints": ["latency_ms<=5", "parameters <= 1e6", "val/accuracy>=0.9"],
    "when": ["optimizers.momentum if optimizers=sgd"],
}
SPACE_OF_SGD = [RATE, "optimizers=choice(sgd,adamw)", "optimizers.momentum=interval(0.5, 0.9)"]
SPACE_OF_SGD += ["datamodule/augment=choice(light,none)"]


def test_lists_of_a_search_reach_the_configuration_as_a_command_line_has_them(hydra_parse):
    lines = search(SPACE_OF_SGD, WHOLE)
    check_line(lines, [])
    read = {line.partition("=")[0]: hydra_parse(line).value() for line in lines[1:]}
    assert read == {"tune.space": SPACE_OF_SGD} | {f"tune.{key}": value for key, value in WHOLE.items()}


def test_what_is_searched_of_itself_can_be_asked_for(open_parts):
    parts = open_parts(check=check_line)
    asked = {"EPOCHS": 2, "tune": {"space": "auto", "auto": ["datamodule.batch_size=choice(32,64)"]}}
    number = parts.submission.submit(json.dumps(asked), "main", "a test")["jobs"][0]
    assert parts.queue.get(number)["overrides"][-2:] == [
        "tune.space=auto", 'tune.auto=["datamodule.batch_size=choice(32,64)"]'
    ]  # fmt: skip


@pytest.mark.parametrize(
    "end", ['"', "'", '",x', '"]', "\\", "\n", "$", "${oc.env:HOME}", "`id`", "{", "#", "é", ";x", "]"]
)
@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("space", RATE),
        ("auto", RATE),
        ("objective", "val/accuracy"),
        ("mode", "max"),
        ("constraints", "latency_ms<=5"),
        ("when", "optimizers.momentum if optimizers=sgd"),
    ],
)
def test_nothing_that_a_grammar_or_a_shell_reads_ends_a_line_or_stands_in_it(key, line, end):
    for text in (line + end, end + line, line[:3] + end + line[3:]):
        with pytest.raises(BadSweep):
            search([text], {}) if key == "space" else search([RATE], {key: [line, text]})


@pytest.mark.parametrize(
    ("tuning", "why"),
    [
        ({"trials": [1, 2]}, "tune.trials: this key takes one value"),
        ({"backend": ["ray"]}, "takes one value"),
        ({"objective": [1]}, "each line is a text"),
        ({"objective": [["val/loss"]]}, "each line is a text"),
        ({"objective": []}, "has 0 lines: use 1 to 64, or leave it out"),
        ({"objective": ["val/loss"] * 65}, "has 65 lines"),
        ({"objective": ["val/../x"]}, "is no figure"),
        ({"objective": ["/val/loss"]}, "is no figure"),
        ({"mode": ["up"]}, "write min or max"),
        ({"constraints": "latency_ms<=5"}, "a word has"),
        ({"constraints": ["latency_ms<5"]}, "write such as latency_ms<=5"),
        ({"constraints": ["latency_ms<=5e9999"]}, "write such as latency_ms<=5"),
        ({"constraints": ["latency_ms<=nan"]}, "write such as latency_ms<=5"),
        ({"when": ["optimizers.momentum"]}, "write such as optimizers.momentum if"),
        ({"when": ["datamodule.root if optimizers=sgd"]}, "must not set this key"),
        ({"when": ["optimizers.momentum if hydra.x=sgd"]}, "no hydra"),
        ({"auto": ["logs=choice(a,b)"]}, "must not set this key"),
        ({"address": "auto"}, "must not set this key"),
        ({"token": True}, "must not set this key"),
        ({"space": [RATE]}, "there is no such key"),
    ],
)
def test_a_list_where_none_belongs_or_with_something_else_in_it_is_refused(tuning, why):
    with pytest.raises(BadSweep, match=why):
        search([RATE], tuning)


@pytest.mark.parametrize(
    "line",
    [
        "callback=choice(default,store)",
        "models.pretrained=choice(true,weights.safetensors)",
        "models.pretrained=choice(weights.safetensors)",
        "callback=choice(default,nothing)",
        "tune.address=choice(auto,here)",
        "datamodule/augment=choice(light,../../x)",
        "../models=choice(timm,simple_cnn)",
        "/models=choice(timm,simple_cnn)",
    ],
)
def test_a_space_offers_nothing_that_a_value_may_not_be(line):
    with pytest.raises(BadSweep):
        search([RATE, line], {})


@pytest.mark.parametrize(
    ("tuning", "why"),
    [
        ({"objective": ["val/loss", "latency_ms"], "mode": ["min"]}, "give one of min and max for each of"),
        ({"when": ["optimizers.momentum if optimizers=sgd"]}, "is not in tune.space"),
        ({"objective": ["val/loss", "latency_ms"], "scheduler": "pbt"}, "compares trials by one figure"),
    ],
)
def test_lists_that_do_not_fit_the_search_are_no_job(open_parts, tuning, why):
    parts = open_parts(check=check_line)
    with pytest.raises(BadSweep, match=why):
        parts.submission.submit(json.dumps({"tune": {"space": [RATE]} | tuning}), "main", "a test")
    assert parts.queue.every() == []


def test_a_space_of_nothing_is_told_of_auto():
    with pytest.raises(BadSweep, match=r"tune\.space has 0 lines: use 1 to 64, or auto"):
        search([], {})
