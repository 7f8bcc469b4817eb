"""One model, ready to answer: engine, classes and hash in one immutable piece, so that an answer never mixes two."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from datamodule.decode import Pixels
from datamodule.preprocessing import Preprocessing
from models.manifest import Manifest, preprocessing, read_manifest
from serving.answers import Answer, Asked, Teller, teller
from serving.engines.engine import Engine, EngineError, Logits
from serving.engines.gate import Tolerance, judge
from serving.monitoring.scores import of_masks
from serving.package import BadCandidate
from serving.preparation import engine_of, folder_of, golden_of
from serving.store import Store, require_whole

Role = Literal["live", "canary", "shadow"]
AGREEMENT = 0.9  # of the golden batch's few images: what is looked for here is a broken engine, not a lost tenth
NOT_FINITE = "the network's answer to this image is not a number"


@dataclass(frozen=True)
class Bundle:
    """generation: of the endpoint, that this model answers for. sha256: of the model file."""

    endpoint: str
    role: Role
    generation: int
    model_id: int
    version: int
    sha256: str
    manifest: Manifest
    shape: Preprocessing
    engine: Engine
    tell: Teller

    @property
    def named(self) -> dict[str, Any]:
        """The model, as answers name it."""
        return {"id": self.model_id, "name": self.endpoint, "version": self.version, "sha256": self.sha256}

    def read(self, data: bytes) -> Pixels:
        """A checked image's pixels as they are in its file. Raises BadImage."""
        return self.shape.read(data)

    def answers(self, pixels: Sequence[Pixels], asked: Sequence[Asked]) -> tuple[Logits, list[Answer]]:
        """Of fitted images (height, width, channels); an answer that is no number says so.

        The logits are for the monitoring: of masks what it keeps of them, since all are too much to keep.
        """
        logits = self.engine(np.stack(pixels))
        finite = [bool(np.isfinite(own).all()) for own in logits]
        told = self.tell(logits if all(finite) else np.nan_to_num(logits), asked)
        kept = of_masks(logits) if self.manifest.task == "segmentation" else logits
        return kept, [own if good else {"error": NOT_FINITE} for own, good in zip(told, finite, strict=True)]


def load(
    store: Store, engine: Mapping[str, Any], batch: int, endpoint: str, role: Role, generation: int, number: int
) -> Bundle:
    """Checks, prepares, loads and warms a model. Raises BadCandidate, LookupError for what must not answer.

    engine: its node in the configuration. batch: the most images that it will be given.
    """
    row, files = store.get(number), store.files(number)
    require_whole(store.blobs, files)
    folder = folder_of(store.root, store.blobs, files)
    manifest = read_manifest(folder)
    made = engine_of(folder, engine)
    shape = preprocessing(manifest)
    _warm(made, shape, {1, batch} - _golden_answered(folder, manifest, made, batch))
    made.rest()
    facts = (number, row["version"], row["file_sha256"], manifest, shape, made, teller(manifest, shape))
    return Bundle(endpoint, role, generation, *facts)


def _golden_answered(folder: Path, manifest: Manifest, engine: Engine, batch: int) -> set[int]:
    """The engine decides about golden images, a batch at most, as the network did where it was trained.

    Answers the batch sizes that it has run.
    """
    golden = golden_of(folder)
    if golden is None:
        return set()
    pixels, expected = (of_all[:: -(-len(of_all) // batch)] for of_all in golden)
    said = _run(lambda: engine(pixels))
    if said.shape != expected.shape:
        raise BadCandidate(f"its engine answers {said.shape}, the network answered {expected.shape}")
    verdict = judge(manifest.task, said, expected, None, Tolerance(AGREEMENT), manifest.classes)
    if not verdict.accepted:
        raise BadCandidate(f"its engine does not answer the golden batch as the network did: {verdict.why}")
    return {len(pixels)}


def _warm(engine: Engine, shape: Preprocessing, sizes: set[int]) -> None:
    """The first calls of each size are slow: memory is planned and kernels are chosen."""
    for size in sizes:
        blank = np.zeros((size, *shape.sides), np.uint8)
        _run(lambda blank=blank: engine(blank))  # type: ignore[misc]


def _run(call: Callable[[], Logits]) -> Logits:
    try:
        return call()
    except (EngineError, RuntimeError, MemoryError) as error:
        raise BadCandidate(f"its engine does not run: {error}") from error
