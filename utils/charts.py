"""Charts described once: as plotly figures for a page (`spec`), and drawn as pictures by utils.plots.

Colours are named by what they mean; a page resolves them to its light or dark theme, a picture takes the light one.
Plotly itself is not needed here: a figure is plain data, its colours "var(--name)".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from math import ceil, floor, isfinite, log10
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Spec = dict[str, Any]

# meaning: (light, dark)
PALETTE = {
    "paper": ("#fdfdfc", "#111613"),
    "raised": ("#f4f6f4", "#1a211d"),
    "ink": ("#17211b", "#e6ece8"),
    "soft": ("#5b6860", "#97a59d"),
    "line": ("#dfe4e0", "#2b352f"),
    "accent": ("#17694a", "#5ec796"),
    "train": ("#7d8a96", "#8b98a5"),
    "val": ("#c27c12", "#e3ad54"),
    "test": ("#17694a", "#5ec796"),
    "wrong": ("#b23a24", "#f0856a"),
    "right-0": ("#cfe6da", "#1d3a2d"),
    "right-1": ("#17694a", "#2f8f66"),
    "wrong-0": ("#f7d3ca", "#4a251c"),
    "wrong-1": ("#b23a24", "#d2583c"),
}
LONGEST_NAME = 24  # as long as "eager fp32 channels-last"
FEW_WHOLE = 12  # numbers that an axis of whole ones names all of
FEW_DECADES = 4  # of an axis that names 2 and 5, too
MOST_CELLS_WITH_TEXT = 20  # classes up to which a matrix writes its figures into the cells


@dataclass(frozen=True)
class Axis:
    """Label and scale; `categories` makes it one of names."""

    label: str = ""
    percent: bool = False
    range: tuple[float, float] | None = None
    categories: tuple[str, ...] = ()
    unnamed: bool = False  # categories too many to be written: only a hover tells them
    log: bool = False  # a logarithmic scale; `range` is then that of the exponents of ten
    whole: bool = False  # counts: nothing is named between two of them


@dataclass(frozen=True)
class Series:
    """One line, set of bars, steps or cloud of points; NaN leaves a gap."""

    name: str
    x: Sequence[Any] | Array
    y: Sequence[float] | Array
    color: str = "accent"  # a key of PALETTE
    kind: Literal["line", "marked", "bar", "step", "points"] = "line"
    dashed: bool = False
    size: Sequence[float] | Array | None = None  # of points, between 0 and 1
    labels: Sequence[str] = ()  # of points, told by a hover
    sides: Sequence[str | None] = ()  # where a label is written: "top left", "bottom right", …; None: nowhere


@dataclass(frozen=True)
class Chart:
    """Series over two axes."""

    name: str  # the picture's file name without its ending
    title: str
    series: tuple[Series, ...]
    x: Axis = field(default_factory=Axis)
    y: Axis = field(default_factory=Axis)
    square: bool = False
    legend: bool = True  # where there is more than one series; a hover tells their names anyway

    def spec(self) -> Spec:
        """As a plotly figure."""
        x = _axis(self.x) | ({"dtick": 1} if self.names_each_whole else {})
        y = _axis(self.y) | ({"dtick": ceil(self.decades / FEW_DECADES)} if self.names_powers_alone else {})
        layout = {"xaxis": x, "yaxis": y, "showlegend": self.legend and len(self.series) > 1}
        return {"data": [_trace(series) for series in self.series], "layout": layout}

    @property
    def names_each_whole(self) -> bool:
        """Whether the x axis is of so few whole numbers that Plotly would name some between them."""
        values = [float(value) for series in self.series for value in series.x] if self.x.whole else []
        return bool(values) and max(values) - min(values) <= FEW_WHOLE

    @property
    def decades(self) -> float:
        """How many powers of ten the values above 0 span."""
        values = [float(value) for series in self.series for value in series.y if value > 0 and isfinite(value)]
        return log10(max(values) / min(values)) if values else 0.0

    @property
    def names_powers_alone(self) -> bool:
        """Whether a logarithmic y axis has no room for what lies between two powers of ten."""
        return self.y.log and self.y.range is None and self.decades > FEW_DECADES


@dataclass(frozen=True)
class Matrix:
    """A square table of counts or shares as colours: the diagonal is right, the rest is wrong and has its own scale."""

    name: str
    title: str
    values: Array  # (classes, classes)
    classes: tuple[str, ...]
    percent: bool = False
    rows: str = "true"
    columns: str = "predicted"
    square = True

    def spec(self) -> Spec:
        """As a plotly figure; empty cells are left out."""
        axis = _axis(Axis(categories=self.classes)) | {"constrain": "domain"}
        layout = {
            "plot_bgcolor": "var(--raised)",
            "xaxis": axis | {"title": {"text": self.columns}, "tickangle": self.angle, "constraintoward": "left"},
            "yaxis": axis
            | {"title": {"text": self.rows}, "autorange": "reversed", "scaleanchor": "x", "constraintoward": "top"},
        }
        return {"data": [self._heat(*part) for part in self.parts()], "layout": layout}

    def parts(self) -> Iterator[tuple[Array, str, float]]:
        """Right and wrong cells, NaN elsewhere and where empty; each with its colour and the top of its scale."""
        values = np.where(self.values > 0, self.values, np.nan).astype(np.float64)
        diagonal = np.eye(len(self.classes), dtype=bool)
        for color, of_part in (("right", diagonal), ("wrong", ~diagonal)):
            highest = float(self.values[of_part].max(initial=0))
            top = 1.0 if self.percent and color == "right" else highest or 1.0
            yield np.where(of_part, values, np.nan), color, top

    @property
    def angle(self) -> int:
        """Of the names below: upright where they are short."""
        return 90 if max(map(len, self.classes)) > 3 else 0

    def text(self, value: float) -> str:
        """What a cell says."""
        return f"{100 * value:.0f}" if self.percent else f"{value:,.0f}"

    def _heat(self, cells: Array, color: str, top: float) -> Spec:
        figure, names = "%{z:.1%}" if self.percent else "%{z:,}", _escaped(self.classes)
        few = len(names) <= MOST_CELLS_WITH_TEXT
        words = [["" if np.isnan(value) else self.text(value) for value in row] for row in cells]
        return {
            "type": "heatmap",
            "x": names,
            "y": names,
            "z": [_numbers(row) for row in cells],
            "zmin": 0,
            "zmax": top,
            "colorscale": [[0, f"var(--{color}-0)"], [1, f"var(--{color}-1)"]],
            "showscale": False,
            "hoverongaps": False,
            "xgap": int(len(names) <= 60),
            "ygap": int(len(names) <= 60),
            "hovertemplate": f"{self.rows} <b>%{{y}}</b><br>{self.columns} <b>%{{x}}</b><br>{figure}<extra></extra>",
        } | ({"text": words, "texttemplate": "%{text}"} if few else {})


Picturable = Chart | Matrix


def shortened(name: str) -> str:
    """A long class name cut in its middle, so that names of one family can still be told apart."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME // 2]}…{name[-(LONGEST_NAME // 2 - 1) :]}"


def _axis(axis: Axis) -> Spec:
    made: Spec = {"title": {"text": escape(axis.label, quote=False)}}
    if axis.percent:
        made["tickformat"] = ".1~%"
    if axis.log:
        made |= {"type": "log"} | _ticks(axis)
    if axis.range:
        made["range"] = list(axis.range)
    if axis.categories:
        names = _escaped(axis.categories)
        short = dict(zip(names, _escaped([shortened(name) for name in axis.categories]), strict=True))
        made |= {
            "type": "category",
            "categoryorder": "array",
            "categoryarray": names,
            "labelalias": short,
            "showgrid": False,
            "showticklabels": not axis.unnamed,
        }
    return made


def _ticks(axis: Axis) -> Spec:
    """1, 2, 5, 10, 20, …, written in full: Plotly itself would write 20 as 2."""
    if axis.range is None:
        return {"dtick": "D2"}
    low, high = axis.range
    powers, shown = range(floor(low), ceil(high) + 1), list[float]()
    for digits in ((1, 2, 5), range(1, 10), [part / 10 for part in range(10, 100)]):
        shown = [value for power in powers for digit in digits if low <= log10(value := digit * 10.0**power) <= high]
        if len(shown) > 1:
            break
    return {"tickvals": shown, "ticktext": [f"{value:.6g}" for value in shown]}


def _trace(series: Series) -> Spec:
    named = any(isinstance(value, str) for value in series.x)
    trace: Spec = {"name": escape(series.name, quote=False), "y": _numbers(series.y)}
    trace["x"] = _escaped(series.x) if named else _numbers(series.x)
    color = f"var(--{series.color})"
    if series.kind == "bar":
        return trace | {"type": "bar", "marker": {"color": color}}
    if series.kind == "points":
        return (
            trace
            | {
                "type": "scatter",
                "mode": "markers",
                "marker": {"color": color, "size": _sizes(series), "opacity": 0.6},
                "cliponaxis": False,
            }
            | _labelled(series)
        )
    line = {"color": color, "width": 2, "dash": "dot" if series.dashed else "solid"}
    line["shape"] = "hvh" if series.kind == "step" else "linear"
    marked = series.kind == "marked" or len(series.x) == 1
    return trace | {
        "type": "scatter",
        "mode": "lines+markers" if marked else "lines",
        "line": line,
        "marker": {"color": color, "size": 7},
    }


def _labelled(series: Series) -> Spec:
    """The names of points: hovered over, and beside those that have a side."""
    if not series.labels:
        return {}
    names = _escaped(series.labels)
    told: Spec = {"hovertext": names, "hovertemplate": "<b>%{hovertext}</b><br>%{x:.4~g}, %{y:.4~g}<extra></extra>"}
    if not any(series.sides):
        return told
    written = [name if side else "" for name, side in zip(names, series.sides, strict=True)]
    sides = [side or "top center" for side in series.sides]
    return told | {"mode": "markers+text", "text": written, "textposition": sides, "textfont": {"size": 10.5}}


def _sizes(series: Series) -> float | list[float]:
    """Diameters in pixels."""
    return 5.0 if series.size is None else [4 + 22 * float(size) for size in series.size]


def _escaped(names: Sequence[Any] | Array) -> list[str]:
    """Plotly reads a few HTML tags in its texts; class names are shown as they are."""
    return [escape(str(name), quote=False) for name in names]


def _numbers(values: Any) -> list[float | None]:
    """Plain numbers of six digits for JSON, None for NaN."""
    return [float(f"{value:.6g}") if isfinite(value) else None for value in np.asarray(values, np.float64).tolist()]
