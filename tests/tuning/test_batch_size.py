import pytest
import torch
from torch import nn

from models.classification import Classification
from models.model_file import weights_sha256
from tuning import batch_size
from tuning.batch_size import Measured, bytes_of_an_image, measured_sizes, pick


def task() -> Classification:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    return Classification(
        net=net, loss=nn.CrossEntropyLoss(), optimizer=None, schedule=None, num_classes=3, seed=0, metrics=["Accuracy"]
    )


def test_the_smallest_that_is_nearly_as_fast_as_any_is_taken():
    table = [Measured(16, 100, 1), Measured(32, 180, 2), Measured(64, 195, 4), Measured(128, 200, 8)]
    assert pick(table).size == 32


def test_no_size_leaves_an_epoch_too_few_steps_or_exceeds_the_memory(monkeypatch):
    image, target = torch.zeros(8, 1, 8, 8), torch.zeros(8, dtype=torch.long)
    assert [row.size for row in measured_sizes(task(), image, target, 2000, "fp32")][-1] <= 2000 // 16
    needed = bytes_of_an_image(task(), image, target, "fp32")
    monkeypatch.setattr(batch_size, "memory_of", lambda device: int(2 * 80 * needed))
    assert [row.size for row in measured_sizes(task(), image, target, 100_000, "fp32")][-1] <= 64


@pytest.mark.parametrize("count", [2, 16])
def test_the_memory_of_an_image_does_not_depend_on_how_many_are_measured(count):
    image, target = torch.zeros(count, 1, 8, 8), torch.zeros(count, dtype=torch.long)
    activations = 4 * (64 + 2 * 4 * 36)  # the image, and the maps before and after the nonlinearity
    assert bytes_of_an_image(task(), image, target, "fp32") == pytest.approx(2 * activations, rel=0.6)


def test_measuring_leaves_no_gradients_and_weights_as_they_were():
    measured = task()
    before = weights_sha256(measured.net.state_dict())
    measured_sizes(measured, torch.zeros(8, 1, 8, 8), torch.zeros(8, dtype=torch.long), 600, "fp32")
    assert weights_sha256(measured.net.state_dict()) == before
    assert all(parameter.grad is None for parameter in measured.net.parameters())
