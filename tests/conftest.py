"""What several tests share: the project's own commands run as a user runs them."""

import gc
import os
import runpy
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image
from sklearn.datasets import load_digits

from tests.browser import CHROMIUM, Browser

ROOT = Path(__file__).parent.parent
PROCESSES = get_context("forkserver")  # real processes that start with what they need already imported
PROCESSES.set_forkserver_preload([
    "pytest", "tests.conftest",
    "timm", "torchvision.transforms.v2", "models.training", "models.trackers", "models.classification", "models.start",
    "datamodule.digits", "tuning.auto_optimizer", "tuning.batch_size", "tuning.problem", "tuning.automatic_settings",
    "active.start", "utils.plots", "matplotlib.backends.backend_agg", "jinja2", "plotly.offline",
    "torch.utils.tensorboard", "serving.server", "serving.api.app",
])  # fmt: skip
LONGEST = (
    "test_one_worker_runs_trial_after_trial_and_those_that_fail_are_recorded",
    "test_a_dropped_grid_becomes_a_live_model_on_the_open_page_and_one_click_brings_the_former_back",
    "test_the_whole_story_is_told_by_the_keyboard_alone",
)


def pytest_unconfigure() -> None:
    """What `utils.loading` has kept is freed as usual: this process does not end by `leave`."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest go first: what begins last keeps one process busy when all others are done."""
    items.sort(key=lambda item: item.name not in LONGEST)


@pytest.fixture
def hydra_parse():
    """Parses one override with Hydra's own grammar."""
    return OverridesParser.create().parse_override


@pytest.fixture
def idle():
    """A task whose network is of no interest."""
    from torch.nn import Identity

    def make(kind, classes, loss, **options):
        given = {"optimizer": None, "schedule": None, "seed": 0, "metrics": []}
        return kind(num_classes=classes, net=Identity(), loss=loss, **given, **options)

    return make


@pytest.fixture
def digit_folder(tmp_path):
    """A folder of class sub-folders with 3 classes of real digits, 40 8x8 PNG files each."""
    digits = load_digits()
    for number in (1, 2, 3):
        folder = tmp_path / "digits" / f"class {number}"
        folder.mkdir(parents=True)
        for place, image in enumerate(digits.images[digits.target == number][:40]):
            Image.fromarray((image * 15).astype("uint8")).save(folder / f"{place}.png")
    return tmp_path / "digits"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A real one, without a window; see tests/browser.py."""
    if CHROMIUM is None:
        print("no chromium here: apt-get install chromium")
        pytest.skip("no chromium here: apt-get install chromium")
    made = Browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@dataclass
class Running:
    """A command in a process of its own."""

    process: BaseProcess
    output: Path
    errors: Path

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def says(self, text: str) -> bool:
        """Whether its output has these words already."""
        return self.output.exists() and text in self.output.read_text()

    def once(self, condition: Callable[[], object], number: int, timeout: float = 240) -> subprocess.CompletedProcess:
        """Waits until something is true, sends a signal, waits for the end."""
        until = time.monotonic() + timeout
        while not condition():
            assert self.process.is_alive() and time.monotonic() < until, self.errors.read_text()
            time.sleep(0.01)
        self.send(number)
        return self.wait(timeout)

    def wait(self, timeout: float = 240) -> subprocess.CompletedProcess:
        self.process.join(timeout)
        if self.process.is_alive():
            self.send(signal.SIGKILL)
            raise TimeoutError(f"still running after {timeout} s: {self.output.read_text()}{self.errors.read_text()}")
        return subprocess.CompletedProcess([], self.process.exitcode, self.output.read_text(), self.errors.read_text())


@pytest.fixture
def places(tmp_path):
    """Where a test's logs and caches lie, as overrides."""
    return (f"logs={tmp_path / 'logs'}", f"datamodule.cache_dir={tmp_path / 'cache'}")


@pytest.fixture
def launch(tmp_path, places):
    """Starts `python SCRIPT ARGUMENTS`, with logs and cache in the test's folder."""
    started: list[Running] = []

    def start(script: str, *arguments: str, **environment: str) -> Running:
        streams = [tmp_path / f"{kind}-{len(started)}.txt" for kind in ("output", "errors")]
        line = [script, *arguments, *(places if script == "train.py" else ())]
        process = PROCESSES.Process(target=as_main, args=(line, {"COLUMNS": "200", **environment}, *streams))
        process.start()
        started.append(Running(process, *streams))
        return started[-1]

    yield start
    for running in started:
        running.process.kill()
        running.process.join()


@pytest.fixture
def command(launch):
    """The same, run to its end."""

    def run(script: str, *arguments: str, timeout: float = 240, **environment: str) -> subprocess.CompletedProcess:
        return launch(script, *arguments, **environment).wait(timeout)

    return run


def as_main(line: list[str], environment: dict[str, str], output: Path, errors: Path) -> None:
    """What the new process does: the script as `__main__`, its streams in files."""
    gc.freeze()  # what it was forked with stays
    os.chdir(ROOT)
    os.environ.update(environment)
    sys.argv = line
    for number, file in ((1, output), (2, errors)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        runpy.run_path(line[0], run_name="__main__")
    except Exception:  # noqa: BLE001 - the process's outermost frame
        traceback.print_exc()
        sys.exit(1)
