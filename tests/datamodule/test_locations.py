import os
import sys

import fsspec
import pytest

from datamodule.locations import Image, contents, locate, split_glob


@pytest.fixture
def tree(tmp_path):
    """Writes files with their own names in them, and gives their folder."""

    def write(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(os.fsencode(name))
        return tmp_path

    return write


@pytest.fixture
def bucket():
    """The same in memory, as memory://bucket."""
    files = fsspec.filesystem("memory")

    def write(*names):
        for name in names:
            files.pipe(f"/bucket/{name}", name.encode())
        return "memory://bucket"

    yield write
    files.rm("/bucket", recursive=True)


def names(source) -> list[str]:
    return [image.name for image in locate(str(source))]


NAMES = ("b/2.jpg", "b/1.PNG", "a/x/0.webp", "c.jpg", "a/notes.txt", ".hidden/3.jpg", "b/.4.jpg")


def test_a_folder_gives_the_images_below_it_by_name_and_nothing_hidden(tree):
    assert names(tree(*NAMES)) == ["a/x/0.webp", "b/1.PNG", "b/2.jpg", "c.jpg"]


def test_a_url_gives_the_same_as_the_folder(tree, bucket):
    assert names(bucket(*NAMES)) == names(tree(*NAMES))


def test_links_that_lead_back_end(tree):
    root = tree("a/1.jpg")
    (root / "a" / "again").symlink_to(root)
    assert names(root) == ["a/1.jpg"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.jpg", ["c.jpg"]),
        ("b/*", ["b/1.PNG", "b/2.jpg"]),
        ("b/[2-9].*", ["b/2.jpg"]),
        ("**/*.webp", ["a/x/0.webp"]),
        ("?/*/*.webp", ["a/x/0.webp"]),
        ("*/*.txt", ["a/notes.txt"]),
    ],
)
def test_a_glob_gives_every_file_that_it_matches(tree, bucket, pattern, found):
    root, url = tree(*NAMES), bucket(*NAMES)
    assert names(root / pattern) == [f"{root}/{name}" for name in found]
    assert names(f"{url}/{pattern}") == [f"{url}/{name}" for name in found]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tree):
    root = tree("a[1].jpg", "a1.jpg")
    assert names(root / "a[1].jpg") == [f"{root}/a[1].jpg"]
    assert split_glob("[ab]*.jpg") == ("", "[ab]*.jpg")


def test_a_name_that_is_not_utf8_can_be_written_and_its_file_read(tree):
    root = tree("caf\udce9/1.jpg")
    for source in (root, root / "*/*.jpg"):
        [image] = locate(str(source))
        assert image.name.encode().endswith(rb"caf\xe9/1.jpg") and isinstance(contents([image.address])[0], bytes)


def test_a_csv_gives_its_paths_seen_from_its_folder_or_absolute(tree, bucket):
    root, url = tree("in/1.jpg", "2.jpg"), bucket("3.jpg")
    (root / "list.csv").write_text(f"\ufeffpath,label\nin/1.jpg,x\n{root}/2.jpg,y\n{url}/3.jpg,z\ngone.jpg,\n")
    images = list(locate(str(root / "list.csv")))
    assert images[0] == Image("in/1.jpg", f"{root}/in/1.jpg")
    read = contents([image.address for image in images])
    assert read == [b"in/1.jpg", b"2.jpg", b"3.jpg", "is not there"]


def test_a_csv_at_a_url_names_files_beside_it(bucket):
    url = bucket("1.jpg")
    fsspec.filesystem("memory").pipe("/bucket/list.csv", b"path\n1.jpg\n2.jpg\n")
    assert contents([image.address for image in locate(f"{url}/list.csv")]) == [b"1.jpg", "is not there"]


def test_a_single_file_is_taken_whatever_its_suffix(tree):
    root = tree("picture")
    assert names(root / "picture") == [f"{root}/picture"]


def test_contents_keep_their_order_and_name_what_cannot_be_read(tree):
    root = tree("1.jpg", "3.jpg")
    read = contents([f"{root}/3.jpg", f"{root}/1.jpg", f"{root}", f"{root}/no", "a\0b", f"file://{root}/1.jpg"])
    assert read[:2] == [b"3.jpg", b"1.jpg"] and read[3] == "is not there" and read[5] == b"1.jpg"
    assert read[2] == "cannot be read: Is a directory" and "null byte" in read[4]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere", "source=nowhere: there is no such file or folder"),
        ("nowhere/*.jpg", r"source=nowhere/\*.jpg: there is no such"),
        ("nothing://x", "nothing"),
    ],
)
def test_a_source_that_is_not_there_is_refused(source, said):
    with pytest.raises(ValueError, match=said):
        locate(source)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ValueError, match="s3:// needs s3fs: pip install s3fs"):
        locate("s3://bucket/images")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"file,label\na.jpg,x\n", r"has no column 'path' but \['file', 'label'\]"),
        (b"", "has no column 'path'"),
        (b"path\n\xe4.jpg\n", "save it as CSV in UTF-8"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_with_its_place(tmp_path, content, said):
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        list(locate(str(tmp_path / "list.csv")))
