"""What lies below datamodule.cache_dir is written whole or not at all, and says so when it cannot be written."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
