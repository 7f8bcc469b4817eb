"""The settings that every source of images shares."""

from dataclasses import dataclass
from typing import Literal


@dataclass(eq=False, kw_only=True)
class DataSettings:
    """What configuration/datamodule/default.yaml sets; the comments there say what each key does."""

    kind: Literal["classes", "heads", "labels", "values", "masks"] = "classes"
    heads: dict[str, int] | None = None
    batch_size: int = 64
    eval_batch_size: int | None = None
    height: int | None = None
    width: int | None = None
    channels: int | None = None
    mean: list[float] | None = None
    std: list[float] | None = None
    interpolation: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    crop: float = 1.0
    decode: Literal["exact", "scaled"] = "exact"
    n_samples: int | float | None = None
    class_names: list[str] | None = None
    val_share: float = 0.15
    test_share: float = 0.15
    salt: str = "evergreen"
    workers: int | Literal["auto"] = "auto"
    cache: Literal["auto", "ram", "disk", "stream"] = "auto"
    cache_dir: str = ".cache"
    augment: dict[str, object] | None = None
    weighted_sampling: bool = False
    power: float = 1.0
    on_bad_image: Literal["raise", "skip"] = "raise"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.heads is not None and self.kind == "classes":
            self.kind = "heads"
        for name in ("batch_size", "eval_batch_size", "height", "width", "channels"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"datamodule.{name}={value}: give 1 or more")
        if isinstance(self.workers, int) and self.workers < 0:
            raise ValueError(f"datamodule.workers={self.workers}: give 0 or more, or auto")
        if self.decode == "scaled" and self.kind == "masks":
            raise ValueError("datamodule.decode=scaled is not for masks, which have to fit their images: give exact")
        if not 0 <= self.power <= 1:
            raise ValueError(f"datamodule.power={self.power} must lie between 0 (natural shares) and 1 (even ones)")
        if self.weighted_sampling and self.kind != "classes":
            raise ValueError(
                "datamodule.weighted_sampling=true is for one class an image alone (task=classification); set it false"
            )
