"""Of the engines that can be had here the fastest that answers as the model does; why each other was refused."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from datamodule.decode import Pixels
from serving.engines.cache import identity, is_ready, prepared
from serving.engines.eager import Eager
from serving.engines.engine import Engine, EngineError, Maker, answers
from serving.engines.gate import Array, Tolerance, Verdict, judge
from serving.engines.source import Source
from serving.engines.timing import Clock, Timed, timed
from utils.files import write_whole

REFERENCE = Eager(type="fp32", channels_last=False)
SECONDS = 0.5  # of measuring for each engine and batch size
CLOSER = 4  # times as many images, where accuracy alone refuses an engine


@dataclass(frozen=True)
class Tried:
    """One candidate. engine: None where it could not be had. timed: by batch size, only of what passed the gate."""

    maker: Maker
    verdict: Verdict
    engine: Engine | None = None
    timed: Mapping[int, Timed] | None = None
    seconds: float = 0.0  # to convert and load

    @property
    def accepted(self) -> bool:
        return self.verdict.accepted


@dataclass(frozen=True)
class Choice:
    """chosen: one of `tried`; the first of these is the model itself, eager float32."""

    chosen: Tried
    tried: list[Tried]
    why: str


@dataclass
class Look:
    """Some images, and what the model itself says of them. target: of these images, or None."""

    source: Source
    reference: Engine
    pixels: Pixels
    target: Array | None
    tolerance: Tolerance

    @cached_property
    def said(self) -> Array:
        return answers(self.reference, self.pixels)

    def verdict(self, engine: Engine) -> Verdict:
        said = self.said if engine is self.reference else answers(engine, self.pixels)
        return judge(self.source.task, said, self.said, self.target, self.tolerance, self.source.classes)


class Auto:
    """Converts, gates, times, keeps the fastest.

    candidates: engines. agreement, accuracy_drop: the gate (serving.engines.gate.Tolerance). batch: what it should be
    fastest at. images: of the validation split, so many are looked at; CLOSER times as many where an engine decides as
    the model does and loses accuracy, which of few images is mostly chance.
    """

    def __init__(
        self, candidates: list[Any], agreement: float = 0.99, accuracy_drop: float = 0.2, batch: int = 1,
        images: int = 512,
    ) -> None:  # fmt: skip
        self.candidates: list[Maker] = candidates
        self.tolerance = Tolerance(agreement, accuracy_drop)
        self.batch, self.images, self.most = batch, images, CLOSER * images
        if batch < 1 or images < 1:
            raise ValueError(f"engine.batch={batch} and engine.images={images} must be at least 1")

    def choose(
        self, source: Source, pixels: Pixels, target: Array | None = None, batches: tuple[int, ...] = (),
        clock: Clock = time.perf_counter,
    ) -> Choice:  # fmt: skip
        """pixels: (N, height, width, channels) real images. target: (N, …) of theirs. batches: also timed at these."""
        gated = self.gated(source, pixels, target)
        passed = {one.maker.label: one.engine for one in gated if one.accepted and one.engine is not None}
        sizes = sorted({self.batch, *batches})
        speeds = {size: timed(passed, _batch(pixels, size), SECONDS, clock) for size in sizes}
        tried = [_with_times(one, {size: speeds[size].get(one.maker.label) for size in sizes}) for one in gated]
        choice = chosen(tried, self.batch)
        self._remember(choice, source)
        return choice

    def gated(self, source: Source, pixels: Pixels, target: Array | None) -> list[Tried]:
        """The model itself, then each candidate in its order with its verdict."""
        reference = prepared(REFERENCE, source)
        looks = [
            Look(source, reference, pixels[:count], None if target is None else target[:count], self.tolerance)
            for count in (self.images, self.most)
        ]
        first = Tried(REFERENCE, looks[0].verdict(reference), reference)
        return [first, *(_tried(maker, source, looks) for maker in self.candidates)]

    def remembered(self, source: Source) -> Engine | None:
        """What was chosen before for this model on this machine: no image, no torch and no measuring is needed.

        None where nothing was, or its files are gone.
        """
        file = self._file(source)
        if not file.is_file():
            return None
        label = json.loads(file.read_text())["chosen"]
        for maker in (REFERENCE, *self.candidates):
            if maker.label == label and is_ready(maker, source):
                return prepared(maker, source)
        return None

    def _remember(self, choice: Choice, source: Source) -> None:
        verdicts = {one.maker.label: one.verdict.why for one in choice.tried}
        told = {"chosen": choice.chosen.maker.label, "why": choice.why, "verdicts": verdicts}
        write_whole(self._file(source), json.dumps(told, indent=2))

    def _file(self, source: Source) -> Any:
        known = [identity(maker, source) for maker in self.candidates if not maker.missing()]
        facts = json.dumps([known, vars(self.tolerance), self.batch], sort_keys=True)
        return source.engines / f"auto-{hashlib.sha256(facts.encode()).hexdigest()[:12]}.json"


def chosen(tried: list[Tried], batch: int) -> Choice:
    """The fastest at this batch size of those that passed; the model itself always does."""
    fit = [one for one in tried if one.accepted and one.timed]
    best = min(fit, key=lambda one: _p50(one, batch))
    ratio = _p50(tried[0], batch) / _p50(best, batch)
    why = f"{best.maker.label} is the fastest of {len(fit)} at a batch of {batch}: {_p50(best, batch):.2f} ms, "
    return Choice(best, tried, why + f"{ratio:.2f} times as fast as {tried[0].maker.label}; {best.verdict.why}")


def _p50(one: Tried, batch: int) -> float:
    assert one.timed is not None
    return one.timed[batch].p50_ms


def _tried(maker: Maker, source: Source, looks: list[Look]) -> Tried:
    began = time.perf_counter()
    if refusal := maker.refusal():
        return Tried(maker, Verdict(False, refusal, 0.0))
    try:
        engine = prepared(maker, source)
        seconds = time.perf_counter() - began
        verdict = looks[0].verdict(engine)
        if verdict.less_accurate and len(looks[1].pixels) > len(looks[0].pixels):
            verdict = looks[1].verdict(engine)
    except (EngineError, ValueError) as error:
        return Tried(maker, Verdict(False, str(error), 0.0))
    return Tried(maker, verdict, engine, None, seconds)


def _with_times(one: Tried, times: Mapping[int, Timed | None]) -> Tried:
    known = {size: found for size, found in times.items() if found is not None}
    return Tried(one.maker, one.verdict, one.engine, known or None, one.seconds)


def _batch(pixels: Pixels, size: int) -> Pixels:
    """So many images, the same ones again where there are fewer."""
    return pixels[[place % len(pixels) for place in range(size)]]
