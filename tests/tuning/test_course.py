"""Short trainings under equal conditions, on real digits."""

import math
import time
from functools import partial
from itertools import takewhile

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from models.classification import classifier
from models.model_file import weights_sha256
from models.regression import Regression
from models.run import Run
from models.settings import TrainerSettings
from models.training import make_task, make_trainer, settle_choices
from tuning.course import OUT_OF_TIME, Course, Curve, judged, looks_at, settled_norms, with_state
from utils.build import build, settings
from utils.configuration import option, plain
from utils.overrides import CONFIGURATION

SMALL = ("datamodule.n_samples=300", "models.num_filters=8", "models.blocks=2", "trainer.speed=fp32",
         "trainer.threads=1", "trainer.accelerator=cpu", "trainer.max_epochs=2", "trainer.progress=false",
         "trainer.log_every_n_steps=1",
         "logger.tensorboard=null")  # fmt: skip


@pytest.fixture
def prepared(tmp_path):
    """Configuration, task and data, from overrides."""

    def make(*overrides: str):
        with initialize_config_dir(str(CONFIGURATION), version_base="1.3"):
            places = (f"datamodule.cache_dir={tmp_path / 'cache'}", f"logs={tmp_path / 'logs'}")
            config = plain(compose("configs", overrides=[*SMALL, *places, *overrides]))
        data = build(config["datamodule"], seed=config["seed"])
        data.prepare()
        task = make_task(config, data)
        settle_choices(config, settings(TrainerSettings, config["trainer"]), task, data)
        return config, task, data

    return make


@pytest.fixture
def course(prepared):
    return lambda *overrides: Course(*prepared(*overrides), torch.device("cpu"))


def maker(name: str = "sgd", **changes):
    return build(option("optimizers", name) | changes)


def test_a_course_on_a_share_of_the_images_passes_over_these_alone_and_keeps_the_classes(prepared):
    config, task, data = prepared("datamodule.batch_size=16")
    rows = data.training_share(0.25)
    course = Course(config, task, data, torch.device("cpu"), share=0.25)
    assert course.batches_per_epoch == len(rows) // 16
    drawn = [batch for epoch, _, batch in takewhile(lambda one: one[0] < 3, course.batches())]
    assert {int(row) for batch in drawn for row in batch.index} <= set(rows.tolist())
    codes = data.inventory.codes()
    wanted = np.bincount(codes[data.inventory.rows("train")], minlength=10) / 4
    assert np.abs(np.bincount(codes[rows], minlength=10) - wanted).max() <= 1
    assert set(data.training_share(0.1)) < set(rows) and len(data.training_share(0.001)) == 10


@pytest.mark.parametrize("options", [(), ("trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=0.5")])
def test_a_short_training_of_full_length_is_the_training_itself(prepared, tmp_path, options):
    config, task, data = prepared("optimizers=adamw", *options)
    course = Course(config, task, data, torch.device("cpu"))
    _, state = course.train(build(config["optimizers"]), course.full_steps)
    course.restore()
    trainer = make_trainer(config, Run(tmp_path / "run"), task, data)
    trainer.fit(task, data)
    assert trainer.global_step == course.full_steps
    assert weights_sha256(task.net.state_dict()) == weights_sha256(state.weights)


def test_all_arms_see_the_same_batches_in_the_same_order_from_the_same_weights(course):
    course, seen = course(), []
    for name, steps in (("sgd", 9), ("lion", 9), ("adamw", 9)):
        before, images = [], []
        course.task.net.register_forward_pre_hook(lambda net, args, images=images: images.append(args[0].clone()))

        def make(net, name=name, before=before):
            before.append(weights_sha256(net.state_dict()))
            return maker(name)(net)

        course.train(make, steps)
        course.task.net._forward_pre_hooks.clear()
        seen.append((before[0], [image.sum().item() for image in images]))
    assert seen[0] == seen[1] == seen[2]
    assert len({round(total, 3) for total in seen[0][1][:9]}) > 3


def test_the_network_is_given_back_as_it_was(course):
    course = course()
    before = weights_sha256(course.task.net.state_dict())
    course.train(maker(), 4)
    assert weights_sha256(course.task.net.state_dict()) != before
    course.restore()
    assert weights_sha256(course.task.net.state_dict()) == before


def test_the_rate_falls_to_the_end_of_the_short_schedule(course):
    course, rates = course("schedulers=linear"), []

    def make(net):
        optimizer = maker()(net)
        optimizer.register_step_post_hook(lambda own, *_: rates.append(own.param_groups[0]["lr"]))
        return optimizer

    course.train(make, 6)
    assert len(rates) == 6 and rates[-1] < 0.1 * max(rates)


@pytest.mark.parametrize("schedule", ["time_budget", "plateau", "constant", "one_cycle", "step"])
def test_every_schedule_has_a_short_form(course, schedule):
    options = ("trainer.max_time=00:01:00:00",) if schedule == "time_budget" else ()
    curve, _ = course(f"schedulers={schedule}", *options).train(maker(), 8)
    assert math.isfinite(curve.val_loss)


@pytest.mark.parametrize("rate", [10.0, 1e20])
def test_an_arm_that_diverges_is_dropped_at_once_and_says_when(course, rate):
    curve, _ = course().train(maker(lr=rate), 200)
    assert "not finite at step" in curve.dropped or "rose from" in curve.dropped
    assert len(curve.train) < 20 and curve.val_loss == math.inf == curve.train_loss


@pytest.mark.parametrize(
    ("losses", "ended"),
    [
        ((1.1, 51.0, 11.0, 1.3, 0.9), None),  # a squared loss that its first steps overshot
        ((1.0, 4.0, 2.0, 4.0, 4.0, 2.0), None),
        ((1.1, 59.0, 2300.0, 9e8, 5e7), 4),
        ((2.4, 2.6, 7.5, 9.9, 7.4, 2.5), None),
        ((2.3, 1.1, 0.4, 90.0, 90.0, 90.0), 6),
        ((2.3, math.inf), 2),
    ],
)
def test_a_loss_that_comes_back_has_not_diverged(losses, ended):
    curve = Curve(len(losses))
    for step, loss in enumerate(losses, 1):
        if not curve.dropped:
            curve.note(step, loss)
    assert bool(curve.dropped) == (ended is not None) and len(curve.train) == (ended or len(losses))


def test_a_deadline_ends_an_arm(course):
    course = course()
    curve, _ = course.train(maker(), 500, deadline=time.monotonic() + 0.01)
    assert curve.dropped == OUT_OF_TIME and 0 < len(curve.train) < 500
    late, _ = course.train(maker(), 500, deadline=time.monotonic() - 1)
    assert late.dropped == OUT_OF_TIME and not late.train


def test_the_figure_is_smoothed_over_the_end_of_the_schedule(course):
    curve, _ = course().train(maker(), 20)
    late = [loss for step, loss in curve.val if step >= 18]
    assert len(late) >= 2 and curve.val_loss == pytest.approx(sum(late) / len(late))


@pytest.mark.parametrize(
    ("classes", "loss", "answers", "targets"),
    [
        (3, torch.nn.CrossEntropyLoss(), 3, torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])),
        ({"a": 2, "b": 2}, torch.nn.CrossEntropyLoss(), 4, torch.tensor([[0, 2], [1, 3], [0, 3], [1, 2]] * 2)),
    ],
    ids=["classes", "heads"],
)
def test_a_network_that_is_too_sure_is_not_judged_to_be_worse(idle, classes, loss, answers, targets):
    logits = torch.randn(8, answers, generator=torch.manual_seed(0))
    task = idle(classifier, classes, loss)

    def loss_at(sure):
        found, images = judged(task, [(sure * logits[:5], targets[:5]), (sure * logits[5:], targets[5:])])
        assert images == 8
        return found

    assert loss_at(2.0) == pytest.approx(loss_at(4.0), rel=1e-3)
    assert loss_at(0.1) == pytest.approx(float(task.loss(0.1 * logits, targets))) != loss_at(2.0)


def test_values_are_judged_by_their_loss(idle):
    task = idle(Regression, 1, torch.nn.L1Loss(), examples=torch.tensor([[0.0], [2.0]]))
    values, targets = torch.tensor([[1.0], [2.0], [3.0]]), torch.zeros(3, 1)
    loss, images = judged(task, [(values[:1], targets[:1]), (values[1:], targets[1:])])
    assert images == 3 and loss == pytest.approx(float(task.loss(values, targets)))


def test_answers_that_are_no_numbers_are_infinitely_bad(idle):
    task = idle(classifier, 2, torch.nn.CrossEntropyLoss())
    assert judged(task, [(torch.tensor([[math.nan, 1.0]]), torch.tensor([0]))]) == (math.inf, 1)


def test_all_images_that_judging_costs_are_counted(course):
    course = course()
    curve, _ = course.train(maker(), 20)
    settled = sum(len(image) for image in course.settling())
    assert curve.judged_images == len(curve.val) * (course.data.sizes["val"] + settled) > 0


def test_longer_trainings_are_looked_at_more_often_and_all_at_their_end():
    assert looks_at(8, 64, 300) == [7, 8]
    assert looks_at(400, 64, 300) == [100, 200, 300, 360, 380, 400]
    assert looks_at(1, 64, 300) == [1]


def test_norms_are_judged_with_fresh_averages_and_keep_their_running_ones(course):
    course = course()
    images = course.settling()
    before = {name: value.clone() for name, value in course.task.net.state_dict().items()}
    with settled_norms(course.task.net, images):
        first = next(part for part in course.task.net.modules() if isinstance(part, torch.nn.BatchNorm2d))
        assert not torch.equal(first.running_mean, torch.zeros_like(first.running_mean))
    after = course.task.net.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert first.momentum == 0.1 and course.task.net.training


def test_an_optimizer_goes_on_with_moments_but_its_own_rate():
    net = torch.nn.Linear(3, 2)
    make = partial(maker("adamw"), lr=0.5)
    optimizer = make(net)
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()["state"]
    optimizer.param_groups[0]["lr"] = 0.0
    again = with_state(make, state, net)
    assert again.param_groups[0]["lr"] == 0.5
    assert torch.equal(again.state_dict()["state"][0]["exp_avg"], state[0]["exp_avg"])


def test_without_validation_images_the_way_out_is_told(course):
    with pytest.raises(ValueError, match=r"datamodule.val_share above 0"):
        course("datamodule.val_share=0").train(maker(), 4)
