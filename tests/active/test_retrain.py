from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from active.retrain import Auto, Beginning, Cold, ShrinkPerturb, Warm


@pytest.fixture
def at(tmp_path):
    save_file({"layer.weight": torch.full((2,), 10.0), "norm.running_mean": torch.full((2,), 3.0),
               "norm.num_batches_tracked": torch.tensor(7)}, tmp_path / "last.safetensors")  # fmt: skip
    fresh = {"layer.weight": torch.full((2,), 1.0), "norm.running_mean": torch.zeros(2),
             "norm.num_batches_tracked": torch.tensor(0)}  # fmt: skip
    first, last = Path("first.safetensors"), tmp_path / "last.safetensors"
    return lambda labels=10, last=last: Beginning(labels, first, last, lambda: fresh, tmp_path / "round")


def test_cold_starts_where_the_first_round_did_and_warm_where_the_last_one_ended(at, tmp_path):
    assert Cold().start(at()) == Path("first.safetensors")
    assert Warm().start(at()) == tmp_path / "last.safetensors"
    assert Warm().start(at(last=None)) == ShrinkPerturb().start(at(last=None)) == Path("first.safetensors")


def test_shrink_and_perturb_mixes_parameters_and_leaves_what_norms_measured(at):
    found = load_file(ShrinkPerturb(0.4, 0.1).start(at()))
    assert found["layer.weight"].tolist() == pytest.approx([4.1, 4.1])
    assert found["norm.running_mean"].tolist() == [3.0, 3.0] and found["norm.num_batches_tracked"] == 7


def test_auto_is_cold_below_its_number_of_labels(at, tmp_path):
    assert Auto(labels=100).start(at(99)) == Path("first.safetensors")
    assert Auto(labels=100).start(at(100)) == tmp_path / "round" / "start.safetensors"
