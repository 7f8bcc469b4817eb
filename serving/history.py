"""What happened, in order: lines that are only ever added, each sealed with the hash of the one before it."""

import hashlib
import json
import time
from typing import Any

from sqlalchemy import Connection, insert, select

from serving.tables import history

BEGINNING = "0" * 64


def append(connection: Connection, actor: str, action: str, why: str, **facts: Any) -> None:
    """Adds a line within a transaction of `Database.alone`. facts: endpoint, generation, from_id, to_id."""
    last = connection.execute(select(history).order_by(history.c.number.desc()).limit(1)).first()
    line = {
        "number": last.number + 1 if last else 1,
        "at": time.time(),
        "actor": actor,
        "action": action,
        "endpoint": None,
        "generation": None,
        "from_id": None,
        "to_id": None,
        "why": why,
        "previous": last.digest if last else BEGINNING,
    } | facts
    connection.execute(insert(history).values(**line, digest=seal(line)))


def seal(line: dict[str, Any]) -> str:
    """sha256 of a line with the hash of the one before it."""
    content = {key: value for key, value in line.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def broken(lines: list[dict[str, Any]], known: dict[str, Any] | None = None) -> int | None:
    """The number of the first line that is not what was written, or after which one is missing; None if all is well.

    lines: oldest first, all of them; or from one on that is `known` from an earlier look, at which all was well.
    """
    if known is not None and lines[:1] != [known]:
        return int(known["number"])
    number, previous = (0, BEGINNING) if known is None else (known["number"], known["digest"])
    for place, line in enumerate(lines if known is None else lines[1:], number + 1):
        if (line["number"], line["previous"], line["digest"]) != (place, previous, seal(line)):
            return place
        previous = line["digest"]
    return None
