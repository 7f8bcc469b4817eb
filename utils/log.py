"""One way to say things: the terminal gets the message, the run's log.txt the message with its time."""

import logging
import sys
import warnings
from pathlib import Path
from typing import IO

from rich.console import Console


def to_terminal() -> None:
    """Messages of this project from INFO on, those of others from WARNING on."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout, force=True)
    for name in ("models", "datamodule", "utils", "tuning", "active", "serving"):
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    # Lightning's advice about loader workers and log intervals: both are chosen and logged by this project.
    warnings.filterwarnings("ignore", module="pytorch_lightning.*|lightning_fabric.*", category=UserWarning)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)


def to_file(file: Path) -> None:
    """From now on messages go to this file as well (and no longer to a former run's)."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, logging.FileHandler)]:
        root.removeHandler(handler)
        handler.close()
    handler = logging.FileHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)


def console(file: IO[str] | None = None) -> Console:
    """Where tables and lines are shown: as wide as the terminal, or wide enough for a table where there is none.

    What it shows stays as it is: brackets and colons in paths and names of classes mean nothing. file: in place of what
    is standard output whenever something is shown.
    """
    found = Console(highlight=False, markup=False, emoji=False, file=file)
    if not found.is_terminal:
        found.width = 140
    return found


def first_line(error: BaseException) -> str:
    """Of an error's message, or its kind where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
