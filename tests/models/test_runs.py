"""Run folders: found, refused, compared, pruned."""

import subprocess
import sys

import pytest

from models.runs import create, differences, every, find, main, prunable


def run_of(logs, name, finished=True, started="2026-01-01T00:00:00", **values):
    run = create(str(logs), "default", name, force=False)
    models = {"_target_": "models.simple_cnn.SimpleCnn"}
    run.write({"models": models, "optimizers": {"name": "sgd"}, **values, "record": {"started": started}})
    if finished:
        run.manifest_file.write_text('{"metrics": {"test/accuracy": 0.5}}')
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
    run_of(tmp_path, "broken", finished=False, started="2026-01-03T00:00:00")
    assert find("latest", str(tmp_path)).folder.name == "new"
    assert find(True, str(tmp_path)).folder.name == "broken"
    assert find("old", str(tmp_path)).folder.name == "old"


def test_a_folder_that_is_no_run_is_refused_with_the_known_ones(tmp_path):
    run_of(tmp_path, "mine")
    with pytest.raises(ValueError, match="nowhere is no run folder.*mine"):
        find("nowhere", str(tmp_path))


def test_a_run_that_another_process_writes_is_refused_and_not_resumed(tmp_path):
    run = run_of(tmp_path, "busy", finished=False)
    code = f"from models.runs import *; Run(Path({str(run.folder)!r})).lock(); print('held', flush=True); input()"
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


def test_pruning_shows_first_and_deletes_only_with_yes(tmp_path, capsys):
    for day in (1, 2, 3):
        run_of(tmp_path, f"run{day}", started=f"2026-01-0{day}T00:00:00")
    main(["--logs", str(tmp_path), "prune", "--keep", "1"])
    assert "would delete" in capsys.readouterr().out and len(every(str(tmp_path))) == 3
    main(["--logs", str(tmp_path), "prune", "--keep", "1", "--yes"])
    assert [run.folder.name for run in every(str(tmp_path))] == ["run3"]
    with pytest.raises(SystemExit, match="--keep -1"):
        main(["--logs", str(tmp_path), "prune", "--keep", "-1"])
