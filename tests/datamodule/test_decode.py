import io
import struct

import numpy as np
import pytest
from PIL import Image

from datamodule import decode as module
from datamodule.decode import BadImage, decode, read_header, to_pixels


def pillow(data, mode="RGB"):
    return np.asarray(Image.open(io.BytesIO(data)).convert(mode))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:1:1"])
def test_jpegs_are_bit_equal_to_pillows(picture, encoded, subsampling, progressive):
    for seed, (height, width) in enumerate([(1, 1), (7, 9), (16, 33), (65, 40)]):
        data = encoded(picture(seed, height, width), subsampling=subsampling, progressive=progressive)
        assert np.array_equal(decode(data, 3), pillow(data))
        assert np.array_equal(decode(data, 1)[:, :, 0], pillow(data, "L"))


def test_plain_jpegs_never_reach_pillow(picture, encoded, monkeypatch):
    data = encoded(picture())
    monkeypatch.setattr(Image, "open", None)
    assert decode(data, 3).shape == (12, 16, 3)
    assert read_header(data) == (16, 12, 3)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM"])
def test_reads_the_usual_formats(picture, encoded, kind):
    image = Image.fromarray(picture()).quantize(16).convert("RGB")
    data = encoded(image, kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert np.array_equal(decode(data, 3), np.asarray(image))
    assert read_header(data) == (16, 12, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_gray_files_have_one_channel_unless_three_are_asked_for(picture, encoded, kind):
    data = encoded(Image.fromarray(picture()).convert("L"), kind)
    assert decode(data).shape == (12, 16, 1)
    assert read_header(data) == (16, 12, 1)
    assert np.array_equal(decode(data, 3), np.repeat(decode(data), 3, axis=2))


def test_transparency_lies_on_white_unless_it_is_asked_for(encoded):
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]]], np.uint8)
    data = encoded(pixels, "PNG")
    assert decode(data).tolist() == [[[10, 20, 30], [255, 255, 255], [204, 204, 204]]]
    assert np.array_equal(decode(data, 4), pixels)


def test_palettes_become_their_colours_and_their_transparency_white(encoded):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "L").convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    assert decode(encoded(image, "PNG")).tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]
    assert decode(encoded(image, "PNG", transparency=2)).tolist()[0][2] == [255, 255, 255]


def test_cmyk_jpegs_look_as_in_pillow(picture, encoded):
    data = encoded(Image.fromarray(picture()).convert("CMYK"))
    assert np.array_equal(decode(data), pillow(data))
    assert read_header(data) == (16, 12, 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_upper_eight(encoded, kind):
    data = encoded(np.array([[0, 255, 256, 32768, 65535]], np.uint16), kind)
    assert decode(data, 1).ravel().tolist() == [0, 0, 1, 128, 255]
    assert decode(data, 3)[0, 3].tolist() == [128, 128, 128]


def test_floating_point_pixels_are_refused(encoded):
    with pytest.raises(BadImage, match="floating-point"):
        decode(encoded(np.ones((2, 2), np.float32), "TIFF"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_image_upright(picture, encoded, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(), exif=exif)
    expected = np.asarray(module.ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert np.array_equal(decode(data, 3), expected)
    assert read_header(data) == (*expected.shape[1::-1], 3)


def test_exif_behind_a_long_profile_turns_the_image_too(picture, encoded):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(picture(), exif=exif, icc_profile=b"profile " * 20_000)
    place = data.index(b"Exif") - 4
    length = 2 + int.from_bytes(data[place + 2 : place + 4])
    end = data.rindex(b"ICC_PROFILE")
    end += int.from_bytes(data[end - 2 : end]) - 2
    behind = data[:place] + data[place + length : end] + data[place : place + length] + data[end:]
    assert behind.index(b"Exif") > 150_000
    assert np.array_equal(decode(behind, 3), decode(data, 3)) and decode(behind, 3).shape == (16, 12, 3)


def test_exif_turns_pngs_too(picture, encoded):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(picture(), "PNG", exif=exif)
    assert decode(data, 3).shape == (16, 12, 3)
    assert read_header(data) == (12, 16, 3)


def test_a_header_is_read_without_decoding(picture, encoded):
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"):
        data = encoded(picture(height=200, width=300), kind)
        with pytest.raises(BadImage):
            decode(data[: len(data) * 2 // 3])
        if kind not in ("TIFF", "WEBP"):  # these keep their tables at the end, or check the length first
            assert read_header(data[: len(data) * 2 // 3]) == (300, 200, 3)


def test_a_turn_that_only_xmp_tells_counts_too(picture, encoded):
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"></rdf:Description></x:xmpmeta>'
    data = encoded(picture(), xmp=xmp)
    assert decode(data, 3).shape == (16, 12, 3)


def test_of_an_animation_the_first_frame_counts(encoded):
    frames = [Image.fromarray(np.full((2, 2), value, np.uint8)) for value in (50, 200)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert set(decode(data, 1).ravel().tolist()) == {50}


def test_arrays_carry_any_number_of_channels():
    def saved(array):
        data = io.BytesIO()
        np.save(data, array)
        return data.getvalue()

    five = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    assert np.array_equal(decode(saved(five)), five)
    assert read_header(saved(five)) == (4, 3, 5)
    assert np.array_equal(decode(saved(np.asfortranarray(five.astype(np.uint16) << 8)), 5), five)
    assert decode(saved(five[:, :, 0]), 3).shape == (3, 4, 3)
    with pytest.raises(BadImage, match=r"has 5 channels, not 3; set datamodule.channels=5"):
        decode(saved(five), 3)
    with pytest.raises(BadImage, match="holds an array"):
        decode(saved(five.astype(np.float32)))


def test_images_have_no_two_channels(picture, encoded):
    with pytest.raises(BadImage, match=r"has no 2 channels; set datamodule.channels to 1, 3 or 4"):
        decode(encoded(picture()), 2)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.6])
def test_truncated_files_are_bad_images(picture, encoded, kind, share):
    data = encoded(picture(height=60, width=80), kind)
    with pytest.raises(BadImage, match="is empty" if share == 0 else "cannot be decoded: ."):
        decode(data[: int(share * len(data))])


def test_what_is_no_image_is_a_bad_image():
    with pytest.raises(BadImage, match="cannot be decoded: is none of JPEG, PNG"):
        read_header(b"a,b\n1,2\n" * 100)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of what it skips
def test_damaged_files_raise_nothing_but_bad_image(picture, encoded):
    rng = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM"):
        whole = np.frombuffer(encoded(picture(), kind), np.uint8)
        for _ in range(150):
            data = whole.copy()
            places = rng.integers(0, min(len(data), 400), rng.integers(1, 8))
            data[places] = rng.integers(0, 256, len(places))
            for read in (read_header, decode):
                try:
                    read(data.tobytes())
                except BadImage as error:
                    assert str(error)


def test_huge_images_are_refused_before_they_are_decoded():
    side = struct.pack(">II", 20_000, 20_000)
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + side + bytes([8, 2, 0, 0, 0])
    png += struct.pack(">I", module.zlib.crc32(png[12:])) + b"\0\0\0\x09IDAT"
    for read in (decode, read_header):
        with pytest.raises(BadImage, match="has 20000 x 20000 pixels, more than 100 million"):
            read(png)


def test_pixels_are_contiguous_but_for_the_fourth_byte_of_a_jpeg_in_colour(picture, encoded):
    for kind in ("JPEG", "PNG"):
        for channels in (1, 3, 4):
            pixels = decode(encoded(picture(), kind), channels)
            assert pixels.dtype == np.uint8
            assert pixels.strides == ((64, 4, 1) if (kind, channels) == ("JPEG", 3) else (16 * channels, channels, 1))


def test_a_pillow_image_of_any_mode_becomes_pixels(picture):
    assert to_pixels(Image.fromarray(picture()).convert("HSV"), 3).shape == (12, 16, 3)
    assert to_pixels(Image.new("1", (2, 3), 1), None).tolist() == [[[255]] * 2] * 3
