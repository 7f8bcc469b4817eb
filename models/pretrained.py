"""Where pretrained weights can be had: this machine's cache, the Hugging Face hub, a file; at most one request."""

import pickle
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from safetensors import SafetensorError
from timm.models import get_pretrained_cfg, load_state_dict
from torch import Tensor

from utils.log import first_line

PATIENCE_S = 5.0  # for the hub's answer; without this question timm would ask a dead network for most of a minute
UNREACHED = (OSError, httpx2.HTTPError)  # all of huggingface_hub's, urllib's and the HTTP client's own errors


class Unavailable(OSError):
    """There are no pretrained weights, or they cannot be had from here; the message says why."""


def weights_location(architecture: str) -> dict[str, Any]:
    """What to lay over timm's description of the weights: the cached file, or nothing if the hub has to be asked.

    Raises Unavailable after a single unanswered request.
    """
    described = get_pretrained_cfg(architecture)
    if described is None or not described.has_weights:
        raise Unavailable("timm has none for this architecture")
    if not described.hf_hub_id:
        return {}
    named = described.hf_hub_filename
    files = [named] if named else ["model.safetensors", "pytorch_model.bin"]
    cached = [found for file in files if isinstance(found := try_to_load_from_cache(described.hf_hub_id, file), str)]
    if cached and not described.custom_load:
        return {"file": cached[0]}
    _ask_hub(described.hf_hub_id, files[0])
    return {}


def _ask_hub(repository: str, file: str) -> None:
    try:
        get_hf_file_metadata(hf_hub_url(repository, file), timeout=PATIENCE_S)
    except UNREACHED as error:
        raise Unavailable(f"{repository} cannot be had from the Hugging Face hub: {first_line(error)}") from error


def weights_in(file: str) -> dict[str, Tensor]:
    """Tensors by timm's names from a .safetensors or .pth file; nothing in it is executed."""
    if not Path(file).is_file():
        raise ValueError(f"models.pretrained={file}: there is no such file; give true, false, auto or a weights file")
    try:
        weights: dict[str, Tensor] = load_state_dict(file, weights_only=True)
    except (pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError, AttributeError) as error:
        raise ValueError(f"models.pretrained={file} is no file of plain weights: {first_line(error)}") from error
    inner = {name.removeprefix("net."): tensor for name, tensor in weights.items()}
    return inner if all(name.startswith("net.") for name in weights) else weights
