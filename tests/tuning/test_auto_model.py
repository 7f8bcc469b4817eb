"""models=auto: the network by model search, before the training."""

import json
import re
import signal

import pytest
import yaml

from tuning.auto_model_settings import of_model_search
from tuning.speed_table import COLUMNS, read_rows
from utils.configuration import composed

LITTLE = ("models=auto", "benchmark.engines=eager", "benchmark.threads=1", "datamodule.n_samples=120",
          "trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.speed=fp32", "trainer.threads=1",
          "models.pretrained=false", "logger.tensorboard=null", "datamodule.height=32")  # fmt: skip
SMALL = "benchmark.models=[test_vit,test_convnext]"
PUBLISHED = "model,img_size,top1\ntest_vit.r160_in1k,160,40.98\ntest_convnext.r160_in1k,160,30.0\n"


@pytest.fixture
def train(command, tmp_path):
    (tmp_path / "published.csv").write_text(PUBLISHED)
    given = (f"benchmark.file={tmp_path / 't.csv'}", f"benchmark.published={tmp_path / 'published.csv'}")
    return lambda *line: command("train.py", *LITTLE, *given, *line)


def test_the_run_keeps_the_choice_and_why_and_reproduces_without_a_search(train, command, tmp_path):
    done = train(SMALL, "limits.latency_ms=100000", "run_name=first")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "logs/default/first"
    config = yaml.safe_load((folder / "full_configurations.yaml").read_text())
    assert config["models"]["architecture"] == "test_vit.r160_in1k"
    assert (config["datamodule"]["height"], config["datamodule"]["width"]) == (32, 32)
    network, kept = json.loads((folder / "automatic.json").read_text())
    assert network["what"] == "network" and "test_vit: the highest top-1, 40.98 %, of 2 that keep" in network["why"]
    assert "measured again 3 times" in network["why"]
    assert kept["what"] == "deployment limits" and "p95" in kept["chosen"]
    page = (folder / "report" / "index.html").read_text()
    assert "Automatic choices" in page and "the highest top-1, 40.98 %" in page
    (tmp_path / "t.csv").unlink()
    again = command("train.py", "reproduce=first", f"logs={tmp_path / 'logs'}")
    assert again.returncode == 0 and "reproduced: the weights' sha256 is the same" in again.stdout, again.stderr
    assert not (tmp_path / "t.csv").exists() and "Keep all limits" not in again.stdout


def test_ctrl_c_in_the_search_keeps_what_was_measured_and_leaves_no_folder(launch, tmp_path):
    table, batches = tmp_path / "t.csv", "benchmark.batch_size=[1,2,3,4,5,6,7,8]"
    line = (*LITTLE, SMALL, batches, f"benchmark.file={table}", "benchmark.published=null")
    done = launch("train.py", *line).once(lambda: table.exists() and len(read_rows(table)) > 1, signal.SIGINT)
    assert done.returncode == 130 and done.stderr == ""
    assert done.stdout.endswith("interrupted; there is nothing to go on from: the same command begins again\n")
    assert 1 < len(read_rows(table)) < 16 and not list((tmp_path / "logs" / "default").iterdir())


def test_candidates_may_be_tried_on_the_runs_own_images(train, tmp_path):
    done = train(
        "benchmark.models=[test_vit,test_resnet]", "finetune.candidates=2", "finetune.epochs=1", "run_name=own"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (network,) = json.loads((tmp_path / "logs/default/own/automatic.json").read_text())
    assert re.search(r"highest val/accuracy, 0\.\d+ on \d+ images after 1 epoch, of 2 candidates", network["why"])


def test_an_impossible_limit_ends_with_the_nearest_before_any_training(train, tmp_path):
    done = train("benchmark.models=[test_vit]", "limits.parameters=0.5", "limits.latency_ms=0.0001")
    assert done.returncode == 2
    told = r"the nearest is test_vit, which breaks p95 .* ms \(at most 0\.0001\), [0-9,.]+ times the limit"
    assert re.search(told, done.stderr)
    assert not list((tmp_path / "logs/default").glob("*"))


def test_what_may_not_be_measured_must_be_in_a_table_of_this_machine(train, tmp_path):
    cells = dict.fromkeys(COLUMNS, "") | {
        "model": "test_vit", "engine": "eager", "precision": "fp32", "batch": "1", "size": "32x32",
        "mode": "inference", "versions": "torch 2", "machine": "another CPU, 64 threads", "p50_ms": "1", "table": "1",
    }  # fmt: skip
    (tmp_path / "t.csv").write_text(f"{','.join(COLUMNS)}\n" + ",".join(f'"{cells[name]}"' for name in COLUMNS) + "\n")
    done = train("benchmark.models=[test_vit]", "limits.measure=false")
    assert done.returncode == 2
    assert (
        "limits.measure=false, but this table is of another machine: another CPU, 64 threads; this one" in done.stderr
    )


REFUSED = {
    ("trainer.tune=true",): "models=auto and trainer.tune=true do not go together",
    ("active=standalone",): "models=auto and active do not go together",
    ("benchmark.ray=true",): "models=auto and benchmark.ray=true do not go together",
    ("limits.latency_ms=-1",): "limits.latency_ms=-1",
    ("benchmark.precision=fp31",): "did you mean fp32",
    ('finetune.overrides=["seed=1"]',): "give them to train.py itself",
    ("finetune.candidates=2", "limits.objective=latency"): "candidates are ranked by accuracy",
    ("datamodule.height=32", "datamodule.width=64"): "measures square images",
}


@pytest.mark.parametrize("line", REFUSED, ids=lambda line: line[-1])
def test_a_mistake_is_refused_in_words(line):
    with pytest.raises(ValueError, match=re.escape(REFUSED[line])):
        of_model_search(composed(["models=auto", *line]))


def test_a_given_network_is_not_searched_for():
    assert of_model_search(composed(["models=resnet18"])) is None
    with pytest.raises(ValueError, match="give models=auto"):
        of_model_search(composed(["models=timm", "models.architecture=auto"]))


def test_images_of_a_given_size_are_measured_at_it():
    assert of_model_search(composed(["models=auto", "datamodule.height=48"])).benchmark.image_size == 48
    assert of_model_search(composed(["models=auto"])).benchmark.image_size is None


def test_together_with_the_other_automatic_mode_it_is_refused(command):
    done = command("train.py", "experiment=auto", "models=auto")
    assert done.returncode == 2 and "such as models=auto and experiment=auto" in done.stderr
