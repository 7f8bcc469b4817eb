"""What every engine of the group keeps: the same few promises over each yaml and each of its types."""

import typing
from dataclasses import replace

import numpy as np
import pytest
import yaml

from serving.engines.auto import REFERENCE
from serving.engines.cache import place, prepared
from serving.engines.engine import Maker, answers
from serving.engines.gate import Tolerance, judge
from serving.engines.source import CALIBRATION
from utils.build import build, check_own
from utils.overrides import CONFIGURATION

NODES = {file.stem: yaml.safe_load(file.read_text()) for file in sorted((CONFIGURATION / "engine").glob("*.yaml"))}
SINGLE = {name: node for name, node in NODES.items() if "candidates" not in node}


def of_each_type() -> list[tuple[str, Maker]]:
    """Every engine in every precision that its constructor names."""
    found = []
    for name, node in SINGLE.items():
        kind = typing.get_type_hints(type(build(node))).get("type")
        types = typing.get_args(kind) or (None,)
        found += [(f"{name} {own or ''}".strip(), build(node | ({"type": own} if own else {}))) for own in types]
    return [(name, maker) for name, maker in found if name not in SLOW]


SLOW = ("compile bf16", "compile fp16", "eager fp16")  # minutes of compiling; half precision has no kernels on a CPU
ROUNDING = {"fp32": 1e-4, "fp16": 0.01, "bf16": 0.02, "int8": 0.3}  # of the largest logit
PARAMETERS = [
    pytest.param(maker, id=name, marks=pytest.mark.soak if maker.name == "compile" else ())
    for name, maker in of_each_type()
]
every = pytest.mark.parametrize("maker", PARAMETERS)


@pytest.fixture
def engine(maker, source):
    """The engine, or a skip with the reason and the way to have it."""
    if refusal := maker.refusal():
        pytest.skip(f"{maker.label} {refusal}")
    return prepared(maker, source)


@every
def test_answers_as_the_model_for_any_number_of_images(engine, source, digits):
    pixels, target = digits[0][1500:], digits[1][1500:]
    reference = answers(prepared(REFERENCE, source), pixels)
    for count in (1, 3, 32):
        logits = engine(pixels[:count])
        assert logits.shape == (count, 10) and logits.dtype == np.float32
        gap = np.abs(logits - reference[:count]).max() / np.abs(reference).max()
        assert gap < ROUNDING[engine.facts.precision]
    verdict = judge("classification", answers(engine, pixels), reference, target, Tolerance(0.97, 1.0))
    assert verdict.accepted, verdict.why


@every
def test_an_answer_does_not_depend_on_the_others_in_its_batch(engine, digits):
    together = engine(digits[0][:5])
    alone = np.concatenate([engine(digits[0][place : place + 1]) for place in range(5)])
    assert np.allclose(together, alone, atol=0.02 * np.abs(together).max())


@every
def test_floats_of_0_to_255_answer_as_the_pixels_they_round_to(engine, digits):
    pixels = digits[0][:3]
    assert np.array_equal(engine(pixels.astype(np.float64) + 0.3), engine(pixels))


@every
def test_an_engine_that_gave_back_its_memory_answers_as_before(engine, digits):
    before = engine(digits[0][:4])
    engine.rest()
    assert np.array_equal(engine(digits[0][:4]), before)


@every
def test_declares_what_it_is(engine, maker):
    facts = engine.facts
    assert facts.engine == maker.name and facts.device.split(",")[0] in ("cpu", "cuda", "mps")
    assert facts.precision == maker.precision and isinstance(facts.dynamic_batch, bool)


@every
def test_images_of_another_size_or_type_are_refused_in_words(engine):
    with pytest.raises(ValueError, match=r"images \(N, 8, 8, 1\), not \(2, 9, 8, 1\): fit them"):
        engine(np.zeros((2, 9, 8, 1), np.uint8))
    with pytest.raises(ValueError, match="not int64"):
        engine(np.zeros((2, 8, 8, 1), np.int64))
    with pytest.raises(ValueError, match="the engine takes images"):
        engine(np.zeros((0, 8, 8, 1), np.uint8))


@every
def test_what_is_converted_once_is_found_again(engine, maker, source):
    if not maker.converts:
        pytest.skip("made from the weights at each start")
    before = {file: file.stat().st_mtime_ns for file in place(maker, source).iterdir()}
    prepared(maker, source)
    assert {file: file.stat().st_mtime_ns for file in place(maker, source).iterdir()} == before


@pytest.mark.parametrize("engine", ["openvino", "tensorrt"])
def test_int8_without_images_to_calibrate_with_is_refused_by_name(source, engine):
    assert 0 < len(source.calibrating(engine)) <= CALIBRATION
    with pytest.raises(ValueError, match=f"engine {engine} int8 needs images to calibrate with"):
        replace(source, calibration=None).calibrating(engine)


@pytest.mark.parametrize("name", SINGLE)
def test_every_engine_is_one_of_the_automatic_choices_or_can_be_named(name):
    check_own({"engine": NODES[name]})
    assert isinstance(build(NODES[name]), Maker)


@pytest.mark.parametrize(
    ("name", "package", "install"),
    [
        ("openvino", "openvino", r"pip install -r requirements\.txt"),
        ("onnxruntime", "onnxruntime", r"pip install -r requirements-onnx\.txt"),
        ("tensorrt", "tensorrt", r"pip install -r requirements-tensorrt\.txt"),
    ],
)
def test_a_missing_package_is_refused_by_name_with_the_command_that_installs_it(
    monkeypatch, source, name, package, install
):
    found = __import__("importlib.util", fromlist=["util"]).find_spec
    monkeypatch.setattr("serving.engines.engine.find_spec", lambda wanted: None if wanted == package else found(wanted))
    with pytest.raises(ValueError, match=rf"{name}.* needs .*{package}.*: {install}"):
        prepared(build(NODES[name]), source)
