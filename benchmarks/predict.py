"""predict.py beside the loop one would write oneself: torchvision's ImageFolder, a DataLoader, the same network.

    python -m benchmarks.predict DIR [--images 5000] [--filters 32] [--rounds 3]

DIR holds <class>/*.jpg, all of one size: CIFAR-10's test. Both sides read and decode the same files in batches of 64
and run the project's simple network with random weights in float32; this project also keeps a journal and writes the
table of answers. Wall seconds and the CPU seconds of all processes, medians of interleaved rounds; a ratio above 1
means that this project needs less. The first, unmeasured round warms up the disk's cache.
"""

import logging
import os
import shutil
import tempfile
import time
from argparse import ArgumentParser, RawTextHelpFormatter
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from datamodule.parallel import cores
from models.model_file import Manifest, load_model, save_model, weights_sha256
from models.prediction import predict
from models.prediction_settings import PredictionSettings
from utils.build import build

BATCH, MEAN, STD = 64, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
Seconds = tuple[float, float]


def timed(work: Callable[[], object]) -> Seconds:
    """Wall seconds, and CPU seconds of this process's threads and ended children."""
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    work()
    return time.perf_counter() - wall, sum(os.times()[:4]) - cpu


def sample(source: Path, target: Path, count: int) -> int:
    """Copies an equal share of each class; answers the images' side in pixels."""
    classes = sorted(folder for folder in source.iterdir() if folder.is_dir())
    for folder in classes:
        (target / folder.name).mkdir(parents=True)
        for file in sorted(folder.iterdir())[: count // len(classes)]:
            shutil.copyfile(file, target / folder.name / file.name)
    with Image.open(next(target.rglob("*.jpg"))) as image:
        return image.width


def make_model(folder: Path, size: int, filters: int) -> None:
    """A model file with random weights."""
    torch.manual_seed(0)
    sides = {"height": size, "width": size, "channels": 3}
    node = {"_target_": "models.simple_cnn.SimpleCnn", "num_filters": filters, "num_classes": 10, **sides}
    net = build(node)
    manifest = Manifest(
        task="classification",
        architecture=node,
        classes=[str(number) for number in range(10)],
        preprocessing={**sides, "mean": MEAN, "std": STD},
        weights_sha256=weights_sha256(net.state_dict()),
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        metrics={},
        data_digest="",
        configuration_digest="",
    )
    save_model(folder, net, manifest)


@torch.inference_mode()
def plain_loop(images: Path, model: Path, workers: int) -> int:
    """Class and probability of every image, in two lists; answers how many."""
    net, _ = load_model(model)
    transform = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    loader = DataLoader(ImageFolder(str(images), transform), BATCH, num_workers=workers)
    classes: list[int] = []
    shares: list[float] = []
    for image, _ in loader:
        best = net(image).softmax(1).max(1)
        classes += best.indices.tolist()
        shares += best.values.tolist()
    return len(classes)


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--filters", type=int, default=32, help="of the network's first block (default: 32)")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    logging.getLogger("models").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as place:
        images, model = Path(place, "images"), Path(place, "model")
        make_model(model, sample(given.folder, images, given.images), given.filters)
        chosen = PredictionSettings(str(images), run=str(model), output=f"{place}/predictions.csv", batch_size=BATCH)
        sides: dict[str, Callable[[], object]] = {
            "predict.py": lambda: predict(chosen),
            "plain loop, no workers": lambda: plain_loop(images, model, 0),
            f"plain loop, {cores()} workers": lambda: plain_loop(images, model, cores()),
        }
        rounds = [{name: timed(work) for name, work in sides.items()} for _ in range(given.rounds + 1)][1:]
    show(rounds, given.images)


def show(rounds: list[dict[str, Seconds]], images: int) -> None:
    """One line a side; ratios are medians over the rounds of what the side takes, in this project's seconds."""
    own = next(iter(rounds[0]))
    print(f"{images:,} images, {cores()} cores, {torch.get_num_threads()} torch threads, load {os.getloadavg()[0]:.1f}")
    for name in rounds[0]:
        wall, cpu = (median(one[name][kind] for one in rounds) for kind in (0, 1))
        slower, dearer = (median(one[name][kind] / one[own][kind] for one in rounds) for kind in (0, 1))
        print(f"{name:24} {wall:6.2f} s {cpu:6.2f} CPU-s {images / wall:7,.0f} images/s   "
              f"ratio {slower:.2f} wall, {dearer:.2f} CPU")  # fmt: skip


if __name__ == "__main__":
    main()
