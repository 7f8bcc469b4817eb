import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from models import report
from models.calibration import fit_temperature, reliability
from models.confusion import confusion, most_wrong
from models.evaluation import evaluate_classification, evaluate_regression
from models.probabilities import probabilities
from utils.report import Gallery, Section, Table, Text, write_report

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def digits():
    """A linear model's logits on scikit-learn's digits: validation and test, and the test images."""
    images, labels = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=15, tol=10).fit(images[:600] / 16, labels[:600])
    images, labels, logits = images[600:], labels[600:], model.decision_function(images[600:] / 16)
    return logits, labels, (images.reshape(-1, 8, 8, 1) * 15.9).astype(np.uint8)


@pytest.fixture(scope="module")
def evaluation(digits):
    logits, labels, _ = digits
    temperature = fit_temperature(logits[:300], labels[:300])
    return evaluate_classification(
        logits[300:], labels[300:], list("0123456789"), np.random.default_rng(0), temperature, repeats=200
    )


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    file = tmp_path_factory.mktemp("run") / "metrics.csv"
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["step", "train/loss", "val/loss", "val/accuracy", "lr"])
        writer.writerows([step, 1 / step, 1.1 / step, 1 - 0.5 / step, 0.1] for step in range(1, 60))
    return file


def every_section(digits, evaluation, metrics):
    logits, labels, images = (part[300:] for part in digits)
    classes = [f"{name} <b>&" for name in "0123456789"]
    probs = probabilities(logits)
    guess = probs.argmax(1)
    raw = reliability(probs.max(1), guess == labels)
    counts = np.bincount(labels)
    failed = [
        report.Failure(
            images[k], f"a/{k}.png", classes[labels[k]], classes[guess[k]], float(probs[k].max()), images[k] // 2
        )
        for k in most_wrong(probs, labels, 6)
    ]
    return [
        report.headline(evaluation, "test", {"model": "linear", "folder": "logs/a/b"}),
        report.learning_curves(metrics),
        report.confusions(confusion(labels, guess, 10), classes),
        report.per_class(evaluation),
        report.calibration(raw, raw, 1.5),
        report.failures(failed),
        report.class_distribution({"train": counts, "val": counts, "test": counts}, classes),
        report.weighted_sampling(counts, counts[::-1], classes),
        report.inputs(list(images[:6]), classes[:6]),
        report.regression(probs[:, :1], probs[:, 1:2], ["age"]),
        report.configuration({"seed": 0, "trainer": {"max_time": None, "x": {"y": 1}}}, {"python": "3"}),
    ]


def test_the_page_opens_in_a_browser_without_an_error(digits, evaluation, metrics, tmp_path):
    if CHROMIUM is None:
        print("no chromium here: apt-get install chromium")
        pytest.skip("no chromium here: apt-get install chromium")
    page = write_report(tmp_path / "report", "Digits", every_section(digits, evaluation, metrics), "A linear model.")
    shown = open_page(page, tmp_path / "profile")
    assert re.findall(r"CONSOLE.*", shown.stderr) == []
    visible = shown.stdout.count('class="plot') - 1  # the counts of the confusion matrix wait behind their button
    assert shown.stdout.count('class="main-svg"') >= visible > 8
    assert "js-plotly-plot" in shown.stdout


def test_a_broken_page_would_be_noticed(tmp_path):
    if CHROMIUM is None:
        print("no chromium here: apt-get install chromium")
        pytest.skip("no chromium here: apt-get install chromium")
    page = tmp_path / "page.html"
    page.write_text("<script>missing()</script>")
    assert "missing is not defined" in open_page(page, tmp_path / "profile").stderr


def open_page(page, profile):
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    quiet += ["--disable-component-update", "--disable-sync", f"--user-data-dir={profile}"]
    seen = ["--enable-logging=stderr", "--virtual-time-budget=8000", "--window-size=1280,900", "--dump-dom"]
    return subprocess.run(
        [CHROMIUM, *quiet, *seen, page.as_uri()], capture_output=True, text=True, check=True, timeout=120
    )


def test_nothing_heavy_is_imported_before_something_is_drawn():
    heavy = "{'torch', 'matplotlib', 'plotly', 'jinja2', 'sklearn', 'PIL'}"
    code = f"import sys, models.report, models.evaluation, utils.plots; sys.exit(str({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert found.stderr.strip() == "set()"


def blocks(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def test_the_headline_leads_with_the_accuracy_and_its_range(evaluation):
    section = report.headline(evaluation, "test", {})
    lead = section.blocks[0].stats[0]
    found = evaluation["accuracy"]
    assert lead.title == "Accuracy on 897 test images"
    assert lead.value == f"{100 * found.value:.1f} %"
    assert lead.note == f"{100 * found.low:.1f} – {100 * found.high:.1f} % with 95 % confidence"


def test_classes_are_listed_weakest_first_and_those_without_images_last():
    labels = np.repeat([0, 1], 50)
    logits = np.eye(3)[labels] + np.random.default_rng(0).normal(size=(100, 3)) * [1, 0.3, 0.3]
    found = evaluate_classification(logits, labels, ["a", "b", "none"], np.random.default_rng(0), repeats=50)
    section = report.per_class(found)
    (table,) = blocks(section, Table)
    values = [row[2][0] for row in table.rows[:2]]
    assert values == sorted(values)
    assert table.rows[2][:3] == ("none", 0, None)
    assert "No image here shows none" in section.note


def test_bars_of_ranges_begin_below_all_of_them(evaluation):
    (table,) = blocks(report.per_class(evaluation), Table)
    lowest = min(row[2][1] for row in table.rows)
    assert 0 <= lowest - table.columns[2].ends[0] < 0.1


@pytest.mark.parametrize(("classes", "names"), [
    (2, ["confusion_share", "confusion_counts"]),
    (200, ["confusion_hardest", "confusion_share", "confusion_counts"]),
])  # fmt: skip
def test_many_classes_begin_with_the_hardest(classes, names):
    counts = np.random.default_rng(0).integers(9, size=(classes, classes))
    charts = report.confusions(counts, [f"class {k}" for k in range(classes)]).blocks[0].charts
    assert [chart.name for chart in charts] == names
    assert len(charts[0].classes) == min(classes, 20)
    assert len(charts[-1].classes) == classes


def test_a_thousand_classes_are_cut_to_what_a_screen_can_show_and_it_is_said():
    section = report.confusions(np.eye(1000, dtype=int), [f"class {k}" for k in range(1000)])
    assert len(section.blocks[0].charts[-1].classes) == 250
    assert "250 of 1000 classes" in section.note


def test_a_perfect_model_has_a_page_too():
    assert blocks(report.failures([]), Text)
    assert blocks(report.confusions(np.eye(2, dtype=int), ["a", "b"]), Text)


def test_a_failure_tells_true_predicted_probability_and_file():
    failure = report.Failure(np.zeros((4, 4, 3), np.uint8), "test/cat/7.png", "cat", "dog", 0.9713)
    (gallery,) = blocks(report.failures([failure]), Gallery)
    shown = gallery.pictures[0]
    assert (shown.title, shown.note, shown.share) == ("cat → dog", "97.1\u00a0% · 7.png", 0.9713)
    assert shown.hint == "test/cat/7.png: cat → dog"


def test_classes_missing_from_a_split_are_named():
    section = report.class_distribution({"train": np.array([3, 1]), "test": np.array([2, 0])}, ["cat", "dog"])
    assert "Missing: dog in test." in section.note


def test_weighted_sampling_shows_both_shares():
    (chart,) = report.weighted_sampling(np.array([90, 10]), np.array([52, 48]), ["a", "b"]).blocks[0].charts
    assert [list(series.y) for series in chart.series] == [[0.9, 0.1], [0.52, 0.48]]


def test_many_classes_are_ordered_by_frequency_and_not_named_on_the_axis():
    counts = np.arange(1, 101)
    (chart,) = report.class_distribution({"train": counts}, [f"class {k}" for k in range(100)]).blocks[0].charts
    assert chart.x.unnamed
    assert chart.x.categories[0] == "class 99"


def test_the_configuration_lists_every_value_by_its_whole_name():
    section = report.configuration({"seed": 3, "trainer": {"a": {"b": None}}}, {"torch": "2"})
    facts = {block.title: dict(block.facts) for block in section.blocks}
    assert facts == {"general": {"seed": "3"}, "trainer": {"a.b": "null"}, "environment": {"torch": "2"}}


def test_a_regression_has_a_headline_and_no_class_table():
    rng = np.random.default_rng(0)
    found = evaluate_regression(rng.normal(size=50), rng.normal(size=50), ["age"], rng, repeats=50)
    lead = report.headline(found, "test", {}).blocks[0].stats[0]
    assert lead.title == "MAE on 50 test images"
    assert isinstance(report.per_class(found), Section)
