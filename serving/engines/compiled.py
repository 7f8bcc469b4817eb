"""torch.compile with frozen weights: the fastest that needs nothing but torch and, on a CPU, a C++ compiler."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from datamodule.decode import Pixels
from serving.engines.engine import Engine, EngineError, Facts, Logits, PaddedEngine, TorchMaker
from serving.engines.machine import has_nvidia
from serving.engines.source import Source
from utils.log import first_line

if TYPE_CHECKING:
    from serving.engines.torch_nets import Normalised


@dataclass(frozen=True)
class Compiled(TorchMaker):
    """A compilation for each power of two of images, at its first use: seconds to minutes each."""

    type: Literal["fp32", "bf16", "fp16"] = "bf16"
    device: str = "auto"

    name: ClassVar[str] = "compile"

    def unfit(self) -> str:
        if has_nvidia() or shutil.which("c++"):
            return ""
        return "needs a C++ compiler: apt-get install g++"

    def load(self, source: Source, folder: Path) -> Engine:
        from models.predictor import device
        from serving.engines.torch_nets import Normalised, device_name, read_back

        place = device(self.device)
        net = Normalised(source, self.type, channels_last=True).to(place).eval()
        engine = CompiledEngine(net, Facts(self.name, read_back(net), device_name(place), False), source)
        engine.of_fixed_size(source.example(1))  # so that a network that cannot be compiled says so now
        return engine


class CompiledEngine(PaddedEngine):
    def __init__(self, net: "Normalised", facts: Facts, source: Source) -> None:
        import torch

        super().__init__(facts, source.shape)
        self.device = net.mean.device
        self.net: Any = torch.compile(net, dynamic=False)

    def of_fixed_size(self, pixels: Pixels) -> Logits:
        import torch
        from torch._dynamo.exc import TorchDynamoException
        from torch._inductor import config
        from torch._inductor.exc import InductorError

        try:
            with torch.inference_mode(), config.patch(freezing=True):
                answered: Logits = self.net(torch.from_numpy(pixels).to(self.device)).cpu().numpy()
        except (TorchDynamoException, InductorError) as error:
            raise EngineError(f"torch.compile: {first_line(error)}") from error
        return answered
