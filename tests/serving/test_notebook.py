"""The notebook of the documentation, cell by cell, against a server: it clones, installs, joins, trains."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from serving.api.app import create_app
from serving.parts import assemble
from serving.promotion import Better
from serving.settings import ServingSettings
from serving.version import PLACES, ROOT, code_version
from tests.serving.conftest import accept, served

GRID = '{"EPOCHS": 1, "NUM_FILTERS": 4, "DENSE_WIDTH": 16, "datamodule.n_samples": 300, "trainer.speed": "fp32"}'
UNTIL_ASKED = "input()"  # stands before the last cell: a person, who stops the worker some time


@pytest.fixture
def repository(tmp_path):
    """A repository that holds this very code, committed or not."""
    place = tmp_path / "repository"
    for name in (*PLACES, "requirements.txt"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            place.mkdir(exist_ok=True)
            shutil.copy(source, place / name)
    for line in ("init -q", "add -A", "-c user.name=a -c user.email=a@b commit -qm all"):
        subprocess.run(["git", *line.split()], cwd=place, check=True)
    return place


def test_a_notebook_joins_with_two_lines_and_trains_what_the_server_has(tmp_path, repository):
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text())
    *cells, last = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert cells[-1].count("\n") == 2 and last == "worker.stop()"
    parts = assemble(ServingSettings(root=str(tmp_path / "store")), Better(), code_version(), accept)
    token = parts.tokens.create("notebook", "worker")
    parts.submission.submit(GRID.encode(), "main", "a test")
    with served(parts, create_app(parts)) as address:
        environment = os.environ | {
            "EVERGREEN_REPOSITORY": str(repository), "EVERGREEN_SERVER": address, "EVERGREEN_TOKEN": token,
        }  # fmt: skip
        script = "\n".join([*cells, UNTIL_ASKED, last])
        (tmp_path / "home").mkdir()
        process = subprocess.Popen(
            [sys.executable, "-c", script], cwd=tmp_path / "home", env=environment, stdin=subprocess.PIPE, text=True
        )
        while (state := parts.queue.get(1)["state"]) in ("queued", "running") and process.poll() is None:
            time.sleep(0.1)
        process.communicate("\n", timeout=60)
    assert (state, process.returncode) == ("succeeded", 0)
    assert parts.store.get(1)["worker"] == parts.workers.every()[0]["name"]
    parts.database.close()
