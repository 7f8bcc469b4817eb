"""A run that learns from another one: the same images, the right share, refused where they do not belong together."""

import json
import signal
import time

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import nn

from datamodule.preprocessing import Preprocessing
from models.distillation import Distillation, Teacher, sigmoid_distance, softmax_distance
from models.model_file import load_model

SMALL = ("datamodule.n_samples=300", "trainer.max_epochs=3", "trainer.speed=fp32", "trainer.threads=1",
         "models.num_filters=4", "models.blocks=1", "logger.tensorboard=null", "trainer.report=false")  # fmt: skip
STUDENT_SHAPE = Preprocessing(8, 8, 3, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))


def test_the_distance_is_that_of_the_softened_shares():
    torch.manual_seed(0)
    logits, taught = torch.randn(5, 4), torch.randn(5, 4)
    expected = 9 * F.kl_div((logits / 3).log_softmax(1), (taught / 3).softmax(1), reduction="batchmean")
    torch.testing.assert_close(softmax_distance(logits, taught, 3.0), expected)
    assert softmax_distance(taught, taught, 3.0) == 0
    pixels = [one[:, :, None, None].expand(-1, -1, 2, 2) for one in (logits, taught)]
    torch.testing.assert_close(softmax_distance(*pixels, 3.0), expected)


def test_the_distance_of_labels_is_that_of_their_two_shares():
    torch.manual_seed(0)
    logits, taught = torch.randn(5, 4), torch.randn(5, 4)
    both = [torch.stack([torch.zeros(20), one.flatten()], 1) for one in (logits, taught)]
    torch.testing.assert_close(sigmoid_distance(logits, taught, 2.0), softmax_distance(*both, 2.0))


def test_the_teacher_sees_the_same_batch_its_own_way(model_folder):
    net, manifest = load_model(model_folder())
    own = Preprocessing(**manifest.preprocessing)
    pixels = torch.rand(2, 3, 8, 8)
    own_view, student_view = (
        (pixels - torch.tensor(shape.mean).view(-1, 1, 1)) / torch.tensor(shape.std).view(-1, 1, 1)
        for shape in (own, STUDENT_SHAPE)
    )
    teacher = Teacher(net, own, STUDENT_SHAPE, resized=True)
    torch.testing.assert_close(teacher(student_view), net(own_view))
    assert teacher(F.interpolate(student_view, (16, 16))).shape == (2, 3)


def test_the_weight_is_the_teachers_share_and_gradients_reach_the_student_alone(model_folder):
    distill = Distillation(str(model_folder()), weight=0.25)
    distill.load("classification", ["ant", "bee", "cow"], STUDENT_SHAPE)
    student, image = nn.Linear(192, 3), torch.randn(4, 3, 8, 8)
    loss = distill.loss(torch.tensor(2.0), image, student(image.flatten(1)), lambda *pair: (pair[0] - pair[1]).sum())
    loss.backward()
    taught = distill.taught(image)
    expected = 0.75 * 2 + 0.25 * (student(image.flatten(1)) - taught).sum()
    torch.testing.assert_close(loss, expected)
    assert student.weight.grad is not None and not taught.requires_grad
    assert all(parameter.grad is None for parameter in distill.net.parameters())


@pytest.mark.parametrize(
    ("task", "classes", "channels", "options", "said"),
    [
        ("classification", ["ant", "bee", "dog"], 3, {}, r"other classes \(it alone has \['cow'\], .*\['dog'\]\)"),
        ("classification", ["cow", "bee", "ant"], 3, {}, "they are in another order"),
        ("multilabel", ["ant", "bee", "cow"], 3, {}, "was trained on task=classification, this is task=multilabel"),
        ("classification", ["ant", "bee", "cow"], 1, {}, "3 channels, these have 1"),
        ("classification", ["ant", "bee", "cow"], 3, {"sha256": "0" * 64}, "is not the teacher that this run had"),
    ],
)
def test_a_run_that_cannot_teach_this_is_refused_by_name(model_folder, task, classes, channels, options, said):
    shape = Preprocessing(8, 8, channels, (0.5,) * channels, (0.5,) * channels)
    folder = model_folder("teacher")
    with pytest.raises(ValueError, match=rf"task.distill.teacher={folder} .*{said}"):
        Distillation(str(folder), **options).load(task, classes, shape)


def test_a_run_without_a_model_is_refused_by_name(tmp_path):
    (tmp_path / "full_configurations.yaml").write_text("{}")
    with pytest.raises(ValueError, match=r"task.distill.teacher=.*holds no model"):
        Distillation(str(tmp_path)).load("classification", ["a"], STUDENT_SHAPE)
    with pytest.raises(ValueError, match=r"task.distill.teacher=nobody: .*nobody is no run folder"):
        Distillation("nobody", logs=str(tmp_path)).load("classification", ["a"], STUDENT_SHAPE)


@pytest.mark.parametrize(("key", "value"), [("weight", 0.0), ("weight", 1.5), ("temperature", 0.0)])
def test_impossible_values_are_named(key, value):
    with pytest.raises(ValueError, match=f"task.distill.{key}={value}"):
        Distillation(**{key: value})


@pytest.mark.soak
def test_a_student_with_mixup_killed_in_mid_epoch_and_rerun_ends_with_the_same_weights(command, launch, tmp_path):
    logs = tmp_path / "logs/default"
    assert command("train.py", *SMALL, "run_name=teacher", "models.num_filters=8").returncode == 0
    mixup = "+datamodule.augment.mixup={_target_: datamodule.mixing.Mixup, alpha: 0.2}"
    line = (*SMALL, mixup, "models.num_filters=2",
            "task.distill.teacher=teacher", "task.distill.weight=0.7",
            "callback.checkpoints.every_n_steps=1")  # fmt: skip
    done = command("train.py", *line, "run_name=undisturbed")
    assert done.returncode == 0, done.stderr
    running, stamps = launch("train.py", *line, "run_name=killed"), set()
    while len(stamps) < 4 and running.process.is_alive():
        written = logs / "killed/checkpoints/last.ckpt"
        stamps |= {written.stat().st_mtime_ns} if written.exists() else set()
        time.sleep(0.001)
    running.send(signal.SIGKILL)
    running.wait()
    assert not (logs / "killed/model.json").exists()
    assert command("train.py", "resume_full_training=killed").returncode == 0
    manifests = [json.loads((logs / name / "model.json").read_text()) for name in ("killed", "undisturbed", "teacher")]
    assert manifests[0]["weights_sha256"] == manifests[1]["weights_sha256"]
    kept = yaml.safe_load((logs / "undisturbed/full_configurations.yaml").read_text())["task"]["distill"]
    assert kept["sha256"] == manifests[2]["weights_sha256"] and kept["teacher"] == str(logs / "teacher")
    again = command("train.py", "reproduce=undisturbed")
    assert again.returncode == 0 and "reproduced" in again.stdout, again.stdout + again.stderr
    other = command("train.py", "reproduce=undisturbed", "task.distill.teacher=killed")
    assert other.returncode == 2 and "is not the teacher that this run had" in other.stderr
