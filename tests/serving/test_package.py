"""Bad candidates are refused before anything of them is kept."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save

from models.manifest import Manifest
from serving.package import BadCandidate, Package, check_weights, finite, manifest_of
from tests.serving.material import VERSION, manifest, weights


def package(text: str) -> Package:
    return Package(name="main", model="0" * 64, manifest=text, code_version=VERSION)


def written(tmp_path, content: bytes):
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    return file


def described(tensors) -> Manifest:
    return Manifest.model_validate_json(manifest(tensors))


def test_a_sound_file_passes(tmp_path):
    tensors = weights(0)
    check_weights(written(tmp_path, save(tensors)), described(tensors))


def test_the_hash_is_that_of_torch(tmp_path):
    import torch

    from models.model_file import weights_sha256
    from tests.serving import material

    assert material.weights_sha256(weights(0)) == weights_sha256(
        {k: torch.from_numpy(v) for k, v in weights(0).items()}
    )


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 60, -1])
def test_a_truncated_file_is_refused(tmp_path, cut):
    with pytest.raises(BadCandidate, match="whole|truncated"):
        check_weights(written(tmp_path, save(weights(0))[:cut]), described(weights(0)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    tensors = weights(0)
    tensors["head.weight"][1, 2] = value
    with pytest.raises(BadCandidate, match="head.weight holds what is not a number"):
        check_weights(written(tmp_path, save(tensors)), described(tensors))


def test_other_weights_than_the_manifest_describes_are_refused(tmp_path):
    with pytest.raises(BadCandidate, match="sha256 differs"):
        check_weights(written(tmp_path, save(weights(1))), described(weights(0)))


def test_more_parameters_than_the_file_holds_are_refused(tmp_path):
    named = Manifest.model_validate_json(manifest(weights(0), parameters=10**12))
    with pytest.raises(BadCandidate, match="holds fewer"):
        check_weights(written(tmp_path, save(weights(0))), named)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{}",
        b'{"a": 1}',
        b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": ["x", 8]}}',
        b"\xff\xfe",
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, header):
    content = struct.pack("<Q", len(header)) + header + b"\0" * 4
    with pytest.raises(BadCandidate):
        check_weights(written(tmp_path, content), described(weights(0)))


def bfloat16(*values: float) -> bytes:
    """The upper half of each float32."""
    return (np.array(values, "<f4").view("<u4") >> 16).astype("<u2").tobytes()


def test_bfloat16_is_looked_at_too():
    assert finite("BF16", bfloat16(1.0, -2.0, 3e38))
    assert not finite("BF16", bfloat16(1.0, np.nan))
    assert not finite("BF16", bfloat16(-np.inf))


@pytest.mark.parametrize(
    "architecture",
    [
        {"_target_": "os.system"},
        {"_target_": "models.training.train"},
        {"_target_": "models.simple_cnn.SimpleCnn", "inner": {"_target_": "torch.load"}},
        {},
        {"_target_": "models.rescaled.Rescaled", "targets": 1},
        {"_target_": "models.rescaled.Rescaled", "net": "models.simple_cnn.SimpleCnn"},
        {"_target_": "models.rescaled.Rescaled", "net": {"_target_": "torch.load"}},
    ],
)
def test_an_architecture_that_no_yaml_of_models_names_is_refused(architecture):
    with pytest.raises(BadCandidate, match="none of configuration/models"):
        manifest_of(package(manifest(weights(0), architecture=architecture)))


def test_a_manifest_with_an_unknown_key_is_refused():
    with pytest.raises(BadCandidate, match="none of this version"):
        manifest_of(package(json.dumps(json.loads(manifest(weights(0))) | {"code": "x"})))
