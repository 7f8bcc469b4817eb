import numpy as np
import pytest
import torch
from PIL import Image as Picture

from datamodule.folder import Folder
from datamodule.locations import Image, locate
from models.model_file import load_model
from models.prediction_settings import PredictionSettings
from models.predictor import CHUNK, NOT_FINITE, Predictor, device, look, looks, preprocessing


def predictor(folder, **chosen) -> Predictor:
    return Predictor(folder, PredictionSettings(source="x", device="cpu", **chosen), "")


def test_pixels_are_those_of_trainings_evaluation_to_the_last_bit(tmp_path):
    rng, root = np.random.default_rng(0), tmp_path / "images"
    for number in range(24):
        height, width = rng.integers(9, 60, 2).tolist()
        kind, mode = (("jpg", "RGB"), ("png", "RGBA"), ("jpg", "L"), ("png", "P"), ("jpg", "CMYK"))[number % 5]
        pixels = Picture.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)
        (root / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        pixels.save(root / "ab"[number % 2] / f"{number}.{kind}")
    options = {"height": 24, "width": 20, "crop": 0.9, "interpolation": "bicubic", "cache_dir": str(tmp_path / "cache")}
    data = Folder(str(root), batch_size=64, seed=0, **options)
    data.prepare()
    [batch] = data.rows_dataloader(np.arange(24))
    seen = look([Image(path, f"{root}/{path}") for path in data.inventory.path], data.preprocessing)
    assert np.array_equal(batch.image.numpy(), np.stack(seen.pixels)) and not any(seen.errors)


def test_logits_are_the_networks_on_normalised_pixels(model_folder):
    folder = model_folder()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    image = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    with torch.no_grad():
        expected = load_model(folder)[0](image).numpy()
    assert np.allclose(predictor(folder).logits(pixels), expected, atol=1e-5)


def test_rows_keep_the_images_order_whatever_the_batches_and_threads(model_folder, pictures):
    images, folder = list(locate(str(pictures(70)))), model_folder()
    ways = [predictor(folder).answers(images, size, workers) for size, workers in ((70, 1), (7, 3), (1, 2))]
    tables = [[row for _, rows in way for row in rows] for way in ways]
    assert [row[0] for row in tables[0]] == [image.name for image in images]
    for table in tables[1:]:
        assert [row[:2] for row in table] == [row[:2] for row in tables[0]]


def test_what_cannot_be_read_is_a_row_with_its_reason_and_moves_no_other(model_folder, pictures):
    root = pictures(6)
    whole = [row for _, rows in predictor(model_folder()).answers(locate(str(root)), 4, 1) for row in rows]
    (root / "a" / "0002.png").write_bytes(b"")
    broken = [row for _, rows in predictor(model_folder()).answers(locate(str(root)), 4, 1) for row in rows]
    assert broken[1] == ["a/0002.png", "", "", "is empty"]
    assert [row[:2] for row in broken[:1] + broken[2:]] == [row[:2] for row in whole[:1] + whole[2:]]


def test_only_a_few_batches_are_read_ahead(pictures, model_folder):
    image, asked = next(iter(locate(str(pictures(1))))), 0

    def many():
        nonlocal asked
        for _ in range(2000):
            asked += 1
            yield image

    shape = preprocessing(predictor(model_folder()).manifest)
    for batch_size, workers in ((4, 1), (64, 2)):
        asked, found = 0, looks(many(), shape, batch_size, workers)
        for _ in range(5):
            next(found)
        assert asked <= 5 * batch_size + 2 * workers * CHUNK + 2 * batch_size
        found.close()


def test_a_network_that_answers_no_number_is_said_so(model_folder, pictures):
    one = predictor(model_folder())
    torch.nn.init.constant_(one.net.head.weight, float("nan"))
    [(_, rows)] = one.answers(locate(str(pictures(3))), 8, 1)
    assert {tuple(row[1:]) for row in rows} == {("", "", NOT_FINITE)}


def test_where_memory_runs_out_smaller_batches_give_the_same(model_folder, monkeypatch):
    one, pixels = predictor(model_folder()), np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3), dtype=np.uint8)
    expected, forward = one.logits(pixels), one.net.forward

    def small_memory(image):
        if len(image) > 2:
            raise torch.OutOfMemoryError("too large")
        return forward(image)

    monkeypatch.setattr(one.net, "forward", small_memory)
    assert np.allclose(one.logits(pixels), expected, atol=1e-6)


def test_a_device_that_is_not_there_is_refused():
    assert device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="device=abacus cannot be used"):
        device("abacus")
