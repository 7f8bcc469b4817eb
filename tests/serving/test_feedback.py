"""What people say of answers is kept whole, without where a photograph was taken, and is trained from as it lies."""

import csv
import hashlib
import io
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image

from datamodule.decode import decode
from serving.blobs import Full
from serving.faults import KILL_AT
from serving.feedback_files import STRAY_SECONDS, encoded
from serving.package import Package
from serving.tables import prediction
from tests.serving.conftest import bearer, packaged
from tests.serving.material import manifest, weights

ORIENTATION, GPS, MAKER = 0x0112, 0x8825, 0x010F


def picture(seed=0, size=(12, 8), kind="PNG", **options) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def photograph() -> bytes:
    """A JPEG that lies on its side and says where it was taken, and by what."""
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKER] = 6, "SecretCamera"
    exif.get_ifd(GPS)[2] = (52.0, 31.0, 12.0)
    return picture(kind="JPEG", exif=exif, comment=b"SecretComment")


@pytest.fixture
def live(parts):
    """A store with a model of the classes a, b and c live on `main`."""
    parts.completion.register(Package(**packaged(parts)), "a test")
    return parts


def said(parts, image, label=None, actor="me", key=None, name="main"):
    return parts.feedback.add(name, image, hashlib.sha256(image).hexdigest(), key, label, actor)


def table(parts, name="main"):
    return table_at(parts.feedback.shelf(name).folder / "labels.csv")


def table_at(file):
    with file.open(newline="") as lines:
        return {row.pop("path"): row for row in csv.DictReader(lines)}


def place(row) -> str:
    return f"images/{row['file_sha256']}.png"


def test_an_image_is_kept_upright_pixel_by_pixel_and_without_what_else_its_file_held(live):
    sent = photograph()
    assert Image.open(io.BytesIO(sent)).size == (12, 8) and b"SecretCamera" in sent
    row = said(live, sent, "a")
    stored = live.feedback.file(row["id"]).read_bytes()
    with Image.open(io.BytesIO(stored)) as image:
        assert image.size == (8, 12) and not image.getexif() and not image.info
    assert np.array_equal(decode(stored), decode(sent))
    assert b"Secret" not in stored and hashlib.sha256(stored).hexdigest() == row["file_sha256"]


def test_gray_images_stay_gray():
    stream = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(stream, "PNG")
    assert decode(encoded(stream.getvalue())).shape == (8, 8, 1)


def test_labelled_images_and_those_for_the_pool_stand_in_one_table(live):
    known, unknown, free = said(live, picture(1), " b "), said(live, picture(2)), said(live, picture(3), "a zebra")
    assert table(live) == {
        place(known): {"label": "b", "suggested": ""},
        place(unknown): {"label": "", "suggested": ""},
        place(free): {"label": "", "suggested": "a zebra"},
    }
    assert [row["known"] for row in (known, unknown, free)] == [True, False, False]


@pytest.mark.parametrize("label", ["می\u200cخواهم", "👩\u200d🌾", "x" * 200])
def test_a_label_may_be_written_as_its_script_needs(live, label):
    kept = said(live, picture(1), label)
    assert table(live)[place(kept)]["suggested"] == label


def test_said_again_by_the_same_person_the_new_label_counts(live):
    first, again = said(live, picture(1), "a"), said(live, picture(1), "b")
    assert again["id"] == first["id"] and table(live)[place(first)]["label"] == "b"
    assert len(live.feedback.every()) == 1


def test_of_several_people_the_most_count_and_of_as_many_the_newest(live):
    for label, actor in (("a", "x"), ("b", "y")):
        row = said(live, picture(1), label, actor)
    assert table(live)[place(row)]["label"] == "b"  # the newest
    said(live, picture(1), "a", "z")
    said(live, picture(1), "b", "y")  # once more, which is no further vote
    assert table(live)[place(row)]["label"] == "a" and len(live.feedback.every("main")) == 3


@pytest.mark.parametrize("label", ["x" * 201, "a\x00b", "a\nb", "=1+1", "@cmd", "-x", "a\u202eb"])
def test_what_is_no_label_is_refused_and_nothing_is_kept(open_parts, label):
    live = open_parts()
    live.completion.register(Package(**packaged(live)), "a test")
    with pytest.raises(ValueError, match="a label"):
        said(live, picture(), label)
    assert live.feedback.every() == [] and not (live.store.root / "feedback").exists()


def test_the_model_that_was_wrong_is_kept_the_live_one_where_nobody_knows(live):
    live.completion.register(Package(**packaged(live, 0.9, 2)), "a test")
    assert said(live, picture(1))["model_id"] == 2
    with live.database.write() as connection:
        facts = {"endpoint": "main", "generation": 1, "model_id": 1, "role": "live", "at": 0.0, "latency_ms": 1.0}
        connection.execute(prediction.insert().values(key="f" * 32, image_sha256="0" * 64, **facts))
    assert said(live, picture(2), key="f" * 32)["model_id"] == 1


@pytest.mark.parametrize(
    ("task", "classes", "label", "columns"),
    [
        ("multilabel", ["cat", "dog"], "cat|dog", {"label": "cat|dog"}),
        ("multilabel", ["cat", "dog"], "cat|cow", {"label": ""}),
        ("regression", ["price", "age"], "3.5|-1e2", {"label": "3.5|-1e2"}),
        ("regression", ["price", "age"], "3.5", {"label": ""}),
        ("heads", ["n=0", "n=1", "hue=red"], "n=1|hue=red", {"n": "1", "hue": "red"}),
        ("heads", ["n=0", "n=1", "hue=red"], "hue=red", {"n": "", "hue": ""}),
        ("classification", ["+", "=", "e\u0301"], "=", {"label": "="}),
        ("classification", ["+", "=", "e\u0301"], "e\u0301", {"label": "e\u0301"}),
        ("segmentation", ["sky"], "sky", {"label": ""}),
    ],
)
def test_each_task_has_its_labels_as_its_data_have_them(open_parts, task, classes, label, columns):
    parts = open_parts()
    told = manifest(weights(1), task=task, classes=classes)
    parts.completion.register(Package(**packaged(parts, manifest=told, seed=1)), "a test")
    row = said(parts, picture(), label)
    suggested = "" if all(columns.values()) else label
    assert table(parts) == {place(row): columns | {"suggested": suggested}}


def test_an_endpoint_takes_so_many_images_and_no_more(open_parts):
    parts = open_parts(max_feedback=2)
    parts.completion.register(Package(**packaged(parts)), "a test")
    for seed in range(2):
        said(parts, picture(seed), "a")
    with pytest.raises(Full, match="serving.max_feedback"):
        said(parts, picture(2), "a")
    said(parts, picture(1), "b")  # but people may change their mind
    with pytest.raises(LookupError):
        said(parts, picture(1), "a", name="other")


def test_an_endpoint_takes_so_many_bytes_and_no_more(open_parts):
    parts = open_parts(max_feedback_mib=len(encoded(picture())) * 2.5 / 2**20)
    parts.completion.register(Package(**packaged(parts)), "a test")
    for seed in range(2):
        said(parts, picture(seed), "a")
    with pytest.raises(Full, match="serving.max_feedback_mib"):
        said(parts, picture(2), "a")


def test_deleting_takes_the_image_with_the_last_who_spoke_of_it(live):
    mine, yours = said(live, picture(1), "a", "me"), said(live, picture(1), "b", "you")
    live.feedback.delete(yours["id"])
    assert table(live)[place(mine)]["label"] == "a"
    file = live.feedback.file(mine["id"])
    live.feedback.delete(mine["id"])
    assert not file.exists() and table(live) == {}
    with pytest.raises(LookupError):
        live.feedback.delete(mine["id"])


def test_many_who_speak_at_once_lose_nothing(live):
    def speak(person):
        for seed in range(3):
            said(live, picture(seed), "abc"[person % 3], f"person {person}")
        if person % 2:
            for row in live.feedback.every():
                if row["actor"] == f"person {person}":
                    live.feedback.delete(row["id"])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(speak, range(6)))
    rows = live.feedback.every()
    assert len(rows) == 9 and set(table(live)) == {place(row) for row in rows}
    assert all(live.feedback.file(row["id"]).is_file() for row in rows)


def test_what_a_training_took_is_marked_once(live):
    numbers = [said(live, picture(seed), "a")["id"] for seed in range(3)]
    assert live.feedback.consume(numbers[:2]) == 2 and live.feedback.consume(numbers) == 1
    assert all(row["consumed"] for row in live.feedback.every())
    assert said(live, picture(0), "b")["consumed"] is None  # a new word about it


def test_repair_writes_tables_that_are_behind_and_clears_old_strays(live):
    row = said(live, picture(1), "a")
    shelf = live.feedback.shelf("main")
    (shelf.folder / "labels.csv").write_text("path,label\n")
    old, young = (shelf.path(shelf.put(picture(seed))) for seed in (8, 9))
    os.utime(old, (0, time.time() - STRAY_SECONDS - 1))
    live.feedback.repair()
    assert list(table(live)) == [place(row)]
    assert not old.exists() and young.exists() and live.feedback.file(row["id"]).exists()


@pytest.fixture
def server(launch, open_parts, tmp_path):
    """Starts the server of `tests.serving.quick` on a store with a live model, killed at a named step."""
    parts = open_parts()
    parts.completion.register(Package(**packaged(parts)), "a test")
    secret = parts.tokens.create("guest", "operator")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=bearer(secret), verify=False, timeout=60)

    def start(step=""):
        arguments = ("server", parts.settings.root, str(port), "30")
        running = launch("tests/serving/quick.py", *arguments, **{KILL_AT: step})
        end = time.monotonic() + 60
        while not answers(client):
            assert time.monotonic() < end
            time.sleep(0.05)
        return running

    yield start, client, parts
    client.close()


def answers(client) -> bool:
    try:
        return client.get("/livez").is_success
    except httpx.TransportError:
        return False


@pytest.mark.timeout(300)
def test_a_server_killed_between_file_row_and_table_leaves_nothing_half(server):
    start, client, parts = server

    def killed(step, seed):
        running = start(step)
        with pytest.raises(httpx.TransportError):
            client.post("/api/feedback", files={"image": ("x.png", picture(seed), "image/png")}, data={"label": "a"})
        running.process.join(60)
        assert running.process.exitcode == -signal.SIGKILL
        return parts.feedback.every()

    assert killed("feedback-file", 1) == []
    assert not (parts.feedback.shelf("main").folder / "labels.csv").exists()
    (row,) = killed("feedback-row", 2)
    parts.feedback.repair()  # as a server does that starts
    assert table(parts) == {place(row): {"label": "a", "suggested": ""}}
    assert parts.feedback.file(row["id"]).is_file()


@pytest.fixture
def corrected(open_parts, digit_folder):
    """A store whose endpoint has 45 corrected digits and 9 that nobody knew; its labels.csv."""
    parts = open_parts()
    classes = sorted(folder.name for folder in digit_folder.iterdir())
    told = manifest(weights(1), classes=classes)
    parts.completion.register(Package(**packaged(parts, manifest=told, seed=1)), "a test")
    for name in classes:
        for number, file in enumerate(sorted((digit_folder / name).iterdir())[:18]):
            said(parts, file.read_bytes(), name if number < 15 else None)
    return parts.feedback.shelf("main").folder / "labels.csv"


SMALL = (
    "trainer.max_epochs=1", "trainer.speed=fp32", "trainer.accelerator=cpu", "trainer.report=false",
    "datamodule.workers=0",
)  # fmt: skip


@pytest.mark.timeout(300)
def test_a_training_reads_what_people_said_as_it_lies(command, corrected):
    done = command("train.py", "datamodule=csv", f"datamodule.file={corrected}", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "33 train, 6 val, 6 test, 9 pool" in done.stdout


ASKING = (
    "active=standalone", "active/oracle=folder", "active.oracle.wait=false", "active.budget=40", "active.batch=4",
    "active.min_steps=3", "active.validations=1", "trainer.threads=1", "logger={}", "models.num_filters=4",
)  # fmt: skip


@pytest.mark.timeout(300)
def test_active_learning_begins_with_the_labels_and_asks_for_the_others(command, corrected, tmp_path):
    done = command("train.py", *ASKING, "datamodule=csv", f"datamodule.file={corrected}", *SMALL)
    assert "auto-0 round 0: 33 labels" in done.stdout and "label the 4 images in" in done.stdout, done.stderr
    with next(tmp_path.glob("logs/*/*/labels/round-0000/labels.csv")).open(newline="") as lines:
        asked = [row["file"].partition("-")[2][:8] for row in csv.DictReader(lines)]
    pool = {path.partition("/")[2][:8] for path, row in table_at(corrected).items() if not row["label"]}
    assert len(asked) == 4 and set(asked) <= pool
