"""Real processes that crash, hang and take memory."""

import faulthandler
import os
import signal
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import psutil
import pytest

from tuning.isolation import Allowance, Failure, _Child, isolated

ENOUGH = Allowance(seconds=60, memory_mib=4096)


def act(job):
    name, number = job
    return ACTS[name](number)


def crash(number):
    faulthandler.disable()
    os.write(2, b"about to fall\nthe last words\n")
    os.abort()


def hang(number):
    time.sleep(3600)


def hog(number):
    held = []
    while True:
        held.append(bytearray(os.urandom(1)) * (16 * 2**20))
        time.sleep(0.01)


def refuse(number):
    raise ValueError(f"{number} is refused\nand more on a second line")


def announce(number):
    raise RuntimeError("check failed at file.cpp:151:\nthere is no rule for\n-- resize")


def start_another(number):
    sleeper = get_context("fork").Process(target=time.sleep, args=(3600,))
    sleeper.start()
    Path(number).write_text(f"{os.getpid()} {sleeper.pid}")
    time.sleep(3600)


ACTS = {
    "answer": lambda number: (number, os.getpid()), "crash": crash, "hang": hang, "hog": hog, "refuse": refuse,
    "announce": announce,
    "start": start_another, "exit": lambda number: os._exit(3), "kill": lambda number: os.kill(os.getpid(), 9),
}  # fmt: skip


def answers(jobs, allowance=ENOUGH):
    return [answer for _, answer in isolated(act, jobs, allowance)]


def test_one_process_of_its_own_does_all_jobs_in_order():
    found = answers([("answer", number) for number in range(4)])
    assert [number for number, _ in found] == [0, 1, 2, 3]
    assert len({pid for _, pid in found}) == 1 and found[0][1] != os.getpid()


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("crash", "its process was killed by SIGABRT: the last words"),
        ("kill", "its process was killed by SIGKILL"),
        ("exit", "its process ended with 3"),
        ("refuse", "ValueError: 7 is refused"),
        ("announce", "RuntimeError: check failed at file.cpp:151: there is no rule for -- resize"),
    ],
)
def test_what_breaks_costs_its_own_answer_alone(what, told):
    before, broken, after = answers([("answer", 1), (what, 7), ("answer", 2)])
    assert (before[0], broken, after[0]) == (1, Failure(told), 2)


def test_an_answer_that_was_cut_short_is_told_like_any_death():
    ours, theirs = get_context("fork").Pipe(duplex=False)
    with _Child(act, [("hang", 0)]) as child:
        os.write(theirs.fileno(), b"\0\0")  # of the four bytes that say how long it is
        theirs.close()
        os.kill(child.process.pid, signal.SIGKILL)
        child.answers = ours
        assert child.answer(time.monotonic() + 60, ENOUGH) == Failure("its process was killed by SIGKILL")


def test_a_hang_ends_when_the_time_is_over_with_what_was_answered_before():
    began = time.monotonic()
    before, hung, never = answers([("answer", 1), ("hang", 0), ("hang", 0)], Allowance(1.5, 4096))
    assert before[0] == 1 and "took longer than the model's 1.5 s" in hung.reason and isinstance(never, Failure)
    assert time.monotonic() - began < 50  # not 3600


def test_one_that_takes_too_much_memory_is_ended_and_the_others_go_on():
    used = psutil.Process().memory_info().rss / 2**20
    allowed = round(used + 150)
    hogged, after = answers([("hog", 0), ("answer", 2)], Allowance(60, allowed))
    assert f"{allowed:,} are allowed (benchmark.memory_limit)" in hogged.reason and after[0] == 2


def test_no_process_is_left_behind_not_even_by_one_that_was_stopped(tmp_path):
    answers([("start", str(tmp_path / "pids"))], Allowance(3, 4096))
    for pid in (tmp_path / "pids").read_text().split():
        until(partial(is_gone, int(pid)))


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def lead(file):
    answers([("start", file)])


def test_children_die_with_a_parent_that_is_killed(tmp_path):
    leader = get_context("fork").Process(target=lead, args=(str(tmp_path / "pids"),))
    leader.start()
    until(lambda: (tmp_path / "pids").exists() and len((tmp_path / "pids").read_text().split()) == 2)
    child, grandchild = map(int, (tmp_path / "pids").read_text().split())
    os.kill(leader.pid, signal.SIGKILL)
    leader.join()
    try:
        until(lambda: is_gone(child))
    finally:
        os.kill(grandchild, signal.SIGKILL)


def until(condition):
    for _ in range(1500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it never came to that")


def test_the_parents_handlers_are_not_the_childs():
    former = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        ((_, answer),) = isolated(signal.getsignal, [signal.SIGTERM], ENOUGH)
    finally:
        signal.signal(signal.SIGTERM, former)
    assert answer == signal.SIG_DFL
