"""PyTorch recorded for each batch size and replayed on the GPU: no launch overhead, which is most of a batch of one.

Not yet run on a GPU: the gate stands before it as before every other.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from datamodule.decode import Pixels
from serving.engines.engine import Engine, Facts, Logits, PaddedEngine, TorchMaker
from serving.engines.machine import has_nvidia
from serving.engines.source import Source

if TYPE_CHECKING:
    from serving.engines.torch_nets import Normalised

WARM_UP = 3  # runs before the recording, which lazily made handles and workspaces must not be part of


@dataclass(frozen=True)
class CudaGraphs(TorchMaker):
    type: Literal["fp32", "bf16", "fp16"] = "fp16"

    name: ClassVar[str] = "cuda_graphs"

    def unfit(self) -> str:
        return "" if has_nvidia() else "needs an NVIDIA GPU, there is none here"

    def load(self, source: Source, folder: Path) -> Engine:
        from models.predictor import device
        from serving.engines.torch_nets import Normalised, device_name, read_back

        place = device("cuda")
        net = Normalised(source, self.type, channels_last=True).to(place).eval()
        return CudaGraphsEngine(net, Facts(self.name, read_back(net), device_name(place), False), source)


class CudaGraphsEngine(PaddedEngine):
    def __init__(self, net: "Normalised", facts: Facts, source: Source) -> None:
        super().__init__(facts, source.shape)
        self.net = net
        self.recorded: dict[int, tuple[Any, Any, Any]] = {}  # by batch size: graph, its input, its output

    def of_fixed_size(self, pixels: Pixels) -> Logits:
        import torch

        if len(pixels) not in self.recorded:
            self.recorded[len(pixels)] = self._record(pixels)
        graph, image, logits = self.recorded[len(pixels)]
        image.copy_(torch.from_numpy(pixels))
        graph.replay()
        answered: Logits = logits.cpu().numpy()
        return answered

    def _record(self, pixels: Pixels) -> tuple[Any, Any, Any]:
        import torch

        image = torch.from_numpy(pixels).to(self.net.mean.device)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self.net(image)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(graph):
            logits = self.net(image)
        return graph, image, logits
