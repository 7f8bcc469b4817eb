"""Small model files whose manifest is right, made without torch."""

import hashlib
import json

import numpy as np

SET, OTHER_SET = "a" * 64, "b" * 64
VERSION = "test-version"


def weights(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"head.bias": rng.normal(size=3).astype("f4"), "head.weight": rng.normal(size=(3, 4)).astype("f4")}


def weights_sha256(tensors: dict[str, np.ndarray]) -> str:
    """As models.model_file has it."""
    state = hashlib.sha256()
    for name in sorted(tensors):
        state.update(f"{name} torch.{tensors[name].dtype} {tensors[name].shape}\n".encode() + tensors[name].tobytes())
    return state.hexdigest()


def manifest(tensors: dict[str, np.ndarray], **changes) -> str:
    facts = {
        "task": "classification",
        "architecture": {"_target_": "models.simple_cnn.SimpleCnn", "num_classes": 3},
        "classes": ["a", "b", "c"],
        "preprocessing": {"height": 8, "width": 8, "channels": 1, "mean": [0.5], "std": [0.5]},
        "weights_sha256": weights_sha256(tensors),
        "parameters": 15,
        "metrics": {},
        "data_digest": "d" * 64,
        "configuration_digest": "c" * 64,
    }
    return json.dumps(facts | changes)
