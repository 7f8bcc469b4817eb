"""Converted engines: never half, never stale, and usable without torch."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from serving.engines.cache import FACTS, is_whole, kept, place
from serving.engines.engine import Maker
from serving.engines.onnxruntime import OnnxRuntime
from serving.engines.openvino import OpenVino
from serving.engines.source import source_of

ROOT = Path(__file__).parent.parent.parent.parent

KILLED_WHILE_CONVERTING = """
import sys, time
from pathlib import Path
sys.path[:0] = [{root!r}, {tests!r}]
from test_cache import Slow
from serving.engines.cache import kept
from serving.engines.source import source_of
kept(Slow(), source_of(Path({folder!r})))
"""

WITHOUT_TORCH = """
import json, sys
from pathlib import Path
import numpy as np
from serving.engines.{module} import {name}
from serving.engines.cache import prepared
from serving.engines.source import source_of
engine = prepared({name}(), source_of(Path({folder!r})))
print(json.dumps([engine(np.full((2, 8, 8, 1), 70, np.uint8)).tolist(), "torch" in sys.modules]))
"""


@dataclass(frozen=True)
class Slow(Maker):
    """Writes one file, then takes long over the second."""

    name: ClassVar[str] = "slow"

    def convert(self, source, folder):
        (folder / "first").write_text("done")
        time.sleep(0 if (source.folder / "fast").exists() else 60)
        (folder / "second").write_text("done")

    def load(self, source, folder):
        raise AssertionError("is not run")


@pytest.fixture
def copy(model, tmp_path):
    """The model's folder without engines."""
    shutil.copytree(model, tmp_path / "copy", ignore=shutil.ignore_patterns("engines"))
    return tmp_path / "copy"


def test_a_conversion_killed_half_way_is_never_used_and_the_next_one_makes_it_whole(copy):
    script = KILLED_WHILE_CONVERTING.format(root=str(ROOT), tests=str(Path(__file__).parent), folder=str(copy))
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    while not list(copy.glob("engines/*.part/first")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    source = source_of(copy)
    assert not place(Slow(), source).exists()
    (copy / "fast").touch()
    folder = kept(Slow(), source)
    assert is_whole(folder) and {file.name for file in folder.iterdir()} == {"first", "second", FACTS}
    assert not list(copy.glob("engines/*.part"))


def test_a_failing_conversion_leaves_nothing(copy):
    @dataclass(frozen=True)
    class Failing(Slow):
        def convert(self, source, folder):
            (folder / "first").write_text("half")
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        kept(Failing(), source_of(copy))
    assert [file.suffix for file in (copy / "engines").iterdir()] == [".lock"]


@pytest.mark.parametrize("damage", ["cut", "missing", "no facts"])
def test_a_damaged_engine_is_made_anew(copy, damage):
    (copy / "fast").touch()
    folder = kept(Slow(), source_of(copy))
    {"cut": lambda: (folder / "second").write_text("do"), "missing": (folder / "first").unlink,
     "no facts": (folder / FACTS).unlink}[damage]()  # fmt: skip
    assert not is_whole(folder)
    assert is_whole(kept(Slow(), source_of(copy))) and (folder / "second").read_text() == "done"


def test_weights_precision_versions_and_machine_each_have_an_engine_of_their_own(copy, monkeypatch):
    source, seen = source_of(copy), set()
    seen.add(place(OpenVino("fp32"), source))
    seen.add(place(OpenVino("bf16"), source))
    seen.add(place(OnnxRuntime(), source))
    seen.add(place(OpenVino("fp32"), replace(source, identity="other weights")))
    monkeypatch.setattr("serving.engines.engine.version", lambda package: "1.0")
    seen.add(place(OpenVino("fp32"), source))
    monkeypatch.setattr("serving.engines.engine.cpu_flags", lambda: ("avx2",))
    seen.add(place(OpenVino("fp32"), source))
    monkeypatch.setattr("serving.engines.cache.CONVERSION", 0)
    seen.add(place(OpenVino("fp32"), source))
    assert len(seen) == 7


def test_the_normalisation_and_the_architecture_count_as_the_model_too(copy):
    before = source_of(copy).identity
    stored = json.loads((copy / "model.json").read_text())
    stored["preprocessing"]["mean"] = [0.5]
    (copy / "model.json").write_text(json.dumps(stored))
    assert source_of(copy).identity != before


@pytest.mark.parametrize(("module", "maker"), [("openvino", OpenVino), ("onnxruntime", OnnxRuntime)])
def test_a_converted_engine_runs_without_torch(source, module, maker):
    if refusal := maker().refusal():
        pytest.skip(f"{maker().label} {refusal}")
    kept(maker(), source)
    script = WITHOUT_TORCH.format(module=module, name=maker.__name__, folder=str(source.folder))
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    logits, torch_is_there = json.loads(done.stdout)
    assert len(logits) == 2 and len(logits[0]) == 10 and not torch_is_there
