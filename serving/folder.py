"""Which folder holds the files that a database of its own names: both keep one id, wherever the folder is mounted."""

from pathlib import Path
from uuid import uuid4

from sqlalchemy import Connection, delete, func, insert, select, update

from serving.database import FILE, Database, without_password
from serving.tables import store_folder, token
from utils.files import write_whole

ID = "store.id"  # below the root


def refuse_foreign(root: Path) -> None:
    """Raises ValueError where SQLite would be made beside files that another database names, and prune them."""
    if (root / ID).is_file() and not (root / FILE).is_file():
        raise ValueError(
            f"the rows of serving.root={root} are in a database beside it, as {ID} there tells: give its "
            "serving.database=postgresql://USER@HOST/NAME, or another serving.root"
        )


def bind(root: Path, database: Database, url: str) -> None:
    """The folder and the database are one store from now on. Raises ValueError where the database is another's.

    One without a token is nobody's yet: it is new, or a restore into it did not come to its end.
    """
    with database.alone() as connection:
        kept, is_empty = connection.execute(select(store_folder)).first(), _is_empty(connection)
        if is_empty:
            _refuse_sqlite(root)
        if kept is None or is_empty:
            connection.execute(delete(store_folder))
            connection.execute(insert(store_folder).values(id=_made(root), path=str(root)))
        elif kept.id != _own(root):
            raise ValueError(
                f"serving.database={without_password(url)} belongs to the store in {kept.path}, where its files lie, "
                f"and {_other(kept.path, root)}; where it is that folder without its {ID}, write {kept.id} into "
                f"{root / ID}"
            )
        elif _is_beside(Path(kept.path), root):
            raise ValueError(
                f"serving.root={root} is a copy of {kept.path}, and one serving.database is for one folder: give "
                f"serving.root={kept.path}; or, where the copy is to take its place, move {kept.path} away; for a "
                "second store `python -m serving backup FILE`, then `restore FILE` with a serving.database of its own"
            )
        else:
            connection.execute(update(store_folder).values(path=str(root)))


def _is_beside(former: Path, root: Path) -> bool:
    """Whether the folder that was there still is, as another one with the same id."""
    return _own(former) == _own(root) and not former.samefile(root)


def _refuse_sqlite(root: Path) -> None:
    """The files of a store in SQLite would seem to be nobody's."""
    if (root / FILE).is_file():
        raise ValueError(
            f"serving.root={root} holds a store in {FILE}, which this serving.database does not know: without it, "
            "`python -m serving backup FILE`, then `restore FILE` with it and a new serving.root"
        )


def _other(path: str, root: Path) -> str:
    """What is opened in the place of the folder that was there, and the way out."""
    if path == str(root):
        return "what is there now is another folder: is its disk mounted?"
    return f"serving.root={root} is another folder: give serving.root={path}, or another serving.database"


def _is_empty(connection: Connection) -> bool:
    return not connection.execute(select(func.count()).select_from(token)).scalar()


def _own(root: Path) -> str | None:
    """The folder's id."""
    file = root / ID
    return file.read_text().strip() if file.is_file() else None


def _made(root: Path) -> str:
    """The folder's id, made where it has none."""
    found = _own(root) or uuid4().hex
    write_whole(root / ID, f"{found}\n")
    return found
