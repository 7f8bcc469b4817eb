"""Speed: what is counted, and how it reaches the table."""

import time

import pytest
import torch
from torch import nn

from datamodule.preprocessing import Preprocessing
from models import latency


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(latency, "MEASURED_S", 0.0)


def test_the_first_calls_do_not_count():
    calls = []

    def call():
        calls.append(1)
        time.sleep(0.02 if len(calls) <= latency.WARM_UP else 0)
        return torch.zeros(1)

    spent = latency.timed(call, torch.device("cpu"))
    assert len(spent) == latency.LEAST_CALLS and sorted(spent)[len(spent) // 2] < 0.01


def test_one_image_at_a_time_and_batches_are_measured():
    seen = []

    class Net(nn.Module):
        def forward(self, image):
            seen.append(tuple(image.shape))
            return image.mean((1, 2, 3))

    speed = latency.measured(Net(), Preprocessing(4, 6, 3, (0.5,) * 3, (0.5,) * 3), 7, torch.device("cpu"))
    assert set(seen) == {(1, 3, 4, 6), (7, 3, 4, 6)}
    assert 0 < speed.p50_ms <= speed.p95_ms <= speed.p99_ms and speed.images_per_s > 0
    assert [title for title, _ in speed.rows()] == ["Latency p50", "Latency p95", "Latency p99", "Throughput"]
