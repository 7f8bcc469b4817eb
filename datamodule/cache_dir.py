"""What lies below datamodule.cache_dir is written whole or not at all, and says so when it cannot be written."""

import errno
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


@contextmanager
def writing_below(cache_dir: Path) -> Iterator[None]:
    """Turns a full or closed disk into an OSError that says what to do."""
    try:
        yield
    except OSError as error:
        ours = error.filename is None or Path(error.filename).absolute().is_relative_to(cache_dir.absolute())
        if ours and error.errno in FULL:
            said = f"no room for the image cache ({error.strerror}); free some, or move datamodule.cache_dir"
        elif ours and error.errno in CLOSED:
            said = f"cannot write the image cache ({error.strerror}); set datamodule.cache_dir to another folder"
        else:
            raise
        raise OSError(error.errno, said, str(cache_dir)) from error


def recalled(memory: Path, is_whole: Callable[[Any], bool]) -> Any | None:
    """What a json file of the cache tells; None where there is none, or a damaged one, which the log names."""
    told = whole(memory, is_whole)
    if told is None and memory.exists():
        log.warning("%s is damaged; it is made anew", memory)
    return told


def whole(memory: Path, is_whole: Callable[[Any], bool]) -> Any | None:
    """The same without a word in the log."""
    try:
        told = json.loads(memory.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return told if is_whole(told) else None
