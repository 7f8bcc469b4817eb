"""What a run wrote of its evaluation set and what the server keeps of its answers are the same quantities."""

import csv
import io
import json

import numpy as np
import pytest
from safetensors.numpy import save
from sqlalchemy import select

from serving.monitoring import reference as module
from serving.monitoring.reference import References, names_of, of_table
from serving.monitoring.scores import MOST_SCORES, STEPS, kept
from serving.tables import evaluation
from tests.serving.conftest import put
from tests.serving.material import manifest, weights
from tests.serving.monitoring.conftest import CLASSES, golden_with, logits_of, register, table_of

HEADS = ["digit=0", "digit=1", "digit=2", "colour=red", "colour=blue"]
CASES = {
    "classification": (CLASSES, 3, None),
    "heads": (HEADS, 5, [1.5, 0.7]),
    "multilabel": (["cat", "dog"], 2, 1.3),
    "regression": (["price", "size"], 2, None),
}


def target_of(task, logits):
    if task == "heads":
        return np.stack([logits[:, :3].argmax(1), 3 + logits[:, 3:].argmax(1)], axis=1)
    return logits.argmax(1) if task == "classification" else logits > 0 if task == "multilabel" else logits


@pytest.mark.parametrize("task", CASES)
def test_a_runs_table_is_read_as_its_answers_are_kept(task, rng):
    classes, columns, temperature = CASES[task]
    logits = rng.normal(0, 3, (50, columns))
    rows = list(csv.DictReader(io.StringIO(table_of(task, classes, logits, target_of(task, logits), temperature))))
    then, now = of_table(task, classes, rows), kept(task, classes, logits, temperature)
    assert then.choice == now.choice
    assert (then.confidence is None) == (now.confidence is None) == (task == "regression")
    if now.confidence is not None:
        np.testing.assert_allclose(then.confidence, now.confidence, atol=1e-6)
    step = 0 if task == "regression" else 1 / STEPS
    np.testing.assert_allclose(then.scores, now.scores, atol=step + 1e-9, rtol=1e-6)
    assert (np.abs(then.scores - now.scores) < 1e-6).mean() > 0.99


@pytest.mark.parametrize("damage", ["golden", "table", "gone"])
def test_a_model_whose_files_cannot_be_read_has_no_reference_and_the_log_says_so(watched, damage, caplog):
    nonsense = "nonsense\n1\n"
    brought = {"golden": {"golden": put(watched, nonsense.encode())}, "table": {"predictions": nonsense}, "gone": {}}
    number = register(watched, 2, **brought[damage])
    if damage == "gone":
        with watched.database.read() as connection:
            own = evaluation.c.model_id == number
            table = connection.execute(select(evaluation.c.predictions_sha256).where(own)).scalar_one()
        watched.store.blobs.path(table).unlink()
    assert References(watched.store).of(number) is None
    assert f"model {number} has no reference, since its files cannot be read: " in caplog.text


def test_of_very_many_classes_choice_and_confidence_are_kept_alone(rng):
    classes = [str(number) for number in range(MOST_SCORES + 1)]
    logits = rng.normal(0, 3, (9, len(classes)))
    now = kept("classification", classes, logits, None)
    rows = list(csv.DictReader(io.StringIO(table_of("classification", classes, logits, logits.argmax(1)))))
    then = of_table("classification", classes, rows)
    assert now.scores is None and then.scores is None and then.choice == now.choice


def test_a_single_target_without_a_name_has_one():
    assert names_of("regression", []) == ["value"] and names_of("regression", ["price"]) == ["price"]


@pytest.mark.parametrize("brought", [np.ones((5, 3), "f4"), np.ones((5, 5), "f4"), np.full((5, 4), np.nan, "f4")])
def test_masks_of_other_classes_are_no_reference(watched, brought):
    described = json.dumps(json.loads(manifest(weights(2))) | {"task": "segmentation"})
    own = {"predictions": None, "manifest": described}
    assert (
        References(watched.store).of(register(watched, 2, 0.1, golden=put(watched, save({"masks": brought})), **own))
        is None
    )
    sound = register(watched, 2, 0.1, golden=put(watched, save({"masks": np.ones((5, 4), "f4")})), **own)
    assert References(watched.store).of(sound).kept.scores.shape == (5, 3)


def test_the_first_evaluation_is_the_reference_not_one_on_another_models_set(watched):
    from serving.package import Measurement
    from tests.serving.material import OTHER_SET, SET

    other = logits_of(np.random.default_rng(9), 30)
    told = put(watched, table_of("classification", CLASSES, other, other.argmax(1)).encode())
    with watched.database.alone() as connection:
        measured = Measurement(set_digest=OTHER_SET, split="test", images=30, figures={}, predictions=told)
        watched.store.measure(connection, 1, measured)
    reference = References(watched.store).of(1)
    assert (reference.images, reference.set_digest, reference.names) == (1000, SET, CLASSES)


def test_of_a_large_set_some_images_of_every_class_are_the_reference(watched, monkeypatch):
    whole = References(watched.store).of(1).kept
    monkeypatch.setattr(module, "MOST_IMAGES", 300)
    some = References(watched.store).of(1)
    assert 200 <= some.images <= 300 and some.kept.choice == whole.choice[:: -(-1000 // some.images)]


def test_a_model_without_predictions_and_embeddings_has_no_reference(watched):
    assert References(watched.store).of(register(watched, 2, 0.1, predictions=None)) is None


def test_embeddings_are_a_reference_with_predictions_and_without(watched, rng):
    embeddings = rng.normal(size=(40, 13)).astype("f4")
    golden = golden_with(watched, embeddings)
    alone = References(watched.store).of(register(watched, 2, 0.1, predictions=None, measurement=None, golden=golden))
    assert alone.kept[:3] == (None, None, None) and alone.images == 40 and alone.set_digest is None
    both = References(watched.store).of(register(watched, 3, 0.1, golden=golden))
    assert len(both.kept.choice) == 1000
    np.testing.assert_array_equal(both.kept.embedding, embeddings)


@pytest.mark.parametrize("embeddings", [[[np.nan, 1.0]], [1.0, 2.0], np.empty((0, 13)), np.empty((5, 0))])
def test_what_a_worker_sends_as_embeddings_and_is_none_is_no_reference(watched, embeddings):
    golden = golden_with(watched, embeddings)
    assert References(watched.store).of(register(watched, 2, 0.1, predictions=None, golden=golden)) is None
