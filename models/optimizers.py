"""Every timm and torch optimizer by name, with parameter groups that know decay, layers and frozen parameters."""

import fnmatch
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from utils.optimizer_names import AROUND, NO_CHOICE, refuse_unknown
from utils.signature import problems, signature_of_object

Optimizer = torch.optim.Optimizer
Group = dict[str, Any]

# By class name.
TORCH_OWN: dict[str, Callable[..., Optimizer]] = {
    name: kind
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type) and issubclass(kind, Optimizer) and name not in NO_CHOICE
}
# timm's that are torch's own, unchanged. timm brings all its networks along: a second, which only those who ask it pay.
TIMM_OF_TORCH = {"adamw": "AdamW"}


def build_optimizer(
    model: nn.Module | Sequence[Tensor],
    name: str,
    lr: float,
    weight_decay: float = 0.0,
    layer_decay: float | None = None,
    lr_scale: dict[str, float] | None = None,
    **arguments: Any,
) -> Optimizer:
    """An optimizer over what trains in a model, or over a plain list of tensors.

    name: timm's (`adamw`, `lookahead_lamb`; timm.optim.list_optimizers()), or the class name of one of torch.optim's
    (`Adafactor`, `ASGD`). weight_decay: not for biases, norms and what the model itself exempts. layer_decay: factor on
    the rate for each layer away from the head (BEiT, arXiv:2106.08254). lr_scale: factors on the rate by patterns of
    parameter names (`{"*head*": 10}`). arguments: the optimizer's own; None means its default.
    """
    arguments = {key: value for key, value in arguments.items() if value is not None}
    kind = optimizer_class(name)
    _check(name, kind, arguments, weight_decay)
    groups = parameter_groups(model, lr, weight_decay, layer_decay, lr_scale or {})
    arguments = _fused_on_cpu(kind, groups) | arguments
    if kind is torch.optim.LBFGS:  # takes one group only
        return kind([tensor for group in groups for tensor in group["params"]], lr=lr, **arguments)
    if TIMM_OF_TORCH.get(name, name) in TORCH_OWN:
        return kind(groups, lr=lr, **arguments)
    from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]

    return create_optimizer_v2(groups, name, lr=lr, **arguments)


def optimizer_class(name: str) -> Callable[..., Optimizer]:
    """The class behind a name; ValueError for an unknown one, and for one whose package or GPU is missing."""
    if (own := TIMM_OF_TORCH.get(name, name)) in TORCH_OWN:
        return TORCH_OWN[own]
    refuse_unknown("optimizers.name", name)
    from timm.optim import get_optimizer_class  # type: ignore[attr-defined]

    try:
        return get_optimizer_class(name.lower().removeprefix(AROUND), bind_defaults=False)
    except (ImportError, AssertionError) as error:
        raise ValueError(f"optimizers.name={name} cannot be used here: {error}") from error


def _check(name: str, kind: Callable[..., Optimizer], arguments: Group, weight_decay: float) -> None:
    """Refuses arguments that the optimizer does not have, instead of dropping them as timm would."""
    signature = signature_of_object(kind)
    if weight_decay and "weight_decay" not in signature.types:
        raise ValueError(f"optimizers.weight_decay={weight_decay}: {name} has none; use 0")
    if found := problems(name, arguments, signature):
        raise ValueError("\n".join(f"optimizers.{line}" for line in found))


def _fused_on_cpu(kind: Callable[..., Optimizer], groups: Sequence[Group]) -> Group:
    """torch's CPU default updates tensor by tensor: 4.7 ms a step of AdamW on mobilenetv3_small_050, 0.9 ms fused."""
    on_cpu = all(tensor.device.type == "cpu" for group in groups for tensor in group["params"])
    return {"fused": True} if on_cpu and "fused" in signature_of_object(kind).types else {}


def parameter_groups(
    model: nn.Module | Sequence[Tensor],
    lr: float,
    weight_decay: float,
    layer_decay: float | None = None,
    lr_scale: dict[str, float] | None = None,
) -> list[Group]:
    """What trains, grouped by rate and decay; each group carries its own `lr`, so that any schedule scales it."""
    if not isinstance(model, nn.Module):
        return [{"params": list(model), "lr": lr, "weight_decay": weight_decay}]
    exempt, scale = set(_exempt(model)), _layer_scale(model, layer_decay)
    groups: dict[tuple[float, float], Group] = {}
    for name, tensor in model.named_parameters():
        if tensor.requires_grad:
            rate = lr * scale(name) * _pattern_scale(name, lr_scale or {})
            decay = 0.0 if tensor.ndim <= 1 or name in exempt else weight_decay
            groups.setdefault((rate, decay), {"params": [], "lr": rate, "weight_decay": decay})["params"].append(tensor)
    if not groups:
        raise ValueError("no parameter of the model trains: unfreeze some of it before the optimizer is made")
    return list(groups.values())


def _exempt(model: nn.Module) -> Iterator[str]:
    """Names that a timm model says must not decay (position embeddings and the like)."""
    for prefix, module in model.named_modules():
        if hasattr(module, "no_weight_decay"):
            yield from (f"{prefix}.{name}".lstrip(".") for name in module.no_weight_decay())


def _layer_scale(model: nn.Module, layer_decay: float | None) -> Callable[[str], float]:
    """The factor on the rate of each parameter; what lies outside the layered part counts as head."""
    if layer_decay is None:
        return lambda name: 1.0
    prefix, layered = next(
        ((prefix, module) for prefix, module in model.named_modules() if hasattr(module, "group_matcher")), ("", None)
    )
    if layered is None:
        raise ValueError(
            f"optimizers.layer_decay={layer_decay}: {type(model).__name__} does not say what its layers are; "
            "use a timm model or layer_decay=null"
        )
    from timm.models import group_parameters

    found = group_parameters(layered, layered.group_matcher(coarse=False), reverse=True)
    numbers = {f"{prefix}.{name}".lstrip("."): number for name, number in found.items()}
    last = max(numbers.values())
    return lambda name: float(layer_decay ** (last - numbers.get(name, last)))


def _pattern_scale(name: str, lr_scale: dict[str, float]) -> float:
    return next((factor for pattern, factor in lr_scale.items() if fnmatch.fnmatch(name, pattern)), 1.0)
