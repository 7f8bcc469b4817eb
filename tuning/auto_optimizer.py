"""optimizers.option=auto: tries optimizers and rates in one process and keeps the best (successive halving).

All arms start from the same weights and see the same batches in the same order. Each round trains every arm that is
left from the start under a complete schedule of the round's length, since optimizers change places while a rate decays
(Wen et al. 2025, arXiv:2509.02046), and judges it by validation loss. After the last one the rates beside the leader's
are tried again, as long as it was.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from tuning.arms import Arm
from tuning.auto_settings import PLAIN_RULE, AutoSettings, SearchSettings
from tuning.course import OUT_OF_TIME, Course, Curve, State
from tuning.halving import Round, lengthening, within
from utils.build import build
from utils.words import many

log = logging.getLogger(__name__)
# Arms, steps and a deadline of time.monotonic() → what came of each arm, in their order.
Trainings = Callable[[Sequence[Arm], int, float], Iterator[tuple[Curve, State]]]
WARM_UP_STEPS, PROBED_STEPS = 2, 6  # a time is turned into steps by these
HIGHEST = 3.0
BESIDE = 2  # rates next to the leader's
JUDGING = 1.4  # what validations add to a round's time, at most


class TooShort(ValueError):
    """optimizers.max_training_time is over before anything could be compared."""


@dataclass(frozen=True)
class Tried:
    """One arm in one round; `loss` is what counts, infinite where it was dropped."""

    arm: Arm
    round: int  # from 1
    curve: Curve
    loss: float


@dataclass(frozen=True)
class Found:
    """The winner and how it came about. state: the winner's after its last round. tried: round by round."""

    winner: Arm
    state: State
    tried: tuple[Tried, ...]
    rule: str
    seconds: float

    @property
    def ranked(self) -> list[Tried]:
        """Each arm as it did in its last whole round: those that came further first, then by their loss."""
        last = {str(one.arm): one for one in self.tried}
        return sorted(last.values(), key=lambda one: (-one.round, one.loss))

    @property
    def why(self) -> str:
        """The verdict in one sentence."""
        first, *others = self.ranked
        next_best = "".join(f", {one.arm} {one.loss:.4g}" for one in others[:1] if math.isfinite(one.loss))
        steps = many(first.curve.steps, "step")
        figure = "training" if self.rule == PLAIN_RULE else "validation"
        smoothed = "" if first.arm == self.winner else f"; between them, as a parabola has it, {self.winner}"
        late = sum(one.curve.dropped == OUT_OF_TIME and one.round == 1 for one in self.ranked)
        arms = many(len(self.ranked), "arm") + (f", {late} of them not tried for want of time" if late else "")
        return (
            f"{first.arm} has the lowest {figure} loss, {first.loss:.4g} after {steps}{next_best}"
            f"{smoothed} ({arms}, rounds: {first.round}, {self.seconds:.1f} s)"
        )


def search(
    course: Course,
    arms: Sequence[Arm],
    settings: AutoSettings,
    rules: SearchSettings,
    trainings: Trainings | None = None,
) -> Found:
    """The best of the arms. Raises ValueError where none of them trains, with what became of the first.

    trainings: trains them elsewhere; None: one after the other in this process.
    """
    started = time.monotonic()
    trainings = trainings or partial(in_turn, course, rules)
    deadline = min(started + (settings.seconds or math.inf), course.deadline)
    tried, now, state = list[Tried](), list[Tried](), None
    for number, round_ in enumerate(planned(course, arms, settings, rules), 1):
        # the best go first, so that a round which the time cuts off has compared the likeliest
        left = [one.arm for one in _best(now)][: round_.arms] if number > 1 else list(arms)
        if number > 1 and len(left) < 2:
            break
        log.info("round %d: %s for %s each", number, many(len(left), "arm"), many(round_.length, "step"))
        now, best_state = trained(trainings, left, round_.length, number, rules, deadline)
        if number > 1 and best_state is None:
            log.info("no arm of round %d is done within the time: the one before it decides", number)
            break
        tried, state = tried + now, best_state or state
    if state is None:
        raise _none_trains(tried)
    while time.monotonic() < deadline and (left := _beside(_leader(tried), arms, tried)):
        last = tried[-1]
        log.info("%s again, for %s each", " and ".join(map(str, left)), many(last.curve.steps, "step"))
        now, best_state = trained(trainings, left, last.curve.steps, last.round, rules, deadline)
        if min(one.loss for one in now) < _leader(tried).loss:
            state = best_state or state
        tried += now
    return Found(_leader(tried).arm, state, tuple(tried), rules.rule, time.monotonic() - started)


def _leader(tried: Sequence[Tried]) -> Tried:
    return _best([one for one in tried if one.round == tried[-1].round])[0]


def _beside(leader: Tried, arms: Sequence[Arm], tried: Sequence[Tried]) -> list[Arm]:
    """The leader's optimizer at the rates next to its own that fell behind in a shorter round, if they trained there.

    The best rate of a short training is not that of a long one, by more in one network than in another.
    """
    own = sorted((arm for arm in arms if arm.name == leader.arm.name), key=lambda arm: arm.lr)
    place = own.index(leader.arm)
    last = [one.arm for one in tried if one.round == leader.round]
    failed = [one.arm for one in tried if one.curve.dropped and one.curve.dropped != OUT_OF_TIME]
    return [arm for arm in own[max(0, place - 1) : place + 2] if arm not in last and arm not in failed]


def in_turn(
    course: Course, rules: SearchSettings, arms: Sequence[Arm], steps: int, deadline: float
) -> Iterator[tuple[Curve, State]]:
    """One arm after the other."""
    for arm in arms:
        yield short_training(course, arm, steps, rules, deadline)


def trained(
    trainings: Trainings, arms: Sequence[Arm], steps: int, number: int, rules: SearchSettings, deadline: float
) -> tuple[list[Tried], State | None]:
    """Every arm for so many steps, and the state of the best one; None where none is left."""
    tried, lowest, best = list[Tried](), math.inf, None
    for arm, (curve, state) in zip(arms, trainings(arms, steps, deadline), strict=True):
        loss = curve.train_loss if rules.rule == PLAIN_RULE else curve.val_loss
        tried.append(Tried(arm, number, curve, loss))
        if loss < lowest:
            lowest, best = loss, state
        if curve.dropped != OUT_OF_TIME:
            log.info("%s: %s", arm, curve.dropped or f"{loss:.4g}")
    if late := sum(one.curve.dropped == OUT_OF_TIME for one in tried):
        log.info("%s for %s of this round", OUT_OF_TIME, many(late, "arm"))
    return tried, best


def short_training(
    course: Course, arm: Arm, steps: int, rules: SearchSettings, deadline: float = math.inf
) -> tuple[Curve, State]:
    """One arm in a round: a whole schedule at a rate that suits its length; by the plain rule as the training begins.

    The best rate falls with a training's length, so an arm stands for what it is in full: in a shorter one its rate
    is (full length / length) ^ search.horizon times as high, up to HIGHEST times.
    """
    if rules.rule == PLAIN_RULE:
        return course.train(build(arm.node), course.full_steps, steps, deadline)
    factor = min(max(course.full_steps / steps, 1.0) ** rules.horizon, HIGHEST)
    return course.train(build(arm.node | {"lr": arm.lr * factor}), steps, deadline=deadline)


def planned(course: Course, arms: Sequence[Arm], settings: AutoSettings, rules: SearchSettings) -> list[Round]:
    """The rounds that the budget allows; the longest is never longer than the training itself."""
    longest = [course.full_steps]
    if settings.max_step_count:
        longest.append(settings.max_step_count)
    if settings.num_epochs:
        longest.append(max(1, round(settings.num_epochs * course.steps_per_epoch)))
    cost = _affordable(course, arms, settings) if settings.seconds else rules.share * course.full_steps
    if rules.rule == PLAIN_RULE:
        return [Round(len(arms), min(longest) if len(longest) > 1 else max(1, int(cost / len(arms))))]
    if len(longest) > 1:
        return lengthening(len(arms), rules.eta, min(longest))
    rounds = within(len(arms), rules.eta, cost, again=min(BESIDE, rules.rates - 1))
    return rounds if rounds[-1].length <= longest[0] else lengthening(len(arms), rules.eta, longest[0])


def _affordable(course: Course, arms: Sequence[Arm], settings: AutoSettings) -> float:
    """How many steps the time is enough for, measured on the first arm; none where the course's own is over."""
    course.train(build(arms[0].node), WARM_UP_STEPS)
    curve, _ = course.train(build(arms[0].node), PROBED_STEPS)
    if curve.dropped == OUT_OF_TIME:
        return 0.0
    per_step = (curve.seconds - curve.judged_seconds) / PROBED_STEPS
    return (settings.seconds or math.inf) / (per_step * JUDGING)


def _best(tried: Sequence[Tried]) -> list[Tried]:
    return sorted((one for one in tried if math.isfinite(one.loss)), key=lambda one: one.loss)


def _none_trains(tried: Sequence[Tried]) -> ValueError:
    if all(one.curve.dropped == OUT_OF_TIME for one in tried):
        advice = "give more, or fewer candidates"
        return TooShort(f"optimizers.max_training_time is too short to train one arm once; {advice}")
    return ValueError(
        f"optimizers.option=auto: none of {many(len(tried), 'arm')} trains; {tried[0].arm}: {tried[0].curve.dropped}. "
        "Look at the data and the loss, or try trainer.gradient_clip_val=1.0 or lower rates"
    )
