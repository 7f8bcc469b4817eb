"""Shadow and canary: beside what is live, without a new generation of it, each change a line of the history."""

import pytest

from serving.deployments import Conflict, current
from serving.package import BadCandidate, Package
from serving.promotion import Verdict
from tests.serving.conftest import packaged
from tests.serving.material import manifest, weights


def register(parts, seed, accuracy=0.1, **changes) -> int:
    return parts.completion.register(Package(**packaged(parts, accuracy, seed, **changes)), "a test")[0]


@pytest.fixture
def three(parts):
    """A store with three models, the first is live."""
    assert [register(parts, 1, 0.5), register(parts, 2), register(parts, 3)] == [1, 2, 3]
    return parts.deployments


def state(deployments):
    row = deployments.get("main")
    return tuple(row[key] for key in ("model_id", "generation", "shadow_id", "canary_id", "canary_share"))


def actions(deployments, count):
    return [(line["action"], line["from_id"], line["to_id"], line["generation"]) for line in deployments.history(count)]


def test_shadow_and_canary_stand_beside_what_is_live_and_the_history_says_so(three):
    assert three.shadow(2, "me")["shadow_id"] == 2
    three.canary(3, 0.1, "me")
    assert state(three) == (1, 1, 2, 3, 0.1)
    three.canary(3, 0.25, "me")
    assert state(three) == (1, 1, 2, 3, 0.25)
    assert actions(three, 3) == [("canary", 3, 3, None), ("canary", None, 3, None), ("shadow", None, 2, None)]
    assert three.history(1)[0]["why"] == "answers 25.0% of the requests" and three.broken() is None


def test_withdrawing_ends_either_alone(three):
    three.shadow(2, "me")
    three.canary(3, 0.1, "me")
    assert three.withdraw("main", "canary", "me")["canary_share"] is None
    assert state(three) == (1, 1, 2, None, None)
    with pytest.raises(Conflict, match="has no canary"):
        three.withdraw("main", "canary", "me")
    with pytest.raises(ValueError, match="shadow or canary"):
        three.withdraw("main", "live", "me")
    with pytest.raises(LookupError):
        three.withdraw("other", "shadow", "me")


def test_a_shadow_that_becomes_the_canary_is_no_shadow_any_more(three):
    three.shadow(2, "me")
    three.canary(2, 0.5, "me")
    assert state(three) == (1, 1, None, 2, 0.5)
    three.shadow(2, "me")
    assert state(three) == (1, 1, 2, None, None)


def test_deploying_the_canary_ends_it_and_leaves_the_shadow(three):
    three.shadow(2, "me")
    three.canary(3, 0.1, "me")
    three.deploy(3, "me")
    assert state(three) == (3, 2, 2, None, None)
    assert actions(three, 2) == [("withdraw", 3, None, None), ("deploy", 1, 3, 2)]


def test_a_canary_that_goes_live_by_itself_ends_too(three):
    three.canary(2, 0.1, "me")
    with three.database.alone() as connection:
        three.promote(connection, current(connection, "main"), 2, Verdict(True, "better"))
    assert state(three) == (2, 2, None, None, None)


def test_a_rollback_to_the_canary_ends_it_and_clearing_ends_all(three):
    three.deploy(2, "me")
    three.canary(1, 0.1, "me")
    three.rollback("main", "me")
    assert state(three) == (1, 3, None, None, None)
    three.shadow(2, "me")
    three.canary(3, 0.1, "me")
    three.clear("main", "me")
    assert state(three) == (None, 4, None, None, None)


def test_candidates_of_another_task_than_what_goes_live_end(three, parts):
    other = register(parts, 4, manifest=manifest(weights(4), task="regression"))
    three.shadow(2, "me")
    three.canary(3, 0.1, "me")
    three.deploy(other, "me")
    assert state(three) == (other, 2, None, None, None)
    assert {line[:2] for line in actions(three, 2)} == {("withdraw", 2), ("withdraw", 3)}
    three.rollback("main", "me")
    assert state(three) == (1, 3, None, None, None)


def test_candidates_do_not_change_what_a_rollback_brings_back(three):
    three.deploy(2, "me")
    three.canary(3, 0.1, "me")
    three.withdraw("main", "canary", "me")
    assert three.rollback("main", "me")["model_id"] == 1


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_a_share_that_is_none_is_refused(open_parts, share):
    with pytest.raises(ValueError, match="between 0 and 1"):
        open_parts().deployments.canary(2, share, "me")


def test_what_cannot_be_compared_is_refused(three, parts):
    for offer in (lambda number: three.shadow(number, "me"), lambda number: three.canary(number, 0.1, "me")):
        with pytest.raises(Conflict, match="is live already"):
            offer(1)
        with pytest.raises(LookupError):
            offer(99)
    other = register(parts, 4, manifest=manifest(weights(4), task="regression"))
    with pytest.raises(Conflict, match="of task regression"):
        three.shadow(other, "me")
    three.clear("main", "me")
    with pytest.raises(Conflict, match="nothing is live on main"):
        three.shadow(2, "me")


def test_what_does_not_work_becomes_no_candidate(open_parts):
    broken: set[str] = set()

    def verify(blobs, files):
        if files.model in broken:
            raise BadCandidate("its weights do not load")

    parts = open_parts(verify=verify)
    register(parts, 1, 0.5)
    number = register(parts, 2)
    broken.add(parts.store.get(number)["file_sha256"])
    with pytest.raises(BadCandidate, match=r"^main 2 does not work: its weights do not load$"):
        parts.deployments.canary(number, 0.1, "me")
    with pytest.raises(BadCandidate, match=r"^main 2 does not work: "):
        parts.deployments.deploy(number, "me")
    assert parts.deployments.get("main")["canary_id"] is None


def test_the_files_of_candidates_stay(three, parts):
    three.shadow(2, "me")
    three.canary(3, 0.1, "me")
    register(parts, 4)
    assert parts.store.prune(keep=0, reach=0, actor="me", even_within_reach=True) == ["main 4"]
    three.withdraw("main", "shadow", "me")
    assert parts.store.prune(keep=0, reach=5, actor="me") == ["main 2"]  # it has never been live
    with pytest.raises(LookupError, match="given up"):
        three.shadow(2, "me")


def test_freezing_what_is_frozen_adds_nothing_to_the_history(three):
    for frozen in (False, True, True, False):
        three.freeze("main", frozen, "me")
    assert [line["action"] for line in three.history(3)] == ["thaw", "freeze", "promote"]
