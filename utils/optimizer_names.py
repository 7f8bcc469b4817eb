"""The names of timm's and torch's optimizers, read in their sources: to import these takes seconds."""

import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from utils.signature import nearest

OF_TIMM = re.compile(r"(?:OptimInfo|register_alias)\(\s*(?:name=)?'(\w+)'")
OF_TORCH = re.compile(r"^from torch\.optim\.\w+ import (\w+) as", re.MULTILINE)
NO_CHOICE = ("Optimizer", "SparseAdam")  # which takes sparse gradients alone, that no image model has
AROUND = "lookahead_"  # any of timm's


def refuse_unknown(key: str, name: str, further: Sequence[str] = ()) -> None:
    """Raises ValueError for a name that is neither timm's nor torch's, nor one of the `further` that this key takes."""
    known = [*further, *optimizer_names()]
    if name not in known and name.lower().removeprefix(AROUND) not in known:
        plain = name.removeprefix(AROUND)
        raise ValueError(f"{key}={name}: timm and torch have no such optimizer; {nearest(plain, known)}")


@cache
def optimizer_names() -> tuple[str, ...]:
    """All that a configuration may name, timm's first."""
    of_timm = (folder_of("timm") / "optim/_optim_factory.py").read_text()
    of_torch = (folder_of("torch") / "optim/__init__.py").read_text()
    return (*sorted(OF_TIMM.findall(of_timm)), *sorted(set(OF_TORCH.findall(of_torch)) - set(NO_CHOICE)))


def folder_of(package: str) -> Path:
    """Of an installed package, which is not imported."""
    found = find_spec(package)
    assert found is not None and found.submodule_search_locations  # requirements.txt names it
    return Path(found.submodule_search_locations[0])
