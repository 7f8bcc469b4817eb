"""Settings of the fully automatic mode; torch-free, so that they are checked before torch is imported."""

from dataclasses import dataclass
from typing import Any

from models.settings import duration
from tuning.limits import Limits
from utils.build import settings

Config = dict[str, Any]
KEPT_LIMITS = ("latency_ms", "parameters")  # those that experiment=auto measures
SHARES = ("networks_share", "augmentations_share", "optimizers_share")


@dataclass(frozen=True)
class AutomaticSettings:
    """What configuration/experiment/auto.yaml sets; the comments there say what each key does."""

    networks: list[str]
    sizes: list[int]
    augmentations: list[str]
    networks_share: float = 0.2
    augmentations_share: float = 0.1
    optimizers_share: float = 0.15

    def __post_init__(self) -> None:
        for key in ("networks", "sizes", "augmentations"):
            if not getattr(self, key):
                raise ValueError(f"auto.{key}=[] leaves nothing to try: name at least one")
        for key in SHARES:
            if not 0 < getattr(self, key) < 1:
                raise ValueError(f"auto.{key}={getattr(self, key)}: use a share of the time, above 0 and below 1")
        if self.choosing_share > 0.8:
            raise ValueError(f"{' + '.join(f'auto.{key}' for key in SHARES)} leave less than 0.2 of the time to train")

    @property
    def choosing_share(self) -> float:
        """Of the time, all choices together."""
        return float(sum(getattr(self, key) for key in SHARES))


def of_automatic(config: Config) -> AutomaticSettings | None:
    """What experiment=auto asks for, checked; None where it is not asked."""
    if not config.get("auto"):
        return None
    if not config["trainer"]["max_time"]:
        raise ValueError('experiment=auto needs a time: give trainer.max_time="00:00:20:00" (20 minutes)')
    duration(config["trainer"]["max_time"])
    _refuse_pairs(config)
    limits_of(config)
    return settings(AutomaticSettings, config["auto"], "auto.")


def _refuse_pairs(config: Config) -> None:
    """What would search, too, or does not follow the time that is left."""
    other = {"trainer.tune=true": config["trainer"]["tune"], "active": config.get("active")}
    for name, asked in other.items():
        if asked:
            raise ValueError(f"experiment=auto and {name} do not go together: give one of them")
    schedule = config["schedulers"]["_target_"].rpartition(".")[2]
    if schedule != "TimeBudget":
        raise ValueError(
            f"experiment=auto and schedulers={schedule} do not go together: only schedulers=time_budget ends with the "
            "time that is left; leave it out"
        )


def limits_of(config: Config) -> Limits:
    """What a deployment allows, as far as experiment=auto can tell whether a network keeps it."""
    limits = settings(Limits, config.get("limits") or {}, "limits.")
    for limit in limits.given:
        if limit.key not in KEPT_LIMITS:
            raise ValueError(
                f"limits.{limit.key}: experiment=auto keeps {' and '.join(KEPT_LIMITS)} alone; choose the network with "
                f"python benchmark.py limits.{limit.key}={getattr(limits, limit.key):g}, then give models=…"
            )
    return limits
