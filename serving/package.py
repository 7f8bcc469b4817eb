"""What a model comes to the store with, and the checks that need no torch: hash, header, finite weights, manifest."""

import hashlib
import json
import mmap
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from models.manifest import Manifest
from serving.blobs import SHA256
from serving.settings import NAME
from utils.build import targets
from utils.files import of_yaml
from utils.overrides import CONFIGURATION

Sha256 = Annotated[str, StringConstraints(pattern=f"^{SHA256}$")]
Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
Figure = Annotated[float, Field(allow_inf_nan=False)]

LONGEST_HEADER = 100 << 20  # bytes, as the safetensors library allows
PIECE = 8 << 20  # bytes looked at a time
AROUND = "models.rescaled.Rescaled"  # what a regression lays around its network
# By their name in safetensors: torch's name, bytes of an element, and of floats how numpy sees them.
KINDS: dict[str, tuple[str, int, str | None]] = {
    "F64": ("float64", 8, "<f8"),
    "F32": ("float32", 4, "<f4"),
    "F16": ("float16", 2, "<f2"),
    "BF16": ("bfloat16", 2, None),
    "I64": ("int64", 8, None),
    "I32": ("int32", 4, None),
    "I16": ("int16", 2, None),
    "I8": ("int8", 1, None),
    "U8": ("uint8", 1, None),
    "BOOL": ("bool", 1, None),
}


class BadCandidate(ValueError):
    """A model that must not go into the store, and why."""


class Measurement(BaseModel):
    """Figures on one evaluation set. set_digest: sha256 of its sorted `sha256<TAB>label` lines."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    set_digest: Sha256
    split: Literal["val", "test"]
    images: Annotated[int, Field(gt=0, lt=2**31)]
    figures: Annotated[dict[Annotated[str, StringConstraints(max_length=40)], Figure | None], Field(max_length=64)]
    predictions: Sha256 | None = None  # the blob of the CSV


class Package(BaseModel):
    """A model as it is registered; files are blobs that were sent before, named by their sha256."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    model: Sha256
    manifest: Annotated[str, StringConstraints(max_length=1 << 20)]
    configuration: Sha256 | None = None
    golden: Sha256 | None = None
    measurement: Measurement | None = None
    split: Annotated[dict[str, Any], Field(max_length=8)] = {}
    code_version: Annotated[str, StringConstraints(max_length=80)]


class Tensor:
    """A tensor in a safetensors file: where its bytes lie and what they are."""

    def __init__(self, name: str, facts: dict[str, Any]) -> None:
        self.name = name
        self.kind, self.shape = facts["dtype"], tuple(facts["shape"])
        self.begin, self.end = facts["data_offsets"]
        self.elements = int(np.prod(self.shape, dtype=np.int64))
        if self.kind not in KINDS or self.end - self.begin != self.elements * KINDS[self.kind][1]:
            raise BadCandidate(f"tensor {name[:80]}: its type {str(self.kind)[:20]}, shape and length do not agree")


def manifest_of(package: Package) -> Manifest:
    """The manifest, strictly read; its architecture is one of those that this project's yaml names."""
    try:
        manifest = Manifest.model_validate_json(package.manifest)
    except ValidationError as error:
        raise BadCandidate(f"the manifest is none of this version: {error.errors()[0]['msg']}") from error
    named = [str(node["_target_"]) for _, node in targets(manifest.architecture)]
    foreign = [name for name in named if name not in architectures()]
    if foreign or "_target_" not in network_of(manifest.architecture):
        raise BadCandidate(f"the manifest's architecture {str(foreign)[:200]} is none of configuration/models")
    return manifest


def network_of(architecture: dict[str, Any]) -> dict[str, Any]:
    """The network itself, without what its task lays around it."""
    if architecture.get("_target_") != AROUND:
        return architecture
    inner = architecture.get("net")
    return inner if isinstance(inner, dict) else {}


@cache
def architectures() -> frozenset[str]:
    """The targets that the yamls of models name, and what a task lays around them: a manifest may name no other."""
    files = [of_yaml(file.read_text()) for file in (CONFIGURATION / "models").glob("*.yaml")]
    return frozenset({AROUND, *(node["_target_"] for content in files for _, node in targets(content))})


def check_weights(file: Path, manifest: Manifest) -> None:
    """Raises BadCandidate where the file is not whole, not finite or not what the manifest describes.

    Reads by pieces: memory stays the same whatever the size.
    """
    with file.open("rb") as stream:
        tensors, start = header(stream.read(8), stream, file.stat().st_size)
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            state = hashlib.sha256()
            for tensor in sorted(tensors, key=lambda tensor: tensor.name):
                state.update(f"{tensor.name} torch.{KINDS[tensor.kind][0]} {tensor.shape}\n".encode())
                for piece in pieces(content, start + tensor.begin, start + tensor.end):
                    state.update(piece)
                    _refuse_not_finite(tensor, piece)
    if state.hexdigest() != manifest.weights_sha256:
        raise BadCandidate("the weights are not those that the manifest describes (sha256 differs)")
    if manifest.parameters > sum(tensor.elements for tensor in tensors):
        raise BadCandidate(f"the manifest names {manifest.parameters:,} parameters, the file holds fewer")


def header(length: bytes, stream: Any, size: int) -> tuple[list[Tensor], int]:
    """The tensors of a safetensors file and where their bytes begin."""
    if len(length) < 8 or not 2 <= (count := struct.unpack("<Q", length)[0]) <= min(LONGEST_HEADER, size - 8):
        raise BadCandidate("the file is no safetensors file, or not whole")
    try:
        facts = json.loads(stream.read(count))
        facts.pop("__metadata__", None)
        tensors = [Tensor(name, value) for name, value in facts.items()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise error if isinstance(error, BadCandidate) else BadCandidate("the file's header cannot be read") from error
    ends = sorted((tensor.begin, tensor.end) for tensor in tensors)
    gapless = all(first[1] == second[0] for first, second in zip([(0, 0), *ends], ends, strict=False))
    if not ends or not gapless or 8 + count + ends[-1][1] != size:
        raise BadCandidate("the file is truncated, or its tensors leave gaps")
    return tensors, 8 + count


def pieces(content: mmap.mmap, begin: int, end: int) -> Iterator[bytes]:
    for place in range(begin, end, PIECE):
        yield content[place : min(place + PIECE, end)]


def _refuse_not_finite(tensor: Tensor, piece: bytes) -> None:
    if not finite(tensor.kind, piece):
        raise BadCandidate(f"tensor {tensor.name[:80]} holds what is not a number")


def finite(kind: str, piece: bytes) -> bool:
    """Whether all of a piece's elements are; those of whole numbers always are."""
    if kind == "BF16":
        exponents: NDArray[np.uint16] = np.frombuffer(piece, "<u2") & np.uint16(0x7F80)
        return not (exponents == 0x7F80).any()
    seen_as = KINDS[kind][2]
    return seen_as is None or bool(np.isfinite(np.frombuffer(piece, seen_as)).all())
