"""The pages in a real browser: from a dropped grid to an answered image and back to the former model."""

import json
import signal
import time

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from serving.feedback_labels import is_known
from serving.package import Package
from tests.serving.conftest import packaged, served
from tests.serving.monitoring.conftest import answered, register_masks
from tests.serving.test_server import JOBS, told, until

GRID = {
    "EPOCHS": 1,
    "BATCH_SIZE": 20,
    "LEARNING_RATE": [0.000001, 0.01],
    "NUM_FILTERS": [4],
    "DENSE_WIDTH": [16],
    "WIDHT": 3,
}
HOSTILE = "<img src=x onerror=window.hurt=1>"
LIVE = "document.querySelector('[data-testid=hash]')?.dataset.hash ?? null"
DEPLOYED = "document.querySelector('[data-testid=live-hash]')?.dataset.hash ?? null"


def attribute(testid, name):
    return f"document.querySelector('[data-testid={testid}]')?.{name} ?? null"


@pytest.fixture
def opened(browser):
    """Opens a page with a token; at the end nothing may have gone wrong in it but what the test says."""
    browser.problems.clear()
    pages = []

    def open_page(address, secret=None, path="/", **size):
        pages.append(browser.open(f"{address}{path}{f'#token={secret}' if secret else ''}", **size))
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()


@pytest.mark.timeout(600)  # two trainings, as a user starts them
def test_a_dropped_grid_becomes_a_live_model_on_the_open_page_and_one_click_brings_the_former_back(
    launch, opened, browser, tmp_path
):
    root = tmp_path / "store"
    server = launch(
        "serving/__main__.py", f"serving.root={root}", "serving.port=0", "engine=eager",
        f"serving.worker_arguments='{JOBS}'",
    )  # fmt: skip
    demo = browser.open(until(lambda: told(server, "the demo")))
    store = browser.open(told(server, "the store"))
    demo.until_there("empty")
    demo.value("window.sameDocument = true")
    grid = tmp_path / "grid.json"
    grid.write_text(json.dumps(GRID))

    store.drop("grid-drop", grid, "application/json")
    store.until(attribute("size", "textContent"), "2 jobs")
    assert "WIDHT" in store.text("unknown") and "DENSE_WIDTH" in store.text("unknown")
    store.click("start")
    done = "document.querySelectorAll('[data-testid=job][data-state=succeeded]').length"
    store.until(done, 2, seconds=240)
    hashes = store.until(
        "[...document.querySelectorAll('[data-testid=model] .copy')].map((one) => one.dataset.hash)",
        lambda found: len(found) == 2,
    )
    better, former = hashes  # the newest first
    store.until(DEPLOYED, better)
    demo.until(LIVE, better, seconds=240)
    assert demo.text("generation") == "2"
    store.press("document.querySelector('[data-testid=job] .number')")
    store.until("document.querySelectorAll('[data-testid=job-detail] path.curve').length >= 1")
    store.until(attribute("log", "textContent"), lambda text: text and "model.safetensors" in text)

    image = tmp_path / "five.png"
    digits = load_digits()
    Image.fromarray((digits.images[digits.target == 5][0] * 15).astype("uint8")).save(image)
    demo.drop("drop", image, "image/png")
    demo.until_there("bars")
    assert demo.text("answered-by") == better[:12]
    assert demo.value("document.querySelectorAll('[data-testid=bars] li').length") == 5
    demo.choose("file", image)
    demo.paste(image, "image/png")
    demo.until("document.querySelectorAll('[data-testid=answered-by]').length", 3)
    demo.click("wrong")
    demo.press("[...document.querySelectorAll('[data-testid=class-choice]')].at(-1)")
    demo.until_there("thanks")

    store.click("rollback")
    store.click("sure")
    demo.until(LIVE, former)
    assert demo.text("generation") == "3"
    demo.click("again")
    shown = "[...document.querySelectorAll('[data-testid=answered-by]')].map((one) => one.textContent)"
    demo.until(shown, [former[:12], better[:12], better[:12]])
    assert demo.value("window.sameDocument") is True
    assert browser.problems == []
    demo.close()
    store.close()
    server.send(signal.SIGTERM)
    server.wait()


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


KEPT = {
    "classification": ({"top": [{"class": "a"}]}, ["a", "b"], "[data-testid=class-choice]", "", "b"),
    "multilabel": (
        {"labels": [{"class": "a", "given": True}, {"class": "c", "given": False}]},
        ["a", "b", "c"], "[data-testid=label-choice]:not(:checked)", "", "a|b",
    ),
    "heads": (
        {"heads": [{"head": "d", "top": [{"class": "x"}]}, {"head": "e", "top": [{"class": "y"}]}]},
        ["d=x", "d=y", "e=x", "e=y"], "select", "value = '1'", "d=y|e=y",
    ),
    "regression": (
        {"values": [{"target": "age", "value": 3.14159265}, {"target": "price", "value": 2}]},
        ["age", "price"], "input", "value = '-4.5'", "-4.5|2",
    ),
    "segmentation": ({"shares": []}, ["sky", "road"], "input", "value = 'no road'", "no road"),
}  # fmt: skip


@pytest.mark.parametrize("task", KEPT)
def test_a_correction_is_given_in_the_words_of_the_task(api, opened, task):
    """As a label that this task's training reads: all labels of an image, a class of each head, a number a target."""
    found, classes, first, change, label = KEPT[task]
    page = opened(api.address, api.secrets["viewer"])
    page.until_there("empty")
    asked = json.dumps({"task": task, "classes": classes, "found": found, "endpoint": "main"})
    sent = page.value(f"""(async () => {{
        const {{ correction }} = await import("/pages/correction.js");
        const told = new Promise((resolve) => {{ window.fetch = async (path, what) => {{
            resolve(what.body.get("label"));
            return new Response("{{}}");
        }}; }});
        const form = correction({{ file: new Blob(["x"]), ...{asked} }}, () => {{}});
        document.body.append(form);
        const one = form.querySelector({json.dumps(first)});
        {f"one.{change}" if change else "one.click()"};
        if (one.tagName !== "BUTTON") form.requestSubmit();
        return told;
    }})()""")
    assert sent == label
    if task != "segmentation":
        assert is_known(task, classes, sent)


def test_of_many_classes_one_is_chosen_with_arrow_keys_and_sent_by_a_button(api, opened):
    page = opened(api.address, api.secrets["viewer"])
    page.call("Page.bringToFront")
    page.until_there("empty")
    page.value("""(async () => {
        const { correction } = await import("/pages/correction.js");
        window.fetch = async (path, what) => {
            window.sent = what.body.get("label");
            return new Response("{}");
        };
        const classes = Array.from({ length: 1000 }, (_, place) => `class ${place}`);
        const found = { top: [{ class: "class 0" }] };
        document.body.append(correction({ task: "classification", classes, found, file: new Blob(["x"]) }, () => {}));
        document.querySelector("[data-testid=class-choice]").focus();
    })()""")
    for _ in range(3):
        page.key("ArrowDown")
    assert page.value("window.sent ?? null") is None
    page.click("keep")
    page.until("window.sent", "class 3")


def test_long_names_of_classes_are_seen_whole_where_an_answer_is_corrected(api, opened):
    page = opened(api.address, api.secrets["viewer"], width=360, height=740)
    page.until_there("empty")
    cut = page.value("""(async () => {
        const { correction } = await import("/pages/correction.js");
        const classes = ["a ".repeat(100), "b".repeat(200)];
        const found = { top: [{ class: "c" }] };
        document.body.append(correction({ task: "classification", classes, found }, () => {}));
        return document.querySelector(".chips").scrollWidth - document.querySelector(".chips").clientWidth;
    })()""")
    assert cut <= 0


def test_figures_keep_their_names_beside_models_of_long_ones(api, opened):
    for seed in (1, 2):
        api["operator"].post("/api/models", json=packaged(api.parts, 0.5, seed, name="n" * 64))
    page = opened(api.address, api.secrets["viewer"], "/store")
    page.until("document.querySelectorAll('[data-testid=model]').length", 2)
    page.value("document.querySelectorAll('[data-testid=tick]').forEach((one) => one.click())")
    page.until_there("comparison")
    heights = "[...document.querySelectorAll('[data-testid=comparison] tbody tr')].map((one) => one.offsetHeight)"
    assert max(page.value(heights)[:2]) < 60


def test_inline_scripts_and_styles_would_not_run(api, opened, browser):
    page = opened(api.address, api.secrets["viewer"])
    page.until_there("empty")
    page.value("""(() => {
        const script = document.createElement("script");
        script.textContent = "window.hurt = 1";
        const hurt = document.createElement("button");
        hurt.setAttribute("onclick", "window.hurt = 2");
        document.body.append(script, hurt);
        hurt.click();
    })()""")
    assert page.value("window.hurt ?? null") is None
    assert len([line for line in browser.problems if "Content Security Policy" in line]) >= 2


def test_a_page_without_a_token_asks_for_it_and_it_does_not_stay_in_the_address(api, opened):
    page = opened(api.address)
    page.until_there("token")
    page.call("Page.bringToFront")
    for _ in range(3):
        page.key("Escape")
    page.until("document.querySelector('[data-testid=ask-token]').open")
    for secret in ("wrong", api.secrets["viewer"]):
        page.until_there("token")
        page.value(f"document.querySelector('[data-testid=token]').value = '{secret}'")
        page.click("token-go")
    page.until_there("empty")
    page.until(attribute("connection", "dataset.state"), "live")
    given = opened(api.address, api.secrets["operator"], "/store")
    given.until_there("no-jobs")
    assert given.value("location.href") == f"{api.address}/store"
    assert given.value("history.length") <= 2


def test_who_gives_another_token_while_the_page_is_open_is_offered_what_this_one_may(api, opened):
    secret = api.parts.tokens.create("short", "viewer")
    page = opened(api.address, secret, "/store")
    page.until("document.documentElement.dataset.role", "viewer")
    page.until_there("no-jobs")
    [number] = [one["id"] for one in api["admin"].get("/api/tokens").json() if one["name"] == "short"]
    api["admin"].delete(f"/api/tokens/{number}")
    for role in ("worker", "operator"):
        page.until_there("token")
        page.value(f"document.querySelector('[data-testid=token]').value = '{api.secrets[role]}'")
        page.click("token-go")
    page.until("document.documentElement.dataset.role", "operator")


def test_a_server_that_goes_is_shown_and_what_happened_meanwhile_too_when_it_is_back(open_parts, opened):
    parts = open_parts()
    secret = parts.tokens.create("guest", "viewer")
    with served(parts) as address:
        page = opened(address, secret, "/store")
        page.until(attribute("connection", "dataset.state"), "live")
    page.until(attribute("connection", "dataset.state"), "reconnecting")
    package = parts.completion.register(_package(parts), "somebody")
    assert package[1].promote
    with served(parts, port=int(address.rpartition(":")[2])):
        page.until(attribute("connection", "dataset.state"), "live")
        page.until(DEPLOYED, parts.deployments.get("main")["file_sha256"])


def _package(parts):
    return Package.model_validate(packaged(parts, 0.5))


def test_a_server_that_begins_again_is_not_told_as_a_model_that_went_and_came(open_parts, opened):
    parts = open_parts(max_sockets=0)  # so that the page asks
    with served(parts) as address:
        page = opened(address, parts.tokens.create("guest", "viewer"))
        page.until_there("empty")
        live = {"endpoint": "main", "state": "live", "generation": 5, "sha256": "a" * 64, "task": "classification"}
        live |= {"classes": ["a", "b"], "engine": "eager", "version": 1, "name": "main", "why": ""}
        loading = live | {"state": "loading", "generation": None, "sha256": None}
        page.value("""(() => {
            const asked = window.fetch;
            window.fetch = async (path, what) => (path === "/api/events" && window.told
              ? new Response(JSON.stringify({ serving: [window.told], marks: { history: [9] } })) : asked(path, what));
        })()""")
        for now, shown in ((live, "hash"), (loading, "coming"), (live, "hash")):
            page.value(f"window.told = {json.dumps(now)}")
            page.until_there(shown)
        assert not page.has("message")
        page.value(f"window.told = {json.dumps(live | {'generation': 6})}")
        page.until("document.querySelector('[data-testid=message]')?.textContent", lambda text: "ion 6" in (text or ""))
        page.value(f"window.told = {json.dumps(loading | {'state': 'empty'})}")
        page.until("document.getElementById('messages').textContent", lambda text: "Nothing is live any more" in text)


def test_an_image_that_found_no_server_is_asked_again_when_it_is_back(open_parts, opened, tmp_path):
    parts = open_parts(max_sockets=0)  # so that the page asks
    image = tmp_path / "one.png"
    Image.new("L", (8, 8)).save(image)
    with served(parts) as address:
        page = opened(address, parts.tokens.create("guest", "viewer"))
        page.until_there("empty")
        live = {"endpoint": "main", "state": "live", "generation": 5, "sha256": "a" * 64, "task": "classification"}
        live |= {"classes": ["a", "b"], "engine": "eager", "version": 1, "name": "main", "why": ""}
        found = {"endpoint": "main", "generation": 5, "task": "classification", "model": live | {"sha256": "a" * 64}}
        found["predictions"] = [{"id": "1", "top": [{"class": "a", "probability": 0.9}]}]
        page.value(f"""(() => {{
            const asked = window.fetch;
            const told = {{ "/api/events": {{ serving: [{json.dumps(live)}], marks: {{ history: [9] }} }},
              "/predict/main?top_k=5": {json.dumps(found)} }};
            window.fetch = async (path, what) => {{
              if (window.away && path in told) throw new TypeError("away");
              return path in told ? new Response(JSON.stringify(told[path])) : asked(path, what);
            }};
        }})()""")
        page.until_there("hash")
        page.value("window.away = true")
        page.paste(image, "image/png")
        page.until(attribute("failure", "textContent"), "the server does not answer; it is asked again by itself")
        page.value("window.away = false")
        page.until_there("bars")
        assert not page.has("failure")


def test_a_push_that_never_comes_is_repaired_by_asking(open_parts, opened):
    parts = open_parts(max_sockets=0)
    secret = parts.tokens.create("guest", "viewer")
    with served(parts) as address:
        page = opened(address, secret, "/store")
        page.until(attribute("connection", "dataset.state"), "reconnecting")
        page.until_there("no-models")
        parts.completion.register(_package(parts), "somebody")
        page.until(DEPLOYED, parts.deployments.get("main")["file_sha256"], seconds=15)


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


FOCUS = "document.activeElement.dataset.testid ?? document.activeElement.id"


def test_keys_alone_do_it_all_and_the_focus_stays_where_it_was(api, opened):
    """Whatever is drawn anew by what was done, and where a control goes, on one beside it."""
    for seed in (1, 2, 3):
        api["operator"].post("/api/models", json=packaged(api.parts, 0.5 - seed / 10, seed))
    page = opened(api.address, api.secrets["operator"], "/store")
    page.call("Page.bringToFront")
    page.until("document.querySelectorAll('[data-testid=model]').length", 3)

    def pressed(testid, *keys):
        page.until(f"document.querySelector('[data-testid={testid}]:not([aria-disabled])') !== null")
        page.value(f"document.querySelector('[data-testid={testid}]').focus()")
        for key in ("Enter", *keys):
            page.key(key)
            time.sleep(0.1)  # a dialog opens

    pressed("freeze")
    page.until(attribute("freeze", "textContent"), "Thaw")
    assert page.value(FOCUS) == "freeze"
    pressed("deploy", "Escape")
    assert (page.value(FOCUS), page.has("dialog")) == ("deploy", False)
    pressed("deploy", "Tab", "Enter")
    page.until(attribute("live-generation", "textContent"), "2")
    page.until(FOCUS, "tick")  # of the same line, which has no such button now
    pressed("rollback", "Tab", "Tab")
    api["operator"].post("/api/deployments/main/freeze", json={"frozen": False})  # draws it anew meanwhile
    page.until(attribute("freeze", "textContent"), "Freeze")
    page.key("Enter")
    page.until(attribute("live-generation", "textContent"), "3")
    page.until(FOCUS, "rollback")

    page.value("document.querySelector('[data-testid=grid]').focus()")
    page.call("Input.insertText", text='{"SEED": [1, 2]}')
    page.until(attribute("start", "textContent"), "Start 2 jobs")
    pressed("start")
    page.until(FOCUS, "t-work")
    pressed("cancel")
    page.until(FOCUS, "retry")
    page.value("document.getElementById('who').focus()")
    page.key("Enter")
    page.until_there("ask-token")
    page.key("Escape")
    page.until("document.querySelector('[data-testid=ask-token]')", None)
    assert page.value(FOCUS) == "who"


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


def test_a_plan_is_told_in_the_words_of_the_grid(api, opened):
    page = opened(api.address, api.secrets["operator"], "/store")
    page.click("example")
    page.until(attribute("size", "textContent"), "2 × 2 = 4 jobs")
    told = page.value("[...document.querySelectorAll('.plan dt')].map((one) => [one.textContent, one.title])")
    assert told[:3] == [["model", "models"], ["epochs", "trainer.max_epochs"], ["learning rate", "optimizers.lr"]]


def test_jobs_are_cancelled_tried_again_and_put_first_on_the_page(api, opened):
    api["operator"].post("/api/jobs", json={"SEED": [1, 2]})
    page = opened(api.address, api.secrets["operator"], "/store")
    states = "[...document.querySelectorAll('[data-testid=job]')].map((one) => one.dataset.state)"
    page.until(states, ["queued", "queued"])
    page.press("document.querySelectorAll('[data-testid=job]')[1].querySelector('[data-testid=priority]')")
    until(lambda: [job["priority"] for job in api["viewer"].get("/api/jobs").json()] == [1, 0])
    page.click("cancel")
    page.until(states, ["cancelled", "queued"])
    page.click("retry")
    page.until(states, ["queued", "queued"])


def test_what_is_heard_of_a_button_says_what_it_is_for(api, opened):
    api["operator"].post("/api/jobs", json={"SEED": [1, 2]})
    for seed in (1, 2, 3):
        api["operator"].post("/api/models", json=packaged(api.parts, 0.5 - seed / 10, seed))
    page = opened(api.address, api.secrets["operator"], "/store")
    page.until("document.querySelectorAll('[data-testid=job], [data-testid=model]').length", 5)
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    heard = [node["name"]["value"] for node in nodes if node["role"]["value"] == "button" and not node["ignored"]]
    assert {"job 1", "Cancel: job 1", "First: job 2", "Set live: main 2", "Set live: main 3"} <= set(heard)
    assert max(map(len, heard)) < 80  # no whole hash


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


@pytest.mark.parametrize("path", ["/", "/store"])
def test_a_phone_shows_all_without_scrolling_sideways_and_keys_reach_everything(api, opened, path):
    api["operator"].post("/api/jobs", json={"LEARNING_RATE": [0.1, 0.01], "models": "simple_cnn"})
    for seed in (1, 2):
        api["operator"].post("/api/models", json=packaged(api.parts, 0.4 + seed / 10, seed))
    page = opened(api.address, api.secrets["operator"], path, width=360, height=740)
    page.until(attribute("connection", "dataset.state"), "live")
    if path == "/store":
        page.until("document.querySelectorAll('[data-testid=model]').length", 2)
        page.value("document.querySelectorAll('[data-testid=tick]').forEach((one) => one.click())")
        page.until_there("comparison")
        page.until_there("job")
        page.press("document.querySelector('[data-testid=job] .number')")
        page.until_there("job-detail")
    assert page.value("document.documentElement.scrollWidth") <= 360
    reached = set()
    for _ in range(60):
        page.key("Tab")
        found = page.value("""(() => {
            const one = document.activeElement, outline = (node) => getComputedStyle(node).outlineStyle !== "none";
            return [one.dataset.testid ?? one.id, outline(one) || outline(one.parentElement)];
        })()""")
        if found[0]:
            assert found[1], f"{found[0]} has the focus and does not show it"
        reached.add(found[0])
    wanted = {"file"} if path == "/" else {"grid-file", "grid", "rollback", "tick", "deploy", "cancel"}
    assert {"who", "theme", *wanted} <= reached
