"""ONNX Runtime: one file that runs in every language; torch is only needed to write it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datamodule.decode import Pixels
from datamodule.parallel import cores
from serving.engines.engine import Engine, EngineError, Facts, Logits, Maker
from serving.engines.machine import is_confined
from serving.engines.source import Source
from utils.log import first_line

FILE = "model.onnx"


@dataclass(frozen=True)
class OnnxRuntime(Maker):
    """threads: null for all cores. On a GPU where onnxruntime-gpu is what is installed."""

    threads: int | None = None

    name: ClassVar[str] = "onnxruntime"
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    install: ClassVar[str] = "pip install -r requirements-onnx.txt"

    def convert(self, source: Source, folder: Path) -> None:
        from models.onnx_file import export_onnx, require_onnx

        require_onnx()
        manifest = (source.folder / "model.json").read_text()
        export_onnx(source.network(), source.shape, manifest, folder / FILE)

    def load(self, source: Source, folder: Path) -> Engine:
        return OnnxEngine(folder / FILE, self.threads, source)


class OnnxEngine(Engine):
    def __init__(self, file: Path, threads: int | None, source: Source) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or (cores() if is_confined() else 0)  # by itself it counts all
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning threads starve the others
        known = onnxruntime.get_available_providers()
        providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in known]
        self.session: Any = _called(lambda: onnxruntime.InferenceSession(file, options, providers=providers))
        device = "cuda" if self.session.get_providers()[0].startswith("CUDA") else "cpu"
        dynamic = not isinstance(self.session.get_inputs()[0].shape[0], int)
        super().__init__(Facts("onnxruntime", "fp32", device, dynamic), source.shape)

    def answer(self, pixels: Pixels) -> Logits:
        [logits] = _called(lambda: self.session.run(None, {"image": pixels}))
        return logits


def _called(work: Any) -> Any:
    """Its exceptions, which share no base class but Exception, as one of ours."""
    from onnxruntime.capi import onnxruntime_pybind11_state as raised

    try:
        return work()
    except (raised.Fail, raised.InvalidArgument, raised.InvalidGraph, raised.InvalidProtobuf, raised.NoSuchFile,
            raised.NotImplemented, raised.RuntimeException, raised.EPFail) as error:  # fmt: skip
        raise EngineError(f"onnxruntime: {first_line(error)}") from error
