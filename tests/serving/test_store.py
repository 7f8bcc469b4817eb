"""Versions, lineage, retention, what a rollback brings back, and a backup of it all."""

import fcntl
import os
import shutil
import sqlite3
import tarfile
import time

import httpx
import numpy as np
import pytest
from sqlalchemy import select

from serving import backup as backup_module
from serving.backup import backup, restore
from serving.blobs import Busy
from serving.deployments import Conflict
from serving.package import BadCandidate, Package
from serving.parts import assemble
from serving.preparation import folder_of
from serving.settings import ServingSettings
from serving.store import referenced
from serving.tables import drift, feedback, model, prediction
from tests.serving.conftest import packaged, served
from tests.serving.monitoring.conftest import answered
from tests.serving.test_feedback import picture


def register(parts, accuracy, seed, **changes) -> int:
    return parts.completion.register(Package(**packaged(parts, accuracy, seed, **changes)), "a test")[0]


def live(parts):
    return parts.deployments.get("main")["model_id"]


def test_a_model_keeps_where_it_comes_from(parts):
    number = register(parts, 0.5, 1, split={"salt": "evergreen", "val_share": 0.2})
    found = parts.store.get(number)
    assert (found["name"], found["version"], found["parameters"]) == ("main", 1, 15)
    assert (found["architecture"], found["classes"]) == ("SimpleCnn", ["a", "b", "c"])
    assert found["split"] == {"salt": "evergreen", "val_share": 0.2} and found["data_digest"] == "d" * 64
    assert found["evaluations"][0]["figures"] == {"accuracy": 0.5}
    assert found["verdict"] == {"promote": True, "why": "nothing was live"} and found["live"]


def test_rolling_back_undoes_one_change_after_the_other(parts):
    a, b, c = (register(parts, accuracy, seed) for seed, accuracy in ((1, 0.1), (2, 0.2), (3, 0.3)))
    assert live(parts) == c
    assert [parts.deployments.rollback("main", "me")["model_id"] for _ in "ba"] == [b, a]
    with pytest.raises(Conflict, match="nothing was live"):
        parts.deployments.rollback("main", "me")
    parts.deployments.deploy(c, "me")
    assert parts.deployments.rollback("main", "me")["model_id"] == a
    assert parts.deployments.get("main")["generation"] == 7


def test_a_rollback_never_brings_back_what_is_live_already(parts):
    a, b = (register(parts, accuracy, seed) for seed, accuracy in ((1, 0.1), (2, 0.2)))
    parts.deployments.deploy(b, "me")  # by hand, so that it stays
    assert parts.deployments.rollback("main", "me")["model_id"] == a
    parts.deployments.clear("main", "me")
    parts.deployments.deploy(a, "me")
    with pytest.raises(Conflict, match="nothing was live"):
        parts.deployments.rollback("main", "me")


def test_a_rollback_to_a_model_whose_file_is_damaged_leaves_live_what_is(parts):
    a, b = (register(parts, accuracy, seed) for seed, accuracy in ((1, 0.1), (2, 0.2)))
    file = parts.store.blobs.path(parts.store.files(a).model)
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BadCandidate, match="missing or damaged"):
        parts.deployments.rollback("main", "me")
    assert live(parts) == b and parts.deployments.get("main")["generation"] == 2


def test_after_clearing_a_rollback_brings_the_former_model_back(parts):
    a = register(parts, 0.1, 1)
    parts.deployments.clear("main", "me")
    with pytest.raises(Conflict, match="nothing is live"):
        parts.deployments.clear("main", "me")
    assert parts.deployments.rollback("main", "me")["model_id"] == a


def test_who_saw_an_older_generation_changes_nothing(parts):
    number = register(parts, 0.1, 1)
    for change in (
        lambda: parts.deployments.deploy(number, "me", generation=0),
        lambda: parts.deployments.rollback("main", "me", generation=0),
        lambda: parts.deployments.clear("main", "me", generation=0),
    ):
        with pytest.raises(Conflict, match="generation 1 by now, not 0"):
            change()


def test_retention_keeps_what_is_live_new_or_within_a_rollbacks_reach(parts):
    numbers = [register(parts, seed / 10, seed) for seed in range(1, 6)]  # each goes live
    worse = [register(parts, 0.01, seed) for seed in range(6, 9)]  # none does
    make_old(parts)
    assert parts.store.prune(keep=1, reach=2, actor="me") == ["main 7", "main 6", "main 2", "main 1"]
    gone = {model["id"] for model in parts.store.every() if model["pruned"]}
    assert gone == {*numbers[:2], *worse[:2]}
    assert not parts.store.blobs.has(parts.store.get(numbers[0])["file_sha256"])
    assert parts.store.damaged() == []
    with pytest.raises(LookupError, match="given up"):
        parts.deployments.deploy(numbers[0], "me")
    assert parts.store.prune(keep=0, reach=2, actor="me", even_within_reach=True) == ["main 8", "main 4", "main 3"]
    assert live(parts) == numbers[-1] and parts.store.damaged() == []


def make_old(parts):
    long_ago = time.time() - 1e6
    for file in parts.store.blobs.folder.glob("*/*"):
        os.utime(file, (long_ago, long_ago))


def test_a_backup_restored_elsewhere_is_the_same_store_and_goes_on(parts, tmp_path):
    for seed in (1, 2):
        register(parts, seed / 10, seed)
    said = backup(parts.store.root, parts.database, tmp_path / "backup.tar")
    assert "files in" in said
    fresh = assemble(ServingSettings(root=str(tmp_path / "new")), parts.completion.rule, "v", parts.store._verify)
    restore(fresh.store.root, fresh.database, tmp_path / "backup.tar")
    assert fresh.store.every() == parts.store.every()
    assert fresh.deployments.history() == parts.deployments.history() and fresh.deployments.broken() is None
    assert fresh.store.damaged() == []
    assert register(fresh, 0.9, 3) == 3
    with pytest.raises(ValueError, match="not empty"):
        fresh.tokens.create("x", "viewer")
        restore(fresh.store.root, fresh.database, tmp_path / "backup.tar")
    fresh.database.close()


def test_a_backup_carries_answers_drift_and_what_people_said(parts, tmp_path):
    register(parts, 0.5, 1)
    parts.monitor.record(answered([np.array([3, 0, 0], "f4")] * 3))
    parts.monitor.flush()
    row = parts.feedback.add("main", picture(), "0" * 64, None, "a", "me")
    with parts.database.alone() as connection:
        facts = {"endpoint": "main", "generation": 1, "model_id": 1, "last_id": 3, "since": 1.0, "until": 2.0}
        connection.execute(drift.insert().values(**facts, answers=3, p=0.5, drifted=False, why="no drift"))
    backup(parts.store.root, parts.database, tmp_path / "backup.tar")
    fresh = assemble(ServingSettings(root=str(tmp_path / "new")), parts.completion.rule, "v", parts.store._verify)
    assert "and 3 files from" in restore(fresh.store.root, fresh.database, tmp_path / "backup.tar")
    fresh.feedback.repair()
    assert fresh.feedback.every() == parts.feedback.every()
    for name in ("labels.csv", f"images/{row['file_sha256']}.png"):
        files = [one.feedback.shelf("main").folder / name for one in (parts, fresh)]
        assert files[0].read_bytes() == files[1].read_bytes()
    for table in (prediction, drift, feedback):
        old, new = (everything(one, table) for one in (parts, fresh))
        assert old == new and old
    fresh.monitor.record(answered([np.array([3, 0, 0], "f4")]))
    fresh.monitor.flush()
    assert len(everything(fresh, prediction)) == 4
    fresh.monitor.close()
    fresh.database.close()


def everything(parts, table):
    with parts.database.read() as connection:
        return connection.execute(select(table).order_by(table.c.id)).all()


def restored(parts, tmp_path):
    """What a backup of the store holds, in a store of its own."""
    fresh = assemble(ServingSettings(root=str(tmp_path / "new")), parts.completion.rule, "v", parts.store._verify)
    restore(fresh.store.root, fresh.database, tmp_path / "backup.tar")
    return fresh


def meanwhile(monkeypatch, act):
    """Once, when a backup has written its rows and not yet its files."""
    added, left = backup_module._added, [act]
    monkeypatch.setattr(backup_module, "_added", lambda *entry: (left and left.pop()(), added(*entry))[1])


def test_no_file_is_given_up_while_a_backup_is_made(parts, tmp_path, monkeypatch):
    for seed in (1, 2):
        register(parts, seed / 10, seed)
    make_old(parts)

    def prune():
        with pytest.raises(Busy, match="a backup is being made"):
            parts.store.prune(keep=0, reach=0, actor="me")

    meanwhile(monkeypatch, prune)
    backup(parts.store.root, parts.database, tmp_path / "backup.tar")
    fresh = restored(parts, tmp_path)
    assert fresh.store.damaged() == [] and len(fresh.store.every()) == 2
    fresh.database.close()
    assert parts.store.prune(keep=0, reach=0, actor="me") == ["main 1"]


def test_a_backup_begins_again_where_a_corrected_image_is_deleted_meanwhile(parts, tmp_path, monkeypatch):
    register(parts, 0.5, 1)
    row = parts.feedback.add("main", picture(), "0" * 64, None, "a", "me")
    meanwhile(monkeypatch, lambda: parts.feedback.delete(row["id"]))
    said = backup(parts.store.root, parts.database, tmp_path / "backup.tar")
    fresh = restored(parts, tmp_path)
    assert fresh.feedback.every() == [] and "missing" not in said
    fresh.database.close()


def test_a_backup_says_which_file_the_store_lacks_and_saves_the_rest(parts, tmp_path):
    for seed in (1, 2):
        register(parts, seed / 10, seed)
    lost = parts.store.get(1)["file_sha256"]
    parts.store.blobs.path(lost).unlink()
    said = backup(parts.store.root, parts.database, tmp_path / "backup.tar")
    assert said.endswith(f"; missing in the store: blobs/{lost}")
    fresh = restored(parts, tmp_path)
    assert fresh.store.damaged() == [lost]
    fresh.database.close()


def test_a_backup_ends_where_files_are_deleted_all_the_time(parts, tmp_path, monkeypatch):
    register(parts, 0.5, 1)
    added, rounds = backup_module._written, []

    def written(*asked):
        count, named, _ = added(*asked)
        rounds.append(f"feedback/main/{len(rounds)}.png")
        return count, named, rounds[-1:]

    monkeypatch.setattr(backup_module, "_written", written)
    said = backup(parts.store.root, parts.database, tmp_path / "backup.tar")
    assert len(rounds) == backup_module.ROUNDS and said.endswith(f"; missing in the store: {rounds[-1]}")


def test_a_backup_locks_as_a_network_file_system_asks_for(parts, monkeypatch):
    locked, asked = fcntl.flock, []

    def flock(file, kind):
        asked.append((kind, file.readable(), file.writable()))
        locked(file, kind)

    monkeypatch.setattr("serving.blobs.fcntl.flock", flock)
    with parts.store.blobs.kept():
        pass
    with parts.store.blobs.given_up():
        pass
    (_, can_read, _), (_, _, can_write) = asked
    assert can_read and can_write  # what a shared and what an exclusive lock are of


def test_the_files_of_more_models_than_a_statement_takes_numbers_are_known(parts):
    if parts.database.file is None:
        pytest.skip("Postgres takes 65,535, and no fewer can be asked for")
    for seed in (1, 2, 3, 4):
        register(parts, seed / 10, seed)
    with parts.database.read() as connection:
        connection.connection.driver_connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 3)
        assert {row.file_sha256 for row in connection.execute(select(model))} < referenced(connection)


def test_a_backup_with_a_damaged_image_is_refused(parts, tmp_path):
    register(parts, 0.5, 1)
    row = parts.feedback.add("main", picture(), "0" * 64, None, "a", "me")
    parts.feedback.file(row["id"]).write_bytes(b"something else")
    backup(parts.store.root, parts.database, tmp_path / "backup.tar")
    fresh = assemble(ServingSettings(root=str(tmp_path / "new")), parts.completion.rule, "v", parts.store._verify)
    with pytest.raises(ValueError, match="damaged"):
        restore(fresh.store.root, fresh.database, tmp_path / "backup.tar")
    fresh.database.close()


def test_a_foreign_archive_is_refused_and_writes_nothing_elsewhere(parts, tmp_path):
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as made:
        made.add(__file__, "blobs/../../evil")
    with pytest.raises(ValueError, match="no backup of a store"):
        restore(parts.store.root, parts.database, archive)
    assert not (tmp_path / "evil").exists()


def test_who_gives_up_files_beside_a_backup_is_told_to_try_again(api):
    with api.parts.store.blobs.kept():
        refused = api["admin"].post("/api/models/prune")
    assert refused.status_code == 409 and "a backup is being made" in refused.json()["error"]
    assert api["admin"].post("/api/models/prune").json() == {"pruned": []}


def test_a_server_that_is_asked_to_gives_up_files_by_itself_again_and_again(open_parts, monkeypatch):
    monkeypatch.setattr("serving.retention.HOUR", 0.01)
    parts = open_parts(keep_models=1, reach=0, prune_hours=1.0)
    with served(parts):
        with parts.store.blobs.kept():  # some rounds meet a backup
            for seed in (1, 2, 3, 4):
                register(parts, seed / 10, seed)
            make_old(parts)
            assert pruned(parts) == []
        assert until(lambda: pruned(parts) == [1, 2, 3])
        register(parts, 9.0, 9)
        make_old(parts)
        assert until(lambda: pruned(parts) == [1, 2, 3, 4])
    assert parts.store.damaged() == [] and parts.deployments.history()[0]["actor"] == "serving.prune_hours"


def pruned(parts):
    return sorted(one["id"] for one in parts.store.every() if one["pruned"])


def until(holds):
    end = time.monotonic() + 30
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def test_what_was_made_to_answer_with_a_model_goes_with_its_files(parts):
    for seed in (1, 2):
        register(parts, seed / 10, seed)
    folders = [folder_of(parts.store.root, parts.store.blobs, parts.store.files(number)) for number in (1, 2)]
    fresh = folders[0].with_name("of-a-model-that-arrives")
    fresh.mkdir()
    make_old(parts)
    for folder in folders:
        os.utime(folder, (0, 0))
    assert parts.store.prune(keep=0, reach=0, actor="me") == ["main 1"]
    assert not folders[0].exists() and folders[1].is_dir() and fresh.is_dir()


@pytest.fixture
def old_folder(parts):
    """What was made to answer with model 1, which may give up its files."""
    for seed in (1, 2):
        register(parts, seed / 10, seed)
    folder = folder_of(parts.store.root, parts.store.blobs, parts.store.files(1))
    os.utime(folder, (0, 0))
    return folder


def test_folders_are_deleted_while_the_database_is_free(parts, old_folder, monkeypatch):
    delete, in_use = shutil.rmtree, []

    def watched(*args, **options):
        in_use.append(parts.database.engine.pool.checkedout())
        delete(*args, **options)

    monkeypatch.setattr(shutil, "rmtree", watched)
    parts.store.prune(keep=0, reach=0, actor="me")
    assert in_use == [0] and list(old_folder.parent.iterdir()) == []


def test_what_a_process_that_died_was_deleting_goes_the_next_time(parts, old_folder, monkeypatch):
    def dies(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(shutil, "rmtree", dies)
        parts.store.prune(keep=0, reach=0, actor="me")
    assert not old_folder.exists() and len(list(old_folder.parent.iterdir())) == 1
    assert parts.store.prune(keep=0, reach=0, actor="me") == [] and list(old_folder.parent.iterdir()) == []


def test_a_server_that_is_not_asked_to_gives_up_nothing(open_parts):
    parts = open_parts(keep_models=0, reach=0)
    for seed in (1, 2):
        register(parts, seed / 10, seed)
    with served(parts) as address:
        assert httpx.get(f"{address}/livez").status_code == 200
    assert pruned(parts) == []
