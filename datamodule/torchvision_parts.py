"""Any class of torchvision.datasets as parts of pairs: which parts it has, how it is opened, what its images hold."""

import hashlib
import inspect
import operator
import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from datamodule.decode import to_pixels
from datamodule.parallel import spread

PARTS = {"train": ("train", "trainval", "train-standard"), "val": ("val", "valid"), "test": ("test",)}
ARCHIVE = re.compile(r"https?://[^\s\"'{}]+|[\w.-]+\.(?:gz|zip|tgz|tar|bz2|mat|bin|h5|csv)\b")
CHUNK = 256
PATIENCE_S = 30.0
Arguments = dict[str, Any]


class Pairs(Protocol):
    """One part of a torchvision set: pairs of a Pillow image and a class number."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int) -> tuple[Image.Image, object]: ...


def open_parts(name: str, root: Path, arguments: Arguments, download: bool) -> dict[str, Pairs]:
    """The set's parts by split; one that knows no parts is all "all". Raises ValueError where it cannot be had."""
    kind = set_named(name)
    known = parameters(kind)
    offered = {"root": str(root), "download": download}
    common = {**{key: value for key, value in offered.items() if key in known}, **arguments}
    if "train" in known and "train" not in arguments:
        return {part: open_part(kind, {**common, "train": part == "train"}) for part in ("train", "test")}
    if "split" in known and "split" not in arguments:
        return {part: pairs for part, names in PARTS.items() for pairs in open_first(kind, common, names)}
    return {"all": open_part(kind, common)}


def set_named(name: str) -> type:
    """The class of torchvision.datasets. Raises ValueError with the nearest names."""
    from torchvision import datasets

    if name not in datasets.__all__:
        near = ", ".join(get_close_matches(name, datasets.__all__, cutoff=0.4)) or "MNIST, CIFAR10, …"
        raise ValueError(f"torchvision has no data set {name!r}; the nearest for datamodule.name: {near}")
    kind: type = getattr(datasets, name)
    return kind


def parameters(kind: type) -> set[str]:
    """What a class's constructor takes, its bases' too as far as it passes on what it does not know."""
    names: set[str] = set()
    for base in kind.__mro__:
        taken = inspect.signature(base.__init__).parameters  # type: ignore[misc]
        names |= taken.keys()
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in taken.values()):
            break
    return names


def open_first(kind: type, common: Arguments, names: Sequence[str]) -> list[Pairs]:
    """The part under the first of these names that the set knows; nothing where it knows none."""
    for name in names:
        try:
            return [open_part(kind, {**common, "split": name})]
        except UnknownPart:
            continue
    return []


def open_part(kind: type, arguments: Arguments) -> Pairs:
    """Opens, and downloads where asked to."""
    try:
        with patience(PATIENCE_S):
            pairs: Pairs = kind(**arguments)
        return pairs
    except TypeError as error:
        raise ValueError(f"torchvision's {kind.__name__} refuses datamodule.arguments: {error}") from error
    except ValueError as error:  # of its check of a part's name, which comes before any download
        raise UnknownPart(f"torchvision's {kind.__name__} refuses {arguments}: {error}") from error
    except (OSError, RuntimeError) as error:
        raise ValueError(unavailable(kind, arguments, error)) from error


class UnknownPart(ValueError):
    """A set has no part of this name."""


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """How long a silent network is waited for."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def unavailable(kind: type, arguments: Arguments, error: Exception) -> str:
    """Which files to put where: the names are in the class's source, the folders were made for them and are empty."""
    root = Path(arguments.get("root", "."))
    source = inspect.getsource(kind).replace(kind.__doc__ or "", "")
    files = ", ".join(dict.fromkeys(ARCHIVE.findall(source)))
    made = [folder for folder, inner, found in os.walk(root) if not inner and not found]
    reason, where = " ".join(str(error).split()), " or ".join(made) or str(root)
    return f"torchvision's {kind.__name__} is not in {root} ({reason}); put its files into {where}: {files}"


def columns_of(parts: dict[str, Pairs]) -> dict[str, list[Any]]:
    """The inventory's columns; reads every image, by threads."""
    places = [(part, number) for part, pairs in parts.items() for number in range(len(pairs))]
    chunks = [places[start : start + CHUNK] for start in range(0, len(places), CHUNK)]
    names = classes_of(parts)

    def look(chunk: list[tuple[str, int]]) -> list[tuple[str, int, int, str]]:
        return [look_at(parts[part], number, names) for part, number in chunk]

    seen = [one for some in spread(look, chunks, "hashing images", len) for one in some]
    columns = dict(zip(("sha256", "width", "height", "label"), map(list, zip(*seen, strict=True)), strict=True))
    split = ["" if part == "all" else part for part, _ in places]
    return {"path": [f"{part}/{number:06d}" for part, number in places], "split": split, **columns}


def look_at(pairs: Pairs, number: int, names: list[str]) -> tuple[str, int, int, str]:
    """sha256 of the pixels, width, height and label of an image; 0, 0 where it cannot be read."""
    try:
        image, target = pairs[number]
        pixels = to_pixels(image, None)
    except OSError as error:
        return hashlib.sha256(str(error).encode()).hexdigest(), 0, 0, ""
    sha256 = hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()
    return sha256, pixels.shape[1], pixels.shape[0], label_of(target, names)


def label_of(target: object, names: list[str]) -> str:
    """A class's name; "" for None and -1, which stand for no label. Raises ValueError for what is no class number."""
    if target is None:
        return ""
    try:
        number = operator.index(target)  # type: ignore[arg-type]
    except TypeError as error:
        raise ValueError(f"target {target!r} is no class number; take another set or datamodule.arguments") from error
    return "" if number < 0 else names[number] if names else str(number)


def classes_of(parts: dict[str, Pairs]) -> list[str]:
    """The names in the set's order; empty where it has numbers only."""
    pairs = next(iter(parts.values()))
    names = getattr(pairs, "classes", None) or getattr(pairs, "categories", [])
    return [name if isinstance(name, str) else ", ".join(name) for name in names]
