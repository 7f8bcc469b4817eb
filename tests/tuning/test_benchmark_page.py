"""The page of a benchmark."""

import json
import re
from dataclasses import replace

from tuning.benchmark_page import on_front, pareto_chart, write_page
from tuning.published import Joined, Published
from tuning.speed_table import Row

ROW = Row("slow", "eager", "fp32", 1, "224x224", "inference", "torch 2", "a CPU", p50_ms=20.0, p95_ms=22.0,
          p99_ms=23.0, images_per_s=50.0, parameters=10**7, macs=10**9, activations=10**6)  # fmt: skip


def one(model, p50, top1, **changes):
    return Joined(replace(ROW, model=model, p50_ms=p50, **changes), top1 and Published(f"{model}.tag", 224, top1))


FOUND = [one("slow", 20.0, 80.0), one("quick", 5.0, 70.0), one("beaten", 21.0, 75.0), one("unknown", 1.0, None),
         one("elsewhere", 2.0, 60.0, batch=32), one("quick", 3.0, 70.0, engine="openvino", precision="bf16"),
         one("broken", None, 90.0, error="its process was killed by SIGSEGV")]  # fmt: skip


def test_the_front_is_among_those_of_one_batch_size_with_an_accuracy():
    assert on_front(FOUND) == [True, False, False, False, True, True, False]


def test_the_chart_marks_the_front_and_names_every_point():
    series = pareto_chart(FOUND[:3], 1).series
    assert [list(part.labels) for part in series] == [["beaten"], [], ["quick", "slow"]]
    assert list(series[2].sides).count(None) == 0


def test_the_page_has_every_row_and_every_failure(tmp_path):
    text = write_page(tmp_path / "t.csv", FOUND).read_text()
    body = text[text.index("<main>") :]
    for name in ("slow", "quick", "beaten", "unknown", "elsewhere", "its process was killed by SIGSEGV", "openvino"):
        assert name in body
    assert body.count("<span>★</span>") == 3
    charts = [json.loads(chart) for chart in re.findall(r'<script type="application/json">(.*?)</script>', text)]
    assert len(charts) == 2 and all(chart["layout"]["xaxis"]["type"] == "log" for chart in charts)
    assert sorted(file.name for file in (tmp_path / "t").glob("*.png")) == [
        "accuracy-latency-1.png",
        "accuracy-latency-32.png",
    ]


ORDER = "[...document.querySelectorAll('table')][0].tBodies[0].rows"
FIRST = f"[...{ORDER}].map((row) => row.cells[0].innerText)"
BACK = "getComputedStyle(document.body).backgroundColor + getComputedStyle(document.documentElement).colorScheme"


def press(title):
    return f"[...document.querySelectorAll('th button')].find((one) => one.innerText === '{title}').click()"


def test_in_a_browser_it_sorts_by_any_column_and_is_light_or_dark(browser, tmp_path):
    browser.problems.clear()
    page = browser.open(write_page(tmp_path / "t.csv", FOUND).as_uri())
    page.until("document.querySelectorAll('.plot svg').length > 0")
    page.value(press("p50 ms"))
    page.value(press("p50 ms"))
    assert page.value(FIRST) == ["beaten", "slow", "quick", "quick", "elsewhere", "unknown"]
    page.value(press("Top-1 %"))
    assert page.value(FIRST) == ["elsewhere", "quick", "quick", "beaten", "slow", "unknown"]
    page.value(press("Top-1 %"))
    assert page.value(FIRST) == ["slow", "beaten", "quick", "quick", "elsewhere", "unknown"]
    before = page.value(BACK)
    page.picture(tmp_path / "one.png")
    page.value("document.querySelector('#theme').click()")
    assert {before.rpartition(")")[2], page.value(BACK).rpartition(")")[2]} == {"light", "dark"}
    assert page.value(BACK) != before
    page.picture(tmp_path / "other.png")
    page.close()
    assert browser.problems == []


def test_a_table_without_accuracies_has_a_page_without_a_picture(tmp_path):
    text = write_page(tmp_path / "t.csv", [one("unknown", 1.0, None)]).read_text()
    assert "unknown" in text and "Accuracy and latency" not in text
