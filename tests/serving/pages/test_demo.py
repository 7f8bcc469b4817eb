"""The demo page: what it shows while models come and go, and how an answer is corrected."""

import json

import pytest
from PIL import Image

from serving.feedback_labels import is_known
from tests.serving.conftest import served
from tests.serving.pages.conftest import attribute

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
