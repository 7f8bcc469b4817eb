"""The names of timm's networks, read in its source: to import it takes seconds, and torch."""

import re
from collections.abc import Sequence
from functools import cache

from utils.optimizer_names import folder_of
from utils.signature import nearest

REGISTERED = re.compile(r"@register_model\s+def (\w+)\(")
FORMER = re.compile(r"register_model_deprecations\(__name__, \{(.*?)\}\)", re.DOTALL)  # names that lead to newer ones
KEY = re.compile(r"""['"](\w+)['"]\s*:""")
TAGGED = re.compile(r"""^\s*['"](\w+)\.(\w+)['"]\s*:""", re.MULTILINE)  # 'resnet18.a1_in1k': _cfg(


def refuse_unknown(key: str, name: str, further: Sequence[str] = ()) -> None:
    """Raises ValueError for a name, or a tag of its weights, that this machine's timm does not know.

    Where timm makes an architecture's tags in a loop, only timm can tell them. further: what else may have been meant.
    """
    base, _, tag = name.partition(".")
    if base not in architectures() and base not in former_names():
        raise ValueError(f"{key}={name}: timm has none of that name; {nearest(base, [*further, *architectures()])}")
    known = tags().get(base)
    if tag and known and tag not in known:
        raise ValueError(f"{key}={name}: {base} has no weights tagged {tag}; {nearest(tag, known)}")


@cache
def architectures() -> frozenset[str]:
    return frozenset(name for text in _sources() for name in REGISTERED.findall(text))


@cache
def former_names() -> frozenset[str]:
    return frozenset(name for text in _sources() for table in FORMER.findall(text) for name in KEY.findall(table))


@cache
def tags() -> dict[str, list[str]]:
    """Architecture → which weights its source lists."""
    found = dict[str, list[str]]()
    for base, tag in (pair for text in _sources() for pair in TAGGED.findall(text)):
        found.setdefault(base, []).append(tag)
    return found


def _sources() -> list[str]:
    return [file.read_text() for file in folder_of("timm").glob("models/*.py")]
