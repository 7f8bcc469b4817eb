"""TensorRT on NVIDIA GPUs: built by torch2trt, by Torch-TensorRT or from ONNX, run by TensorRT's own runtime.

Not yet run on a GPU: the gate stands before it as before every other.
"""

from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

from datamodule.decode import Pixels
from serving.engines.engine import Engine, EngineError, Facts, Logits, Maker
from serving.engines.machine import has_nvidia
from serving.engines.source import Source

FILE = "model.plan"
MOST = 64  # images in a batch; the plan is tuned for 1 to so many
BY = {"torch2trt": "torch2trt", "torch_tensorrt": "torch_tensorrt", "onnx": "onnxscript"}


@dataclass(frozen=True)
class TensorRt(Maker):
    """type: int8 is calibrated on real images, explicitly (Q/DQ) from ONNX, by torch2trt with TensorRT up to 10.

    via: null takes what is installed, in the order torch2trt, torch_tensorrt, onnx, for int8 onnx first.
    """

    type: Literal["fp32", "fp16", "int8"] = "fp16"
    via: Literal["torch2trt", "torch_tensorrt", "onnx"] | None = None

    name: ClassVar[str] = "tensorrt"
    packages: ClassVar[tuple[str, ...]] = ("torch", "tensorrt")
    install: ClassVar[str] = "pip install -r requirements-tensorrt.txt"

    @property
    def precision(self) -> str:
        return self.type

    def route(self) -> str | None:
        """By which package it is built; None where none of those that could is installed."""
        if self.via is not None:
            return self.via if find_spec(BY[self.via]) else None
        order = ("onnx", "torch2trt") if self.type == "int8" else ("torch2trt", "torch_tensorrt", "onnx")
        return next((name for name in order if find_spec(BY[name])), None)

    def missing(self) -> list[str]:
        found = super().missing()
        return found if self.route() else [*found, BY[self.via] if self.via else "torch_tensorrt"]

    def unfit(self) -> str:
        if not has_nvidia():
            return "needs an NVIDIA GPU, there is none here"
        return "int8 is not built by Torch-TensorRT here: use via=onnx" if self._impossible() else ""

    def _impossible(self) -> bool:
        return self.type == "int8" and self.route() == "torch_tensorrt"

    def version(self) -> str:
        return f"{super().version()}, via {self.route()}"

    def machine(self) -> str:
        import torch

        return f"{torch.cuda.get_device_name()} {torch.cuda.get_device_capability()} {torch.version.cuda}"

    def convert(self, source: Source, folder: Path) -> None:
        from serving.engines import tensorrt_plans

        build = {"torch2trt": tensorrt_plans.by_torch2trt, "torch_tensorrt": tensorrt_plans.by_torch_tensorrt,
                 "onnx": tensorrt_plans.from_onnx}  # fmt: skip
        route = self.route()
        assert route is not None
        (folder / FILE).write_bytes(build[route](source, self.type, MOST))

    def load(self, source: Source, folder: Path) -> Engine:
        return TensorRtEngine(folder / FILE, self.type, source)


class TensorRtEngine(Engine):
    """Calls TensorRT with torch's tensors as its memory."""

    def __init__(self, file: Path, precision: str, source: Source) -> None:
        import tensorrt
        import torch

        super().__init__(Facts("tensorrt", precision, f"cuda, {torch.cuda.get_device_name()}", True), source.shape)
        runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
        self.engine: Any = runtime.deserialize_cuda_engine(file.read_bytes())
        if self.engine is None:
            raise EngineError(f"tensorrt {version('tensorrt')} cannot read {file.name}: it was built by another")
        self.context = self.engine.create_execution_context()
        names = [self.engine.get_tensor_name(place) for place in range(self.engine.num_io_tensors)]
        inputs = [name for name in names if self.engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT]
        [self.image], [self.logits] = inputs, [name for name in names if name not in inputs]

    def answer(self, pixels: Pixels) -> Logits:
        import numpy as np

        parts = [pixels[first : first + MOST] for first in range(0, len(pixels), MOST)]
        return np.concatenate([self._part(part) for part in parts])

    def _part(self, pixels: Pixels) -> Logits:
        import torch

        image = torch.from_numpy(pixels).cuda()
        self.context.set_input_shape(self.image, tuple(image.shape))
        logits: torch.Tensor = torch.empty(tuple(self.context.get_tensor_shape(self.logits)), device=image.device)
        self.context.set_tensor_address(self.image, image.data_ptr())
        self.context.set_tensor_address(self.logits, logits.data_ptr())
        stream = torch.cuda.current_stream()
        if not self.context.execute_async_v3(stream.cuda_stream):
            raise EngineError(f"tensorrt could not run a batch of {len(pixels)}")
        stream.synchronize()
        answered: Logits = logits.cpu().numpy()
        return answered
