"""The splits of small classes, which are drawn once and kept below the cache."""

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodule.cache_dir import whole, writing_below
from datamodule.inventory import Inventory
from utils.files import write_whole

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frozen:
    """What was drawn before: split by key. known: None where its file is damaged."""

    memory: Path
    known: dict[str, str] | None

    @classmethod
    def of(cls, inventory: Inventory, shares: dict[str, float], salt: str, cache_dir: Path) -> "Frozen":
        key = json.dumps([str(inventory.root.absolute()), inventory.source[0], shares, salt])
        memory = cache_dir / "splits" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
        return cls(memory, whole(memory, _are_splits) if memory.exists() else {})

    def renew(self, drawn: dict[str, str], had_before: bool, cache_dir: Path) -> None:
        """Keeps what is drawn now. had_before: the same inventory was settled with the same splits once.

        Raises ValueError where what is kept is damaged and nothing shows that it was drawn just so.
        """
        if self.known is None and not had_before:
            raise ValueError(
                f"{self.memory}, which keeps the splits of small classes, is damaged, and drawn anew they may differ "
                "from before: put a whole copy of it there, or delete it to draw them anew"
            )
        if self.known is None:
            log.warning("%s is damaged; it is made anew, with the same splits", self.memory)
        if drawn != self.known:
            with writing_below(cache_dir):
                write_whole(self.memory, json.dumps(drawn, indent=0, sort_keys=True))


def _are_splits(told: Any) -> bool:
    return isinstance(told, dict) and {*map(type, told.values())} <= {str}
