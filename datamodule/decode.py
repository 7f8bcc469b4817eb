"""From a file's bytes to pixels: by simplejpeg where it is bit-equal to Pillow (and much faster), else by Pillow."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

Pixels = npt.NDArray[np.uint8]
Enough = Callable[[int, int], tuple[int, int]]  # height and width of an image → those it may be decoded at, at least

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".npy"})
FILES = (
    JpegImagePlugin.JpegImageFile,
    PngImagePlugin.PngImageFile,
    WebPImagePlugin.WebPImageFile,
    BmpImagePlugin.BmpImageFile,
    TiffImagePlugin.TiffImageFile,
    GifImagePlugin.GifImageFile,
    PpmImagePlugin.PpmImageFile,
)
FORMATS = tuple(str(file.format) for file in FILES)  # no other, such as EPS, which starts Ghostscript
MAX_PIXELS = 100_000_000
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
ORIENTATION = 0x0112
APP1, SCAN = 0xE1, 0xDA  # markers of a JPEG's segments: of one that can tell how it is turned, of its pixels
TELLING = (b"Exif\0\0", b"http://ns.adobe.com/xap/")
SIMPLEJPEG_GIVES_UP = (ValueError, KeyError)  # KeyError: a colour space that it has no name for
BROKEN = (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, struct.error, zlib.error)

Image.MAX_IMAGE_PIXELS = None  # Pillow only warns from 89 Mpx on; _refuse_huge takes its place


class BadImage(ValueError):
    """An image that cannot be decoded; the message is the reason, without the file's name."""


class HugeImage(BadImage):
    """One of more than MAX_PIXELS pixels."""


class Header(NamedTuple):
    """Size in pixels as decoded (after EXIF rotation) and channels as stored: 1, 3, or an array's own."""

    width: int
    height: int
    channels: int


def decode(data: bytes, channels: int | None = None, enough: Enough | None = None) -> Pixels:
    """An image file's pixels (H, W, channels), turned upright by EXIF; channels None: 1 for gray files, 3 for others.

    enough: from an upright JPEG's height and width to the least that will do, so that it may be decoded smaller.
    Of a JPEG in colour it is a view of four bytes a pixel, which Pillow resizes without a copy.
    16 bits keep their upper 8; transparency lies on white unless channels is 4; of an animation the first frame counts.
    More than 4 channels are read from .npy arrays (H, W, C). Raises BadImage.
    """
    try:
        if data.startswith(b"\x93NUMPY"):
            return _from_array(_load_array(data), channels)
        pixels = _decode_jpeg(data, channels, enough) if _is_upright_jpeg(data) else None
        return _decode_pillow(data, channels) if pixels is None else pixels
    except BadImage:
        raise
    except BROKEN as error:
        raise BadImage(_reason(data, error)) from error


def read_header(data: bytes) -> Header:
    """An image's size without decoding it. Raises BadImage."""
    try:
        if data.startswith(b"\x93NUMPY"):
            height, width, channels = _load_array(data).shape
            return Header(width, height, channels)
        return _jpeg_header(data) if _is_upright_jpeg(data) else _pillow_header(data)
    except BadImage:
        raise
    except BROKEN as error:
        raise BadImage(_reason(data, error)) from error


def _is_upright_jpeg(data: bytes) -> bool:
    if not data.startswith(b"\xff\xd8\xff"):
        return False
    if not _tells_how_it_is_turned(data):
        return True
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        return image.getexif().get(ORIENTATION, 1) == 1


def _tells_how_it_is_turned(data: bytes) -> bool:
    """Whether EXIF or XMP stands before a JPEG's pixels, looked for as Pillow does: from segment to segment."""
    place = 2
    while place + 4 <= len(data):
        marker = data[place + 1]
        if data[place] != 0xFF or marker in (0, 0xFF):  # between two segments
            place += 1
        elif marker == SCAN:
            return False
        elif marker == APP1 and data.startswith(TELLING, place + 4):
            return True
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4])
    return False


def _jpeg_header(data: bytes) -> Header:
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except SIMPLEJPEG_GIVES_UP:
        return _pillow_header(data)
    _refuse_huge(width, height)
    return Header(width, height, 1 if colorspace == "Gray" else 3)


def _decode_jpeg(data: bytes, channels: int | None, enough: Enough | None) -> Pixels | None:
    """None where Pillow has to do it: CMYK, gray or alpha out of colour, and files that only Pillow forgives."""
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
        if width * height > MAX_PIXELS:
            return None
        high, wide = enough(height, width) if enough else (0, 0)
        if colorspace == "Gray" and channels in (1, None):
            return simplejpeg.decode_jpeg(data, "GRAY", min_height=high, min_width=wide, min_factor=2)
        if colorspace in ("Gray", "RGB", "YCbCr") and channels in (3, None):
            return simplejpeg.decode_jpeg(data, "RGBX", min_height=high, min_width=wide, min_factor=2)[:, :, :3]
    except SIMPLEJPEG_GIVES_UP:
        return None
    return None


def _pillow_header(data: bytes) -> Header:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        _refuse_huge(image.width, image.height)
        turned = _may_be_turned(image, data) and image.getexif().get(ORIENTATION, 1) >= 5
        width, height = (image.height, image.width) if turned else image.size
        return Header(width, height, 1 if image.mode in GRAY_MODES else 3)


def _may_be_turned(image: Image.Image, data: bytes) -> bool:
    """Of a PNG, asking for EXIF that is not there would decode all of it."""
    return image.format != "PNG" or b"eXIf" in data or b"XML:com.adobe.xmp" in data


def _decode_pillow(data: bytes, channels: int | None) -> Pixels:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        _refuse_huge(image.width, image.height)
        return to_pixels(ImageOps.exif_transpose(image), channels)


def to_pixels(image: Image.Image, channels: int | None) -> Pixels:
    """An upright Pillow image of any mode as (H, W, channels), as `decode` does it."""
    gray = image.mode in GRAY_MODES
    if channels is None:
        channels = 1 if gray else 3
    if channels not in MODES:
        raise BadImage(f"has no {channels} channels; set datamodule.channels to 1, 3 or 4, or give .npy arrays")
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    elif image.mode == "F":
        raise BadImage("holds floating-point pixels, whose range is not known; store it with 8 or 16 bits")
    if channels < 4 and image.has_transparency_data:
        image = _on_white(image)
    pixels = np.asarray(image if image.mode == MODES[channels] else image.convert(MODES[channels]))
    return np.ascontiguousarray(pixels).reshape(image.height, image.width, channels)


def _eight_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(image).clip(0, 65535).astype(np.uint16) >> 8).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _load_array(data: bytes) -> npt.NDArray[np.unsignedinteger[Any]]:
    file = io.BytesIO(data)
    old = np.lib.format.read_magic(file) == (1, 0)
    shape, _, dtype = (np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0)(file)
    if len(shape) not in (2, 3) or dtype not in (np.uint8, np.uint16) or 0 in shape:
        raise BadImage(f"holds an array {shape} of {dtype}; give (height, width, channels) of uint8 or uint16")
    _refuse_huge(shape[1], shape[0])
    array: npt.NDArray[np.unsignedinteger[Any]] = np.load(io.BytesIO(data), allow_pickle=False)
    return array.reshape(shape[0], shape[1], -1)


def _from_array(array: npt.NDArray[np.unsignedinteger[Any]], channels: int | None) -> Pixels:
    pixels = (array >> 8).astype(np.uint8) if array.dtype == np.uint16 else array.astype(np.uint8)
    own = pixels.shape[2]
    if channels in (None, own):
        return np.ascontiguousarray(pixels)
    if own not in MODES:
        raise BadImage(f"has {own} channels, not {channels}; set datamodule.channels={own}")
    return to_pixels(Image.fromarray(pixels[:, :, 0] if own == 1 else pixels), channels)


def _refuse_huge(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise HugeImage(f"has {width} x {height} pixels, more than {MAX_PIXELS // 1_000_000} million; scale it down")


def _reason(data: bytes, error: BaseException) -> str:
    if not data:
        return "is empty"
    if isinstance(error, UnidentifiedImageError):
        return f"cannot be decoded: is none of {', '.join(FORMATS)}"
    return f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}"
