import sys

import pytest

from models.prediction import predict
from models.prediction_settings import PredictionSettings


def test_without_ray_it_is_said_what_to_install(model_folder, pictures, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray.data", None)
    chosen = PredictionSettings(str(pictures(2)), str(model_folder()), str(tmp_path / "answers.csv"), ray=True)
    with pytest.raises(ValueError, match=r"ray=True needs Ray Data: pip install -r requirements-ray.txt"):
        predict(chosen)
    assert not list(tmp_path.glob("answers*"))


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_gives_the_same_table(model_folder, pictures, tmp_path, monkeypatch):
    import ray

    monkeypatch.setattr("models.ray_prediction.WINDOW", 30)
    root, folder = pictures(50), model_folder()
    (root / "a" / "0002.png").write_bytes(b"")
    for name, spread in (("alone", False), ("spread", True)):
        output = str(tmp_path / f"{name}.csv")
        predict(PredictionSettings(str(root), str(folder), output, batch_size=8, workers=1, device="cpu", ray=spread))
    ray.shutdown()
    assert (tmp_path / "spread.csv").read_text() == (tmp_path / "alone.csv").read_text()
