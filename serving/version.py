"""Which code this is: two checkouts that would train alike have the same version."""

import hashlib
import os
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACES = ("train.py", "utils", "datamodule", "models", "serving", "tuning", "active", "configuration")
NAMED = "EVERGREEN_VERSION"  # where an image or a test names its version itself


@cache
def code_version() -> str:
    """The first 12 digits of the sha256 over all sources and yamls, or what the environment names."""
    return os.environ.get(NAMED) or digest_of(ROOT)


def digest_of(root: Path) -> str:
    state = hashlib.sha256()
    for file in sorted(file for place in PLACES for file in _files(root / place)):
        state.update(f"{file.relative_to(root).as_posix()} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return state.hexdigest()[:12]


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    return [file for file in place.rglob("*") if file.suffix in (".py", ".yaml")]
