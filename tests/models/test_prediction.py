import csv
import io
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from datamodule.locations import locate
from models.model_file import read_manifest
from models.prediction import Summary, configuration, predict
from models.prediction_settings import PredictionSettings
from models.simple_cnn import SimpleCnn


@pytest.fixture
def answered(tmp_path, model_folder):
    """Predicts and answers the summary and the table's rows."""

    def run(source, run=None, output=None, **chosen):
        output = output or str(tmp_path / "answers.csv")
        folder = str(run or model_folder())
        places = {"cache_dir": str(tmp_path / "cache"), "logs": str(tmp_path / "logs")}
        summary = predict(PredictionSettings(str(source), folder, output, device="cpu", **places, **chosen))
        with fsspec.open(output, "r") as file:
            return summary, list(csv.DictReader(file))

    return run


def test_every_image_of_a_folder_gets_a_row(answered, pictures):
    summary, rows = answered(pictures(10), top_k=3)
    assert (summary.images, summary.failed, summary.resumed) == (10, 0, 0)
    assert [row["path"] for row in rows] == [f"a/{n:04}.png" for n in range(0, 10, 2)] + [
        f"b/{n:04}.png" for n in range(1, 10, 2)
    ]
    for row in rows:
        assert {row["predicted"], row["class_2"], row["class_3"]} == {"ant", "bee", "cow"} and row["error"] == ""
        assert sum(float(row[key]) for key in ("probability", "probability_2", "probability_3")) == pytest.approx(
            1, abs=1e-5
        )


def test_folder_glob_list_and_single_file_agree(answered, pictures, tmp_path):
    root = pictures(6)
    _, by_folder = answered(root)
    (tmp_path / "list.csv").write_text("path\n" + "".join(f"images/{row['path']}\n" for row in by_folder))
    strip = {"path"}
    for source in (f"{root}/*/*.png", tmp_path / "list.csv"):
        _, rows = answered(source)
        assert [{k: v for k, v in row.items() if k not in strip} for row in rows] == \
            [{k: v for k, v in row.items() if k not in strip} for row in by_folder]  # fmt: skip
    alone, among = (float(rows[0]["probability"]) for rows in (answered(root / "a" / "0000.png")[1], by_folder))
    assert alone == pytest.approx(among, abs=2e-6)  # a batch of another size sums in another order


def test_a_list_that_is_answered_is_not_replaced_by_its_answers(answered, pictures, tmp_path):
    pictures(2)
    labelled = tmp_path / "labels.csv"
    labelled.write_text("path,label\nimages/a/0000.png,ant\n")
    (tmp_path / "link.csv").symlink_to(labelled)
    for output in (f"{tmp_path}/images/../labels.csv", str(tmp_path / "link.csv")):
        with pytest.raises(ValueError, match="labels.csv|link.csv is the source itself"):
            answered(labelled, output=output)
    files = fsspec.filesystem("memory")
    files.pipe("/there/labels.csv", labelled.read_bytes())
    with pytest.raises(ValueError, match="is the source itself"):
        answered("memory://there/labels.csv", output="memory://there/labels.csv")
    files.rm("/there", recursive=True)
    assert labelled.read_text() == "path,label\nimages/a/0000.png,ant\n"


def test_sources_and_outputs_at_urls_answer_as_local_ones(answered, pictures):
    root, files = pictures(6), fsspec.filesystem("memory")
    for file in root.rglob("*.png"):
        files.pipe(f"/store/images/{file.relative_to(root)}", file.read_bytes())
    _, local = answered(root)
    _, remote = answered("memory://store/images", output="memory://store/out/answers.csv")
    assert remote == local
    files.rm("/store", recursive=True)


def jpeg(image: Image.Image, kind="JPEG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def odd(tmp_path, png):
    """A folder of strange files, each beside what its row must say ("" for an answer)."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    gray16 = Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 100)
    files = {
        "animated.gif": (jpeg(noise, "GIF", save_all=True, append_images=[noise.rotate(90)]), ""),
        "cmyk.jpg": (jpeg(noise.convert("CMYK")), ""),
        "empty.jpg": (b"", "is empty"),
        "good.png": (png(), ""),
        "huge.png": (jpeg(Image.new("1", (10001, 10000)), "PNG"), "10001 x 10000 pixels, more than 100 million"),
        "palette.png": (jpeg(noise.convert("P"), "PNG"), ""),
        "sixteen.png": (jpeg(gray16, "PNG"), ""),
        "text.jpg": (b"this is no image", "cannot be decoded"),
        "truncated.jpg": (jpeg(noise)[:-400], "cannot be decoded"),
        "truncated.png": (png()[:-60], "cannot be decoded"),
    }
    for name, (content, _) in files.items():
        (tmp_path / "odd").mkdir(exist_ok=True)
        (tmp_path / "odd" / name).write_bytes(content)
    return tmp_path / "odd", {name: said for name, (_, said) in files.items()}


def test_strange_files_are_answered_or_say_why_not(answered, odd):
    folder, expected = odd
    summary, rows = answered(folder)
    assert {row["path"] for row in rows} == set(expected) and summary.failed == 5
    for row in rows:
        said = expected[row["path"]]
        assert said in row["error"] and bool(row["error"]) == bool(said) and bool(row["predicted"]) == (not said), row


def test_strange_files_can_be_left_out_or_end_it(answered, odd, tmp_path):
    folder, expected = odd
    _, rows = answered(folder, on_bad_image="skip")
    assert [row["path"] for row in rows] == [name for name, said in expected.items() if not said]
    with pytest.raises(ValueError, match=r"empty.jpg is empty; repair or remove it, or set on_bad_image=row"):
        answered(folder, on_bad_image="raise", output=str(tmp_path / "other.csv"))
    assert not (tmp_path / "other.csv").exists()


def test_an_interrupted_call_goes_on_and_ends_with_the_same_table(
    answered, pictures, model_folder, monkeypatch, tmp_path
):
    root, folder = pictures(30), model_folder()
    answered(root, run=folder, output=str(tmp_path / "undisturbed.csv"), batch_size=4)
    forward, left = SimpleCnn.forward, [3]

    def pulled_plug(net, image):
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("the plug is pulled")
        return forward(net, image)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(SimpleCnn, "forward", pulled_plug)
        answered(root, run=folder, batch_size=4)
    assert not (tmp_path / "answers.csv").exists()
    summary, _ = answered(root, run=folder, batch_size=4)
    assert summary.resumed == 12 and "12 of them before the interruption" in str(summary)
    assert (tmp_path / "answers.csv").read_bytes() == (tmp_path / "undisturbed.csv").read_bytes()


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"batch_size": 2, "workers": 1, "ray": True, "output": "b.csv"}, True),
        ({"top_k": 2}, False),
        ({"threshold": 0.5}, False),
        ({"on_bad_image": "skip"}, False),
        ({"source": "."}, False),
    ],
)
def test_an_unfinished_table_is_another_where_its_answers_would_be(model_folder, pictures, change, same):
    manifest, usual = read_manifest(model_folder()), {"source": str(pictures(1))}

    def key(chosen, manifest=manifest):
        settings = PredictionSettings(**chosen)
        return configuration(settings, locate(settings.source), manifest)

    assert (key(usual) == key(usual | change)) == same
    assert key(usual) != key(usual, read_manifest(model_folder("second", seed=1)))
    assert key(usual) != key(usual, manifest.model_copy(update={"temperature": 2.0}))


def test_segmentation_writes_masks_beside_the_table(answered, pictures, model_folder, tmp_path):
    net = {"_target_": "torch.nn.Conv2d", "in_channels": 3, "out_channels": 3, "kernel_size": 1}
    _, rows = answered(pictures(3), run=model_folder(task="segmentation", net=net))
    for row in rows:
        mask = np.asarray(Image.open(row["mask"]))
        assert Path(row["mask"]).is_relative_to(tmp_path / "answers_masks") and mask.shape == (10, 12)
        assert set(np.unique(mask)) <= {0, 1, 2, 255}


def test_masks_among_the_images_are_refused(answered, pictures, model_folder):
    net, root = {"_target_": "torch.nn.Conv2d", "in_channels": 3, "out_channels": 3, "kernel_size": 1}, pictures(1)
    with pytest.raises(ValueError, match="masks would lie among the images"):
        answered(root, run=model_folder(task="segmentation", net=net), output=str(root / "answers.csv"))


def test_nothing_to_predict_is_said_before_anything_is_written(answered, tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "notes.txt").touch()
    (tmp_path / "list.csv").write_text("path\n")
    for source in (tmp_path / "none", tmp_path / "none" / "*.jpg", tmp_path / "list.csv"):
        with pytest.raises(ValueError, match="no image in it"):
            answered(source)
    assert not list(tmp_path.glob("answers*"))


def test_what_was_done_is_told_of_one_image_and_of_many():
    assert str(Summary("a.csv", 1, 0, 0, 1.0)) == "1 image; 1.0 s, 1 image/s: a.csv"
    assert str(Summary("a.csv", 1200, 3, 0, 1.0)).startswith("1,200 images, 3 of them not answered; ")
