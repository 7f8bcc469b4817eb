"""What a client may send as an image: a JPEG, PNG or WebP of a bounded size, looked at before it is decoded."""

from datamodule.decode import BadImage, HugeImage, read_header

UNKNOWN_TYPE, TOO_LARGE, BROKEN = 415, 413, 400


class BadUpload(ValueError):
    """An upload that is not answered, with the HTTP status that says so."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def checked(data: bytes, max_pixels: int) -> None:
    """Raises BadUpload for what is none of the formats, cannot be read, or would fill the memory when decoded."""
    if not is_image(data):
        raise BadUpload(UNKNOWN_TYPE, "this is no JPEG, PNG or WebP image")
    try:
        header = read_header(data)
    except BadImage as error:
        raise BadUpload(TOO_LARGE if isinstance(error, HugeImage) else BROKEN, f"the image {error}") from error
    if header.width * header.height > max_pixels:
        size = f"{header.width} x {header.height}"
        raise BadUpload(TOO_LARGE, f"the image has {size} pixels, more than {max_pixels:,}: scale it down")


def is_image(data: bytes) -> bool:
    """By its first bytes, whatever it is called."""
    return data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
