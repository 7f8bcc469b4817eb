"""The model file: `model.safetensors` with `model.json`, all that test, predict and serving need of a run."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from models.manifest import Manifest as Manifest
from models.manifest import read_manifest as read_manifest
from utils.build import build
from utils.files import write_whole


def weights_sha256(weights: dict[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes, in the order of the names; the same on every device and layout."""
    state = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        state.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return state.hexdigest()


def save_model(folder: Path, net: nn.Module, manifest: Manifest) -> None:
    """Weights first, manifest last: a folder with a manifest has its weights."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    write_whole(folder / "model.safetensors", save(weights))
    write_whole(folder / "model.json", manifest.model_dump_json(indent=2))


def load_model(folder: Path) -> tuple[nn.Module, Manifest]:
    """The network in evaluation mode with its manifest; weights that do not match the manifest's hash are refused."""
    manifest = read_manifest(folder)
    weights = load_weights(folder / "model.safetensors")
    if weights_sha256(weights) != manifest.weights_sha256:
        raise ValueError(f"{folder / 'model.safetensors'} is not the file that model.json describes (sha256 differs)")
    net = build(unfetched(manifest.architecture))
    net.load_state_dict(weights)
    return net.eval(), manifest


def unfetched(architecture: dict[str, Any]) -> dict[str, Any]:
    """The same network without looking for pretrained weights: those to load are at hand."""
    inner = {key: unfetched(value) for key, value in architecture.items() if isinstance(value, dict)}
    return architecture | inner | ({"pretrained": False} if "pretrained" in architecture else {})


def load_weights(file: Path) -> dict[str, Tensor]:
    """Tensors by name from a safetensors file, or a network's from a run's .ckpt; nothing in it is executed."""
    if file.suffix == ".ckpt":
        return _checkpointed(file)
    try:
        return load_file(file)
    except (SafetensorError, FileNotFoundError) as error:
        raise ValueError(
            f"{file} cannot be read as safetensors ({error}); name a run folder or a .safetensors file"
        ) from error


def _checkpointed(file: Path) -> dict[str, Tensor]:
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
        networks = {name.removeprefix("net."): value for name, value in state.items() if name.startswith("net.")}
    except Exception as error:  # torch's reader ends in a dozen of them, as the damage has it
        raise ValueError(f"{file} is no checkpoint of a run ({type(error).__name__})") from error
    return {name: value for name, value in networks.items() if isinstance(value, Tensor)}


def start_from(net: nn.Module, weights: dict[str, Tensor]) -> list[str]:
    """Loads weights where name and shape agree and answers the names left as initialised (a head of other classes).

    Raises ValueError when nothing agrees: the file is of another architecture.
    """
    own = net.state_dict()
    fitting = {name: tensor for name, tensor in weights.items() if name in own and own[name].shape == tensor.shape}
    if not fitting:
        raise ValueError("none of the weights fits this network: choose the models= that the weights were trained with")
    net.load_state_dict(fitting, strict=False)
    return sorted(set(own) - set(fitting))
