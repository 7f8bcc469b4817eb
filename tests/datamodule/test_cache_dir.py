import errno
import os
from pathlib import Path

import pytest

from datamodule.cache_dir import writing_below


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            errno.ENOSPC,
            "no room for the image cache .No space left on device.; free some, or move datamodule.cache_dir",
        ),
        (errno.EDQUOT, "no room"),
        (errno.EROFS, "cannot write the image cache .Read-only file system.; set datamodule.cache_dir"),
        (errno.EACCES, "cannot write the image cache"),
    ],
)
def test_a_full_or_closed_disk_is_said_with_the_way_out(tmp_path, code, said):
    with pytest.raises(OSError, match=said) as caught, writing_below(tmp_path):
        raise OSError(code, os.strerror(code), str(tmp_path / "pixels" / "file"))
    assert (caught.value.errno, caught.value.filename) == (code, str(tmp_path))


def test_an_error_of_another_file_or_kind_stays_as_it_is(tmp_path):
    with pytest.raises(PermissionError, match=r"^.Errno 13. closed: '/elsewhere/image.png'$"), writing_below(tmp_path):
        raise PermissionError(errno.EACCES, "closed", "/elsewhere/image.png")
    with pytest.raises(FileNotFoundError, match=r"^.Errno 2. gone"), writing_below(Path("relative")):
        raise FileNotFoundError(errno.ENOENT, "gone", "relative/file")
