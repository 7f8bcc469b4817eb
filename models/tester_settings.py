"""Settings of `test.py`; torch-free, so that they are checked before torch is imported."""

from dataclasses import dataclass
from typing import Literal

MOVES = ("flip", "shift")


@dataclass(frozen=True)
class TesterSettings:
    """What is tested besides the run's model on its test split; configuration/tester/default.yaml says what each is."""

    checkpoint: str = "auto"
    architecture: str = "auto"
    data: str | None = None
    output: str | None = None
    tta: bool | list[str] = False
    measure_speed: bool = False
    trt_opt: bool = False
    export: Literal["onnx"] | None = None
    compare: str | None = None
    label_errors: bool = False

    def __post_init__(self) -> None:
        moves = self.tta if isinstance(self.tta, list) else []
        if unknown := [move for move in moves if move not in MOVES]:
            raise ValueError(f"tester.tta={self.tta}: there is no view {unknown[0]!r}; use {', '.join(MOVES)}")
