import logging

import httpx2
import pytest
import torch
from huggingface_hub.errors import OfflineModeIsEnabled
from safetensors.torch import save_file
from torch import nn

from models import pretrained
from models.backbones import build_timm


@pytest.fixture
def offline(monkeypatch):
    """A hub that cannot be reached, and how often it was asked."""
    asked = []

    def refuse(url, timeout):
        asked.append(url)
        raise httpx2.ConnectError("Name or service not known")

    monkeypatch.setattr(pretrained, "get_hf_file_metadata", refuse)
    monkeypatch.setattr(pretrained, "try_to_load_from_cache", lambda repository, file: None)
    return asked


def net(architecture: str = "resnet10t", classes: int = 5, size: int = 32, channels: int = 3, **arguments):
    torch.manual_seed(0)
    return build_timm(architecture, classes, channels, size, size, **({"pretrained": False} | arguments))


@pytest.mark.parametrize(
    "architecture", ["resnet10t", "mobilenetv3_small_050", "test_vit", "test_convnext", "densenet121"]
)
def test_features_come_before_the_head(architecture):
    made = net(architecture).eval()
    image = torch.randn(2, 3, 32, 32)
    features = made.features(image)
    assert features.ndim == 2 and made(image).shape == (2, 5)
    assert torch.allclose(made.net.get_classifier()(features), made(image), atol=1e-5)


def test_channels_image_size_and_own_arguments_arrive():
    made = net("test_vit", size=48, channels=1, drop_rate=0.3)
    assert made(torch.zeros(1, 1, 48, 48)).shape == (1, 5)
    assert made.net.head_drop.p == 0.3


@pytest.mark.parametrize("architecture", ["resnet10t", "resnet18"])
@pytest.mark.parametrize(
    ("size", "stem", "side"), [(32, "auto", 32), (65, "auto", 17), (32, "imagenet", 8), (65, "cifar", 65)]
)
def test_small_images_reach_a_resnets_first_stage_at_full_resolution(architecture, size, stem, side):
    made = net(architecture, size=size, stem=stem).net
    image = torch.zeros(1, 3, size, size)
    assert made.maxpool(made.act1(made.bn1(made.conv1(image)))).shape[-1] == side
    if side >= 32:
        assert {layer.kernel_size for layer in made.conv1.modules() if isinstance(layer, nn.Conv2d)} == {(3, 3)}


def test_other_families_keep_their_stem_and_refuse_the_cifar_one():
    assert net("mobilenetv3_small_050").net.conv_stem.stride == (2, 2)
    with pytest.raises(ValueError, match=r"stem=cifar: mobilenetv3_small_050 is no resnet"):
        net("mobilenetv3_small_050", stem="cifar")


def test_an_unknown_architecture_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"models.architecture=resnet81: .*resnet"):
        net("resnet81")
    with pytest.raises(ValueError, match=r"resnet18 has no weights tagged a7_in1k; did you mean .*a1_in1k"):
        net("resnet18.a7_in1k")


def test_an_argument_that_the_architecture_lacks_is_refused():
    with pytest.raises(ValueError, match=r"resnet10t .*drop_rat"):
        net(drop_rat=0.1)


def test_auto_without_the_hub_says_so_once_and_asks_once(offline, caplog):
    with caplog.at_level(logging.INFO):
        made = net("mobilenetv3_small_050", pretrained="auto")
    assert len(offline) == 1 and made.weights is None
    assert caplog.messages == [
        "mobilenetv3_small_050 starts from random weights: timm/mobilenetv3_small_050.lamb_in1k cannot be had "
        "from the Hugging Face hub: Name or service not known"
    ]


def test_the_hubs_offline_mode_counts_as_unreachable(monkeypatch, offline, caplog):
    def refuse(url, timeout):
        raise OfflineModeIsEnabled("offline mode is enabled")

    monkeypatch.setattr(pretrained, "get_hf_file_metadata", refuse)
    with caplog.at_level(logging.INFO):
        assert net(pretrained="auto").weights is None
    assert "offline mode is enabled" in caplog.text


def test_auto_says_when_an_architecture_has_no_weights(offline, caplog):
    with caplog.at_level(logging.INFO):
        assert net("resnetblur18", pretrained="auto").weights is None
    assert caplog.messages == ["resnetblur18 starts from random weights: timm has none for this architecture"]
    assert offline == []


def test_true_without_the_hub_fails_and_names_the_ways_out(offline):
    with pytest.raises(ValueError, match=r"pretrained=true: no weights of resnet10t.*give models\.pretrained=auto"):
        net(pretrained=True)


def test_weights_in_the_cache_are_used_without_asking_the_hub(monkeypatch, offline, tmp_path, caplog):
    other = net(classes=1000, stem="imagenet").net
    save_file(other.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr(pretrained, "try_to_load_from_cache", lambda repository, file: str(tmp_path / file))
    torch.manual_seed(5)
    with caplog.at_level(logging.INFO, logger="models.backbones"):
        made = build_timm("resnet10t", 5, 3, 32, 32, pretrained=True)
    assert offline == [] and made.weights == "resnet10t.c3_in1k"
    assert torch.equal(made.net.layer1[0].conv1.weight, other.layer1[0].conv1.weight)
    assert made.net.fc.weight.shape == (5, 512)
    assert "starts from timm's weights resnet10t.c3_in1k, its head new for 5 classes" in caplog.text


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("prefix", ["", "net."])
def test_a_local_file_is_loaded_and_a_head_of_other_classes_replaced(tmp_path, caplog, suffix, prefix):
    weights = {prefix + name: tensor for name, tensor in net(classes=9).net.state_dict().items()}
    file = str(tmp_path / f"weights{suffix}")
    save_file(weights, file) if suffix == ".safetensors" else torch.save(weights, file)
    torch.manual_seed(5)
    with caplog.at_level(logging.INFO):
        made = build_timm("resnet10t", 5, 3, 32, 32, pretrained=file)
    assert torch.equal(made.net.layer4[0].conv1.weight, weights[prefix + "layer4.0.conv1.weight"])
    assert made.weights == file
    assert "but new: fc.bias, fc.weight" in caplog.text


def test_a_file_of_another_architecture_is_refused(tmp_path):
    save_file(net("mobilenetv3_small_050").net.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"none of the weights fits|does not hold resnet10t"):
        net(pretrained=str(tmp_path / "w.safetensors"))
    save_file(net("resnet14t").net.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="does not hold resnet10t"):
        net(pretrained=str(tmp_path / "w.safetensors"))


def test_a_file_that_is_missing_broken_or_code_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no such file"):
        net(pretrained=str(tmp_path / "none.pth"))
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    torch.save({"weights": logging.getLogger()}, tmp_path / "code.pth")
    for name in ("broken.safetensors", "code.pth"):
        with pytest.raises(ValueError, match="is no file of plain weights"):
            net(pretrained=str(tmp_path / name))
