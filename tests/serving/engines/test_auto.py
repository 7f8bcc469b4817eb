"""The automatic choice: gated, timed, explained, remembered."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from serving.engines import auto as auto_file
from serving.engines.auto import REFERENCE, Auto, Tried, chosen
from serving.engines.cache import place, prepared
from serving.engines.comparison import EngineTable
from serving.engines.eager import Eager
from serving.engines.engine import EngineError, answers
from serving.engines.gate import Verdict
from serving.engines.openvino import OpenVino
from serving.engines.tensorrt import TensorRt
from serving.engines.timing import Timed

ROOT = Path(__file__).parent.parent.parent.parent


@dataclass(frozen=True)
class Wrong(Eager):
    """Answers with the classes in another order."""

    name: ClassVar[str] = "wrong"

    @property
    def label(self):
        return "wrong"

    def load(self, source, folder):
        engine = super().load(source, folder)
        right = engine.answer
        engine.answer = lambda pixels: np.roll(right(pixels), 1, axis=1)
        return engine


@dataclass(frozen=True)
class Broken(Wrong):
    @property
    def label(self):
        return "broken"

    def load(self, source, folder):
        raise EngineError("this network has a layer that it does not know")


@dataclass(frozen=True)
class Slipping(Wrong):
    """Answers wrongly for one image, whose pixels these are."""

    image: bytes = b""

    def load(self, source, folder):
        engine = Eager.load(self, source, folder)
        right = engine.answer
        engine.answer = lambda pixels: np.stack(
            [np.roll(said, one.tobytes() == self.image) for said, one in zip(right(pixels), pixels, strict=True)]
        )
        return engine


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(auto_file, "SECONDS", 0.0)


@pytest.fixture
def choice(source, digits):
    candidates = [Wrong(), Broken(), OpenVino("fp32"), TensorRt()]
    return Auto(candidates, batch=4).choose(source, digits[0][1500:], digits[1][1500:], batches=(1,))


def test_says_why_each_was_refused(choice):
    verdicts = {one.maker.label: one.verdict for one in choice.tried}
    assert verdicts["wrong"].why.startswith("agrees on 0.") and "asked for" in verdicts["wrong"].why
    assert verdicts["broken"].why == "this network has a layer that it does not know"
    assert "needs" in verdicts["tensorrt fp16"].why
    assert verdicts["openvino fp32"].accepted and verdicts["eager fp32"].agreement == 1.0


def test_accuracy_that_a_few_images_deny_is_judged_on_more_of_them(source, digits):
    pixels, target = digits[0][1500:], digits[1][1500:]
    right = answers(prepared(auto_file.REFERENCE, source), pixels[:100]).argmax(axis=1) == target[:100]
    auto = Auto([Slipping(image=pixels[right.argmax()].tobytes())], accuracy_drop=0.5, images=100)
    of_few, of_more = (auto.gated(source, pixels[:count], target[:count])[1].verdict for count in (100, 297))
    assert not of_few.accepted and of_few.why.startswith("agrees on 99.00% of 100 images")
    assert of_more.accepted and of_more.why.startswith("agrees on 99.66% of 297 images")


def test_times_those_that_passed_at_each_batch_size_and_keeps_one_of_them(choice):
    assert {one.maker.label for one in choice.tried if one.timed} == {"eager fp32", "openvino fp32"}
    assert all(sorted(one.timed) == [1, 4] for one in choice.tried if one.timed)
    assert choice.chosen.accepted and "times as fast as eager fp32" in choice.why


def test_the_fastest_is_kept_and_the_model_itself_where_none_is_faster():
    def tried(name, ms, accepted=True):
        speed = {8: Timed(ms, ms, ms, 8000 / ms)} if accepted else None
        return Tried(Eager(device=name), Verdict(accepted, "", 1.0), None, speed)

    assert chosen([tried("a", 4.0), tried("b", 2.0), tried("c", 1.0, accepted=False)], 8).chosen.maker.device == "b"
    assert "2.00 times as fast" in chosen([tried("a", 4.0), tried("b", 2.0)], 8).why
    assert chosen([tried("a", 1.0), tried("b", 2.0)], 8).chosen.maker.device == "a"


def test_a_choice_is_remembered_and_had_again_without_torch_and_without_images(source, digits):
    auto = Auto([OpenVino("fp32", threads=1)])
    assert auto.remembered(source) is None
    auto.choose(source, digits[0][1500:])
    for file in source.engines.glob("auto-*.json"):  # as if it had been the faster one
        file.write_text(json.dumps(json.loads(file.read_text()) | {"chosen": "openvino fp32"}))
    script = f"""
import sys
from pathlib import Path
from serving.engines.auto import Auto
from serving.engines.openvino import OpenVino
from serving.engines.source import source_of
print(Auto([OpenVino("fp32", threads=1)]).remembered(source_of(Path({str(source.folder)!r}))).facts.engine)
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == "openvino", done.stderr
    assert Auto([OpenVino("fp32", threads=1)], agreement=0.5).remembered(source) is None


def test_a_remembered_engine_whose_files_are_gone_is_not_made_in_passing(source, digits):
    auto = Auto([OpenVino("fp32", threads=1)], agreement=0.9)
    auto.choose(source, digits[0][1500:])
    for file in source.engines.glob("auto-*.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"chosen": "openvino fp32"}))
    assert auto.remembered(source) is not None
    gone = place(auto.candidates[0], source)
    aside = gone.rename(gone.with_name("aside"))
    try:
        assert auto.remembered(source) is None and not gone.exists()
    finally:
        aside.rename(gone)


def test_impossible_settings_are_refused_by_name():
    with pytest.raises(ValueError, match=r"engine\.batch=0"):
        Auto([], batch=0)


@pytest.mark.parametrize(("task", "named"), [("classification", "Accuracy"), ("regression", "Explained variance")])
def test_the_table_calls_what_an_engine_must_not_lose_by_its_name(source, task, named):
    alone = chosen([Tried(REFERENCE, Verdict(True, "", 1.0, 0.9), timed={1: Timed(1, 1, 1, 1000)})], 1)
    table = EngineTable(alone, replace(source, task=task), "", 1, measured=False).table()
    assert [column.header for column in table.columns][2] == named
