"""Run folders: found, refused, compared, pruned."""

import json
import shutil
import subprocess
import sys

import pytest

from models.run import _HELD, create
from models.runs import differences, every, find, main, prunable, weights_file


def run_of(logs, name, finished=True, started="2026-01-01T00:00:00", metrics=None, **values):
    run = create(str(logs), "default", name, force=False)
    models = {"_target_": "models.simple_cnn.SimpleCnn"}
    run.write({"models": models, "optimizers": {"name": "sgd"}, **values, "record": {"started": started}})
    if finished:
        run.manifest_file.write_text(json.dumps({"metrics": metrics or {"test/accuracy": 0.5}}))
    return run


def test_runs_of_one_second_get_folders_of_their_own(tmp_path):
    folders = {create(str(tmp_path), "default", None, force=False).folder for _ in range(20)}
    assert len(folders) == 20


def test_an_existing_name_is_refused_unless_forced(tmp_path):
    run = run_of(tmp_path, "mine")
    with pytest.raises(ValueError, match="run_name=mine.*force=True"):
        create(str(tmp_path), "default", "mine", force=False)
    assert create(str(tmp_path), "default", "mine", force=True) == run and not run.finished


def test_a_replaced_run_is_back_where_the_new_one_never_began(tmp_path):
    run = run_of(tmp_path, "mine")
    before = run.read()
    new = create(str(tmp_path), "default", "mine", force=True)
    assert every(str(tmp_path)) == [] and not new.finished
    new.give_way()
    assert run.read() == before and run.finished and list(run.folder.parent.iterdir()) == [run.folder]
    create(str(tmp_path), "default", "mine", force=True).drop_former()
    assert not run.finished and list(run.folder.parent.iterdir()) == [run.folder]


def test_latest_is_the_newest_with_a_model_and_true_the_newest_without(tmp_path):
    run_of(tmp_path, "old", started="2026-01-01T00:00:00")
    run_of(tmp_path, "new", started="2026-01-02T00:00:00")
    checkpointed(run_of(tmp_path, "broken", finished=False, started="2026-01-03T00:00:00"))
    assert find("latest", str(tmp_path)).folder.name == "new"
    assert find(True, str(tmp_path)).folder.name == "broken"
    assert find("old", str(tmp_path)).folder.name == "old"


def checkpointed(run):
    run.checkpoints.mkdir()
    run.last.touch()
    return run


def test_the_newest_run_that_can_go_on_does_and_what_is_passed_over_is_said(tmp_path, caplog):
    light = {"callback": {"checkpoints": {"save_weights_only": True}}}
    for day, name in enumerate(("older", "good", "light", "early", "damaged"), start=1):
        run = run_of(tmp_path, name, finished=False, started=f"2026-01-0{day}", **(light if name == "light" else {}))
        if name != "early":
            checkpointed(run)
    run.configuration_file.write_text("a: [\nrecord:\n  started: '2026-01-05'\n")
    assert find(True, str(tmp_path)).folder.name == "good"
    told = caplog.text.partition("goes on with default/good; passed over: ")[2].split("; default/")
    for name, why in {
        "damaged": "has a damaged full",
        "early": "has no checkpoints",
        "light": "weights alone",
    }.items():
        assert any(name in one and why in one for one in told)
    shutil.rmtree(tmp_path / "default/older")
    shutil.rmtree(tmp_path / "default/good")
    with pytest.raises(
        ValueError, match="no unfinished run .* that can go on; default/damaged has .*; default/early has"
    ):
        find(True, str(tmp_path))


def test_a_run_is_found_by_the_name_that_the_listing_gives_it(tmp_path):
    for experiment in ("pears", "apples"):
        create(str(tmp_path), experiment, "first", force=False).write({"record": {"started": f"2026 {experiment}"}})
    for experiment in ("pears", "apples"):
        assert find(f"{experiment}/first", str(tmp_path)).folder == tmp_path / experiment / "first"


def test_weights_to_start_from_are_a_models_or_of_the_best_or_last_checkpoint(tmp_path):
    run = run_of(tmp_path, "mine", finished=False)
    run.checkpoints.mkdir()
    for file in (run.last, run.best, run.model_file):
        file.touch()
        assert weights_file("mine", str(tmp_path)) == file
    for file in (run.last, run.model_file):
        assert weights_file(str(file), str(tmp_path)) == file


def test_a_name_in_two_experiments_is_refused_with_both(tmp_path):
    for experiment in ("pears", "apples"):
        create(str(tmp_path), experiment, "first", force=False).write({"record": {"started": f"2026 {experiment}"}})
    with pytest.raises(ValueError, match="first may be pears/first or apples/first: name one of them so"):
        find("first", str(tmp_path))


def test_a_folder_that_is_no_run_is_refused_with_the_known_ones(tmp_path):
    run_of(tmp_path, "mine")
    with pytest.raises(ValueError, match="nowhere is no run folder.*mine"):
        find("nowhere", str(tmp_path))


def test_a_folder_in_which_no_training_began_is_told_as_that(tmp_path):
    run_of(tmp_path, "mine")
    searched = create(str(tmp_path), "default", "searched", force=False).folder
    for name in ("searched", str(searched)):
        with pytest.raises(ValueError, match="in it: no training has begun there; a search .* goes on by its own"):
            find(name, str(tmp_path))


def test_a_folder_in_which_nothing_began_is_listed_pruned_and_its_name_free(tmp_path, capsys):
    begun, killed, searched = (create(str(tmp_path), "default", name, force=False) for name in ("a", "b", "c"))
    begun.write({"record": {}})
    for run in (begun, killed, searched):
        (run.folder / "log.txt").touch()
    (searched.folder / "tune").mkdir()
    main(["--logs", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    for run, state in ((killed, "never began"), (searched, "no training yet")):
        assert [state in line for line in lines if run.listed_as in line] == [True]
    assert create(str(tmp_path), "default", "b", force=False) == killed and not any(killed.folder.iterdir())
    for run in (begun, searched):
        with pytest.raises(ValueError, match="exists; choose another name, or replace it: force=True"):
            create(str(tmp_path), "default", run.folder.name, force=False)
    killed.lock()
    assert prunable(str(tmp_path), 10, False) == [] and not killed.never_began
    _HELD.pop(killed.folder).close()
    assert prunable(str(tmp_path), 10, False) == [killed]


def test_a_run_that_another_process_writes_is_refused_and_not_resumed(tmp_path):
    run = run_of(tmp_path, "busy", finished=False)
    code = f"from models.run import *; Run(Path({str(run.folder)!r})).lock(); print('held', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="by another process"):
            run.lock()
        with pytest.raises(ValueError, match="force=True.*by another process"):
            create(str(tmp_path), "default", "busy", force=True)
        assert prunable(str(tmp_path), 0, False) == []
        with pytest.raises(ValueError, match="no unfinished run"):
            find(True, str(tmp_path))
        other.communicate("\n")
    assert not run.in_use and prunable(str(tmp_path), 0, False) == [run]


def test_an_interrupted_search_counts_as_a_run_and_is_pruned_by_its_age(tmp_path, capsys):
    searched = create(str(tmp_path), "default", "searched", force=False)
    (searched.folder / "tune").mkdir()
    (searched.folder / "log.txt").touch()
    old = run_of(tmp_path, "old", started="2026-01-01T00:00:00")
    assert prunable(str(tmp_path), 1, False) == [old] and prunable(str(tmp_path), 2, False) == []
    run_of(tmp_path, "new", started="2999-01-01T00:00:00")
    assert prunable(str(tmp_path), 1, False) == [searched, old]
    assert prunable(str(tmp_path), 1, True) == [searched] and prunable(str(tmp_path), 2, True) == []
    searched.lock()
    assert prunable(str(tmp_path), 1, True) == []
    _HELD.pop(searched.folder).close()
    main(["--logs", str(tmp_path), "prune", "--keep", "1", "--unfinished", "--yes"])
    assert capsys.readouterr().out == f"deleted {searched.folder} (without a model)\n1 run\n"
    assert not searched.folder.exists()


def test_comparison_names_only_what_differs():
    first, second = {"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4}
    assert differences(first, second) == {"a.c": (2, 3), "d": (None, 4)}


def test_listing_and_comparing_on_the_command_line(tmp_path, capsys):
    run_of(tmp_path, "one", seed=1)
    run_of(tmp_path, "two", seed=2)
    main(["--logs", str(tmp_path)])
    assert "default/one" in (shown := capsys.readouterr().out) and "0.5000" in shown
    main(["--logs", str(tmp_path), "compare", "one", "two"])
    assert "seed" in capsys.readouterr().out


def test_damaged_runs_do_not_hide_the_others(tmp_path, capsys):
    whole, *damaged = [run_of(tmp_path, name) for name in ("whole", "empty", "cut", "binary", "manifest")]
    for run, content in zip(damaged, (b"", b"models: {_target_: a.B}\n", b"\xff\xfe\x00"), strict=False):
        run.configuration_file.write_bytes(content)
    damaged[-1].manifest_file.write_text('{"metrics": ')
    main(["--logs", str(tmp_path)])
    shown = capsys.readouterr().out
    assert shown.count("damaged") == 4 and shown.count("finished") == 1 and "5 runs" in shown
    for run, file in ((damaged[0], "full_configurations.yaml"), (damaged[-1], "model.json")):
        with pytest.raises(SystemExit, match=f"error: {run.folder / file} is damaged"):
            main(["--logs", str(tmp_path), "compare", "whole", run.folder.name])
    assert find("latest", str(tmp_path)).finished and whole.finished


def test_where_no_run_is_the_listing_says_so(tmp_path, capsys):
    main(["--logs", str(tmp_path / "longs")])
    assert capsys.readouterr().out == f"no run lies below {tmp_path / 'longs'}\n"


def test_a_line_of_the_listing_has_room_for_the_leading_figures_of_every_task(tmp_path, capsys):
    figures = ["accuracy", "top5_accuracy", "balanced_accuracy", "precision_macro", "f1_macro", "auc_macro", "ece"]
    of_classes = {f"{split}/{name}": 0.5 for split in ("val", "test") for name in figures}
    of_values = {f"{split}/{name}": 12.25 for split in ("val", "test") for name in ("mae", "rmse", "r2")}
    run_of(tmp_path, "20260101-000000-abcd", metrics=of_classes)
    run_of(tmp_path, "20260102-000000-abcd", metrics=of_values)
    main(["--logs", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    for told in (("20260101-000000-abcd", "accuracy 0.5000"), ("20260102-000000-abcd", "mae 12.2500")):
        assert any(f"default/{told[0]}" in line and line.count(told[1]) == 2 for line in lines)


def test_a_comparison_shows_where_two_long_paths_differ(tmp_path, capsys):
    for name in ("one", "two"):
        run_of(tmp_path, name, root="/data/" + 100 * "x" + name)
    main(["--logs", str(tmp_path), "compare", "one", "two"])
    shown = capsys.readouterr().out
    assert "xone" in shown and "xtwo" in shown


def test_pruning_shows_first_and_deletes_only_with_yes(tmp_path, capsys):
    for day in (1, 2, 3):
        run_of(tmp_path, f"run{day}", started=f"2026-01-0{day}T00:00:00")
    main(["--logs", str(tmp_path), "prune", "--keep", "1"])
    assert "would delete" in capsys.readouterr().out and len(every(str(tmp_path))) == 3
    main(["--logs", str(tmp_path), "prune", "--keep", "1", "--yes"])
    assert [run.folder.name for run in every(str(tmp_path))] == ["run3"]
    with pytest.raises(SystemExit, match="--keep -1"):
        main(["--logs", str(tmp_path), "prune", "--keep", "-1"])
