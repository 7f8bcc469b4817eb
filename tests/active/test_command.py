"""The loop as its user meets it: python train.py active=standalone …"""

import csv
import json
import sqlite3
import time
from pathlib import Path

import pytest

LINE = (
    "active=standalone", "active.budget=12", "active.batch=4", "active.min_steps=3", "active.validations=1",
    "datamodule.n_samples=300", "trainer.max_epochs=1", "trainer.speed=fp32", "trainer.threads=1", "logger={}",
    "models.num_filters=4", "models.dense_width=16",
)  # fmt: skip


def the_run(tmp_path: Path, experiment: str = "default") -> Path:
    [file] = (tmp_path / "logs" / experiment).glob("*/journal.sqlite")
    return file.parent


def entries(run: Path, kind: str) -> list[dict]:
    with sqlite3.connect(run / "journal.sqlite") as database:
        rows = database.execute("SELECT facts FROM entry WHERE kind = ? ORDER BY key", (kind,))
        return [json.loads(facts) for (facts,) in rows]


def labels(run: Path) -> list[list[str]]:
    with (run / "labels.csv").open(newline="") as lines:
        return list(csv.reader(lines))[1:]


def ended(run: Path) -> tuple[list[list[str]], str]:
    """The label set and the final weights' hash."""
    return labels(run), json.loads((run / "model.json").read_text())["weights_sha256"]


def test_the_loop_labels_up_to_its_budget_and_ends_with_a_report(command, tmp_path):
    done = command("train.py", *LINE)
    assert done.returncode == 0, done.stderr
    run = the_run(tmp_path)
    assert len(labels(run)) == 12 and len({sha for _, sha, _, _ in labels(run)}) == 12
    page = (run / "report" / "index.html").read_text()
    assert "Accuracy by labels" in page and "instead of" in page and "MaxHerding (no model yet)" in page
    assert [facts["labels"] for facts in entries(run, "random-0/judged")] == [4, 8, 12]
    assert "auto-0: 12 labels; the budget of 12 labels is used" in done.stdout
    assert not (run / "rounds").exists()


@pytest.mark.parametrize("kills", [(5, 14, 24), pytest.param((), id="at every entry", marks=pytest.mark.soak)])
def test_killed_again_and_again_it_ends_as_if_nothing_had_happened(command, launch, tmp_path, kills):
    assert command("train.py", *LINE, "active.reference=false", "experiment_name=undisturbed").returncode == 0
    entries_in_all = count(the_run(tmp_path, "undisturbed") / "journal.sqlite")
    for steps in kills or range(1, entries_in_all):
        killed_after(launch("train.py", *LINE, "active.reference=false", "experiment_name=killed"), tmp_path, steps)
    last = command("train.py", *LINE, "active.reference=false", "experiment_name=killed")
    assert last.returncode == 0, last.stderr
    assert ended(the_run(tmp_path, "killed")) == ended(the_run(tmp_path, "undisturbed"))


def killed_after(running, tmp_path: Path, steps: int) -> None:
    """kill -9 as soon as the journal has so many entries."""
    until = time.monotonic() + 200
    while time.monotonic() < until:
        files = list((tmp_path / "logs" / "killed").glob("*/journal.sqlite"))
        if files and count(files[0]) >= steps:
            break
        time.sleep(0.01)
    running.process.kill()
    running.process.join()


def count(file: Path) -> int:
    try:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
            return database.execute("SELECT count(*) FROM entry").fetchone()[0]
    except sqlite3.OperationalError:  # not yet made
        return 0


def test_an_ended_loop_is_not_gone_on_with(command, tmp_path):
    for _ in range(2):
        assert command("train.py", *LINE, "active.budget=4", "active.reference=false").returncode == 0
    assert len(list((tmp_path / "logs" / "default").glob("*/journal.sqlite"))) == 2


def test_a_comparison_shows_each_strategy_over_the_seeds(command, tmp_path):
    """The likeness that coverage is measured on is learnt without labels here."""
    line = [*LINE, "active.compare=[margin,random]", "active.seeds=2", "active.budget=8"]
    done = command("train.py", *line, "active.embeddings=ssl", "active.ssl_epochs=1")
    assert done.returncode == 0, done.stderr
    assert "learns features of" in done.stdout and len(list((tmp_path / "cache" / "embeddings").glob("*.f32"))) == 1
    run = the_run(tmp_path)
    assert {len(entries(run, f"{name}-{seed}/judged")) for name in ("margin", "random") for seed in (0, 1)} == {2}
    assert "mean of 2 seeds" in (run / "report" / "index.html").read_text()


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ("active.budget=0", "active.budget=0: use 1 or more"),
        ("active.compare=[autto]", "there is no active/strategy=autto; did you mean auto?"),
        ("active.strategy.covered=2.0", "covered=2.0: give shares up to 1"),
        ("active.buget=3", "did you mean active.budget"),
        ("trainer.devices=2", "leave trainer.devices=1"),
        ("active.oracle.error_rate=1.0", "error_rate=1.0: give a share from 0 to below 1"),
    ],
)
def test_a_mistake_is_told_by_key(command, mistake, told):
    done = command("train.py", *LINE, mistake)
    assert done.returncode == 2 and told in done.stderr


def test_a_person_labels_by_sorting_a_folder_and_the_same_command_goes_on(command, digit_folder, tmp_path):
    """Val and test have labels, the pool has none; some go by the CSV, some by folders, one is skipped."""
    root = tmp_path / "half"
    for number, file in enumerate(sorted(digit_folder.glob("*/*.png"))):
        split = ("val", "test", "pool")[number % 3]
        place = root / split / ("" if split == "pool" else file.parent.name) / f"{number}-{file.parent.name}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
    line = [*LINE, "datamodule=folder", f"datamodule.root={root}", "active/oracle=folder", "active.oracle.wait=false",
            "datamodule.class_names=[class 1,class 2,class 3]", "active.budget=8",
            "datamodule.n_samples=null"]  # fmt: skip
    for turn in range(2):
        asked = command("train.py", *line)
        assert asked.returncode == 0 and "then the same command goes on" in asked.stdout, asked.stderr
        label_by_hand(the_run(tmp_path) / "labels" / f"round-{turn:04d}", root)
    done = command("train.py", *line)
    assert done.returncode == 0, done.stderr
    found = labels(the_run(tmp_path))
    assert len(found) == 8 and [label for *_, label, _ in found].count("") == 2
    assert all(label in ("", Path(path).stem.partition("-")[2]) for path, _, label, _ in found)


def label_by_hand(folder: Path, root: Path) -> None:
    known = {file.read_bytes(): file.stem.partition("-")[2] for file in (root / "pool").glob("*.png")}
    with (folder / "labels.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for number, row in enumerate(rows):
        label = known[(folder / row["file"]).read_bytes()]
        if number == 0:
            row["label"] = "_skip"
        elif number % 2:
            row["label"] = label
        else:
            (folder / row["file"]).rename(folder / label / row["file"])
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_options_of_the_loop_work_together(command, tmp_path):
    """Features and draws of the network, a labeller who errs and is asked again, chance, balance, warm starts."""
    done = command(
        "train.py", *LINE, "active.compare=[badge,bald]", "active.embeddings=network", "active.precision=bfloat16",
        "active.oracle.error_rate=0.5", "active.relabel=0.5", "active.stochastic=1.0", "active.class_balance=true",
        "active/retrain=shrink_perturb", "active/stopping=[stable,plateau]", "active.stopping.stable.rounds=9",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = the_run(tmp_path)
    why = [query["why"] for name in ("badge", "bald") for query in entries(run, f"{name}-0/query")]
    assert "spread over the gradients of the last layer" in why and "what 10 draws of dropout dispute" in why
    assert any(query["again"] for name in ("badge", "bald") for query in entries(run, f"{name}-0/query"))
    assert list((tmp_path / "cache" / "embeddings").glob("*.bf16"))


def test_a_stopping_rule_ends_the_loop_before_the_budget_and_says_why(command, tmp_path):
    line = [*LINE, "active.reference=false", "active/stopping=covered", "active.stopping.covered.coverage=0.01"]
    assert command("train.py", *line).returncode == 0
    run = the_run(tmp_path)
    assert len(labels(run)) == 4
    assert entries(run, "auto-0/verdict")[-1]["why"].startswith("coverage ")
    assert "has reached 1.0%" in (run / "report" / "index.html").read_text()


def test_it_starts_from_the_run_whose_features_fit_best(command, tmp_path):
    small = [one for one in LINE if not one.startswith("active")]
    for name, epochs in (("good", 12), ("poor", 1)):
        line = [*small, f"trainer.max_epochs={epochs}", f"run_name={name}", "datamodule.n_samples=600"]
        assert command("train.py", *line, *(["optimizers.lr=1e-9"] if name == "poor" else [])).returncode == 0
    done = command("train.py", *LINE, "active.start=[good,poor]", "active.budget=4", "active.reference=false")
    assert done.returncode == 0, done.stderr
    assert "/good of 2 by LinearProbe" in done.stdout
    [start] = [facts for facts in entries(the_run(tmp_path), "run") if "weights" in facts]
    assert start["weights"].endswith("good/model.safetensors")
