import pytest
import torch
from torch import distributed

from models.time_budget import CLOCKS, TimeBudget


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setitem(CLOCKS, "wall", made)
    return made


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)


def train(schedule: TimeBudget, clock: Clock, seconds: list[float]) -> list[float]:
    """The rate of each step; a step takes so many seconds."""
    rates = []
    for taken in seconds:
        rates.append(schedule.optimizer.param_groups[0]["lr"])
        clock.now += taken
        schedule.optimizer.step()
        schedule.step()
    return rates


def until_finished(schedule: TimeBudget, clock: Clock, seconds: float) -> list[float]:
    rates = []
    while not schedule.finished:
        rates += train(schedule, clock, [seconds])
    return rates


@pytest.mark.parametrize("step_s", [0.03, 0.3, 2.9])
def test_the_decay_completes_within_the_budget_whatever_a_step_takes(clock, step_s):
    schedule = TimeBudget(optimizer(), 10**6, 100, budget="00:00:01:00", warmup=0.0)
    started = clock.now
    rates = until_finished(schedule, clock, step_s)
    assert 60 <= clock.now - started < 60 + 2 * step_s
    assert rates == sorted(rates, reverse=True) and rates[0] > 0.99 and rates[-1] < 0.06


def test_a_machine_that_slows_down_still_completes(clock):
    schedule = TimeBudget(optimizer(), 10**6, 100, budget=60.0, warmup=0.0)
    rates = train(schedule, clock, [0.1] * 300 + [1.0] * 30)
    assert rates[300] == pytest.approx(0.5, abs=0.01) and rates[-1] < 0.05


def test_it_warms_up_and_decays_by_time_not_by_steps(clock):
    schedule = TimeBudget(optimizer(), 10**6, 100, budget=100.0, warmup=0.2, shape="cosine", final=0.1)
    rates = train(schedule, clock, [1.0] * 99)
    assert rates[10] == pytest.approx(0.5, abs=0.05) and max(rates) == pytest.approx(1.0, abs=0.02)
    assert rates[-1] == pytest.approx(0.1, abs=0.02)


def test_it_also_completes_when_the_epochs_end_first(clock):
    schedule = TimeBudget(optimizer(), 50, 10, budget=3600.0, warmup=0.0)
    assert train(schedule, clock, [0.1] * 50)[-1] < 0.03


def test_the_realised_schedule_is_replayed_exactly_on_a_machine_of_another_speed(clock):
    first = TimeBudget(optimizer(), 10**6, 100, budget=60.0)
    lived = train(first, clock, [0.05, 0.4, 0.01, 1.3, 0.2] * 40)
    record = first.realised()
    assert len(record) <= 1000 and record == sorted(record)
    second = TimeBudget(optimizer(), 200, 100, budget=None, realised=record)
    assert train(second, clock, [7.0] * 200) == lived
    assert second.realised() == record and second.finished == first.finished


def test_a_resumed_run_does_not_count_the_time_it_lay_still(clock):
    first = TimeBudget(optimizer(), 10**6, 100, budget=60.0, warmup=0.0)
    train(first, clock, [1.0] * 30)
    state = first.state_dict()
    clock.now += 10_000
    second = TimeBudget(optimizer(), 10**6, 100, budget=60.0, warmup=0.0)
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(state)
    rates = train(second, clock, [1.0] * 29)
    assert rates[0] == pytest.approx(0.5, abs=0.02) and rates[-1] < 0.05
    assert second.realised()[: len(first.marks)] == first.marks


def test_its_state_holds_plain_values_alone(clock):
    schedule = TimeBudget(optimizer(), 100, 10, budget=60.0)
    assert {type(value) for value in schedule.state_dict().values()} <= {int, float, list}


def test_without_a_time_it_says_which_key_to_give():
    with pytest.raises(ValueError, match=r"trainer\.max_time="):
        TimeBudget(optimizer(), 100, 10, budget=None)


@pytest.mark.parametrize("budget", [0.0, -3.0, "00:00:00:00", "soon"])
def test_a_budget_that_is_no_time_is_refused(budget):
    with pytest.raises(ValueError, match=r"budget|max_time"):
        TimeBudget(optimizer(), 100, 10, budget=budget)


def test_the_cpu_clock_counts_this_process_alone():
    assert CLOCKS["cpu"]() <= CLOCKS["wall"]() + 1e9 and CLOCKS["cpu"] is not CLOCKS["wall"]
    schedule = TimeBudget(optimizer(), 10**6, 10, budget=3600.0, clock="cpu")
    before = schedule.elapsed
    sum(range(300_000))
    assert before < schedule.elapsed < 60


def test_all_processes_of_a_distributed_training_use_the_rate_of_the_one_furthest_on(clock, monkeypatch):
    def with_another_at_60_percent(share: torch.Tensor, how: object) -> None:
        assert how == distributed.ReduceOp.MAX
        share.clamp_(min=0.6)

    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "all_reduce", with_another_at_60_percent)
    schedule = TimeBudget(optimizer(), 10**6, 100, budget=100.0, warmup=0.0)
    assert train(schedule, clock, [1.0] * 30)[-1] == pytest.approx(0.4, abs=0.01)
