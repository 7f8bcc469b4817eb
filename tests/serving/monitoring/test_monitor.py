"""Answers are kept in batches, none of them holds another back, and windows of them are judged once."""

import json
import logging
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from serving.monitoring import monitor as module
from serving.monitoring.drift import NO_EMBEDDINGS
from serving.monitoring.monitor import Monitor
from serving.monitoring.scores import of_masks
from serving.monitoring.windows import Place, Windows
from serving.tables import drift, prediction
from tests.serving.monitoring.conftest import answered, golden_with, logits_of, register, register_masks

SHIFTED = {"shares": [0.6, 0.2, 0.2]}


def rows(parts, table=prediction):
    with parts.database.read() as connection:
        return connection.execute(select(table).order_by(table.c.id)).all()


@pytest.fixture
def make_monitor(watched):
    """Further monitors of the store, closed at the end."""
    made = []

    def make(keep=1000, days=30.0, **options):
        made.append(Monitor(watched.database, Windows(watched.store, 200, 0.01), keep, days, **options))
        return made[-1]

    yield make
    for monitor in made:
        monitor.close()


def test_an_answer_is_kept_with_what_drift_needs_and_without_its_image(watched):
    logits = np.log(np.array([[0.1, 0.7, 0.2]], "f4"))
    watched.monitor.record(answered(logits))
    watched.monitor.flush()
    (row,) = rows(watched)
    assert (row.endpoint, row.generation, row.model_id, row.role) == ("main", 1, 1, "live")
    assert row.choice == "b" and row.confidence == pytest.approx(0.7) and row.scores == [0.1, 0.7, 0.2]
    assert len(row.key) == 32 and len(row.image_sha256) == 64 and row.latency_ms == 5.0


def test_answers_are_written_by_themselves_and_at_the_end(watched, rng, make_monitor):
    monitor = make_monitor(seconds=0.05)
    monitor.record(answered(logits_of(rng, 3)))
    end = time.monotonic() + 30
    while len(rows(watched)) < 3:
        assert time.monotonic() < end
        time.sleep(0.02)
    slow = make_monitor(seconds=3600)
    slow.record(answered(logits_of(rng, 2)))
    slow.close()
    slow.record(answered(logits_of(rng, 1)))  # as after a restart of the application in one process
    slow.close()
    monitor.close()
    assert len(rows(watched)) == 6


def test_infinite_logits_and_unknown_models_hold_nobody_back(watched, rng):
    good, broken, foreign = answered(logits_of(rng, 3))
    broken = replace(broken, logits=np.array([np.nan, 0, 1], "f4"))
    watched.monitor.record([good, broken, replace(foreign, model_id=99)])
    watched.monitor.flush()
    assert [row.choice is None for row in rows(watched)] == [False, True]
    assert rows(watched)[1].scores is None


def test_what_a_database_that_is_down_does_not_take_is_written_later(watched, rng):
    watched.monitor.record(answered(logits_of(rng, 5)))
    prediction.drop(watched.database.engine)
    with pytest.raises(SQLAlchemyError):
        watched.monitor.flush()
    prediction.create(watched.database.engine)
    watched.monitor.record(answered(logits_of(rng, 1), name="later"))
    watched.monitor.flush()
    assert [row.key for row in rows(watched)] == [
        one.id for one in answered(logits_of(rng, 5)) + answered(logits_of(rng, 1), name="later")
    ]


def test_what_no_database_takes_does_not_hold_up_the_rest(watched, rng):
    bad, good = answered(logits_of(rng, 2))
    watched.monitor.record([replace(bad, id=None)])
    with pytest.raises(SQLAlchemyError):
        watched.monitor.flush()
    watched.monitor.record([good])
    watched.monitor.flush()
    assert [row.key for row in rows(watched)] == [good.id] and watched.monitor.lost == 1


def test_answers_beyond_what_fits_are_counted_not_kept(watched, rng, monkeypatch, make_monitor):
    monkeypatch.setattr(module, "MOST_WAITING", 10)
    monitor = make_monitor(seconds=3600)
    for _ in range(3):
        monitor.record(answered(logits_of(rng, 4)))
    assert monitor.lost == 4
    monitor.close()
    assert len(rows(watched)) == 8


def test_nothing_is_kept_where_nothing_is_asked_for(watched, rng, make_monitor):
    monitor = make_monitor(keep=0)
    monitor.record(answered(logits_of(rng, 4)))
    monitor.flush()
    assert rows(watched) == []


def test_old_answers_and_too_many_go(watched, rng, make_monitor):
    monitor = make_monitor(keep=7, days=1.0)
    monitor.record(answered(logits_of(rng, 5), name="old", at=time.time() - 2 * 86_400))
    monitor.record(answered(logits_of(rng, 10), name="new"))
    monitor.flush()
    assert len(rows(watched)) == 7
    assert [row.key for row in rows(watched)] == [one.id for one in answered(logits_of(rng, 10), name="new")][3:]


def fed(parts, rng, count, **how):
    """Answers given to the monitor and written."""
    shift = {key: how.pop(key) for key in ("shares", "sharpness") if key in how}
    fed_with(parts, logits_of(rng, count, **shift), **how)


def fed_with(parts, logits, **how):
    parts.monitor.record(answered(logits, **how))
    parts.monitor.flush()


def test_windows_are_judged_once_and_the_history_tells_where_drift_begins_and_ends(watched, rng, caplog):
    caplog.set_level(logging.WARNING)
    fed(watched, rng, 450)
    assert [row.drifted for row in rows(watched, drift)] == [False, False]
    fed(watched, rng, 350, **SHIFTED)  # with the 50 that waited: one window partly shifted, one wholly
    fed(watched, rng, 200, **SHIFTED)
    fed(watched, rng, 200)
    told = [row.drifted for row in rows(watched, drift)]
    assert told == [False, False, True, True, True, False] and len(caplog.records) == 3
    assert "main, generation 1: drift: the share of a is 0." in caplog.text
    lines = [line for line in watched.deployments.history() if line["actor"] == "monitoring"]
    assert [line["action"] for line in lines] == ["drift ended", "drift"]
    assert watched.deployments.broken() is None and lines[1]["why"] == rows(watched, drift)[2].why


def test_windows_go_on_where_they_were_after_a_restart(watched, rng):
    fed(watched, rng, 300)
    again = Windows(watched.store, 200, 0.01)
    place = Place("main", 1, 1)
    assert again.check(place) == [] and again.waiting(place) == 100
    fed(watched, rng, 100, name="more")
    assert again.waiting(place) == 0 and len(rows(watched, drift)) == 2


def test_two_processes_judge_a_window_once(watched, rng):
    watched.monitor.windows = Windows(watched.store, 10**6, 0.01)
    fed(watched, rng, 200)
    place, first, second = Place("main", 1, 1), *(Windows(watched.store, 200, 0.01) for _ in "ab")
    seen = second._next(place)
    assert len(first.check(place)) == 1
    assert second._judged(place, seen) is None and second.check(place) == []
    assert len(rows(watched, drift)) == 1


def test_each_generation_begins_its_own_window_and_candidates_are_not_in_it(watched, rng):
    second = register(watched, 2, 0.95)
    fed(watched, rng, 150)
    fed(watched, rng, 150, generation=2, model_id=second)
    fed(watched, rng, 150, generation=2, model_id=1, role="shadow", **SHIFTED)
    fed(watched, rng, 150, generation=2, model_id=1, role="canary", **SHIFTED)
    assert rows(watched, drift) == []
    fed(watched, rng, 50, generation=2, model_id=second)
    (window,) = rows(watched, drift)
    assert (window.generation, window.model_id, window.answers, window.drifted) == (2, second, 200, False)


def test_a_model_without_a_reference_is_watched_without_drift(watched, rng):
    bare = register(watched, 3, 0.95, predictions=None)
    fed(watched, rng, 250, generation=2, model_id=bare)
    assert rows(watched, drift) == [] and len(rows(watched)) == 250


def test_images_that_drift_are_told_though_the_answers_stay_as_they_were(watched, rng):
    number = register(watched, 3, 0.95, golden=golden_with(watched, rng.normal(0.5, 0.1, (500, 13)).round(3)))
    for centre in (0.5, 0.6):
        embeddings = rng.normal(centre, 0.1, (200, 13)).round(3)
        fed(watched, rng, 200, generation=2, model_id=number, embeddings=embeddings)
    assert [row.drifted for row in rows(watched, drift)] == [False, True]
    assert "drift: the images' mean " in rows(watched, drift)[1].why
    assert rows(watched)[-1].embedding == embeddings[-1].tolist()


def masks(rng, count, disc=0.2):
    """Of logits of backgrounds with a disc of some size: as the monitoring keeps them."""
    down, across = np.mgrid[:20, :20]
    away = np.hypot(down - 10, across - 10) < 20 * np.sqrt(rng.normal(disc, 0.03, (count, 1, 1)).clip(0.01) / np.pi)
    truth = np.stack([~away, away, np.zeros_like(away)], axis=1)
    return of_masks(3.0 * truth + rng.normal(0, 1, truth.shape))


def test_masks_drift_where_classes_cover_more_or_less_of_the_images(watched, rng):
    number = register_masks(watched, masks(rng, 500))
    watched.deployments.deploy(number, "me")
    for disc in (0.2, 0.25):
        fed_with(watched, masks(rng, 200, disc), generation=2, model_id=number)
    assert [row.drifted for row in rows(watched, drift)] == [False, True]
    assert "drift: the mean share of " in rows(watched, drift)[1].why
    kept = rows(watched)[-1]
    assert kept.choice is None and 0.5 < kept.confidence < 1 and sum(kept.scores) == pytest.approx(1, abs=0.01)


def test_masks_without_a_reference_are_kept_without_drift(watched, rng):
    number = register_masks(watched, None)
    fed_with(watched, masks(rng, 250), generation=2, model_id=number)
    assert rows(watched, drift) == [] and rows(watched)[0].scores


def test_of_a_window_that_began_before_images_had_embeddings_the_answers_are_judged_alone(watched, rng):
    number = register(watched, 3, 0.95, golden=golden_with(watched, rng.normal(0.5, 0.1, (500, 13))))
    fed(watched, rng, 100, generation=2, model_id=number)
    fed(watched, rng, 100, generation=2, model_id=number, embeddings=rng.normal(9, 0.1, (100, 13)))
    (window,) = rows(watched, drift)
    assert not window.drifted and window.why.endswith(NO_EMBEDDINGS)


def test_old_windows_go_with_their_answers(watched, rng):
    fed(watched, rng, 200)
    watched.monitor.days, watched.monitor._tidied = 1e-9, 0.0
    time.sleep(0.3)
    watched.monitor.flush()
    with watched.database.read() as connection:
        counts = [connection.execute(select(func.count()).select_from(table)).scalar() for table in (prediction, drift)]
    assert counts[0] == 0 and counts[1] == 0


ENDLESS = """
import sys, time
import numpy as np
from serving.parts import assemble
from serving.promotion import Better
from serving.settings import ServingSettings
from tests.serving.monitoring.conftest import answered

parts = assemble(ServingSettings(root=sys.argv[1]), Better(), "v", lambda blobs, files: None)
parts.monitor.seconds = 0.3
for number in range(10**6):
    batch = answered([np.eye(3, dtype="f4")[0]] * 4, name=f"{number}-")
    parts.monitor.record(batch)
    print(time.time(), *(one.id for one in batch), flush=True)
    time.sleep(0.02)
"""


def test_a_process_that_is_killed_loses_its_last_moments_alone(open_parts):
    parts = open_parts()
    register(parts)
    line = [sys.executable, "-c", ENDLESS, parts.settings.root]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        told = [process.stdout.readline().split() for _ in range(100)]
        process.kill()
        told += [words.split() for words in process.stdout]
    kept = {row.key for row in rows(parts)}
    lost = [float(at) for at, *keys in told if not set(keys) <= kept]
    last = float(told[-1][0])
    assert len(kept) >= 40 and last - min(lost, default=last) < 10
    assert all(set(keys) <= kept for at, *keys in told if float(at) < min(lost, default=last))


def test_scores_are_plain_numbers_in_the_database(watched, rng):
    fed(watched, rng, 1)
    assert json.loads(json.dumps(rows(watched)[0].scores)) == rows(watched)[0].scores
