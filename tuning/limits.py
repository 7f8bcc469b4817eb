"""What a deployment allows, and by how much a measurement breaks it; free of torch."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal

from tuning.benchmark_settings import BenchmarkSettings

if TYPE_CHECKING:
    from tuning.published import Joined

Objective = Literal["accuracy", "throughput", "latency", "memory", "disk", "parameters"]
UNKNOWN = float("inf")
MILLION = 1e6
TEN = 9.95  # what is rounded to it and above needs no decimal
FEWEST_REPEATS = 3  # that tell how much measurements differ


@dataclass(frozen=True)
class Limits:
    """What configuration/limits/default.yaml sets; the comments there say what each key does."""

    latency_ms: float | None = None
    throughput: float | None = None
    memory_mib: float | None = None
    disk_mib: float | None = None
    parameters: float | None = None
    accuracy: float | None = None
    objective: Objective = "accuracy"
    measure: bool = True
    repeats: int = 5

    def __post_init__(self) -> None:
        for limit in self.given:
            if (asked := getattr(self, limit.key)) <= 0:
                raise ValueError(f"limits.{limit.key}={asked}: nothing keeps it, use a number above 0")
        if self.repeats < FEWEST_REPEATS and self.repeats != 0:
            raise ValueError(f"limits.repeats={self.repeats}: use {FEWEST_REPEATS} or more, or 0 to believe the table")
        if self.accuracy is not None and not 1 < self.accuracy <= 100:
            raise ValueError(f"limits.accuracy={self.accuracy:g} is meant in per cent: use a number from 1 to 100")

    @property
    def given(self) -> list["Limit"]:
        return [limit for limit in LIMITS if getattr(self, limit.key) is not None]

    @property
    def any(self) -> bool:
        """Whether a model is to be chosen."""
        return bool(self.given) or self.objective != _DEFAULTS["objective"]

    def check(self, accuracies: bool) -> None:
        """Raises ValueError where accuracies are asked for and none is known."""
        if self.accuracy is not None and not accuracies:
            raise ValueError(
                f"limits.accuracy={self.accuracy:g} needs published accuracies and none are known: "
                "benchmark.published=FILE with timm's results-imagenet.csv"
            )

    def check_objective(self, own_images: bool) -> None:
        """Raises ValueError where candidates are to be tried on images and something else is to be best."""
        if own_images and self.objective != "accuracy":
            raise ValueError(
                f"limits.objective={self.objective}: candidates are ranked by accuracy on your images; leave it or the "
                "data set out"
            )

    def narrowed(self, settings: BenchmarkSettings) -> BenchmarkSettings:
        """Models that are too large anyway are not measured."""
        if self.parameters is None:
            return settings
        return replace(settings, max_params=min(self.parameters, settings.max_params or self.parameters))

    def breaches(self, one: "Joined") -> dict["Limit", float]:
        """By which share each broken limit is broken; infinite where the figure is not known."""
        shares = {limit: limit.breach(one, getattr(self, limit.key)) for limit in self.given}
        return {limit: share for limit, share in shares.items() if share > 0}


_DEFAULTS = {field.name: field.default for field in fields(Limits)}


@dataclass(frozen=True)
class Limit:
    """One figure of a measurement and which side of it is allowed."""

    key: str
    title: str
    unit: str
    figure: Callable[["Joined"], float | None]
    at_least: bool = False

    def breach(self, one: "Joined", asked: float) -> float:
        """0 or less where it is kept, 0.1 where it is missed by a tenth of the limit."""
        found = self.figure(one)
        if found is None:
            return UNKNOWN
        return (asked - found) / asked if self.at_least else (found - asked) / asked

    def told(self, one: "Joined", asked: float) -> str:
        found = self.figure(one)
        relation = "at least" if self.at_least else "at most"
        return f"{self.title} {'unknown' if found is None else f'{found:.4g}{self.unit}'} ({relation} {asked:g})"


def missed_by(share: float, at_least: bool = False) -> str:
    """A breach in words."""
    if at_least or share < 1:
        return f"{100 * share:.3g} % {'below' if at_least else 'above'} it"
    times = 1 + share
    return f"{times:.1f} times the limit" if times < TEN else f"{times:,.0f} times the limit"


def _parameters(one: "Joined") -> float | None:
    return None if one.row.parameters is None else one.row.parameters / MILLION


LIMITS = (
    Limit("latency_ms", "p95", " ms", lambda one: one.row.p95_ms),
    Limit("throughput", "throughput", " images/s", lambda one: one.row.images_per_s, at_least=True),
    Limit("memory_mib", "memory", " MiB", lambda one: one.row.peak_mib),
    Limit("disk_mib", "disk", " MiB", lambda one: one.row.disk_mib),
    Limit("parameters", "parameters", " M", _parameters),
    Limit("accuracy", "top-1", " %", lambda one: one.top1, at_least=True),
)
OBJECTIVES = {
    "accuracy": LIMITS[5], "throughput": LIMITS[1], "latency": LIMITS[0], "memory": LIMITS[2], "disk": LIMITS[3],
    "parameters": LIMITS[4],
}  # fmt: skip
