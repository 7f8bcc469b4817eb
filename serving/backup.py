"""A whole store in one file, taken while its server runs; and back."""

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

from sqlalchemy import Connection, func, insert, select, text

from serving.blobs import SHA256, Blobs
from serving.database import NEWEST, Database, version
from serving.feedback_files import FEEDBACK, Shelf
from serving.settings import NAME
from serving.store import referenced
from serving.tables import feedback, metadata, store_folder, token
from utils.files import sync_folder

CARRIED = [table for table in metadata.sorted_tables if table is not store_folder]  # a restored store has its own
FACTS, ROWS, FILES = "store.json", "rows", "blobs"
MOST_ROWS = 500  # inserted at a time
ROUNDS = 5  # at most, where files are deleted all the time


Named = dict[str, Path]  # a file's name in the archive, and where it lies


def require_place(file: Path) -> None:
    """Raises ValueError where no backup can come to lie: a folder is not made, it may be a disk that is not mounted."""
    if not file.parent.is_dir():
        raise ValueError(f"{file}: the folder {file.parent} is not there; make it, or name a file in one that is")
    if file.is_dir():
        raise ValueError(f"{file} is a folder; name a file in it, such as {file / 'store.tar'}")


def backup(root: Path, database: Database, file: Path) -> str:
    """Writes the rows of one consistent view and every file that they name; says what was saved, and what is missing.

    Nobody gives up files of models meanwhile; where an image that was corrected is deleted, it begins again, ROUNDS
    times in all.
    """
    part = file.with_name(file.name + ".part")
    try:
        with Blobs(root).kept():
            count, named, missing = _settled(part, root, database)
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(file.absolute().parent)
    lacking = f"; missing in the store: {', '.join(missing)}" if missing else ""
    return f"{count:,} rows and {len(named) - len(missing):,} files in {file}{lacking}"


def _settled(part: Path, root: Path, database: Database) -> tuple[int, Named, list[str]]:
    """As `_written`; once more where files are missing that were not missing before."""
    found = _written(part, root, database)
    before: list[str] = []
    for _ in range(ROUNDS - 1):
        if found[2] == before:
            break
        before, found = found[2], _written(part, root, database)
    return found


def _written(part: Path, root: Path, database: Database) -> tuple[int, Named, list[str]]:
    """The number of rows, the files that they name, and those of them that are not there."""
    with tarfile.open(part, "w") as archive:
        count, named = _add_rows(archive, root, database)
        missing = [name for name, place in sorted(named.items()) if not _added(archive, name, place)]
    return count, named, missing


def _added(archive: tarfile.TarFile, name: str, place: Path) -> bool:
    """Whether a file is there."""
    try:
        archive.add(place, name)
    except FileNotFoundError:
        return False
    return True


def _add_rows(archive: tarfile.TarFile, root: Path, database: Database) -> tuple[int, Named]:
    count = 0
    _add(archive, FACTS, json.dumps({"schema": version(database.engine)}))
    with database.read() as connection:
        if database.file is None:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        for table in CARRIED:
            rows = [json.dumps(dict(row._mapping)) for row in connection.execute(select(table))]
            _add(archive, f"{ROWS}/{table.name}.jsonl", "\n".join(rows))
            count += len(rows)
        return count, _named(connection, root)


def _named(connection: Connection, root: Path) -> Named:
    """The files that the rows of one view name."""
    blobs, images = Blobs(root), select(feedback.c.endpoint, feedback.c.file_sha256).distinct()
    named = {f"{FILES}/{sha}": blobs.path(sha) for sha in referenced(connection)}
    for endpoint, sha in connection.execute(images):
        named[f"{FEEDBACK}/{endpoint}/{sha}.png"] = Shelf(root / FEEDBACK / endpoint).path(sha)
    return named


def _add(archive: tarfile.TarFile, name: str, content: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content.encode())
    archive.addfile(entry, io.BytesIO(content.encode()))


def restore(root: Path, database: Database, file: Path) -> str:
    """Fills an empty store, whose rows come with the last file or not at all.

    Raises ValueError where it is not empty, or the backup is of another schema or damaged.
    """
    try:
        with tarfile.open(file) as archive:
            stored = json.loads(_content(archive, FACTS))["schema"]
            if stored != NEWEST:
                raise ValueError(f"{file} has schema {stored}, this code {NEWEST}: restore with its code")
            with database.alone() as connection:
                _require_empty(connection, file)
                rows = _restore_rows(archive, connection, database.file is None)
                files = _restore_files(archive, root)
    except tarfile.TarError as error:
        raise ValueError(f"{file} is no backup of a store, or a damaged one: {error}") from error
    return f"{rows:,} rows and {files:,} files from {file}"


def _require_empty(connection: Connection, file: Path) -> None:
    if connection.execute(select(func.count()).select_from(token)).scalar():
        raise ValueError(f"the store is not empty: restore {file} into a new serving.root")


def _restore_files(archive: tarfile.TarFile, root: Path) -> int:
    """Each under the name that its content has; nothing else is taken out of the archive."""
    blobs, count = Blobs(root), 0
    for entry in archive:
        stream = archive.extractfile(entry) if entry.isfile() else None
        if stream is None:
            continue
        if blob := re.fullmatch(f"{FILES}/({SHA256})", entry.name):
            blobs.put_stream(stream, entry.size, blob[1])
        elif image := re.fullmatch(f"{FEEDBACK}/({NAME})/({SHA256})\\.png", entry.name):
            _restore_image(Shelf(root / FEEDBACK / image[1]), stream.read(), image[2])
        else:
            continue
        count += 1
    return count


def _restore_image(shelf: Shelf, content: bytes, sha256: str) -> None:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"the backup is damaged: image {sha256} holds something else")
    shelf.put(content)


def _restore_rows(archive: tarfile.TarFile, connection: Connection, in_postgres: bool) -> int:
    count = 0
    for table in CARRIED:
        rows = [json.loads(line) for line in _content(archive, f"{ROWS}/{table.name}.jsonl").splitlines()]
        for begin in range(0, len(rows), MOST_ROWS):
            connection.execute(insert(table), rows[begin : begin + MOST_ROWS])
        count += len(rows)
        if in_postgres and "id" in table.c:
            connection.execute(text(_sequence(table.name)))
    return count


def _sequence(table: str) -> str:
    """So that Postgres numbers on where the rows end."""
    return f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), GREATEST((SELECT max(id) FROM {table}), 1))"


def _content(archive: tarfile.TarFile, name: str) -> str:
    try:
        stream = archive.extractfile(name)
    except KeyError:
        stream = None
    if stream is None:
        raise ValueError(f"{archive.name!r} is no backup of a store: it holds no {name}")
    return stream.read().decode()
