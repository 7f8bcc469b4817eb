"""Whether a model works: asked in a process of its own, since it is not trusted and the server has no torch."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from models.manifest import Manifest, preprocessing
from serving.blobs import Blobs
from serving.child import ask, begin
from serving.package import BadCandidate
from serving.store import Files, require_whole
from utils.loading import loading, whole

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger(__name__)

SECONDS = 300
CLOSE = 1e-3  # of the golden logits' spread
FROM_CLASSES = ("classification", "heads", "multilabel")  # tasks whose second axis are the classes


def verify(blobs: Blobs, files: Files) -> None:
    """Raises BadCandidate where the files are not what their names say, or the model does not answer as it did."""
    require_whole(blobs, files)
    named = [str(blobs.path(sha)) for sha in files.named]
    try:
        ask("serving.verification", named, SECONDS)
    except BadCandidate as error:
        log.warning("the model of %s does not work: %s", ", ".join(named), error)
        raise


def check(model: Path, manifest_file: Path, golden: Path | None) -> None:
    """Loads strictly and answers the golden batch. Raises ValueError for what does not work."""
    manifest = Manifest.model_validate_json(manifest_file.read_text())
    net = loaded(model, manifest)
    if golden is not None:
        _compare(net, manifest, golden)


def loaded(model: Path, manifest: Manifest) -> "nn.Module":
    """The network; shapes are compared before anything of its size is made."""
    with loading():
        import torch

        from models.model_file import unfetched
        from utils.build import build

    weights = _tensors(model, "its weights")
    with torch.device("meta"):
        described = build(unfetched(manifest.architecture)).state_dict()
    names = sorted(described.keys() | weights.keys())
    wrong = [name for name in names if _shape(described, name) != _shape(weights, name)]
    if wrong:
        raise ValueError(f"the weights do not fit the architecture: {', '.join(wrong[:5])}")
    net = build(unfetched(manifest.architecture))
    net.load_state_dict(weights)
    return net.eval()


def _tensors(file: Path, what: str) -> "dict[str, Tensor]":
    """A file's, by name; ValueError without its place, which is nothing to whoever reads why a model does not work."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{what} cannot be read as safetensors ({error}): train it again") from error


def _shape(weights: "dict[str, Tensor]", name: str) -> tuple[int, ...] | None:
    return tuple(weights[name].shape) if name in weights else None


def _compare(net: "nn.Module", manifest: Manifest, golden: Path) -> None:
    """Raises ValueError where the answers are not numbers, not of these classes, or not those of the training."""
    import torch

    from datamodule.transforms import Normalize

    stored, shape = _tensors(golden, "its golden batch"), preprocessing(manifest)
    if missing := {"pixels", "logits"} - stored.keys():
        raise ValueError(f"its golden batch holds no {' and no '.join(sorted(missing))}: train it again")
    pixels, expected = stored["pixels"], stored["logits"]
    with torch.inference_mode():
        logits = net(Normalize(shape.mean, shape.std)(pixels.permute(0, 3, 1, 2))).float()
    if not bool(logits.isfinite().all()):
        raise ValueError("it answers with what is not a number")
    if manifest.task in FROM_CLASSES and logits.shape[1] != len(manifest.classes):
        raise ValueError(f"it answers {logits.shape[1]} classes, the manifest names {len(manifest.classes)}")
    allowed = CLOSE * max(float(expected.std()), 1e-6)
    if logits.shape != expected.shape or float((logits - expected).abs().max()) > allowed:
        raise ValueError("it answers the golden batch otherwise than when it was trained")


def main(arguments: list[str]) -> None:
    """MODEL MANIFEST [GOLDEN]: status 0 where it works, else the reason on the last line."""
    model, manifest, *golden = map(Path, arguments)
    try:
        check(model, manifest, golden[0] if golden else None)
    except ValueError as error:
        sys.exit(" ".join(str(error).split()))
    except (TypeError, RuntimeError, KeyError) as error:  # as a hostile manifest may bring about
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}")


if __name__ == "__main__":
    whole(lambda: main(begin()))
