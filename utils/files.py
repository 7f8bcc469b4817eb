"""Files that are either whole or not there."""

import hashlib
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes so that a reader sees all of the file or the old one, after a power cut too.

    Makes the missing folders. A failure (full disk, no permission) leaves nothing half-written and raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid4().hex[:8]}.part")
    try:
        with part.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def as_yaml(values: Any) -> str:
    """Plain values in their order, by PyYAML's compiled writer."""
    return yaml.dump(values, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)


def of_yaml(text: str) -> Any:
    """Plain values, by PyYAML's compiled reader. Raises yaml.YAMLError."""
    return yaml.load(text, yaml.CSafeLoader)


def sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_file(path: Path) -> str:
    """The content's sha256 as 64 hex digits, in constant memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
