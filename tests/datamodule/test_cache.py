import json
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from datamodule import blocks, cache
from datamodule.cache import choose, open_store, without_bad
from datamodule.decode import BadImage
from datamodule.preprocessing import Squash

ROOT = Path(__file__).parents[2]
MODES = ["ram", "disk", "stream"]
SHAPE = (4, 5, 3)


class Source:
    """A reader that counts; row r's pixels are made of its content's hash. Rows in `broken` cannot be decoded."""

    def __init__(self, inventory, broken=()):
        self.sha256, self.broken, self.reads = inventory.sha256, set(broken), Counter()

    def __call__(self, row):
        self.reads[row] += 1
        if row in self.broken:
            raise BadImage("is truncated")
        return np.frombuffer(bytes.fromhex(self.sha256[row]) * 2, np.uint8)[:60].reshape(SHAPE)


@pytest.fixture
def inventory(made_up):
    return made_up([f"{number:03d}" for number in range(50)])


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of four rows, so that few images make many."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4 * 60)


@pytest.fixture
def opened(inventory, tmp_path, small_blocks):
    def run(mode="ram", source=None, rows=None, of=inventory, **settings):
        reader = source or Source(of)
        return open_store(of, Squash(*SHAPE), reader, tmp_path, rows=rows, mode=mode, **settings)

    return run


def files(folder):
    return sorted(path.name.partition(".")[2] for path in (folder / "pixels").iterdir())


@pytest.mark.parametrize("mode", MODES)
def test_gives_the_images_of_any_rows_in_their_order(opened, inventory, mode):
    store, source = opened(mode), Source(inventory)
    rows = np.array([7, 3, 3, 49, 0])
    pixels = store.read(rows)
    assert (pixels.shape, pixels.dtype, len(store)) == ((5, *SHAPE), np.uint8, 50)
    assert all(np.array_equal(image, source(row)) for image, row in zip(pixels, rows, strict=True))
    assert store.read(np.array([], np.int64)).shape == (0, *SHAPE)


@pytest.mark.parametrize("mode", MODES)
def test_reading_gives_an_array_of_its_own(opened, mode):
    store = opened(mode)
    store.read(np.array([1]))[:] = 0
    assert store.read(np.array([1])).any()


@pytest.mark.parametrize("mode", MODES)
def test_a_store_of_some_rows_knows_them_by_the_inventorys_numbers(opened, inventory, mode):
    store = opened(mode, rows=np.array([40, 10]))
    assert len(store) == 2
    assert np.array_equal(store.read(np.array([10]))[0], Source(inventory)(10))
    with pytest.raises(IndexError, match="row 11 is not in this store of 2 images"):
        store.read(np.array([40, 11]))


@pytest.mark.parametrize("mode", MODES)
def test_a_store_goes_to_other_processes(opened, inventory, mode):
    again = pickle.loads(pickle.dumps(opened(mode)))  # noqa: S301 our own
    assert np.array_equal(again.read(np.array([5]))[0], Source(inventory)(5))


def test_a_store_in_ram_is_not_sent_but_read_from_its_file(tmp_path, made_up):
    store = open_store(made_up(["a"]), Squash(500, 500, 3), lambda row: np.ones((500, 500, 3), np.uint8), tmp_path)
    assert len(pickle.dumps(store)) < 5000


@pytest.mark.parametrize("mode", ["ram", "disk"])
def test_decodes_each_image_once_ever(opened, inventory, mode):
    source = Source(inventory)
    opened("ram", source)
    assert opened(mode, source).read(np.arange(50)).any()
    assert set(source.reads.values()) == {1}


def test_streaming_decodes_at_each_reading(opened, inventory):
    source = Source(inventory)
    store = opened("stream", source)
    store.read(np.array([2, 2]))
    assert source.reads == {2: 2}


def test_labels_and_places_do_not_matter_to_the_cache_but_contents_and_transform_do(opened, made_up, tmp_path):
    paths = ["1", "2"]
    opened(of=made_up(paths, label=["a", "b"], sha256=["aa" * 32, "bb" * 32]))
    opened(of=made_up(["3", "4"], label=["c", "c"], sha256=["aa" * 32, "bb" * 32]))
    assert len(list((tmp_path / "pixels").glob("*.u8"))) == 1
    opened(of=made_up(paths, sha256=["aa" * 32, "cc" * 32]))
    assert len(list((tmp_path / "pixels").glob("*.u8"))) == 2
    gray = made_up(paths, sha256=["aa" * 32, "bb" * 32])
    open_store(gray, Squash(4, 5, 1), lambda row: np.zeros((4, 5, 1), np.uint8), tmp_path)
    assert len(list((tmp_path / "pixels").glob("*.u8"))) == 3


@pytest.mark.parametrize("mode", ["ram", "disk"])
@pytest.mark.parametrize(
    "damage", ["a flipped bit", "a lost end", "no json", "half a json", "a foreign json", "other blocks"]
)
def test_a_damaged_cache_is_built_anew(opened, inventory, tmp_path, monkeypatch, mode, damage):
    opened(mode)
    file = next((tmp_path / "pixels").glob("*.u8"))
    if damage == "a flipped bit":
        whole = file.read_bytes()
        file.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    elif damage == "a lost end":
        os.truncate(file, 1000)
    elif damage == "no json":
        file.with_suffix(".json").unlink()
    elif damage == "other blocks":
        monkeypatch.setattr(blocks, "BLOCK_BYTES", 8 * 60)
    else:
        file.with_suffix(".json").write_text('{"count": 50' if damage == "half a json" else "[1, 2]")
    source = Source(inventory)
    store = opened(mode, source)
    assert len(source.reads) == 50
    assert np.array_equal(store.read(np.arange(50)), np.stack([Source(inventory)(row) for row in range(50)]))


def test_a_damaged_cache_is_said(opened, tmp_path, caplog):
    opened()
    file = next((tmp_path / "pixels").glob("*.u8"))
    file.write_bytes(file.read_bytes()[::-1])
    opened()
    assert "is damaged; it is built anew" in caplog.text


@pytest.mark.parametrize("damage", ["[[1", "{}", "[1]", '[[50, "is truncated"]]', "[[1, 2]]"])
def test_a_damaged_list_of_what_streaming_leaves_out_is_made_anew(opened, inventory, tmp_path, caplog, damage):
    before = opened("stream", Source(inventory, broken=[3]), on_bad_image="skip").bad
    memory = next((tmp_path / "pixels").glob("*.bad.json"))
    memory.write_text(damage)
    assert opened("stream", Source(inventory, broken=[3]), on_bad_image="skip").bad == before == {3: "is truncated"}
    assert f"{memory} is damaged; it is made anew" in caplog.text


def test_in_ram_every_block_is_checked(opened, inventory, tmp_path):
    opened()
    file = next((tmp_path / "pixels").glob("*.u8"))
    whole = file.read_bytes()
    for place in range(0, len(whole), 240):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        source = Source(inventory)
        opened("ram", source)
        assert source.reads


@pytest.mark.parametrize("mode", MODES)
def test_bad_images_are_all_named(opened, inventory, mode):
    source = Source(inventory, broken=[3, 20])
    with pytest.raises(BadImage, match="003 is truncated"):
        store = opened(mode, source)
        store.read(np.array([3]))
    if mode != "stream":
        with pytest.raises(BadImage, match="2 of 50 images in made up: 003 is truncated, 020 is truncated; repair"):
            opened(mode, source)


@pytest.mark.parametrize("mode", MODES)
def test_bad_images_can_be_left_out_and_stay_so(opened, inventory, mode):
    source = Source(inventory, broken=[3, 20])
    stores = [opened(mode, source, rows=rows, on_bad_image="skip") for rows in (np.arange(10), np.arange(10, 50))]
    left, (first, second), skipped = without_bad(inventory, stores, "skip")
    assert skipped == [("003", "is truncated"), ("020", "is truncated")]
    assert (len(left), len(first), len(second)) == (48, 9, 39)
    assert left.path[3] == "004"
    assert np.array_equal(first.read(np.array([3]))[0], Source(inventory)(4))
    assert np.array_equal(second.read(np.array([47]))[0], Source(inventory)(49))
    assert not first.bad and not second.bad
    again = opened(mode, source, rows=np.arange(10), on_bad_image="skip")
    assert again.bad == {3: "is truncated"}
    assert source.reads[3] == 1


def test_nothing_bad_leaves_everything(opened, inventory):
    left, (store,), skipped = without_bad(inventory, [opened()], "raise")
    assert (len(left), len(store), skipped) == (50, 50, [])


@pytest.mark.parametrize("grown", [60, 30])
def test_a_set_that_grew_or_shrank_takes_over_what_was_decoded(opened, made_up, grown):
    opened()
    larger = made_up([f"{number:03d}" for number in range(grown)])
    source = Source(larger)
    store = opened("ram", source, of=larger)
    assert sorted(source.reads) == list(range(50, grown))
    assert np.array_equal(store.read(np.arange(grown)), np.stack([Source(larger)(row) for row in range(grown)]))


def test_nothing_is_taken_over_from_a_damaged_cache(opened, made_up, tmp_path):
    opened()
    file = next((tmp_path / "pixels").glob("*.u8"))
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    larger = made_up([f"{number:03d}" for number in range(60)])
    source = Source(larger)
    opened("ram", source, of=larger)
    assert len(source.reads) == 60


def test_nothing_is_taken_over_from_another_transform(opened, made_up, tmp_path):
    opened()
    larger = made_up([f"{number:03d}" for number in range(60)])
    source = Source(larger)
    open_store(larger, Squash(*SHAPE, "nearest"), source, tmp_path)
    assert len(source.reads) == 60


def test_bad_images_are_not_taken_over(opened, inventory, made_up):
    opened("ram", Source(inventory, broken=[3]), on_bad_image="skip")
    larger = made_up([f"{number:03d}" for number in range(51)])
    store = opened("ram", Source(larger, broken=[3]), of=larger, on_bad_image="skip")
    assert store.bad == {3: "is truncated"}


def test_an_interrupted_build_leaves_nothing_half_written(opened, inventory, tmp_path):
    def stop(row):
        if row == 30:
            raise KeyboardInterrupt
        return Source(inventory)(row)

    with pytest.raises(KeyboardInterrupt):
        opened("ram", stop)
    assert set(files(tmp_path)) == {"lock", "rows"}


def test_a_programming_error_is_not_a_bad_image(opened):
    with pytest.raises(ZeroDivisionError):
        opened("ram", lambda row: 1 // 0)


def build_once(folder, count, started):
    from datamodule.inventory import inventory_of

    reads = []
    inventory = inventory_of(Path("x"), {"path": ["a", "b"], "sha256": ["aa" * 32, "bb" * 32]}, [])

    def read(row):
        reads.append(row)
        return np.ones((4, 5, 3), np.uint8)

    started.wait()
    open_store(inventory, Squash(4, 5, 3), read, folder)
    count.put(len(reads))


def test_of_several_processes_one_builds(tmp_path):
    context = multiprocessing.get_context("fork")
    count, started = context.Queue(), context.Event()
    processes = [context.Process(target=build_once, args=(tmp_path, count, started)) for _ in range(3)]
    for process in processes:
        process.start()
    started.set()
    counts = sorted(count.get(timeout=30) for _ in processes)
    for process in processes:
        process.join()
    assert counts == [0, 0, 2]


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from datamodule.cache import open_store
from datamodule.inventory import inventory_of
from datamodule.preprocessing import Squash
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
inventory = inventory_of(Path("x"), {"path": list("abcd"), "sha256": ["aa" * 32] * 4}, [])
try:
    open_store(inventory, Squash(200, 200, 3), lambda row: np.ones((200, 200, 3), np.uint8), Path(sys.argv[1]))
except OSError as error:
    print(error)
"""


def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "no room for the image cache" in done.stdout
    assert "datamodule.cache_dir" in done.stdout
    assert set(files(tmp_path)) == {"lock", "rows"}


def test_a_folder_that_cannot_be_written_is_said(opened, tmp_path):
    (tmp_path / "pixels").write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"cannot write the image cache .*; set datamodule.cache_dir"):
        opened()


@pytest.mark.parametrize(
    ("size", "exists", "chosen"), [(40, False, "ram"), (60, False, "disk"), (950, False, "stream"), (950, True, "disk")]
)
def test_chooses_ram_then_disk_then_streaming(monkeypatch, tmp_path, size, exists, chosen):
    monkeypatch.setattr(cache, "free_memory", lambda: 100)
    monkeypatch.setattr(cache, "_free_disk", lambda folder: 1000)
    assert choose("auto", size, exists, tmp_path).mode == chosen
    assert choose("disk", size, exists, tmp_path).mode == "disk"


def test_the_choice_is_logged_in_one_line_with_its_reason(opened, caplog):
    with caplog.at_level(logging.INFO):
        opened("auto")
    (line,) = (record.message for record in caplog.records)
    assert line.startswith("50 images of 4 x 5 x 3: kept in RAM (0.0 MB, free are")


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np, psutil
from datamodule.cache import open_store
from datamodule.inventory import inventory_of
from datamodule.preprocessing import Squash
count, shape = 120, (700, 700, 3)  # 176 MB
limit = psutil.Process().memory_info().data + 100_000_000
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
paths = [f"{number:03d}" for number in range(count)]
inventory = inventory_of(Path("x"), {"path": paths, "sha256": [f"{path}0" * 16 for path in paths]}, [])
store = open_store(inventory, Squash(*shape), lambda row: np.full(shape, row, np.uint8), Path(sys.argv[1]))
for start in range(0, count, 8):
    rows = np.arange(start, start + 8)
    assert (store.read(rows)[:, 9, 9, 0] == rows).all()
print(type(store.source).__name__)
"""


def test_a_set_larger_than_the_memory_is_read_from_the_disk(tmp_path):
    command = [sys.executable, "-c", LIMITED, tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "OnDisk"


def test_a_store_of_no_image_is_empty(opened):
    for mode in MODES:
        store = opened(mode, rows=np.array([], np.int64))
        assert len(store) == 0
        assert store.read(np.array([], np.int64)).shape == (0, *SHAPE)


def test_the_json_beside_names_shape_and_blocks(opened, tmp_path):
    opened()
    said = json.loads(next((tmp_path / "pixels").glob("*.json")).read_text())
    assert (said["count"], said["shape"], len(said["sha256"])) == (50, [4, 5, 3], 13)
