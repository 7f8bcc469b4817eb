"""A store with a live model whose answers on its evaluation set are known, and answers like them or otherwise."""

import csv
import hashlib
import io
import json
import time

import numpy as np
import pytest
from safetensors.numpy import save

from models.prediction_table import fields, headings
from serving.monitoring.answered import Answered
from serving.package import Package
from tests.serving.conftest import packaged, put
from tests.serving.material import manifest, weights

CLASSES = ["a", "b", "c"]


def logits_of(rng, count, shares=None, sharpness=4.0):
    """Of a model that is mostly right: (count, 3) float32."""
    truth = rng.choice(3, count, p=shares)
    logits = rng.normal(0, 1, (count, 3))
    logits[np.arange(count), truth] += sharpness
    return logits.astype("f4")


def table_of(task, classes, logits, target, temperature=None):
    """As a run writes it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", *headings(task, classes)])
    writer.writerows(["x.png", *own] for own in fields(task, logits, target, classes, temperature))
    return text.getvalue()


def answered(
    logits, model_id=1, generation=1, role="live", at=None, latency_ms=5.0, name="", endpoint="main", embeddings=None
):
    """An answer for each row of logits; `name` makes them answers to other images."""
    at = time.time() if at is None else at
    return [
        Answered(
            id=hashlib.md5(f"{name}{place}".encode()).hexdigest(),
            endpoint=endpoint,
            generation=generation,
            model_id=model_id,
            role=role,
            at=at + place / 1000,
            image_sha256=hashlib.sha256(f"{name}{place}".encode()).hexdigest(),
            logits=own,
            temperature=None,
            embedding=None if embeddings is None else embeddings[place],
            latency_ms=latency_ms + place % 10,
        )
        for place, own in enumerate(logits)
    ]


def golden_with(parts, embeddings) -> str:
    """The golden file of a model that came with its images' embeddings; its sha256."""
    return put(parts, save({"embeddings": np.asarray(embeddings, "f4")}))


def register(parts, seed=1, accuracy=0.9, **changes):
    """A model with the predictions of a mostly right one; its number."""
    logits = logits_of(np.random.default_rng(100 + seed), 1000)
    predictions = table_of("classification", CLASSES, logits, logits.argmax(1))
    package = packaged(parts, accuracy, seed, **({"predictions": predictions} | changes))
    return parts.completion.register(Package(**package), "a test")[0]


def register_masks(parts, shown, seed=3):
    """A model of masks of the classes a, b, c that brought what they show on its evaluation set; its number."""
    described = json.loads(manifest(weights(seed))) | {"task": "segmentation"}
    own = {} if shown is None else {"golden": put(parts, save({"masks": np.asarray(shown, "f4")}))}
    return register(parts, seed, 0.95, manifest=json.dumps(described), predictions=None, **own)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def watched(open_parts, database_url):
    """A store, in each kind of database, with model 1 live on `main`; windows of 200 answers, written when told to."""
    parts = open_parts(database_url, drift_window=200)
    parts.monitor.seconds = 3600
    assert register(parts) == 1
    return parts
