"""What is refused before it is built, in which words, and what is built."""

import pytest

from utils.build import ConfigurationError, build, check_own, check_third_party


def test_a_number_for_a_name_in_a_file_is_refused_with_the_way_out():
    node = {"_target_": "datamodule.folder.Folder", "root": "images", "class_names": ["a", 1]}
    with pytest.raises(ConfigurationError, match=r"datamodule\.class_names=.*where 1 is a name, quote it"):
        check_own({"datamodule": node})


def test_a_wrong_argument_is_named_with_the_nearest_right_one():
    with pytest.raises(ConfigurationError, match=r"task\.lossy: .*did you mean loss"):
        check_own({"task": {"_target_": "models.classification.Classification", "lossy": 1}})


@pytest.mark.parametrize("patience", ["five", True, "3"])
def test_a_wrong_type_is_refused_before_the_target_is_imported(patience):
    with pytest.raises(ConfigurationError, match=r"stop\.patience"):
        check_own({"stop": {"_target_": "models.callbacks.StopEarly", "patience": patience}})


def test_a_partial_third_party_target_is_checked_too():
    node = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": "fast", "momentun": 0.9}
    with pytest.raises(ConfigurationError, match="did you mean momentum") as refused:
        check_third_party({"optimizers": node})
    assert "optimizers.lr='fast'" in str(refused.value)


def test_only_named_packages_are_built():
    with pytest.raises(ConfigurationError, match="only targets of these packages"):
        build({"_target_": "os.system", "command": "true"})


def test_a_missing_package_is_named_with_its_command():
    with pytest.raises(ConfigurationError, match="there is no module|needs"):
        build({"_target_": "torchvision.nowhere.Thing"})


def test_what_the_caller_hands_in_wins_and_what_the_target_does_not_take_is_left_out():
    linear = build({"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3}, out_features=5, height=8)
    assert linear.out_features == 5


def test_a_partial_waits_for_its_arguments():
    make = build({"_target_": "torch.nn.Linear", "_partial_": True, "in_features": 2})
    assert make(out_features=4).weight.shape == (4, 2)
