import hashlib

import pytest

from utils.files import sha256_file, write_whole


def test_writes_text_and_bytes_into_folders_it_makes(tmp_path):
    write_whole(tmp_path / "a" / "text", "grün\n")
    write_whole(tmp_path / "a" / "bytes", b"\0\1")
    assert (tmp_path / "a" / "text").read_text(encoding="utf-8") == "grün\n"
    assert (tmp_path / "a" / "bytes").read_bytes() == b"\0\1"


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path, monkeypatch):
    write_whole(tmp_path / "file", "old")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "file", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_hashes_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"evergreen" * 1_000_000)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(b"evergreen" * 1_000_000).hexdigest()
