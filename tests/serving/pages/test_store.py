"""The store page: grids, jobs, models, monitoring, the history."""

import json
import re
import time

import numpy as np
import pytest

from serving.package import Package
from tests.serving.conftest import packaged
from tests.serving.monitoring.conftest import answered, register_masks
from tests.serving.pages.conftest import DEPLOYED, attribute
from tests.serving.test_server import until

HOSTILE = "<img src=x onerror=window.hurt=1>"


def test_names_and_lines_from_elsewhere_stay_words(api, opened, browser):
    api["operator"].post("/api/jobs", json={"SEED": 1})
    joined = {"name": "w", "version": "test-version", "machine": HOSTILE, "declared": []}
    worker = api["worker"].post("/api/workers", json=joined).json()
    job = api["worker"].post(f"/api/workers/{worker['id']}/claim").json()
    mine = {"worker": worker["id"], "fence": job["fence"]}
    said = [
        {"seq": 1, "kind": "line", "payload": HOSTILE},
        {"seq": 2, "kind": "figures", "payload": {f"val/{HOSTILE}": 1}},
    ]
    api["worker"].post(f"/api/jobs/{job['id']}/progress", json=mine | {"events": said})
    api["worker"].post(f"/api/jobs/{job['id']}/fail", json=mine | {"error": HOSTILE})
    api["operator"].post("/api/models", json=packaged(api.parts, 0.5, code_version=HOSTILE))
    store = opened(api.address, api.secrets["operator"], "/store")
    store.press("document.querySelector('[data-testid=job] .number')")
    store.press("document.querySelector('[data-testid=model] [aria-expanded]')")
    store.until(attribute("log", "textContent"), lambda text: text and text.count(HOSTILE) == 2)
    assert store.text("why") == HOSTILE
    store.until("document.body.textContent.split('onerror').length", lambda count: count >= 5)
    store.value(f"""(async () => {{
        const [answers, correction] = await Promise.all([import("/pages/answers.js"), import("/pages/correction.js")]);
        const name = {json.dumps(HOSTILE)};
        document.body.append(...answers.drawn({{ top: [{{ class: name, probability: 0.9 }}] }}),
          correction.correction(
            {{ task: "classification", classes: [name, "b"], found: {{ top: [{{ class: "b" }}] }} }}, () => {{}}));
    }})()""")
    assert store.text("class") == HOSTILE == store.text("class-choice")
    assert store.value("document.querySelectorAll('img[src=x]').length") == 0
    assert store.value("window.hurt ?? null") is None
    assert browser.problems == []


def test_figures_keep_their_names_beside_models_of_long_ones(api, opened):
    for seed in (1, 2):
        api["operator"].post("/api/models", json=packaged(api.parts, 0.5, seed, name="n" * 64))
    page = opened(api.address, api.secrets["viewer"], "/store")
    page.until("document.querySelectorAll('[data-testid=model]').length", 2)
    page.value("document.querySelectorAll('[data-testid=tick]').forEach((one) => one.click())")
    page.until_there("comparison")
    heights = "[...document.querySelectorAll('[data-testid=comparison] tbody tr')].map((one) => one.offsetHeight)"
    assert max(page.value(heights)[:2]) < 60


def test_all_lines_of_the_history_are_checked_where_a_person_asks_for_it(api, opened):
    page = opened(api.address, api.secrets["viewer"], "/store")
    sealed = "document.getElementById('sealed').textContent"
    page.until(sealed, lambda text: text.startswith("Each line is sealed"))
    page.click("check")
    page.until(sealed, lambda text: text.startswith("All lines were checked at"))


def test_a_person_does_on_the_page_what_the_store_can_do(api, opened):
    first, second = (
        api["operator"].post("/api/models", json=packaged(api.parts, 0.5 - seed / 10, seed)).json()["model"]
        for seed in (1, 2)
    )
    live = lambda: api["viewer"].get("/api/deployments/main").json()  # noqa: E731
    assert live()["model_id"] == first
    page = opened(api.address, api.secrets["operator"], "/store")
    page.until_there("deploy")
    page.value(f"document.querySelector('[data-testid=model][data-model=\"{second}\"] [aria-expanded]').click()")
    for role in ("shadow", "canary"):
        page.until(f"document.querySelector('button[data-testid={role}]') !== null")
        page.value(f"document.querySelector('button[data-testid={role}]').click()")
        page.click("sure")
        page.until(f"document.querySelector('div[data-testid={role}]') !== null")
        assert live()[f"{role}_id"] == second
    assert live()["canary_share"] == 0.1
    assert live()["shadow_id"] is None  # a model has one place
    page.press("document.querySelector('div[data-testid=canary] button')")
    page.until("document.querySelector('div[data-testid=canary]') === null")

    page.click("deploy")
    page.click("sure")
    page.until(DEPLOYED, api["viewer"].get(f"/api/models/{second}").json()["file_sha256"])
    page.click("rollback")
    page.click("and-freeze")
    page.click("sure")
    page.until(attribute("live-generation", "textContent"), "3")
    until(lambda: live()["frozen"])
    page.click("clear")
    page.click("sure")
    page.until(DEPLOYED, "")
    assert live()["model_id"] is None
    page.until("document.querySelectorAll('[data-testid=history] li').length", lambda count: count >= 12)


def test_jobs_that_run_at_the_same_time_have_curves_of_their_own_colours_that_are_named(api, opened):
    api["operator"].post("/api/jobs", json={"SEED": [1, 2, 3, 4, 5, 6]})
    for place in range(5):
        joined = {"name": f"w{place}", "version": "test-version", "machine": "m", "declared": []}
        worker = api["worker"].post("/api/workers", json=joined).json()
        job = api["worker"].post(f"/api/workers/{worker['id']}/claim").json()
        told = [
            {"seq": step, "kind": "figures", "payload": {"step": step, "val/accuracy": 0.1 * place + 0.1 * step}}
            for step in (1, 2)
        ]
        mine = {"worker": worker["id"], "fence": job["fence"], "events": told}
        api["worker"].post(f"/api/jobs/{job['id']}/progress", json=mine)
    page = opened(api.address, api.secrets["viewer"], "/store")
    looks = """[...document.querySelectorAll('[data-testid=sweep] path.curve')].map((one) => {
        const { stroke, strokeDasharray } = getComputedStyle(one);
        return stroke + strokeDasharray;
    })"""
    page.until(looks, lambda found: len(found) == len(set(found)) == 5)
    caption = page.value("document.querySelector('[data-testid=sweep] figcaption').textContent")
    assert all(f"job {number} " in caption for number in range(1, 6))


def test_the_shares_of_masks_are_shown_beside_those_on_the_evaluation_set(api, opened):
    number = register_masks(api.parts, [[0.5, 0.3, 0.2, 0.9]] * 9)
    api.parts.monitor.record(answered(np.array([[0.7, 0.3, 0.0, 0.8]] * 5, "f4"), number, at=time.time() - 60))
    api.parts.monitor.flush()
    page = opened(api.address, api.secrets["viewer"], "/store")
    page.until_there("monitored")
    table = page.value("document.querySelector('[data-testid=monitored] table').innerText")
    rows = [line.split("\t") for line in table.split("\n")]
    assert rows[0] == ["Share of the pixels", "now", "on the evaluation set"]
    assert rows[1:] == [["a", "70.0 %", "50.0 %"], ["b", "30.0 %", "30.0 %"], ["c", "0.0 %", "20.0 %"]]


def test_a_chart_without_a_point_takes_no_room(api, opened):
    register_masks(api.parts, [[0.5, 0.3, 0.2, 0.9]] * 9)
    api["operator"].post("/api/jobs", json={"SEED": 1})
    joined = {"name": "w", "version": "test-version", "machine": "m", "declared": []}
    worker = api["worker"].post("/api/workers", json=joined).json()
    job = api["worker"].post(f"/api/workers/{worker['id']}/claim").json()
    mine = {"worker": worker["id"], "fence": job["fence"]}
    figures = [{"step": 1, "val/loss": None}, {"step": 2, "val/accuracy": 0.5, "val/loss": None}]
    told = [{"seq": place, "kind": "figures", "payload": row} for place, row in enumerate(figures, 1)]
    api["worker"].post(f"/api/jobs/{job['id']}/progress", json=mine | {"events": told})
    page = opened(api.address, api.secrets["viewer"], "/store")
    page.press("document.querySelector('[data-testid=job] .number')")
    page.until("document.querySelectorAll('[data-testid=job-detail] [data-testid=chart]').length", 2)
    page.until_there("monitored")
    seen = "[...document.querySelectorAll('[data-testid=chart]')].filter((one) => one.offsetHeight)"
    page.until(f"{seen}.map((one) => one.querySelector('svg').getAttribute('aria-label'))", ["Accuracy"])


APART = """[...document.querySelectorAll('.charts figcaption')].map((one, place) => {
  if (place === 1) one.style.minHeight = "5rem";  // as a name has that needs several lines
  const [name, value] = [...one.children].map(each => {
    const words = document.createRange();
    words.selectNodeContents(each.lastChild);
    return words.getBoundingClientRect();
  });
  return Math.abs(name.bottom - value.bottom);
})"""


def test_what_curves_are_called_stands_beside_their_last_values(api, opened):
    number = register_masks(api.parts, [[0.5, 0.3, 0.2, 0.9]] * 9)
    api.parts.monitor.record(answered(np.array([[0.7, 0.3, 0.0, 0.8]] * 5, "f4"), number, at=time.time() - 60))
    api.parts.monitor.flush()
    page = opened(api.address, api.secrets["viewer"], "/store")
    page.until(APART, lambda found: len(found) == 3)
    assert max(page.value(APART)) < 4


def test_the_fields_of_a_sweep_have_room_on_a_phone(api, opened):
    page = opened(api.address, api.secrets["operator"], "/store", width=390, height=844)
    widths = "['grid', 'choose-model'].map(one => document.querySelector(`[data-testid=${one}]`).offsetWidth)"
    grid, model = page.until(widths, lambda found: min(found) > 0)
    assert model == grid


def test_why_a_live_model_could_not_be_loaded_is_said_where_it_is_shown(api, opened):
    api["operator"].post("/api/models", json=packaged(api.parts, 0.5))
    [state] = until(lambda: [one for one in api["viewer"].get("/api/events").json()["serving"] if one["why"]])
    page = opened(api.address, api.secrets["viewer"], "/store")
    page.until(attribute("not-loaded", "textContent"), state["why"])


def test_a_plan_is_told_in_the_words_of_the_grid(api, opened):
    page = opened(api.address, api.secrets["operator"], "/store")
    page.click("example")
    page.until(attribute("size", "textContent"), "2 × 2 = 4 jobs")
    told = page.value("[...document.querySelectorAll('.plan dt')].map((one) => [one.textContent, one.title])")
    assert told[:3] == [["model", "models"], ["epochs", "trainer.max_epochs"], ["learning rate", "optimizers.lr"]]
    page.value("document.querySelector('[data-testid=grid]').focus()")
    page.value("document.querySelector('[data-testid=grid]').select()")
    page.call("Input.insertText", text='{"models": "unet", "models.decoder_channels": [[8, null], null]}')
    page.until("[...document.querySelectorAll('.plan dd')].map((one) => one.textContent)", ["unet", "[8, null], null"])


def test_jobs_are_cancelled_tried_again_and_put_first_on_the_page(api, opened):
    api["operator"].post("/api/jobs", json={"SEED": [1, 2]})
    page = opened(api.address, api.secrets["operator"], "/store")
    states = "[...document.querySelectorAll('[data-testid=job]')].map((one) => one.dataset.state)"
    page.until(states, ["queued", "queued"])
    page.press("document.querySelectorAll('[data-testid=job]')[1].querySelector('[data-testid=priority]')")
    until(lambda: [job["priority"] for job in api["viewer"].get("/api/jobs").json()] == [1, 0])
    page.click("cancel")
    page.until(states, ["cancelled", "queued"])
    time.sleep(1.5)  # a moment later, counted from the answer, it is a wish of its own
    page.click("retry")
    page.until(states, ["queued", "queued"])


def test_of_many_jobs_and_models_those_that_run_and_are_live_are_seen_however_old(api, opened):
    api["operator"].post("/api/jobs", json={"SEED": list(range(1, 16)), "EPOCHS": list(range(1, 16))})
    joined = {"name": "w", "version": "test-version", "machine": "m", "declared": []}
    worker = api["worker"].post("/api/workers", json=joined).json()
    job = api["worker"].post(f"/api/workers/{worker['id']}/claim").json()
    mine = {"worker": worker["id"], "fence": job["fence"]}
    figures = {"seq": 1, "kind": "figures", "payload": {"step": 1, "val/accuracy": 0.5}}
    api["worker"].post(f"/api/jobs/{job['id']}/progress", json=mine | {"events": [figures]})
    for seed in range(205):
        api.parts.completion.register(Package(**packaged(api.parts, 0.9 - seed / 1000, seed)), "a test")
    page = opened(api.address, api.secrets["operator"], "/store")
    page.until(DEPLOYED, lambda found: found)
    page.until("document.querySelector('[data-testid=deployment] .facts')?.textContent", lambda said: "main 1" in said)
    page.until(f"document.querySelector('[data-job=\"{job['id']}\"]').dataset.state", "running")
    lines = "document.querySelectorAll('[data-testid={}]').length"
    assert (page.value(lines.format("job")), page.value(lines.format("model"))) == (20, 21)
    page.click("all-jobs")
    page.click("all-models")
    page.until(lines.format("job"), 201)
    page.until(lines.format("model"), 201)
    page.click("cancel-all")
    until(
        lambda: {one["state"] for one in api["viewer"].get("/api/jobs?limit=1000").json()} == {"cancelled", "running"}
    )
    assert api["viewer"].get(f"/api/jobs/{job['id']}").json()["cancel_requested"]


def test_who_may_only_look_is_offered_nothing_else(api, opened):
    api["operator"].post("/api/models", json=packaged(api.parts, 0.5))
    shown = """[...document.querySelectorAll('button, input')].filter((one) => one.checkVisibility())
        .map((one) => one.dataset.testid)"""
    for role in ("operator", "viewer"):
        page = opened(api.address, api.secrets[role], "/store")
        page.until(DEPLOYED, lambda found: found)
        page.until("document.documentElement.dataset.role", role)
        page.until_there("tick")
        offered = {"rollback", "freeze", "clear", "start", "grid-file"} & set(page.value(shown))
        assert len(offered) == (5 if role == "operator" else 0)
        assert "tick" in page.value(shown)
        page.value("localStorage.clear()")


@pytest.mark.parametrize("hours", [-3, 3])
def test_how_long_ago_something_was_is_right_on_a_computer_whose_clock_is_not(api, opened, hours):
    api["operator"].post("/api/models", json=packaged(api.parts, 0.5))
    page = opened(api.address, api.secrets["viewer"], "/store")
    wrong = f"const right = Date.now; Date.now = () => right() + {hours} * 3600e3;"
    page.call("Page.addScriptToEvaluateOnNewDocument", source=wrong)
    page.call("Page.reload")
    page.until(f"Math.round((Date.now() - new Date()) / 3600e3) === {hours}")
    told = "document.querySelector('[data-testid=history] time')?.textContent"
    page.until(told, lambda words: re.fullmatch(r"\d+ s ago", words or ""), seconds=10)
