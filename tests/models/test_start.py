"""What a command starts from: where the run lies, and what is refused."""

from functools import partial

import pytest

from models.run import Run, create
from models.settings import RunSettings
from models.start import SHARED_RUN, start
from train import NOT_STORED
from utils.configuration import overridden


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Starts what command lines with these values ask for, beside a finished run old/first that has a last.ckpt."""
    monkeypatch.setenv(SHARED_RUN, "")  # is put back as it was
    logs = str(tmp_path / "logs")
    first = create(logs, "old", "first", force=False)
    first.write({"experiment_name": "old", "run_name": "first", "record": {"weights": {"final": "5ha"}}})
    first.checkpoints.mkdir()
    first.last.write_bytes(b"")

    def begun(line=(), **values) -> Run:
        given = [*(f"{key}={value}" for key, value in values.items()), *line]
        override = partial(overridden, overrides=given, ignore=NOT_STORED)
        return start({}, RunSettings(logs=logs, **values), override).run

    return begun


def test_a_reproduction_lies_in_its_own_experiment_or_in_the_one_that_is_named(begin):
    assert begin(reproduce="first", run_name="again").folder.parts[-2:] == ("old", "again")
    assert begin(reproduce="first", run_name="again", experiment_name="new").folder.parts[-2:] == ("new", "again")


def test_a_reproduction_takes_no_other_time_than_the_one_that_its_clock_ended(begin, tmp_path):
    timed = {"trainer": {"max_time": "00:00:00:06", "stopped_at": 7}, "schedulers": {"realised": [1, 2]}}
    Run(tmp_path / "logs/old/first").write({"experiment_name": "old", **timed, "record": {"weights": {"final": "5ha"}}})
    given = {"reproduce": "first", "run_name": "again"}
    told = r"had 00:00:00:06; leave it out, or .* with trainer.stopped_at=null schedulers.realised=null$"
    with pytest.raises(ValueError, match=rf"trainer.max_time=00:00:00:03: .*{told}"):
        begin(**given, line=["trainer.max_time=00:00:00:03"])
    begin(**given, line=["trainer.max_time=00:00:00:06"])
    free = ["trainer.max_time=00:00:00:03", "trainer.stopped_at=null", "schedulers.realised=null"]
    begin(reproduce="first", run_name="other", line=free)


@pytest.mark.parametrize("name", [{"run_name": "second"}, {"experiment_name": "new"}])
def test_a_run_that_goes_on_takes_no_other_name(begin, name):
    with pytest.raises(ValueError, match=rf"{next(iter(name))}=.*goes on in .*old/first; leave"):
        begin(resume_full_training="first", **name)
    assert begin(resume_full_training="first", run_name="first", experiment_name="old").folder.name == "first"


@pytest.mark.parametrize("content", [b"a: [1", b"a: \xe9", b"record:\n", b"- 1\n"])
def test_a_file_that_is_no_stored_configuration_is_refused_by_name(begin, tmp_path, content):
    (tmp_path / "broken.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=r"reproduce=.*broken\.yaml.*(cannot be read as yaml|no record.weights.final)"):
        begin(reproduce=str(tmp_path / "broken.yaml"))


@pytest.mark.parametrize("source", ["first", "secnd", "no/such.safetensors"])
def test_weights_that_are_not_there_are_refused_before_there_is_a_run(begin, tmp_path, source):
    Run(tmp_path / "logs/old/first").last.unlink()
    with pytest.raises(ValueError, match=r"there is no .*safetensors; name a run that has|secnd is no run folder"):
        begin(resume_weights_training=source, run_name="second")
    assert not (tmp_path / "logs" / "default").exists()


def test_a_run_whose_checkpoints_hold_the_weights_alone_is_not_taken_up(begin, tmp_path):
    run = create(str(tmp_path / "logs"), "old", "light", force=False)
    run.write({"callback": {"checkpoints": {"save_weights_only": True}}, "record": {}})
    run.checkpoints.mkdir()
    run.last.write_bytes(b"")
    told = r"light has the weights alone .*save_weights_only=true.*start it again, or .*resume_weights_training=.*light"
    with pytest.raises(ValueError, match=told):
        begin(resume_full_training="light")


@pytest.fixture
def stopped(tmp_path, begin):
    """A run old/stopped that chose its optimizer, its batch size and its speed."""
    run = create(str(tmp_path / "logs"), "old", "stopped", force=False)
    chosen = {"optimizers": {"name": "muon", "lr": 0.1, "option": None}, "datamodule": {"batch_size": 32}}
    kept = {"trainer": {"speed": "bf16", "max_epochs": 3}, "callback": {"checkpoints": {"monitor": "val/loss"}}}
    plateau = {"schedulers": {"_target_": "models.schedulers.Plateau", "patience": 3}}
    run.write({"experiment_name": "old", **chosen, **kept, **plateau, "record": {}})
    run.checkpoints.mkdir()
    run.last.write_bytes(b"")
    return run


def going_on(run, *line):
    chosen = RunSettings(logs=str(run.folder.parents[1]), resume_full_training="stopped")
    return start({}, chosen, partial(overridden, overrides=[*line], ignore=NOT_STORED)).config


def test_a_run_goes_on_with_what_it_chose_though_the_line_says_auto_once_more(stopped):
    autos = ("optimizers.option=auto", "optimizers.lr=auto", "datamodule.batch_size=auto", "trainer.speed=auto")
    stored = {key: value for key, value in stopped.read().items() if key != "record"}
    assert going_on(stopped, *autos, "trainer.max_epochs=9") == stored | {"trainer": {"speed": "bf16", "max_epochs": 9}}


def test_a_run_that_its_time_ended_goes_on_beyond_that_step(stopped):
    ended = stopped.read()
    stopped.write(ended | {"trainer": ended["trainer"] | {"stopped_at": 7}})
    assert going_on(stopped, "trainer.max_epochs=9")["trainer"]["stopped_at"] is None


FIXED = (
    "optimizers.lr=0.2",
    "optimizers.name=sgd",
    "schedulers.patience=9",
    "callback.checkpoints.monitor=val/accuracy",
)


@pytest.mark.parametrize("given", FIXED)
def test_what_comes_with_the_checkpoint_is_not_changed_by_the_line(stopped, given):
    with pytest.raises(
        ValueError, match=rf"{given}: stopped goes on with its checkpoint's, {given.partition('=')[0]}=.*"
    ):
        going_on(stopped, given)


def test_a_schedule_by_steps_follows_its_values_anew(stopped):
    cosine = {"schedulers": {"_target_": "models.schedulers.cosine", "final": 0.0}}
    stopped.write(stopped.read() | cosine)
    assert going_on(stopped, "schedulers.final=0.1")["schedulers"]["final"] == 0.1


@pytest.mark.parametrize("given", ["optimizers=sgd", "experiment=auto"])
def test_what_a_stored_run_does_not_take_is_refused_with_how_it_goes_on(stopped, given):
    with pytest.raises(ValueError, match=rf"{given}.*; as it is the run goes on with .*={stopped.folder} alone"):
        going_on(stopped, given)
