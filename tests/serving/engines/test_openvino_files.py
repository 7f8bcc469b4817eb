"""How a network becomes OpenVINO's 8-bit graph."""

import tracemalloc
from dataclasses import replace

import numpy as np
import openvino
from openvino import opset13 as ops

from serving.engines.openvino_files import _quantised, converted, distances, quantised, save_in_half


def test_int8_has_the_ranges_whose_answers_are_nearer_to_the_models(source, digits):
    """Half of the images are a twelfth as bright: means of the extremes clip what the others have."""
    pixels = digits[0][:16].copy()
    pixels[8:] //= 12
    plain, images = converted(source), [one[None] for one in pixels]
    clipped, kept = _quantised(plain.clone(), images, False), quantised(plain, replace(source, calibration=pixels))
    far, near = distances(plain, [clipped, kept], images)
    assert near < far / 4


def test_answers_for_pixels_are_compared_image_by_image():
    """40 answers of 3 MB by each of three models; few are held at a time."""
    image = np.full((1, 512, 512, 3), 7, np.uint8)
    pixels = ops.parameter(image.shape, np.uint8)
    model = openvino.Model([ops.convert(pixels, "f32")], [pixels])
    tracemalloc.start()
    try:
        assert (distances(model, [model.clone(), model.clone()], [image] * 40) == 0).all()
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_a_graph_in_half_its_bytes_keeps_a_unit_that_half_precision_cannot_hold(tmp_path):
    """Years and prices: float16 ends at 65,504, and knows no year with a fraction."""
    weights = np.random.default_rng(0).normal(size=(100, 100)).astype(np.float32)
    numbers = ops.parameter([1, 100], np.float32)
    means = np.float32([[1990.3, 250_000.0] * 50])
    priced = ops.add(ops.matmul(numbers, weights, False, False), means)
    file, given = tmp_path / "model.xml", np.zeros((1, 100), np.float32)
    save_in_half(openvino.Model([priced], [numbers]), file)
    exact = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert (exact([given])[0] == means).all()
    assert file.with_suffix(".bin").stat().st_size < 1.1 * weights.nbytes / 2
