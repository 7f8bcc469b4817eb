"""benchmark.py as a user runs it, on timm's smallest models."""

import csv
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tuning.speed_table import SpeedTable, read_rows

ROOT = Path(__file__).parent.parent
PUBLISHED = "model,img_size,top1\ntest_vit.r160_in1k,160,40.98\ntest_resnet.r160_in1k,160,41.60\n"


@pytest.fixture
def places(tmp_path):
    return ()


@pytest.fixture
def benchmark(tmp_path, command):
    """Runs benchmark.py on one thread with its table in the test's folder."""
    (tmp_path / "published.csv").write_text(PUBLISHED)
    given = (f"benchmark.file={tmp_path / 't.csv'}", f"benchmark.published={tmp_path / 'published.csv'}",
             "benchmark.threads=1", "benchmark.time_limit=100")  # fmt: skip
    return lambda *line: command("benchmark.py", *given, *line)


def test_help_names_every_flag_and_imports_hydra_alone():
    seen = subprocess.run(
        [sys.executable, "-X", "importtime", "benchmark.py", "--help"], cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    for flag in ("find-specific-models", "specific-model-family", "off-tensorrt", "file-location", "engines",
                 "precision", "batch-size", "image-size", "train", "max-params", "time-limit"):  # fmt: skip
        assert f"--{flag}" in seen.stdout
    imported = {line.rpartition("|")[2].strip() for line in seen.stderr.splitlines()}
    assert not imported & {"torch", "numpy", "timm", "PIL"}


def test_a_table_a_page_and_a_choice(benchmark, tmp_path):
    seen = benchmark("benchmark.models=[test_vit,test_resnet]", "--off-tensorrt", "limits.latency_ms=100000",
                     "limits.repeats=0", "--batch-size", "2")  # fmt: skip
    assert seen.returncode == 0, seen.stderr + seen.stdout
    rows = read_rows(tmp_path / "t.csv")
    assert {(row.model, row.batch) for row in rows} == {("test_vit", 2), ("test_resnet", 2)}
    for row in rows:
        assert row.works and 0 < row.p50_ms <= row.p95_ms <= row.p99_ms and row.calls >= 4 and row.computed_in == "fp32"
        assert row.images_per_s == pytest.approx(1000 * row.batch / row.p50_ms, rel=1e-3)
        assert row.peak_mib > 50 and row.disk_mib > 0.5 and row.macs > 10**6 and row.activations > 10**4
    assert "models.architecture=test_resnet.r160_in1k" in seen.stdout
    assert "test_resnet" in (tmp_path / "t" / "index.html").read_text()
    stamp = json.loads((tmp_path / "t.json").read_text())["measured"]
    assert [one["machine"] for one in stamp] == [rows[0].machine] and stamp[0]["ended"] >= stamp[0]["begun"]
    again = benchmark("benchmark.models=[test_vit,test_resnet]", "--off-tensorrt", "--batch-size", "2")
    assert "missing" not in again.stdout and read_rows(tmp_path / "t.csv") == rows
    assert json.loads((tmp_path / "t.json").read_text())["measured"] == stamp
    with SpeedTable(tmp_path / "t.csv") as table:
        table.add(replace(rows[0], p95_ms=0.001))  # a measurement that was too good
    doubted = benchmark("benchmark.models=[test_vit,test_resnet]", "--off-tensorrt", "--batch-size", "2",
                        "limits.latency_ms=0.01")  # fmt: skip
    assert f"{rows[0].model} is left out: measured again 1 times it shows p95" in doubted.stdout
    assert "none of 2 measured keeps all limits" in doubted.stdout and "train it:" not in doubted.stdout


def test_what_a_model_refuses_is_a_row_and_the_others_go_on(benchmark, tmp_path):
    seen = benchmark("benchmark.models=[test_resnet,levit_128s]", "--off-tensorrt", "--image-size", "72")
    assert seen.returncode == 0, seen.stderr + seen.stdout
    failed = {row.model: row.error for row in read_rows(tmp_path / "t.csv") if not row.works}
    assert len(read_rows(tmp_path / "t.csv")) == 2
    assert list(failed) == ["levit_128s"] and failed["levit_128s"] in seen.stdout
    assert failed["levit_128s"] in (tmp_path / "t" / "index.html").read_text()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["benchmark.models=[resnet81]"], "benchmark.models=resnet81: timm has none of that name; did you mean resnet"),
        (["--specific-model-family", "resnext99"], "timm has no such family; did you mean"),
        (["--engines", "onnxruntim"], "there is no such engine; did you mean onnxruntime"),
        (["--engines", "tensorrt"], "none can be had here: tensorrt"),
        (["--max-params", "0.0001"], "leaves none of"),
        (["benchmark.published=null", "limits.accuracy=80"], "needs published accuracies"),
        (["benchmark.batchsize=3"], "did you mean"),
        (["datamodule=digits", "limits.objective=latency"], "ranked by accuracy on your images"),
        (["datamodule=folder"], "datamodule.root has no value"),
        (["benchmark.file=/proc/nowhere/t.csv"], "/proc/nowhere"),
    ],
)
def test_a_mistake_ends_in_one_clear_message(benchmark, line, told):
    models = [] if any("models" in one or "family" in one for one in line) else ["benchmark.models=[test_vit]"]
    seen = benchmark(*models, *line)
    assert seen.returncode == 2 and told in seen.stderr and "Traceback" not in seen.stderr, seen.stderr


def test_kill_9_loses_no_finished_row_and_the_same_command_goes_on(benchmark, launch, tmp_path):
    line = (f"benchmark.file={tmp_path / 't.csv'}", "benchmark.published=null", "benchmark.threads=1", "--off-tensorrt",
            "benchmark.models=[test_vit,test_resnet]", "--batch-size", "1,2")  # fmt: skip
    running = launch("benchmark.py", *line)
    until(lambda: (tmp_path / "t.csv").exists() and (tmp_path / "t.csv").read_text().count("\n") >= 3)
    running.send(signal.SIGKILL)
    running.process.join()
    before = [row.key for row in read_rows(tmp_path / "t.csv")]
    measured = {row.key: row.measured for row in read_rows(tmp_path / "t.csv")}
    done = launch("benchmark.py", *line).wait()
    after = read_rows(tmp_path / "t.csv")
    assert done.returncode == 0 and len(after) == 4 and len(before) >= 2
    assert [row.key for row in after][: len(before)] == before
    assert all(row.measured == measured[row.key] for row in after if row.key in measured)
    with (tmp_path / "t.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 4


def test_ctrl_c_while_candidates_are_tried_is_said_and_the_same_command_goes_on(benchmark, launch, tmp_path):
    line = (f"benchmark.file={tmp_path / 't.csv'}", "benchmark.published=null", "benchmark.threads=1", "--off-tensorrt",
            "benchmark.models=[test_vit]", "--image-size", "32", "datamodule=digits", "finetune.epochs=500",
            f"datamodule.cache_dir={tmp_path / 'cache'}", 'finetune.overrides=["trainer.accelerator=cpu"]')  # fmt: skip
    running = launch("benchmark.py", *line)
    done = running.once(lambda: running.says("fine-tuning round 1"), signal.SIGINT)
    assert done.returncode == 130 and "Traceback" not in done.stderr
    assert done.stdout.endswith("interrupted: the same command goes on from here\n")


def until(condition):
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it never came to that")
