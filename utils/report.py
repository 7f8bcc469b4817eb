"""A report: one self-contained page, light and dark, that needs no network, and its charts as PNGs beside it.

A page is a list of sections, a section a list of blocks. Whoever has something to show builds blocks; how they look
is told in report.html, report.css and report.js only.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from utils.charts import PALETTE, Chart, Matrix, Picturable
from utils.files import write_whole

Array = NDArray[Any]
Cell = str | int | float | tuple[float, float, float] | None  # a triple is a value with the ends of its range

FOLDER = Path(__file__).parent
THUMBNAIL = 192  # longest side in pixels; smaller images keep theirs
LOSSLESS = 64 * 64  # pixels up to which a thumbnail is PNG


@dataclass(frozen=True)
class Stat:
    """One figure in large type."""

    title: str
    value: str
    note: str = ""  # such as its range
    range: tuple[float, float, float] | None = None  # value, low and high between 0 and 1, drawn as a bar


@dataclass(frozen=True)
class Stats:
    """Figures side by side; the first is the one to remember."""

    stats: tuple[Stat, ...]
    kind: ClassVar = "stats"


@dataclass(frozen=True)
class Column:
    """What a table's column holds: words, whole numbers, other numbers, or shares shown in per cent."""

    title: str
    kind: Literal["text", "count", "number", "share"] = "text"
    ends: tuple[float, float] = (0.0, 1.0)  # of the bars that show ranges
    wraps: bool = False  # of sentences, which are shown whole; other words are cut where they are long


@dataclass(frozen=True)
class Table:
    """Rows under headings, sorted by a click on one; None is shown as a dash and sorted last."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    kind: ClassVar = "table"


@dataclass(frozen=True)
class Picture:
    """An image (height, width, channels) uint8 with words; `beside` is a second one, such as a heat map over it."""

    image: Array
    title: str = ""
    note: str = ""
    hint: str = ""  # shown by a hover
    share: float | None = None  # a probability, drawn as a bar
    beside: Array | None = None


@dataclass(frozen=True)
class Gallery:
    """Images in a grid."""

    pictures: tuple[Picture, ...]
    kind: ClassVar = "gallery"


@dataclass(frozen=True)
class Charts:
    """Charts side by side or, where they show the same thing in several ways, one at a time by its button."""

    charts: tuple[Picturable, ...]
    choices: tuple[str, ...] = ()  # a button for each chart
    kind: ClassVar = "charts"


@dataclass(frozen=True)
class Facts:
    """Names and values; folded ones open on a click."""

    title: str
    facts: Mapping[str, str]
    folded: bool = True
    kind: ClassVar = "facts"


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: ClassVar = "text"


Block = Stats | Table | Gallery | Charts | Facts | Text


@dataclass(frozen=True)
class Section:
    """A heading, a sentence on what is to be seen, and the blocks. Without a title it belongs to the page's head."""

    title: str
    blocks: tuple[Block, ...]
    note: str = ""


def write_report(folder: Path, title: str, sections: Sequence[Section], subtitle: str = "") -> Path:
    """Writes `folder/index.html` and a PNG for each chart, each whole or not at all; returns the page's path."""
    from utils.plots import png

    charts = list(_charts(sections))
    names = [chart.name for chart in charts]
    if len(set(names)) != len(names):
        raise ValueError(f"two charts of one report have the same name, and so the same file: {sorted(names)}")
    for chart in charts:
        write_whole(folder / f"{chart.name}.png", png(chart))
    page = folder / "index.html"
    write_whole(page, render(title, sections, subtitle))
    return page


def render(title: str, sections: Sequence[Section], subtitle: str = "") -> str:
    """The page as text."""
    return str(
        _template().render(
            title=title,
            subtitle=subtitle,
            sections=sections,
            palette=PALETTE,
            plotly=_plotly() if any(True for _ in _charts(sections)) else "",
        )
    )


def data_uri(image: Array) -> str:
    """A thumbnail to be embedded in a page: small images as they are (PNG), larger ones reduced (JPEG).

    image: (height, width[, channels]) uint8; of more than three channels the first three are shown, of two the first.
    """
    from PIL import Image

    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise ValueError(f"a thumbnail needs (height, width, channels) of uint8, got {image.shape} of {image.dtype}")
    if image.ndim == 3:
        image = image[..., :3] if image.shape[2] >= 3 else image[..., 0]
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    kind = "png" if picture.width * picture.height <= LOSSLESS else "jpeg"
    content = BytesIO()
    picture.save(content, kind, **({"quality": 85} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"


def _charts(sections: Sequence[Section]) -> Iterator[Chart | Matrix]:
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Charts):
                yield from block.charts


@cache
def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"data_uri": data_uri, "cell": cell, "key": sort_key, "json": _json, "range": span}
    return environment.get_template("report.html")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("</script", "<\\/script")


def _json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def cell(value: Cell, kind: str) -> str:
    """A table's cell in words."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    number = value[0] if isinstance(value, tuple) else value
    return {"share": f"{100 * number:.1f} %", "count": f"{number:,.0f}"}.get(kind, number_told(number))


def number_told(number: float) -> str:
    """In four digits, or in as many as a whole number has."""
    return f"{number:.4g}" if abs(number) < 1e4 else f"{number:,.0f}"


def sort_key(value: Cell) -> str | float:
    """What a column is sorted by; an empty text for what is not there."""
    if value is None:
        return ""
    return value[0] if isinstance(value, tuple) else value


def span(value: Cell) -> str:
    """The range of a share in words, empty where there is none."""
    return f"{100 * value[1]:.1f} – {100 * value[2]:.1f} %" if isinstance(value, tuple) else ""
