"""One answer as the monitoring keeps it, handed over where it was given."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Role = Literal["live", "shadow", "canary"]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a model said of one image.

    id: 32 hex digits; a shadow's may be that of the live answer to the same request. at: seconds since 1970.
    image_sha256: of the bytes as they were sent, so that answers of several models to one image, and what a person says
    of it later, find each other. logits: (classes,) or (targets,), of masks what serving.monitoring.scores.of_masks
    made of them. embedding: of the image. latency_ms: from the whole upload to the answer.
    """

    id: str
    endpoint: str
    generation: int
    model_id: int
    role: Role
    at: float
    image_sha256: str
    logits: NDArray[np.float32] | NDArray[Any]
    temperature: float | list[float] | None
    embedding: NDArray[np.float64] | None
    latency_ms: float
