"""Ray's BayesOptSearch as a searcher: its package is asked for by name, and it finds more than chance does."""

from importlib.metadata import PackageNotFoundError

import pytest

from tuning import bayesopt, local
from tuning.objectives import read_goal
from tuning.records import Trial
from tuning.searcher import Searcher
from tuning.space import Parameter
from tuning.study import Study

LR = Parameter("optimizers.lr", "float", 1e-4, 1e-1, log=True)
WIDTH = Parameter("width", "int", 16, 128, step=16)


@pytest.mark.parametrize(
    "space",
    [[Parameter("name", "choice", choices=("a", "b"))], [LR, Parameter("x", "int", 1, 2, only_if={"n": ("b",)})]],
)
def test_what_is_no_number_is_refused(space):
    pytest.importorskip("bayes_opt")
    with pytest.raises(ValueError, match=rf"{space[-1].key} is none: use gp or tpe"):
        bayesopt.check(space)


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(bayesopt, "version", missing)
    with pytest.raises(ValueError, match=r"none is installed: pip install -r requirements-bayesopt\.txt"):
        bayesopt.check([LR])


def test_it_finds_more_than_chance_does_within_the_space():
    pytest.importorskip("bayes_opt")
    best = {}
    for name in ("bayesopt", "random"):
        searcher, costs = Searcher(name, [LR, WIDTH], read_goal(["val/loss"], "auto", []), seed=3), []
        for number in range(16):
            values = searcher.suggest(number)
            assert 1e-4 <= values[LR.key] <= 0.1 and values["width"] in range(16, 129, 16)
            costs.append(abs(values[LR.key] - 0.03) * 10 + abs(values["width"] - 64) / 64)
            searcher.tell(Trial(number, values, "complete", [(1, {"val/loss": costs[-1]})]))
        best[name] = sum(sorted(costs)[:5])
    assert best["bayesopt"] < best["random"]


def test_a_whole_search_by_it(problem, tmp_path):
    pytest.importorskip("bayes_opt")
    study = Study(problem("tune.backend=local", "tune.searcher=bayesopt", "tune.trials=7"), tmp_path / "tune")
    local.search(study)
    assert len({trial.values["optimizers.lr"] for trial in study.ended}) == 7
    assert {trial.error for trial in study.ended} == {""}
