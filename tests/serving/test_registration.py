"""A run registers itself; what goes live was loaded and asked before, and a deployed model is measured on a new set."""

import json
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from models.outcome import Outcome
from models.run import Run
from serving import client
from serving.__main__ import registered
from serving.client import Refused
from serving.delivery import package_of
from serving.measuring import NOT_MEASURED
from serving.monitoring.embedding import embed
from serving.package import BadCandidate, Package
from serving.parts import assemble
from serving.promotion import Better
from serving.registration import Register
from serving.settings import ServingSettings
from serving.store import Files, sha256_of
from serving.verification import check, verify
from serving.worker import Worker
from tests.serving.conftest import put, served
from tests.serving.material import VERSION
from train import require_store

SMALL = (
    "trainer.max_epochs=1",
    "trainer.speed=fp32",
    "trainer.accelerator=cpu",
    "trainer.report=false",
    "datamodule.n_samples=300",
    "models.num_filters=4",
    "models.dense_width=16",
    "callback=store",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run folder and what `callback=store` said, trained once."""
    folder = tmp_path_factory.mktemp("registered")
    places = [
        f"logs={folder / 'logs'}",
        f"datamodule.cache_dir={folder / 'cache'}",
        f"callback.store.root={folder / 'store'}",
    ]
    done = subprocess.run([sys.executable, "train.py", *SMALL, *places], capture_output=True, text=True, check=True)
    return next((folder / "logs" / "default").iterdir()), done.stdout, folder / "store"


def test_a_run_with_callback_store_is_in_the_store_and_live(finished):
    run, said, root = finished
    assert "store    main: model 1 goes live: nothing was live" in said
    assert len(list((root / "blobs").glob("*/*"))) == 5  # weights, manifest, configuration, golden batch, predictions
    files = sorted(file.name for file in run.iterdir())
    assert "package.json" in files and "golden.safetensors" in files
    stored = json.loads((run / "package.json").read_text())["measurement"]
    assert stored["split"] == "test" and stored["figures"]["accuracy"] >= 0
    golden = load_file(run / "golden.safetensors")
    assert len(golden["embeddings"]) == stored["images"] >= len(golden["pixels"]) > 8
    own = {tuple(np.float32(embed(image))) for image in golden["pixels"]}
    assert len(own) > 8 and own <= {tuple(embedding) for embedding in golden["embeddings"]}


def test_a_regression_goes_live_and_is_called_by_its_network(command, digit_folder, tmp_path):
    """What it is laid into, so that its answers are in the targets' unit, is no network of configuration/models."""
    table = tmp_path / "ages.csv"
    rows = [f"{file},{file.parent.name[-1]}.5" for file in sorted(digit_folder.glob("*/*.png"))]
    table.write_text("\n".join(["path,age", *rows]))
    data = ["task=regression", "datamodule=csv", f"datamodule.file={table}", "datamodule.label_column=age"]
    done = command("train.py", *SMALL, "datamodule.n_samples=null", *data, f"callback.store.root={tmp_path / 'store'}")
    assert "store    main: model 1 goes live: nothing was live" in done.stdout, done.stderr
    parts = assemble(ServingSettings(root=str(tmp_path / "store")), Better(), VERSION, verify)
    assert parts.store.get(1)["architecture"] == "SimpleCnn"
    parts.database.close()


def test_a_store_that_cannot_take_the_model_is_noticed_before_the_training(api, monkeypatch):
    monkeypatch.setattr(client, "LONGEST_PAUSE", 0.01)
    with pytest.raises(ValueError, match="callback.store.name=No Name"):
        Register("No Name")
    with pytest.raises(ValueError, match="a token is needed"):
        Register(server=api.address).check()
    monkeypatch.setenv(client.TOKEN, "nobody's")
    with pytest.raises(Refused, match="unknown, expired or revoked"):
        Register(server=api.address).check()
    with pytest.raises(ConnectionError, match="does not answer"):
        Register(server="http://127.0.0.1:9").check()
    for role in ("viewer", "worker"):
        monkeypatch.setenv(client.TOKEN, api.secrets[role])
        with pytest.raises(ValueError, match=f"has the role {role}, which may not register a model"):
            Register(server=api.address).check()
    for role in ("operator", "admin"):
        monkeypatch.setenv(client.TOKEN, api.secrets[role])
        Register(server=api.address).check()
    monkeypatch.setenv(client.TOKEN, "nobody's")
    with pytest.raises(Refused):
        require_store({"callback": {"store": {"_target_": "serving.registration.Register", "server": api.address}}})


def test_a_run_that_did_not_reach_the_store_is_told_of_whole_and_registered_later(finished, tmp_path, capsys):
    run = Run(shutil.copytree(finished[0], tmp_path / "run"))
    outcome = Outcome(run, "SimpleCnn", 10, {}, {"train": 300}, 1.0, 1, 5, None, None, "0" * 64)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ValueError, match=f"whole, but not in the store: .*\n.*python -m serving register {run.folder}"):
        Register(root=str(tmp_path / "file"), rule=Better()).register(outcome)
    assert "300 train" in capsys.readouterr().out
    config = run.read()
    config["callback"]["store"]["root"] = str(tmp_path / "store")
    run.write(config)
    assert registered(run.folder) == "main: model 1 goes live: nothing was live"
    with pytest.raises(ValueError, match="is no finished run with callback=store"):
        registered(tmp_path)


@pytest.fixture
def real(finished, open_parts):
    """A store that verifies, with the run's package in it, not yet registered."""
    parts = open_parts(rule=Better(), verify=verify)
    package = package_of(finished[0], "main", parts.store.blobs.put_file)
    return parts, Package(**package)


def files_of(parts, package) -> Files:
    parts.store.inspect(package)
    return Files(package.model, sha256_of(package.manifest), package.golden)


def test_a_sound_model_passes_the_verification(real):
    parts, package = real
    verify(parts.store.blobs, files_of(parts, package))


def lying(package, key, value) -> str:
    told = json.loads(package.manifest)
    told[key] = told[key] | value if isinstance(value, dict) else value
    return json.dumps(told)


@pytest.mark.parametrize(
    ("key", "value", "error", "why"),
    [
        ("classes", ["a", "b"], ValueError, "answers 10 classes, the manifest names 2"),
        ("architecture", {"num_filters": 5}, ValueError, "do not fit the architecture"),
        ("architecture", {"num_filters": 100_000}, ValueError, "do not fit the architecture"),
        ("architecture", {"nonsense": 1}, TypeError, "nonsense"),
        ("preprocessing", {"mean": [0.9]}, ValueError, "answers the golden batch otherwise"),
    ],
)
def test_a_manifest_that_lies_is_found_out(real, tmp_path, key, value, error, why):
    parts, package = real
    manifest = tmp_path / "model.json"
    manifest.write_text(lying(package, key, value))
    with pytest.raises(error, match=why):
        check(parts.store.blobs.path(package.model), manifest, parts.store.blobs.path(package.golden))


def test_a_model_whose_manifest_lies_does_not_go_live(real):
    parts, package = real
    bad = package.model_copy(update={"manifest": lying(package, "architecture", {"nonsense": 1})})
    _, verdict = parts.completion.register(bad, "a test")
    assert not verdict.promote and "it does not work: " in verdict.why and "TypeError" in verdict.why
    assert parts.deployments.get("main")["model_id"] is None


def test_a_golden_batch_that_cannot_be_read_is_told_without_its_place_which_is_in_the_log(real, caplog):
    parts, package = real
    bad = package.model_copy(update={"golden": put(parts, b"nonsense")})
    _, verdict = parts.completion.register(bad, "a test")
    said = r"it does not work: its golden batch cannot be read as safetensors \([^/]*\): train it again"
    assert re.fullmatch(said, verdict.why)
    assert str(parts.store.blobs.path(bad.golden)) in caplog.text


def test_a_golden_batch_without_answers_is_told(real, tmp_path):
    parts, package = real
    (tmp_path / "model.json").write_text(package.manifest)
    save_file({"pixels": np.zeros((1, 8, 8, 1), np.uint8)}, tmp_path / "golden.safetensors")
    with pytest.raises(ValueError, match=r"^its golden batch holds no logits: train it again$"):
        check(parts.store.blobs.path(package.model), tmp_path / "model.json", tmp_path / "golden.safetensors")


def test_a_file_damaged_on_the_disk_does_not_go_live(real):
    parts, package = real
    files = files_of(parts, package)
    place = parts.store.blobs.path(package.model)
    content = bytearray(place.read_bytes())
    content[-1] ^= 1
    place.write_bytes(content)
    with pytest.raises(BadCandidate, match="missing or damaged"):
        verify(parts.store.blobs, files)
    assert parts.store.blobs.corrupt(package.model)


def test_a_deployed_model_is_measured_on_the_candidates_set_by_a_worker_and_then_it_is_decided(
    real, finished, tmp_path, monkeypatch
):
    parts, package = real
    run = tmp_path / "other"
    shutil.copytree(finished[0], run)
    text = (run / "full_configurations.yaml").read_text()
    (run / "full_configurations.yaml").write_text(text.replace("salt: evergreen", "salt: another"))
    assert "salt: another" in (run / "full_configurations.yaml").read_text()
    other = package_of(run, "main", parts.store.blobs.put_file)
    other["measurement"] |= {"set_digest": "e" * 64, "figures": {"accuracy": 1.0}}
    first, _ = parts.completion.register(package, "a test")
    second, verdict = parts.completion.register(Package(**other), "a test")
    assert verdict.why == NOT_MEASURED
    token = parts.tokens.create("w", "worker")
    monkeypatch.setattr("serving.worker.code_version", lambda: VERSION)
    with served(parts) as address:
        worker = Worker(address, token=token, logs=str(tmp_path / "logs"), poll_seconds=0.1).start()
        job = until_ended(parts)
        worker.stop()
    assert job["state"] == "succeeded", job["error"]
    sets = [one["set_digest"] for one in parts.store.get(first)["evaluations"]]
    assert len(set(sets)) == 2  # on its own and on the other split
    assert "could not be measured on this set" in parts.store.get(second)["verdict"]["why"]  # a made-up digest


def until_ended(parts):
    for _ in range(1200):
        job = parts.queue.every()[0]
        if job["state"] not in ("queued", "running"):
            return job
        time.sleep(0.1)
    raise AssertionError(job)


def test_weights_that_are_altered_are_refused_when_they_arrive(real, tmp_path):
    parts, package = real
    tensors = load_file(parts.store.blobs.path(package.model))
    name = sorted(tensors)[0]
    tensors[name] = tensors[name] + 1
    save_file(tensors, tmp_path / "altered.safetensors")
    altered = package.model_copy(update={"model": parts.store.blobs.put_file(tmp_path / "altered.safetensors")})
    with pytest.raises(BadCandidate, match="sha256 differs"):
        parts.completion.register(altered, "a test")
