import io
import struct
import zlib

import pytest
from PIL import Image

from serving.uploads import BadUpload, checked
from tests.serving.networks import png


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_three_formats_of_the_web_are_taken(kind):
    checked(png(kind=kind), max_pixels=64)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "GIF", "PPM"])
def test_other_formats_are_refused_whatever_they_are_called(kind):
    with pytest.raises(BadUpload, match="no JPEG, PNG or WebP") as refusal:
        checked(png(kind=kind), max_pixels=64)
    assert refusal.value.status == 415


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"RIFF0000WAVE", b"<svg/>", b"%!PS-Adobe"])
def test_what_is_no_image_is_refused(content):
    with pytest.raises(BadUpload) as refusal:
        checked(content, max_pixels=64)
    assert refusal.value.status == 415


def test_a_bomb_is_refused_by_its_header_before_it_is_decoded():
    """A PNG of 30,000 x 30,000 pixels whose data are not even there."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(BadUpload, match="has 30000 x 30000 pixels") as refusal:
        checked(b"\x89PNG\r\n\x1a\n" + chunk + data, max_pixels=25_000_000)
    assert refusal.value.status == 413


def test_too_many_pixels_are_told_with_their_number():
    with pytest.raises(BadUpload, match="8 x 8 pixels, more than 63") as refusal:
        checked(png(), max_pixels=63)
    assert refusal.value.status == 413


def test_a_header_that_is_cut_off_is_a_broken_image():
    stream = io.BytesIO()
    Image.new("RGB", (9, 9)).save(stream, "JPEG")
    with pytest.raises(BadUpload) as refusal:
        checked(stream.getvalue()[:30], max_pixels=100)
    assert refusal.value.status == 400
