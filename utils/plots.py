"""Charts as pictures, drawn by matplotlib (Agg, no window, no global state); it is imported when the first is drawn."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.charts import MOST_CELLS_WITH_TEXT, PALETTE, Axis, Chart, Matrix, Picturable, Series, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {meaning: light for meaning, (light, _) in PALETTE.items()}
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": COLORS["line"],
    "axes.grid": True,
    "axes.labelcolor": COLORS["soft"],
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": COLORS["ink"],
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "font.size": 9,
    "grid.color": COLORS["line"],
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "text.color": COLORS["ink"],
    "text.parse_math": False,  # a class may be called "$5 and $10"
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.color": COLORS["soft"],
    "ytick.color": COLORS["soft"],
}
LARGEST = 24.0  # inches
LEGEND_COLUMNS = 3
DOTS = 150  # per inch


def draw(chart: Picturable) -> "Figure":
    """The chart as a matplotlib figure, for a file or for TensorBoard."""
    return _draw_matrix(chart) if isinstance(chart, Matrix) else _draw_chart(chart)


def png(chart: Picturable) -> bytes:
    """The chart as a PNG file's content."""
    content = BytesIO()
    with _quiet():
        draw(chart).savefig(content, format="png", dpi=DOTS)
    return content.getvalue()


def _draw_chart(chart: Chart) -> "Figure":
    width = 6.4 if chart.x.unnamed else min(max(6.4, 0.16 * len(chart.x.categories)), LARGEST)
    with _canvas((4.8, 4.8) if chart.square else (width, 3.4)) as (figure, axes):
        _place_names(axes, chart.x)
        bars = [series for series in chart.series if series.kind == "bar"]
        for series in chart.series:
            _plot(axes, series, _positions(series, chart.x), bars)
        _label(axes, chart)
    return figure


def _draw_matrix(matrix: Matrix) -> "Figure":
    count = len(matrix.classes)
    size = 8 if count <= 30 else 5
    cells = min(max(4.0, 0.09 * count), LARGEST)  # inches
    names = 0.5 + 0.01 * size * max(len(shortened(name)) for name in matrix.classes)  # inches beside the cells
    with _canvas((cells + names + 0.2, cells + names + 0.4), frame=(names, names, cells)) as (figure, axes):
        axes.grid(False)
        axes.imshow(_colored(matrix), interpolation="nearest")
        _name_classes(axes, matrix, size)
        if len(matrix.classes) <= MOST_CELLS_WITH_TEXT:
            _write_cells(axes, matrix)
    return figure


@contextmanager
def _canvas(
    size: tuple[float, float], frame: tuple[float, float, float] | None = None
) -> Iterator[tuple["Figure", "Axes"]]:
    """An empty figure, in inches; the frame places a square by its left, bottom and side, otherwise it fits itself."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout=None if frame else "constrained")
        if frame is None:
            yield figure, figure.add_subplot()
        else:
            left, bottom, side = frame
            yield figure, figure.add_axes((left / size[0], bottom / size[1], side / size[0], side / size[1]))


@contextmanager
def _quiet() -> Iterator[None]:
    """A class name in a script that the font lacks is drawn as boxes, without a warning for each letter."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _positions(series: Series, axis: Axis) -> Any:
    places = {name: place for place, name in enumerate(axis.categories)}
    return np.array([places[value] for value in series.x]) if places else np.asarray(series.x, np.float64)


def _place_names(axes: "Axes", axis: Axis) -> None:
    if not axis.categories:
        return
    axes.grid(False, axis="x")
    axes.set_xlim(-0.6, len(axis.categories) - 0.4)
    if axis.unnamed:
        axes.set_xticks([])
        return
    names = [shortened(name) for name in axis.categories]
    step = -(-len(names) // 120)
    places = range(0, len(names), step)
    turned = sum(map(len, names)) > 70
    axes.set_xticks(
        places, [names[place] for place in places], rotation=90 if turned else 0, fontsize=8 if step == 1 else 6
    )


def _plot(axes: "Axes", series: Series, x: Any, bars: list[Series]) -> None:
    color, y = COLORS[series.color], np.asarray(series.y, np.float64)
    if series.kind == "bar":
        spacing = float(np.diff(np.sort(x)).min()) if len(x) > 1 else 1.0
        width = 0.8 * spacing / len(bars)
        axes.bar(x + (bars.index(series) - (len(bars) - 1) / 2) * width, y, width, color=color, label=series.name)
    elif series.kind == "points":
        size = 12 if series.size is None else (2 + 14 * np.asarray(series.size)) ** 2
        axes.scatter(x, y, s=size, alpha=0.6, color=color, label=series.name, linewidths=0, clip_on=False)
        _write_labels(axes, series, x, y)
    else:
        shape = "steps-mid" if series.kind == "step" else "default"
        marker = "o" if series.kind == "marked" or len(x) == 1 else ""
        line = ":" if series.dashed else "-"
        axes.plot(x, y, line, color=color, label=series.name, drawstyle=shape, marker=marker, markersize=4)


def _write_labels(axes: "Axes", series: Series, x: Any, y: Any) -> None:
    """The names of those points that have a side."""
    for name, side, across, up in zip(series.labels, series.sides, x, y, strict=False):
        if side:
            above, left = side.startswith("top"), side.endswith("left")
            axes.annotate(
                name, (across, up), (-3 if left else 3, 2 if above else -2), textcoords="offset points", fontsize=6,
                ha="right" if left else "left", va="bottom" if above else "top",
            )  # fmt: skip


def _label(axes: "Axes", chart: Chart) -> None:
    axes.set(title=chart.title, xlabel=chart.x.label, ylabel=chart.y.label)
    if chart.x.log:
        axes.set_xscale("log")
    if chart.y.log:
        axes.set_yscale("log")
    for axis, scale in ((axes.xaxis, chart.x), (axes.yaxis, chart.y)):
        if scale.log:
            _name_decades(axis, powers_alone=scale is chart.y and chart.names_powers_alone)
        if scale.percent:
            axis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")
    if chart.x.whole:
        _name_whole(axes.xaxis)
    if chart.x.range:
        axes.set_xlim(_ends(chart.x))
    if chart.y.range:
        axes.set_ylim(_ends(chart.y))
    if chart.legend and len(chart.series) > 1:
        columns = 1 if chart.square else min(len(chart.series), LEGEND_COLUMNS)
        axes.figure.legend(loc="outside upper right", ncols=columns)


def _name_whole(axis: Any) -> None:
    """As ever, but nothing between two whole numbers."""
    axis.get_major_locator().set_params(integer=True)


def _name_decades(axis: Any, powers_alone: bool) -> None:
    """1, 2, 5, 10, … along a logarithmic axis, or 1, 10, … with some left out where there are many."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator() if powers_alone else LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def _ends(axis: Axis) -> Any:
    return tuple(10.0**end for end in axis.range or ()) if axis.log else axis.range


def _colored(matrix: Matrix) -> Any:
    """The cells as colours (classes, classes, 3) uint8."""
    image = np.empty((*matrix.values.shape, 3))
    image[:] = _rgb(COLORS["raised"])
    for cells, color, top in matrix.parts():
        filled = ~np.isnan(cells)
        weight = (cells[filled] / top)[:, None]
        image[filled] = (1 - weight) * _rgb(COLORS[f"{color}-0"]) + weight * _rgb(COLORS[f"{color}-1"])
    return image.astype(np.uint8)


def _rgb(color: str) -> Any:
    return np.array([int(color[start : start + 2], 16) for start in (1, 3, 5)], np.float64)


def _name_classes(axes: "Axes", matrix: Matrix, size: int) -> None:
    step = -(-len(matrix.classes) // 220)
    places = range(0, len(matrix.classes), step)
    names = [shortened(matrix.classes[place]) for place in places]
    axes.set_xticks(places, names, rotation=matrix.angle, fontsize=size)
    axes.set_yticks(places, names, fontsize=size)
    axes.set(xlabel=matrix.columns, ylabel=matrix.rows, title=matrix.title)


def _write_cells(axes: "Axes", matrix: Matrix) -> None:
    for cells, _, top in matrix.parts():
        for row, column in np.argwhere(~np.isnan(cells)):
            value = float(cells[row, column])
            color = COLORS["paper"] if value > 0.55 * top else COLORS["ink"]
            axes.text(column, row, matrix.text(value), ha="center", va="center", fontsize=7, color=color)
