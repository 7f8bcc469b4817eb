"""The loop of one strategy: train on what is labelled, judge, stop or query, label; each step once in the journal."""

import logging
import shutil
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from active.bench import Bench
from active.look import draws_of, features_of, logits_of
from active.oracles.oracle import Desk, Oracle, Question
from active.rounds import quiet
from active.state import calibrated
from active.stopping import Round, kappa
from active.strategies.auto import coverage_of
from active.strategies.strategy import Strategy
from active.view import UNLABELLED, Array, Places, Selection, View
from active.worth import gumbel
from models.label_errors import findings
from models.model_file import load_model
from models.run import Run

log = logging.getLogger(__name__)
Facts = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Arm:
    """A strategy with a seed of its own. name: as its yaml is called."""

    name: str
    strategy: Strategy
    oracle: Oracle
    seed: int
    bench: Bench

    @property
    def key(self) -> str:
        """In the journal, and of its folder."""
        return f"{self.name}-{self.seed}"

    def folder(self, number: int) -> Path:
        return self.bench.run.folder / "rounds" / self.key / f"{number:04d}"

    def learn(self) -> None:
        """Goes on to the end from wherever the journal stands."""
        for number in count():
            labels = self.labels(number)
            if labels:
                self._once("judged", number, lambda n=number, given=labels: self._judged(n, given))
            verdict = self._once("verdict", number, lambda n=number: self._verdict(n))
            if verdict["stop"]:
                return
            query = self._once("query", number, lambda n=number, given=labels: self._query(n, given))
            self._ask(number, query)
            self._tidy(number)

    def labels(self, before: int) -> dict[str, str]:
        """sha256 → class, of all rounds before: given by the source, then as answered; the majority of several."""
        answers: dict[str, list[str]] = {}
        for sha, name in self.given.items():
            answers.setdefault(sha, []).append(name)
        for entry in self.bench.journal.every(f"{self.key}/label"):
            number, _, sha = entry.key.partition("/")
            if int(number) < before and entry.facts["label"] is not None:
                answers.setdefault(sha, []).append(entry.facts["label"])
        return {sha: _majority(names) for sha, names in answers.items()}

    @property
    def given(self) -> dict[str, str]:
        """Labels that a source's training images had before; an oracle that knows all is asked for each instead."""
        if self.oracle.knows_all:
            return {}
        known = self.bench.data.known[self.bench.rows]
        return {sha: name for sha, name in zip(self.bench.shas, known, strict=True) if name}

    def rounds(self) -> list[Facts]:
        """What was found after each training."""
        return [entry.facts for entry in self.bench.journal.every(f"{self.key}/judged")]

    def queries(self) -> list[Facts]:
        return [entry.facts for entry in self.bench.journal.every(f"{self.key}/query")]

    def why(self) -> str:
        """Why it stopped."""
        return str(self.bench.journal.every(f"{self.key}/verdict")[-1].facts["why"])

    def _once(self, step: str, number: int, make: Any) -> Facts:
        with quiet():
            return self.bench.journal.once(f"{self.key}/{step}", f"{number:04d}", make)

    def _judged(self, number: int, labels: dict[str, str]) -> Facts:
        """Trains, and measures what is known of the model."""
        data = self.bench.data.labelled(labels)
        former = Run(self.folder(number - 1)).model_file
        last = former if number and former.is_file() else None
        seed = self.bench.trainings.config["seed"] + self.seed
        speed = self.bench.journal.find("run", "speed") or {}
        run = self.bench.trainings.train(self.folder(number), data, last, seed, speed)
        self._keep_speed(run)
        facts = self._measured(number, labels, run)
        shown = "" if facts["accuracy"] is None else f"  accuracy {facts['accuracy']:.4f}"
        if facts["accuracy"] is not None:
            shown += f" ({facts['low']:.3f} – {facts['high']:.3f})"
        log.info("%s round %d: %d labels%s", self.key, number, len(labels), shown)
        return facts

    def _keep_speed(self, run: Run) -> None:
        """How the first round was found to train fastest, so that all others do not measure again."""
        trainer = run.read()["trainer"]
        self.bench.journal.record("run", "speed", {name: trainer[name] for name in ("speed", "threads")})

    def _measured(self, number: int, labels: dict[str, str], run: Run) -> Facts:
        bench, classes = self.bench, len(self.bench.data.classes)
        probs = {name: self._probs(run.folder, name) for name in ("judging", "reference", "pool")}
        is_open = self._is_open(labels, number)
        standing = bench.state.estimate(
            probs["judging"], bench.codes(bench.judging), probs["reference"], bench.codes(bench.reference),
            probs["pool"][is_open],
        )  # fmt: skip
        guesses = probs["pool"][bench.stop_set].argmax(axis=1)
        before = [facts for facts in self.rounds() if facts["number"] == number - 1]
        view = self._view(number, labels, model=False)
        facts: Facts = standing.facts() | {
            "number": number,
            "labels": len(labels),
            "asked": len(self._asked(number)),
            "cost": float(sum(bench.cost[bench.place[sha]] for sha in labels)),
            "kappa": kappa(guesses, np.array(before[0]["guesses"]), classes) if before else None,
            "coverage": coverage_of(view),
            "guesses": guesses.tolist(),
            "weights": load_model(run.folder)[1].weights_sha256,
            "classes": np.bincount(self._codes(labels), minlength=classes).tolist(),
        }
        return facts

    def _probs(self, folder: Path, part: str) -> Array:
        """Calibrated probabilities of a part's images, by the model of a round's folder."""
        return _seen(folder, self.bench, part)

    def _codes(self, labels: dict[str, str]) -> Places:
        numbers = {name: number for number, name in enumerate(self.bench.data.classes)}
        return np.array([numbers[name] for name in labels.values()], np.int64)

    def _asked(self, before: int) -> set[str]:
        """Every image that was asked for, skipped ones too."""
        return {sha for query in self.queries() if query["number"] < before for sha in query["picks"]}

    def _is_open(self, labels: dict[str, str], number: int) -> Array:
        """(N,) bool: neither labelled nor asked for."""
        closed = set(labels) | self._asked(number)
        return np.array([sha not in closed for sha in self.bench.shas])

    def _verdict(self, number: int) -> Facts:
        rounds = [Round.of(facts) for facts in self.rounds()]
        asked, held = len(self._asked(number)), self._is_open(self.labels(number), number).sum()
        reasons = [f"the budget of {self.bench.settings.budget} labels is used"] if self._left(number) <= 0 else []
        reasons += [f"all {asked} images of the pool were asked for"] if not held else []
        reasons += [why for rule in self.bench.rules if rounds and (why := rule.why(rounds))]
        return {"stop": bool(reasons), "why": "; ".join(reasons) or "the budget goes on"}

    def _left(self, number: int) -> int:
        return self.bench.settings.budget - len(self._asked(number)) - len(self.given)

    def _query(self, number: int, labels: dict[str, str]) -> Facts:
        """The images to ask for, and those to ask for again."""
        settings, is_open = self.bench.settings, self._is_open(labels, number)
        batch = (settings.first_batch or settings.batch) if number == 0 else settings.batch
        wanted = min(batch, self._left(number), int(is_open.sum()))
        again = self._doubtful(labels, number, round(wanted * settings.relabel)) if labels else []
        view, places = self._opened(number, labels, is_open)
        rng = np.random.default_rng([self.seed, number])
        found = self.strategy.pick(view, max(wanted - len(again), 1), rng)
        picks = [str(self.bench.shas[places[row]]) for row in found.rows]
        log.info("%s round %d: asks for %d images. %s", self.key, number, len(picks) + len(again), found.why)
        return {"number": number, "picks": picks, "again": again, "why": found.why, "score": _finite(found)}

    def _opened(self, number: int, labels: dict[str, str], is_open: Array) -> tuple[View, Places]:
        """What the strategy sees, without skipped images, and each one's place among all candidates."""
        view = self._view(number, labels, model=bool(labels))
        kept = np.flatnonzero(is_open | (view.label != UNLABELLED))
        return view.take(kept), kept

    def _view(self, number: int, labels: dict[str, str], model: bool) -> View:
        bench = self.bench
        label = np.full(len(bench.rows), UNLABELLED)
        label[[bench.place[sha] for sha in labels]] = self._codes(labels)
        folder = self.folder(number) if labels else None
        view = View(bench.key, label, bench.embedding(folder), worth=self._worth(number))
        return self._with_model(view, number) if model else view

    def _worth(self, number: int) -> Array | None:
        """Per cost, and by chance where batches are stochastic; drawn by content, whatever the files' order."""
        bench = self.bench
        if bench.settings.costs is None and not bench.settings.stochastic:
            return None
        chance = np.ones(len(bench.rows))
        if bench.settings.stochastic:
            rng = np.random.default_rng([self.seed, number, 1])
            chance[np.argsort(bench.key, kind="stable")] = gumbel(len(bench.rows), bench.settings.stochastic, rng)
        return chance / bench.cost

    def _with_model(self, view: View, number: int) -> View:
        bench, folder, needs = self.bench, self.folder(number), self.strategy.needs
        net, manifest = load_model(folder)
        draws = features = None
        if needs == "draws":
            logits = draws_of(net, bench.data, bench.rows, bench.settings.draws, self.seed * 1000 + number)
            draws = np.stack([calibrated(one, manifest.temperature) for one in logits])
        if needs == "features":
            features = features_of(net, bench.data, bench.rows)
        columns = {name: getattr(view, name) for name in ("key", "label", "embedding", "worth")}
        probs = self._probs(folder, "pool")
        return View(**columns, probs=probs, features=features, draws=draws, balance=bench.settings.class_balance)

    def _doubtful(self, labels: dict[str, str], number: int, most: int) -> list[str]:
        """Labelled images whose label the model finds the likeliest to be wrong, at most asked for twice."""
        if not most:
            return []
        asked = [sha for query in self.queries() for sha in query["again"]]
        shas = [sha for sha in labels if asked.count(sha) < 2]
        places = [self.bench.place[sha] for sha in shas]
        logits = np.log(np.maximum(self._probs(self.folder(number), "pool")[places], 1e-12))
        found = findings(logits, self._codes({sha: labels[sha] for sha in shas}))
        return [shas[row] for row in found.order[:most] if found.score[row] < 0]

    def _ask(self, number: int, query: Facts) -> None:
        """Questions name what the round's model says, and models of rounds long over are gone."""
        desk, asked = self._desk(number), {*query["picks"], *query["again"]}
        if not asked <= desk.done():
            self.oracle.answer(self._questions(number, query), desk)
            assert asked <= desk.done()

    def _questions(self, number: int, query: Facts) -> list[Question]:
        data, shas = self.bench.data, [*query["picks"], *query["again"]]
        places = [self.bench.place[sha] for sha in shas]
        probs = self._probs(self.folder(number), "pool")[places] if self.labels(number) else None
        scores = [*query["score"], *([0.0] * len(query["again"]))]
        return [
            Question(
                sha, str(data.inventory.path[row]), int(row), score,
                None if probs is None else (data.classes[probs[n].argmax()], float(probs[n].max())),
                again=sha in query["again"],
            )
            for n, (sha, row, score) in enumerate(zip(shas, self.bench.rows[places], scores, strict=True))
        ]  # fmt: skip

    def _desk(self, number: int) -> Desk:
        bench, kind, prefix = self.bench, f"{self.key}/label", f"{number:04d}/"
        shown = lambda row: bench.data.reader(bench.data.inventory)(row)  # noqa: E731

        def file(row: int) -> Path | None:
            path = Path(bench.data.inventory.root) / bench.data.inventory.path[row]
            return path if path.is_file() else None

        return Desk(
            round=number,
            classes=bench.data.classes,
            folder=bench.run.folder / "labels",
            seed=bench.trainings.config["seed"] + self.seed,
            truth=lambda row: str(bench.data.known[row]),
            image=shown,
            file=file,
            answer=lambda sha, label, by: bench.journal.replace(kind, prefix + sha, {"label": label, "by": by}),
            done=lambda: {entry.key.partition("/")[2] for entry in bench.journal.every(kind, prefix)},
            retract=lambda sha: bench.journal.forget(kind, prefix + sha),
            progress=lambda: {"labels": len(self.labels(number + 1)), "budget": bench.settings.budget},
        )

    def _tidy(self, number: int) -> None:
        """Only the last two rounds' models are kept, and no state of a training that has ended."""
        for old in self.folder(number).parent.glob("*"):
            if int(old.name) < number:
                shutil.rmtree(old)
        shutil.rmtree(Run(self.folder(number)).checkpoints, ignore_errors=True)


@lru_cache(maxsize=6)
def _seen(folder: Path, bench: Bench, part: str) -> Array:
    rows = bench.rows if part == "pool" else getattr(bench, part)
    if not len(rows):
        return np.zeros((0, len(bench.data.classes)))
    net, manifest = load_model(folder)
    return calibrated(logits_of(net, bench.data, rows), manifest.temperature)


def _majority(names: list[str]) -> str:
    """The most frequent; of equally frequent ones the latest."""
    return max(names, key=lambda name: (names.count(name), len(names) - names[::-1].index(name)))


def _finite(found: Selection) -> list[float]:
    return [float(value) for value in np.nan_to_num(found.score)]
