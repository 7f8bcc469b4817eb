"""The ONNX file answers as the network does, takes any number of uint8 images, and holds its manifest."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from datamodule.preprocessing import Preprocessing
from datamodule.transforms import Normalize
from models import onnx_file
from models.onnx_file import KEY, export_onnx, require_onnx
from models.simple_cnn import SimpleCnn

SHAPE = Preprocessing(8, 6, 3, (0.1, 0.4, 0.7), (0.2, 0.3, 0.5))


def test_a_missing_package_is_said_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs onnx and onnxscript: pip install -r requirements-onnx\.txt"):
        require_onnx()


def test_the_file_takes_pixels_and_answers_as_the_network(tmp_path):
    net = SimpleCnn(4, 3, 8, 6, num_filters=4, blocks=1).eval()
    difference = export_onnx(net, SHAPE, '{"task": "x"}', tmp_path / "a" / "model.onnx")
    assert (
        difference is not None
        and difference < 1e-4
        and [file.name for file in (tmp_path / "a").iterdir()] == ["model.onnx"]
    )
    session = onnxruntime.InferenceSession(tmp_path / "a" / "model.onnx")
    assert session.get_modelmeta().custom_metadata_map[KEY] == '{"task": "x"}'
    [image] = session.get_inputs()
    assert image.name == "image" and image.type == "tensor(uint8)" and image.shape == ["batch", 8, 6, 3]
    pixels = np.random.default_rng(1).integers(0, 256, (5, 8, 6, 3), np.uint8)
    with torch.inference_mode():
        expected = net(Normalize(SHAPE.mean, SHAPE.std)(torch.from_numpy(pixels).permute(0, 3, 1, 2)))
    assert np.allclose(session.run(["logits"], {"image": pixels})[0], expected, atol=1e-4)


def test_a_network_that_cannot_be_exported_is_refused_and_leaves_nothing(tmp_path):
    class Odd(nn.Module):
        def forward(self, image):
            return image.sum((1, 2, 3)) if image.sum() > 0 else image.mean((1, 2, 3))

    with pytest.raises(ValueError, match="cannot be exported to ONNX"):
        export_onnx(Odd(), SHAPE, "{}", tmp_path / "a" / "model.onnx")
    assert not (tmp_path / "a").exists()
