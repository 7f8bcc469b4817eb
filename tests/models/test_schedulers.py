import pytest
import torch
import yaml

from models import schedulers
from models.schedulers import Plateau
from utils.build import build
from utils.overrides import CONFIGURATION

STEPS = 200
BY_STEP = ["constant", "linear", "polynomial", "cosine", "one_cycle", "step"]


def optimizer(*rates: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in rates or (1.0,)])


def rates_of(schedule, sgd, steps: int = STEPS) -> list[float]:
    seen = []
    for _ in range(steps):
        seen.append(sgd.param_groups[-1]["lr"])
        sgd.step()
        schedule.step()
    return seen


def from_yaml(name: str, sgd: torch.optim.Optimizer, **changes: object):
    node = yaml.safe_load((CONFIGURATION / "schedulers" / f"{name}.yaml").read_text()) | changes
    return build(node)(sgd, total_steps=STEPS, steps_per_epoch=20)


@pytest.mark.parametrize("name", BY_STEP)
def test_every_schedule_warms_up_to_the_full_rate(name):
    sgd = optimizer()
    seen = rates_of(from_yaml(name, sgd, warmup=0.1), sgd)
    assert 0 < seen[0] < 0.1
    assert seen[:20] == sorted(seen[:20])
    assert max(seen) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("name", ["linear", "polynomial", "cosine", "one_cycle", "step"])
def test_every_decay_ends_low_and_never_rises(name):
    sgd = optimizer()
    seen = rates_of(from_yaml(name, sgd, warmup=0.0), sgd)
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] <= 0.0101


@pytest.mark.parametrize("name", ["linear", "polynomial", "cosine"])
def test_a_decay_can_end_above_zero(name):
    sgd = optimizer()
    assert rates_of(from_yaml(name, sgd, final=0.2), sgd)[-1] == pytest.approx(0.2, abs=0.01)


def test_rates_of_layers_keep_their_proportion():
    sgd = optimizer(0.5, 2.0)
    rates_of(from_yaml("cosine", sgd), sgd, 77)
    assert sgd.param_groups[1]["lr"] == pytest.approx(4 * sgd.param_groups[0]["lr"])


def test_step_drops_at_its_milestones_or_every_so_many_epochs():
    sgd = optimizer()
    by_share = rates_of(schedulers.step(sgd, STEPS, 20, warmup=0, gamma=0.5, milestones=[0.5]), sgd)
    assert by_share == [1.0] * 100 + [0.5] * 100
    sgd = optimizer()
    by_epoch = rates_of(schedulers.step(sgd, STEPS, 20, warmup=0, gamma=0.5, every_epochs=4), sgd)
    assert by_epoch == [1.0] * 80 + [0.5] * 80 + [0.25] * 40


@pytest.mark.parametrize("wrong", [{}, {"milestones": [0.5], "every_epochs": 2.0}, {"every_epochs": -1.0}])
def test_step_without_one_clear_rule_is_refused(wrong):
    with pytest.raises(ValueError, match="schedulers"):
        schedulers.step(optimizer(), STEPS, 20, **wrong)


def test_a_warm_up_longer_than_the_training_is_refused():
    with pytest.raises(ValueError, match=r"schedulers.warmup=1.5: use a share"):
        schedulers.cosine(optimizer(), STEPS, 20, warmup=1.5)


def test_plateau_rises_by_validations_then_drops_when_nothing_improves():
    sgd = optimizer(1.0, 4.0)
    schedule = Plateau(sgd, STEPS, 20, warmup_epochs=1, gamma=0.1, patience=1)
    seen = [sgd.param_groups[0]["lr"]]
    for loss in (3.0, 2.0, 2.0, 2.0, 2.0):
        schedule.step(loss)
        seen.append(sgd.param_groups[0]["lr"])
    assert seen == pytest.approx([0.5, 1.0, 1.0, 1.0, 0.1, 0.1])
    assert sgd.param_groups[1]["lr"] == pytest.approx(0.4)


@pytest.mark.parametrize("name", ["cosine", "plateau"])
def test_a_loaded_schedule_goes_on_where_it_was(name):
    first, second = optimizer(), optimizer()
    one, two = from_yaml(name, first), from_yaml(name, second)
    arguments = [1.0] if name == "plateau" else []
    for _ in range(30):
        first.step()
        one.step(*arguments)
    second.load_state_dict(first.state_dict())
    two.load_state_dict(one.state_dict())
    for sgd, schedule in ((first, one), (second, two)):
        sgd.step()
        schedule.step(*arguments)
    assert first.param_groups[0]["lr"] == second.param_groups[0]["lr"]
