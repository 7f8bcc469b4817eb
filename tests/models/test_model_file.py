"""The model file: weights and manifest belong together."""

from pathlib import Path

import pytest
import torch

from models.model_file import Manifest, load_model, load_weights, read_manifest, save_model, start_from, weights_sha256
from models.simple_cnn import SimpleCnn

ARCHITECTURE = {"num_classes": 3, "channels": 1, "height": 8, "width": 8, "num_filters": 4, "dense_width": 8}


def saved(folder):
    net = SimpleCnn(**ARCHITECTURE).to(memory_format=torch.channels_last)
    manifest = Manifest(
        task="classification",
        architecture={"_target_": "models.simple_cnn.SimpleCnn", **ARCHITECTURE},
        classes=["a", "b", "c"],
        preprocessing={},
        weights_sha256=weights_sha256(net.state_dict()),
        parameters=1,
        metrics={"test/accuracy": 0.5},
        data_digest="d",
        configuration_digest="c",
    )
    save_model(folder, net, manifest)
    return net, manifest


def test_a_loaded_model_answers_as_the_saved_one(tmp_path):
    net, manifest = saved(tmp_path)
    loaded, read = load_model(tmp_path)
    image = torch.rand(2, 1, 8, 8)
    assert read == manifest
    torch.testing.assert_close(loaded(image), net.eval()(image))  # in another memory layout, so not to the bit


def test_the_hash_knows_values_and_shapes_but_not_layout():
    weight = torch.rand(4, 3, 2, 2)
    first = weights_sha256({"w": weight})
    assert weights_sha256({"w": weight.to(memory_format=torch.channels_last)}) == first
    assert weights_sha256({"w": weight + 1}) != first
    assert weights_sha256({"w": weight.reshape(3, 4, 2, 2)}) != first


def test_other_weights_than_the_manifest_describes_are_refused(tmp_path):
    (tmp_path / "other").mkdir()
    saved(tmp_path / "other")
    saved(tmp_path)
    (tmp_path / "other/model.safetensors").replace(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="sha256 differs"):
        load_model(tmp_path)


def test_a_checkpoint_gives_its_networks_weights_alone(tmp_path):
    weight = torch.rand(2)
    state = {"net.w": weight, "net.told": 3, "loss_sums": weight}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "last.ckpt")
    found = load_weights(tmp_path / "last.ckpt")
    assert list(found) == ["w"] and torch.equal(found["w"], weight)


class Trap:
    def __reduce__(self):
        return Path.touch, (Path(self.place),)


@pytest.mark.parametrize(
    "content", ["no file", "nothing", "half", "an end", "no state", "a list", "a list as state", "a trap"]
)
def test_what_is_no_checkpoint_is_named_and_nothing_in_it_is_executed(tmp_path, content):
    file, trap = tmp_path / "last.ckpt", Trap()
    trap.place = str(tmp_path / "sprung")
    stored = {"no state": {}, "a list": [1], "a list as state": {"state_dict": [1]}, "a trap": {"state_dict": trap}}
    torch.save(stored.get(content, {"state_dict": {}}), file)
    cut = {"nothing": b"", "half": file.read_bytes()[:200], "an end": b"\x80\x02."}
    file.write_bytes(cut.get(content, file.read_bytes()))
    if content == "no file":
        file.unlink()
    with pytest.raises(ValueError, match=r"last\.ckpt is no checkpoint of a run"):
        load_weights(file)
    assert not (tmp_path / "sprung").exists()


def test_a_truncated_weights_file_is_named(tmp_path):
    saved(tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read"):
        load_model(tmp_path)


def test_unknown_keys_in_a_manifest_are_refused(tmp_path):
    saved(tmp_path)
    text = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(text.replace("{", '{"surprise": 1,', 1))
    with pytest.raises(ValueError, match="surprise"):
        read_manifest(tmp_path)


def test_a_folder_without_a_model_says_how_to_go_on(tmp_path):
    with pytest.raises(ValueError, match=r"no model\.json.*resume_full_training="):
        read_manifest(tmp_path)


def test_weights_of_other_classes_keep_all_but_the_head():
    old, new = SimpleCnn(**ARCHITECTURE), SimpleCnn(**(ARCHITECTURE | {"num_classes": 5}))
    assert start_from(new, old.state_dict()) == ["head.bias", "head.weight"]
    assert torch.equal(new.dense[0].weight, old.dense[0].weight)


def test_weights_of_another_architecture_are_refused():
    with pytest.raises(ValueError, match="none of the weights fits"):
        start_from(SimpleCnn(**ARCHITECTURE), {"blocks.0.weight": torch.zeros(2)})
