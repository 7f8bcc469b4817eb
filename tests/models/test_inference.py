import torch

from datamodule.folder import Folder
from models import inference
from models.inference import ready


def test_a_sample_shows_every_class(digit_folder, tmp_path, monkeypatch):
    """The classes of a folder lie one behind the other: the first images alone would all be of one class."""
    data = Folder(str(digit_folder), cache_dir=str(tmp_path / "cache"), workers=0)
    data.prepare()
    rows = data.inventory.rows("train")
    images = torch.cat([batch.image for batch in ready(data, data.rows_dataloader(rows, "all"), torch.device("cpu"))])
    monkeypatch.setattr(inference, "SAMPLED", 20)
    drawn = inference.sample(data)
    places = (drawn[:, None] == images).flatten(2).all(2).int().argmax(1)
    assert set(data.inventory.codes()[rows[places]]) == {0, 1, 2} and len(drawn) == 20
