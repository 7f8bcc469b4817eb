"""From a network to OpenVINO's graph: exported, its norms made plain, and quantised by NNCF where that is asked for."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from openvino import opset13 as ops
from torch._dynamo.exc import TorchDynamoException

from datamodule.decode import Pixels
from models.onnx_file import FromPixels
from serving.engines.engine import EngineError
from serving.engines.source import Source
from utils.log import first_line

FEW = 4096  # numbers of a constant, whose bytes are not worth sparing


def converted(source: Source) -> openvino.Model:
    """Input (batch, height, width, channels) uint8 with any batch, output `logits`. Raises EngineError."""
    wrapped, pixels = FromPixels(source.network(), source.shape).eval(), torch.from_numpy(source.example(2))
    sizes = [-1, *source.shape.sides]
    try:
        program = torch.export.export(wrapped, (pixels,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
        model = openvino.convert_model(program, input=[openvino.PartialShape(sizes)])
    except (RuntimeError, ValueError, TorchDynamoException) as error:
        raise EngineError(f"openvino: {first_line(error)}") from error
    _flatten_norms(model)
    model.validate_nodes_and_infer_types()
    return model


def _flatten_norms(model: openvino.Model) -> None:
    """Norms over the channels of (N, H, W, C) as norms of (N, H W, C): the CPU has a kernel for three axes alone."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MVN" or len(shape := node.input_value(0).get_partial_shape()) != 4:
            continue
        axes = node.input_value(1).get_node()
        if axes.get_type_name() != "Constant" or axes.get_vector().tolist() not in ([-1], [3]):
            continue
        if any(shape[axis].is_dynamic for axis in (1, 2, 3)):
            continue
        _flatten(node, [shape[axis].get_length() for axis in (1, 2, 3)])


def _flatten(node: openvino.Node, sides: list[int]) -> None:
    flat = ops.reshape(node.input_value(0), np.array([0, -1, sides[-1]]), True)
    kept = node.get_attributes()
    norm = ops.mvn(flat, np.array([-1]), kept["normalize_variance"], kept["eps"], kept["eps_mode"])
    back = ops.reshape(norm, np.array([0, *sides]), True)
    for reader in node.output(0).get_target_inputs():
        reader.replace_source_output(back.output(0))


def quantised(model: openvino.Model, source: Source) -> openvino.Model:
    """8-bit weights and activations, calibrated on the source's real images. Raises ValueError without such.

    Activations range between the means of the images' extremes, as NNCF has it, or between the outermost. Which is
    better depends on the network, by factors of ten: the one that answers these images more as the model does is kept.
    """
    images = [one[None] for one in source.calibrating("openvino")]
    found = [_quantised(model.clone(), images, outermost) for outermost in (False, True)]
    return found[int(np.argmin(distances(model, found, images)))]


def _quantised(model: openvino.Model, images: list[Pixels], outermost: bool) -> openvino.Model:
    attention = any(node.get_type_name() == "ScaledDotProductAttention" for node in model.get_ops())
    with _silent():
        import nncf
        from nncf.quantization.range_estimator import RangeEstimatorParameters, RangeEstimatorParametersSet

        logging.getLogger("nncf").setLevel(logging.ERROR)  # nncf.set_log_level sets handlers, too, which others share
        ranges = RangeEstimatorParametersSet.MINMAX if outermost else RangeEstimatorParameters()
        try:
            return nncf.quantize(
                model, nncf.Dataset(images), subset_size=len(images), preset=nncf.QuantizationPreset.MIXED,
                model_type=nncf.ModelType.TRANSFORMER if attention else None,
                advanced_parameters=nncf.AdvancedQuantizationParameters(activations_range_estimator_params=ranges),
            )  # fmt: skip
        except (RuntimeError, nncf.ValidationError, nncf.InternalError) as error:
            raise EngineError(f"nncf: {first_line(error)}") from error


def save_in_half(model: openvino.Model, file: Path) -> None:
    """In half the bytes, but for constants of few numbers: a regression's unit may lie beyond what float16 can hold."""
    exact = {node.get_friendly_name(): node.get_data() for node in model.get_ops() if _is_small(node)}
    openvino.save_model(model, file, compress_to_fp16=True)
    core = openvino.Core()
    core.set_property({"ENABLE_MMAP": False})  # the file is written once more
    halved = core.read_model(file)
    for node in halved.get_ops():
        if node.get_type_name() == "Convert" and (values := exact.get(node.get_friendly_name())) is not None:
            for reader in node.output(0).get_target_inputs():
                reader.replace_source_output(ops.constant(values).output(0))
    openvino.save_model(halved, file, compress_to_fp16=False)


def _is_small(node: openvino.Node) -> bool:
    is_float = node.get_type_name() == "Constant" and node.get_output_element_type(0) == openvino.Type.f32
    return is_float and node.get_data().size <= FEW


def distances(model: openvino.Model, others: list[openvino.Model], images: list[Pixels]) -> NDArray[np.float32]:
    """How far each other model's answers lie from this one's, in the length of these: the median image's.

    Some images' answers may lie far from all others. One image after the other, since answers for pixels are large.
    """
    asked = [openvino.Core().compile_model(one, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}) for one in (model, *others)]
    found: NDArray[np.float32] = np.median([_away(*(one([image])[0] for one in asked)) for image in images], axis=0)
    return found


def _away(wanted: NDArray[np.float32], *said: NDArray[np.float32]) -> list[float]:
    length = max(float(np.linalg.norm(wanted.ravel())), float(np.finfo(np.float32).tiny))
    return [float(np.linalg.norm((one - wanted).ravel())) / length for one in said]


@contextmanager
def _silent() -> Iterator[None]:
    """nncf draws progress bars, and warns of CUDA and of its own dependencies."""
    told = logging.getLogger("torch.utils.cpp_extension")
    level = told.level
    told.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        told.setLevel(level)
