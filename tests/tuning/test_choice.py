import pytest

from models.training import RATE, refuse_unchosen, stand_in
from tuning.arms import Arm
from tuning.auto_optimizer import Found, Tried
from tuning.choice import literal
from tuning.course import Curve, State
from utils.build import OF_THE_CHOICE, check_own
from utils.configuration import option

SETTLED = {"optimizers": {"option": None, "lr": 0.1}, "datamodule": {"batch_size": 64}}


@pytest.mark.parametrize(
    ("group", "key"), [("optimizers", "option"), ("optimizers", "lr"), ("datamodule", "batch_size")]
)
def test_what_nobody_chooses_is_refused_by_name(group, key):
    refuse_unchosen(SETTLED)
    with pytest.raises(ValueError, match=f"{group}.{key}=auto: this command does not choose it"):
        refuse_unchosen(SETTLED | {group: SETTLED[group] | {key: "auto"}})


def test_a_value_stands_in_only_for_auto():
    assert stand_in(SETTLED, "optimizers")["lr"] == 0.1
    assert stand_in({"optimizers": {"lr": "auto"}}, "optimizers")["lr"] == RATE


@pytest.mark.parametrize(("goes_on", "replay"), [(True, 40), (False, None)])
def test_the_written_node_says_how_far_the_winner_had_come_only_if_it_goes_on(goes_on, replay):
    arm = Arm("sgd", 0.1, option("optimizers", "sgd") | {"lr": 0.1, "option": None})
    found = Found(arm, State({}, {}), (Tried(arm, 1, Curve(40), 0.5),), "halving", 1.0)
    node = literal(found, goes_on)
    assert node["search"]["replay"] == replay and arm.node["search"]["replay"] is None
    assert set(OF_THE_CHOICE) <= set(node)


def test_auto_passes_the_type_check_only_where_it_is_measured():
    check_own({"optimizers": option("optimizers", "sgd") | {"lr": "auto"}})
    with pytest.raises(ValueError, match="optimizers.weight_decay='auto'"):
        check_own({"optimizers": option("optimizers", "sgd") | {"weight_decay": "auto"}})
