"""OpenVINO: what makes CPUs fast. Needs torch to convert, and numpy alone to run."""

import threading
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from datamodule.decode import Pixels
from serving.engines.cache import kept
from serving.engines.engine import Engine, EngineError, Facts, Logits, Maker
from serving.engines.machine import has_bf16
from serving.engines.source import Source

if TYPE_CHECKING:
    import openvino

FILE = "model.xml"
HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "bf16"}  # int8: of what is not quantised
READ_BACK = {"f32": "fp32", "bf16": "bf16", "i8": "int8", "I8": "int8", "u8": "int8", "f16": "fp16"}
HEAVY = ("Convolution", "GroupConvolution", "FullyConnected", "FullyConnectedQuantizedLegacy", "MatMul")


@dataclass(frozen=True)
class OpenVino(Maker):
    """type: of the convolutions and products; left alone OpenVINO computes in bf16 where the CPU can, so it is always
    set, and read back. threads: null for all cores.
    """

    type: Literal["fp32", "bf16", "int8"] = "bf16"
    threads: int | None = None

    name: ClassVar[str] = "openvino"

    @property
    def packages(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("openvino", "nncf") if self.type == "int8" else ("openvino",)

    @property
    def precision(self) -> str:
        return self.type

    def unfit(self) -> str:
        return "needs a CPU that multiplies bfloat16" if self.type == "bf16" and not has_bf16() else ""

    def convert(self, source: Source, folder: Path) -> None:
        """bf16 is float32's graph, computed with otherwise and kept in half the bytes; int8 is quantised from it."""
        import openvino

        from serving.engines.openvino_files import converted, quantised, save_in_half

        if self.type == "fp32":
            openvino.save_model(converted(source), folder / FILE, compress_to_fp16=False)
            return
        plain = kept(replace(self, type="fp32"), source) / FILE
        model = openvino.Core().read_model(plain)
        if self.type == "bf16":
            save_in_half(model, folder / FILE)
        else:
            openvino.save_model(quantised(model, source), folder / FILE, compress_to_fp16=False)

    def load(self, source: Source, folder: Path) -> Engine:
        import openvino

        hint = HINTS[self.type] if has_bf16() else "f32"
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
        if self.threads is not None:
            options["INFERENCE_NUM_THREADS"] = self.threads
        try:
            compiled = openvino.Core().compile_model(folder / FILE, "CPU", options)
        except RuntimeError as error:
            raise EngineError(f"openvino: {str(error).strip().splitlines()[-1]}") from error
        return OpenVinoEngine(compiled, source)


class OpenVinoEngine(Engine):
    def __init__(self, compiled: "openvino.CompiledModel", source: Source) -> None:
        dynamic = compiled.input(0).partial_shape[0].is_dynamic
        super().__init__(Facts("openvino", precision_of(compiled), "cpu", dynamic), source.shape)
        self.compiled = compiled
        self.local = threading.local()  # a request answers one call at a time

    def answer(self, pixels: Pixels) -> Logits:
        if not hasattr(self.local, "request"):
            self.local.request = self.compiled.create_infer_request()
        logits: Logits = self.local.request.infer({0: pixels}, share_inputs=True)[0]
        return logits

    def rest(self) -> None:
        self.compiled.release_memory()


def precision_of(compiled: "openvino.CompiledModel") -> str:
    """What most of the heavy layers of the compiled graph compute in."""
    layers = [node.get_rt_info() for node in compiled.get_runtime_model().get_ops()]
    types = Counter(info["runtimePrecision"].astype(str) for info in layers if info["layerType"].astype(str) in HEAVY)
    most = types.most_common(1)[0][0] if types else "f32"
    return READ_BACK.get(most, most)
