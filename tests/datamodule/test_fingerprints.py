import hashlib
import os

import pytest

from datamodule.fingerprints import find_images, hashed, look_up

OLD = 1_600_000_000  # seconds; files of that age are trusted


@pytest.fixture
def old_folder(image_folder):
    """A folder of four images that were changed long ago."""
    root = image_folder({"a/1.png": 1, "a/2.png": 2, "b/3.png": 3, "b/deep/4.png": 4})
    for file in root.rglob("*.png"):
        os.utime(file, (OLD, OLD))
    return root


@pytest.fixture
def scanned(tmp_path):
    def scan(root):
        return hashed(root, find_images(root), tmp_path / "cache")

    return scan


def overwrite(file, content, time=OLD):
    """Other bytes in the same inode."""
    with file.open("r+b") as old:
        old.write(content)
    os.utime(file, (time, time))


def test_finds_images_by_suffix_in_all_depths_but_nothing_hidden(old_folder):
    for name in ("notes.txt", ".hidden.png", "a/.git/5.png", "a/UPPER.JPG"):
        (old_folder / name).parent.mkdir(exist_ok=True)
        (old_folder / name).touch()
    assert sorted(find_images(old_folder).path) == ["a/1.png", "a/2.png", "a/UPPER.JPG", "b/3.png", "b/deep/4.png"]
    assert "notes.txt" in find_images(old_folder, suffixes=None).path


def test_follows_links_but_no_circle(old_folder, tmp_path, image_folder):
    other = image_folder({"5.png": 5}, tmp_path / "elsewhere")
    (old_folder / "linked").symlink_to(other)
    (old_folder / "a" / "circle").symlink_to(old_folder)
    assert sorted(find_images(old_folder).path) == ["a/1.png", "a/2.png", "b/3.png", "b/deep/4.png", "linked/5.png"]


def test_gives_hash_and_size_of_each(old_folder, scanned):
    columns = scanned(old_folder)
    for path, sha256 in zip(columns["path"], columns["sha256"], strict=True):
        assert sha256 == hashlib.sha256((old_folder / path).read_bytes()).hexdigest()
    assert columns["width"] == [16] * 4
    assert columns["height"] == [12] * 4


def test_unchanged_files_are_not_read_again(old_folder, scanned, monkeypatch):
    before = scanned(old_folder)
    monkeypatch.setattr("datamodule.fingerprints._read", None)
    assert scanned(old_folder) == before


@pytest.mark.parametrize("change", ["content and time", "size", "inode"])
def test_a_changed_file_is_read_again_and_only_that(old_folder, scanned, change, monkeypatch):
    before, file = scanned(old_folder), old_folder / "a" / "2.png"
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    if change == "content and time":
        overwrite(file, data, OLD + 1)
    elif change == "size":
        overwrite(file, bytes(data) + b"\0")
    else:
        (old_folder / "new").write_bytes(data)
        os.utime(old_folder / "new", (OLD, OLD))
        (old_folder / "new").replace(file)
    read = []
    once = __import__("datamodule.fingerprints", fromlist=["_read"])._read
    monkeypatch.setattr("datamodule.fingerprints._read", lambda path: read.append(path) or once(path))
    after = scanned(old_folder)
    assert read == [file]
    place = after["path"].index("a/2.png")
    assert after["sha256"][place] == hashlib.sha256(file.read_bytes()).hexdigest() != before["sha256"][place]


def test_a_file_that_was_just_written_is_not_trusted(image_folder, scanned):
    root = image_folder({"a/1.png": 1, "a/2.png": 2})
    before = scanned(root)
    file = root / "a" / "1.png"
    status = file.stat()
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    with file.open("r+b") as old:
        old.write(data)
    os.utime(file, ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert scanned(root)["sha256"][0] != before["sha256"][0]


def test_removed_files_are_gone_and_added_ones_there(old_folder, scanned, image_folder):
    scanned(old_folder)
    (old_folder / "a" / "1.png").unlink()
    image_folder({"c/9.png": 9}, old_folder)
    assert scanned(old_folder)["path"] == find_images(old_folder).path
    assert len(scanned(old_folder)["sha256"]) == 4


def test_the_day_a_file_was_first_seen_stays(old_folder, scanned, tmp_path):
    scanned(old_folder)
    memory = next((tmp_path / "cache" / "fingerprints").iterdir())
    today = scanned(old_folder)["first_seen"][0]
    memory.write_text(memory.read_text().replace(today, "2020-02-02"))
    overwrite(old_folder / "a" / "2.png", b"x", OLD + 5)
    assert scanned(old_folder)["first_seen"] == ["2020-02-02"] * 4


def test_a_damaged_memory_is_made_anew(old_folder, scanned, tmp_path):
    before = scanned(old_folder)
    memory = next((tmp_path / "cache" / "fingerprints").iterdir())
    memory.write_text(memory.read_text()[:50])
    assert scanned(old_folder) == before


def test_an_unreadable_image_has_no_size(old_folder, scanned):
    (old_folder / "a" / "1.png").write_bytes(b"")
    columns = scanned(old_folder)
    assert columns["width"][columns["path"].index("a/1.png")] == 0


def test_listed_files_are_looked_up_in_their_order(old_folder):
    assert look_up(old_folder, ["b/3.png", "a/1.png"]).path == ["b/3.png", "a/1.png"]


def test_listed_files_that_are_missing_are_named(old_folder):
    with pytest.raises(ValueError, match=r"2 of 3 listed files are not below .*: a/0.png, a/1.png/x"):
        look_up(old_folder, ["a/0.png", "a/1.png", "a/1.png/x"])
    with pytest.raises(ValueError, match=r"'a' below .* is no file"):
        look_up(old_folder, ["a"])
