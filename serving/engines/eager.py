"""PyTorch as it is: float32 in its plain layout is what all other engines are compared with."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from datamodule.decode import Pixels
from serving.engines.engine import Engine, Facts, Logits, TorchMaker
from serving.engines.source import Source

if TYPE_CHECKING:
    from serving.engines.torch_nets import Normalised


@dataclass(frozen=True)
class Eager(TorchMaker):
    """type: fp32, or bf16, which without channels_last is slower than fp32 at a batch of one.

    device: cpu, cuda, cuda:1 …, or auto for the best that the machine has.
    """

    type: Literal["fp32", "bf16", "fp16"] = "fp32"
    channels_last: bool = True
    device: str = "auto"

    name: ClassVar[str] = "eager"

    @property
    def label(self) -> str:
        return f"eager {self.type}{' channels-last' if self.channels_last else ''}"

    def load(self, source: Source, folder: Path) -> Engine:
        from models.predictor import device
        from serving.engines.torch_nets import Normalised, device_name, read_back

        place = device(self.device)
        net = Normalised(source, self.type, self.channels_last).to(place).eval()
        return EagerEngine(net, Facts(self.name, read_back(net), device_name(place), True), source)


class EagerEngine(Engine):
    def __init__(self, net: "Normalised", facts: Facts, source: Source) -> None:
        super().__init__(facts, source.shape)
        self.net = net

    def answer(self, pixels: Pixels) -> Logits:
        import torch

        with torch.inference_mode():
            answered: Logits = self.net(torch.from_numpy(pixels).to(self.net.mean.device)).cpu().numpy()
        return answered
