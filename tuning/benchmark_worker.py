"""Measures for another process, on a machine of a cluster: python -m tuning.benchmark_worker; lines of JSON in and out.

A process of its own, started afresh: children are forked from it, and one with Ray's threads cannot be forked safely.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from tuning.benchmark_settings import BenchmarkSettings
from tuning.benchmarking import Look, look, rows
from tuning.jobs import Chosen, Job, Machine

Facts = dict[str, Any]


def looked(asked: Facts) -> Facts:
    """What the machine is and has."""
    return asdict(look(BenchmarkSettings(**asked["settings"])))


def measured(asked: Facts) -> list[Facts]:
    """The rows of one model's jobs."""
    own = [Job(**job) for job in asked["jobs"]]
    return [asdict(row) for row in rows(own, BenchmarkSettings(**asked["settings"]))]


def look_of(facts: Facts) -> Look:
    """What `looked` answered, put together again."""
    engines = [Chosen(**one) for one in facts["engines"]]
    return Look(Machine(**facts["machine"]), facts["threads"], engines, facts["refused"], facts["stamp"])


ANSWERS: dict[str, Callable[[Facts], Any]] = {"look": looked, "rows": measured}


def answered(line: str) -> str:
    """One question; what the user did wrong is an answer, too."""
    asked = json.loads(line)
    try:
        return json.dumps({"answer": ANSWERS[asked["ask"]](asked)})
    except ValueError as error:
        return json.dumps({"error": str(error)})


def main() -> None:
    for line in sys.stdin:
        print(answered(line), flush=True)


if __name__ == "__main__":
    main()
