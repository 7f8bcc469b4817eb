"""Checkpoint files are whole or the old ones."""

import pytest
import torch

from models.checkpoint import WholeFiles


def test_a_failed_write_leaves_the_former_checkpoint(tmp_path):
    file = tmp_path / "last.ckpt"
    WholeFiles().save_checkpoint({"step": torch.tensor(1)}, file)

    class Unwritable:
        def __reduce__(self):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        WholeFiles().save_checkpoint({"step": torch.tensor(2), "broken": Unwritable()}, file)
    assert torch.load(file, weights_only=True)["step"] == 1
    assert [left.name for left in tmp_path.iterdir()] == ["last.ckpt"]
