"""Serialised TensorRT engines from a network, by three ways; each takes uint8 pixels and answers float32 logits."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from serving.engines.engine import EngineError
from serving.engines.source import Source
from serving.engines.torch_nets import Normalised
from utils.log import first_line


def network(source: Source, precision: str) -> nn.Module:
    """fp16 is in the network itself: TensorRT from 11 on takes the types as they are. int8 starts from float32."""
    return Normalised(source, "fp16" if precision == "fp16" else "fp32", channels_last=False).cuda().eval()


def by_torch_tensorrt(source: Source, precision: str, most: int) -> bytes:
    """Torch-TensorRT: the exported program as one engine, in the types that the network has."""
    import torch_tensorrt

    pixels = torch.from_numpy(source.example(2)).cuda()
    dynamic = ({0: torch.export.Dim("batch", min=1, max=most)},)
    program = torch.export.export(network(source, precision), (pixels,), dynamic_shapes=dynamic)
    shape = tuple(pixels.shape[1:])
    image = torch_tensorrt.Input(
        min_shape=(1, *shape), opt_shape=(1, *shape), max_shape=(most, *shape), dtype=torch.uint8
    )
    try:
        plan: bytes = torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine(
            program, arg_inputs=[image], use_explicit_typing=True
        )
    except RuntimeError as error:
        raise EngineError(f"torch_tensorrt: {first_line(error)}") from error
    return plan


def by_torch2trt(source: Source, precision: str, most: int) -> bytes:
    """torch2trt through its ONNX path, fp16 and int8 by TensorRT's flags: for TensorRT up to 10."""
    from torch2trt import torch2trt

    sides = source.shape.sides
    real = source.calibrating("tensorrt") if precision == "int8" else ()
    images = [[torch.from_numpy(one[None]).cuda()] for one in real] or None
    made = torch2trt(
        network(source, "fp32"), [torch.from_numpy(source.example(1)).cuda()], fp16_mode=precision == "fp16",
        int8_mode=precision == "int8", int8_calib_dataset=images, use_onnx=True, min_shapes=[(1, *sides)],
        opt_shapes=[(1, *sides)], max_shapes=[(most, *sides)],
    )  # fmt: skip
    return bytes(made.engine.serialize())


def from_onnx(source: Source, precision: str, most: int) -> bytes:
    """TensorRT's own parser; int8 by quantise and dequantise nodes, which ONNX Runtime puts in."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "model.onnx")
        _export(network(source, precision), source, file)
        if precision == "int8":
            file = _quantised(file, source)
        return _parsed(file, source, most)


def _export(net: nn.Module, source: Source, file: Path) -> None:
    pixels = torch.from_numpy(source.example(2)).cuda()
    program = torch.onnx.export(
        net, (pixels,), dynamo=True, verbose=False, input_names=["image"], output_names=["logits"],
        dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1)}},
    )  # fmt: skip
    assert program is not None
    program.save(file, external_data=False)


def _quantised(file: Path, source: Source) -> Path:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Images(CalibrationDataReader):
        def __init__(self) -> None:
            self.rest: Iterator[Any] = iter(source.calibrating("tensorrt"))

        def get_next(self) -> dict[str, Any] | None:
            one = next(self.rest, None)
            return None if one is None else {"image": np.ascontiguousarray(one[None])}

    target = file.with_name("quantised.onnx")
    quantize_static(file, target, Images(), quant_format=QuantFormat.QDQ, per_channel=True,
                    extra_options={"ActivationSymmetric": True, "WeightSymmetric": True})  # fmt: skip
    return target


def _parsed(file: Path, source: Source, most: int) -> bytes:
    import tensorrt

    builder = tensorrt.Builder(tensorrt.Logger(tensorrt.Logger.ERROR))
    strongly = getattr(tensorrt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)  # always so from 11 on
    network_ = builder.create_network(0 if strongly is None else 1 << int(strongly))
    parser = tensorrt.OnnxParser(network_, builder.logger)
    if not parser.parse(file.read_bytes()):
        raise EngineError(f"tensorrt: {parser.get_error(0).desc()}")
    sides = source.shape.sides
    profile, config = builder.create_optimization_profile(), builder.create_builder_config()
    profile.set_shape("image", (1, *sides), (1, *sides), (most, *sides))
    config.add_optimization_profile(profile)
    if (plan := builder.build_serialized_network(network_, config)) is None:
        raise EngineError("tensorrt could not build this network")
    return bytes(plan)
