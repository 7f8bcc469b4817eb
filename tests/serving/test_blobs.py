"""Content-addressed files: whole and right, or not there."""

import hashlib
import os
import time

import pytest

from serving.blobs import Blobs, WrongContent, WrongOffset

CONTENT = os.urandom(3000)
NAME = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path)


def send(blobs, content, offset, name=NAME, owner="me"):
    part = blobs.part(name, owner)
    with part.held(offset):
        part.write(content)
        part.keep()
    return part


def test_a_file_sent_in_pieces_goes_on_where_it_broke_off_and_is_whole_at_its_end(blobs):
    send(blobs, CONTENT[:1000], 0)
    assert blobs.part(NAME, "me").offset == 1000 and not blobs.has(NAME)
    part = blobs.part(NAME, "me")
    with part.held(1000):
        part.write(CONTENT[1000:])
        part.finish(len(CONTENT))
    assert blobs.read(NAME) == CONTENT and not blobs.corrupt(NAME)
    assert list(blobs.parts.iterdir()) == []


def test_a_piece_that_begins_elsewhere_is_refused_with_the_place_to_go_on(blobs):
    send(blobs, CONTENT[:1000], 0)
    with pytest.raises(WrongOffset) as refused:
        send(blobs, CONTENT[500:], 500)
    assert refused.value.offset == 1000


def test_two_requests_do_not_write_one_file_at_the_same_time(blobs):
    part, second = blobs.part(NAME, "me"), blobs.part(NAME, "me")
    with part.held(0), pytest.raises(WrongOffset, match="another request"), second.held(0):
        pass


def test_uploaders_do_not_write_into_each_others_parts(blobs):
    send(blobs, CONTENT[:1000], 0)
    assert blobs.part(NAME, "you").offset == 0


def test_content_that_is_not_what_its_name_says_is_given_up(blobs):
    part = blobs.part(NAME, "me")
    with pytest.raises(WrongContent, match="send it again"), part.held(0):
        part.write(CONTENT[:-1] + b"x" if CONTENT[-1:] != b"x" else CONTENT[:-1] + b"y")
        part.finish(len(CONTENT))
    assert not blobs.has(NAME) and blobs.part(NAME, "me").offset == 0


def test_a_file_that_is_not_whole_is_not_taken(blobs):
    part = blobs.part(NAME, "me")
    with pytest.raises(WrongOffset), part.held(0):
        part.write(CONTENT[:100])
        part.finish(len(CONTENT))
    assert not blobs.has(NAME)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a" * 63, "A" * 64, "", "a" * 64 + "/.."])
def test_only_a_sha256_names_a_file(blobs, name):
    with pytest.raises(ValueError, match="no sha256"):
        blobs.path(name)


def test_pruning_takes_old_files_that_nobody_refers_to_and_leaves_young_and_wanted_ones(blobs):
    names = []
    for content in (b"wanted", b"old", b"young"):
        names.append(hashlib.sha256(content).hexdigest())
        blobs.put(content, names[-1])
    long_ago = time.time() - 1e6
    for name in names[:2]:
        os.utime(blobs.path(name), (long_ago, long_ago))
    assert blobs.prune([names[0]]) == [names[1]]
    assert [blobs.has(name) for name in names] == [True, False, True]


def test_a_changed_file_is_found(blobs):
    blobs.put(CONTENT, NAME)
    blobs.path(NAME).write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    assert blobs.corrupt(NAME)
