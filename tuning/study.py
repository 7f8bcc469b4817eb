"""A search: what is tried next, what came of it, and when it is over; whoever runs the trials asks and tells here."""

import math
import time
from collections.abc import Callable
from pathlib import Path

from models.run import Run
from tuning import auto_report
from tuning.orders import Ending, Order
from tuning.pool import Pool
from tuning.problem import Problem
from tuning.records import Journal, Trial
from tuning.searcher import Searcher
from tuning.space import Value, Values, overrides
from tuning.stopping import Stopping, retold, stopping
from utils.words import figure, many


class Study:
    """The trials so far, kept in the journal; goes on with a former process's journal where there is one.

    place: the folder of the search. watch: called whenever something has changed.
    """

    def __init__(self, problem: Problem, place: Path, watch: Callable[["Study"], None] = lambda study: None) -> None:
        self.problem, self.settings, self.goal = problem, problem.settings, problem.goal
        self.place, self.watch = place, watch
        self.searcher = Searcher(
            self.settings.searcher, problem.parameters, self.goal, int(problem.config["seed"]), problem.first
        )
        self.journal = Journal(place / "trials.jsonl")
        self.trials: list[Trial] = self.journal.read()
        self.interrupted = [trial for trial in self.trials if trial.state == "running"]
        self.rule = self._rule()
        self.broken = ""  # why the search makes no sense, once that is known
        self.began = time.time() - max((trial.elapsed for trial in self.ended), default=0.0)
        self.gpus = 0.0  # of a trial, as the backend finds them
        self.pool: Pool | None = None  # for tune.backend=local, where it was begun ahead
        self._started: dict[int, float] = {}
        self._choosing_size: set[int] = set()  # trials with datamodule.batch_size=auto

    def _rule(self) -> Stopping:
        """The scheduler, after it and the searcher have heard what a former process found."""
        for trial in self.ended:
            self.searcher.tell(trial)
        cost = self.goal.main.cost
        curves = [(one.number, [(epoch, cost(figures)) for epoch, figures in one.curve]) for one in self.ended]
        return retold(stopping(self.settings, self.problem.epochs), curves)

    @property
    def ended(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.state != "running"]

    @property
    def wanted(self) -> int:
        """Trials in all."""
        return min(self.settings.trials, self.searcher.most_trials or self.settings.trials)

    @property
    def deadline(self) -> float | None:
        """time.time() at which the search is over."""
        return None if self.settings.seconds is None else self.began + self.settings.seconds

    @property
    def is_over(self) -> bool:
        """Whether nothing new is begun."""
        late = self.deadline is not None and time.time() >= self.deadline
        return bool(self.broken) or late or (not self.interrupted and len(self.trials) >= self.wanted)

    def next(self) -> Order | None:
        """What to try next; None when the search is over. A configuration that cannot be made is a failed trial."""
        while not self.is_over:
            trial = self._begun()
            try:
                return self._order(trial)
            except ValueError as error:
                self.end(trial.number, Ending(error=str(error)))
        return None

    def _order(self, trial: Trial) -> Order:
        config = self.problem.of_trial(trial.values, on_gpu=self.gpus > 0)
        if config["datamodule"]["batch_size"] == "auto":
            self._choosing_size.add(trial.number)
        latency = "latency_ms" in self.goal.figures
        handed_on = self.settings.perturb_epochs if self.settings.scheduler == "pbt" else 0
        return Order(trial.number, config, str(self.folder(trial)), self.deadline, latency, handed_on)

    def take_over(self, number: int, other: int, epoch: int, values: Values) -> Order:
        """A trial goes on from the weights that another one had after an epoch, with values that belong to them."""
        trial, source = self.trials[number], self.trials[other]
        trial.past = [*source.past, (epoch, dict(source.values))]
        trial.curve = [point for point in source.curve if point[0] <= epoch]
        trial.values = values
        self.watch(self)
        return self._order(trial)

    def _begun(self) -> Trial:
        """An interrupted trial once more, or a new one."""
        if self.interrupted:
            trial = self.interrupted.pop(0)
            trial.values = self.searcher.suggest(trial.number, trial.values)
        else:
            trial = Trial(len(self.trials), self.searcher.suggest(len(self.trials)))
            self.trials.append(trial)
            self.journal.write(trial)
        self._started[trial.number] = time.time()
        self.watch(self)
        return trial

    def folder(self, trial: Trial) -> Path:
        return self.place / "trials" / f"{trial.number + 1:04}"

    def report(self, number: int, epoch: int, figures: dict[str, float]) -> bool:
        """Hears of a validation; answers whether the trial should go on."""
        trial = self.trials[number]
        if trial.curve and epoch <= trial.epochs:  # its worker died, it began again
            trial.curve = [point for point in trial.curve if point[0] < epoch]
        trial.curve.append((epoch, figures))
        trial.seconds = time.time() - self._started[number]
        self._check(figures)
        self.watch(self)
        cost = self.goal.main.cost(figures)
        if self.goal.main.figure in figures and not math.isfinite(cost):
            trial.diverged, trial.error = True, f"{self.goal.main.figure} is not finite after epoch {epoch}"
        stop = self.rule.hear(number, epoch, cost) and epoch < self.problem.epochs
        return not (stop or trial.diverged or self.broken)

    def _check(self, figures: dict[str, float]) -> None:
        try:
            self.goal.refuse_unreported(sorted(figures))
        except ValueError as error:
            self.broken = str(error)

    def end(self, number: int, ending: Ending) -> None:
        """Hears how a trial ended, and keeps it."""
        trial = self.trials[number]
        trial.figures, trial.error = dict(ending.figures), trial.error or ending.error
        trial.chosen = self._chosen(trial)
        trial.diverged = trial.diverged or ending.diverged
        trial.state = "failed" if trial.error else "stopped" if ending.stopped else "complete"
        trial.seconds, trial.elapsed = time.time() - self._started[number], time.time() - self.began
        if ending.without_images and self.problem.has_one_set and self.best() is None:
            self.broken = trial.error
        if self.broken:
            return
        self.journal.write(trial)
        self.searcher.tell(trial)
        self.watch(self)

    def _chosen(self, trial: Trial) -> dict[str, Value]:
        """What its training chose itself, by key; nothing where none began."""
        run = Run(self.folder(trial))
        if not run.configuration_file.is_file():
            return {}
        chooses_size = trial.number in self._choosing_size
        size = {"datamodule.batch_size": run.read()["datamodule"]["batch_size"]} if chooses_size else {}
        return auto_report.chosen(run.folder) | size

    def best(self) -> Trial | None:
        """The trial with the least cost that keeps the constraints; whole ones first, then those that came furthest.

        Where none keeps them, the one that breaks them least.
        """
        return next(iter(self.ranked()), None)

    def ranked(self) -> list[Trial]:
        """Trials with figures, the best first."""
        found = [trial for trial in self.ended if trial.state != "failed" and trial.curve]
        return sorted((one for one in found if not math.isnan(one.costs(self.goal)[0])), key=self._rank)

    def _rank(self, trial: Trial) -> tuple[float, bool, int, float]:
        cost = trial.costs(self.goal)[0]
        whole = trial.state == "complete"
        excess = self.goal.excess(trial.best(self.goal))
        return (excess, not whole, 0 if whole else -trial.epochs, cost)

    @property
    def unkept(self) -> str:
        """That no trial keeps the constraints, and what the best one has instead; empty where one keeps them."""
        best = self.best()
        if best is None or self.goal.is_kept(figures := best.best(self.goal)):
            return ""
        limits = " and ".join(map(str, self.goal.constraints))
        names = [one.figure for one in self.goal.broken(figures)]
        has = ", ".join(f"{name} {figure(figures[name])}" if name in figures else f"{name} –" for name in names)
        return f"none of {many(len(self.ended), 'trial')} keeps {limits}; the best has {has}"

    @property
    def left_out(self) -> str:
        """What the trials leave out of a grid; empty where nothing is."""
        size = self.searcher.most_trials or 0
        if size <= self.settings.trials:
            return ""
        return f"{self.settings.trials} of {size:,} combinations; tune.trials={size} tries all"

    @property
    def unstopped(self) -> str:
        """Why the scheduler stops no trial, where it was to; else empty."""
        late, name = self.settings.judged_late, self.settings.scheduler
        return f"no trial is stopped by tune.scheduler={name}: {late}" if late and name != "none" else ""

    @property
    def keys(self) -> list[str]:
        """Of all values that trials have: the space's, then those that trials chose themselves."""
        own = [parameter.key for parameter in self.problem.parameters]
        return list(dict.fromkeys([*own, *(key for trial in self.trials for key in trial.chosen)]))

    def require_found(self) -> None:
        """Raises ValueError where the search found nothing, and says why."""
        if self.broken:
            raise ValueError(self.broken)
        if self.best() is not None:
            return
        failed = [trial for trial in self.ended if trial.state == "failed"]
        if failed:
            several = f"all {len(failed)} trials failed, the first of them with"
            told = several if len(failed) > 1 else "the only trial failed with"
            raise ValueError(
                f"{told}: {failed[0].error} "
                f"({', '.join(overrides(failed[0].values))}; its trace: {self.folder(failed[0]) / 'error.txt'})"
            )
        began = any(trial.curve for trial in self.ended)
        end = f"end of the first trial, where {self.goal.main.figure} is known"
        missed = end if began else "first epoch of the first trial"
        raise ValueError(f"tune.max_time={self.settings.max_time} was over before the {missed}: give more")
