"""By keyboard, by ear and on a phone."""

import time

import pytest

from tests.serving.conftest import packaged
from tests.serving.pages.conftest import FOCUS, attribute


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


def test_enter_twice_on_a_button_is_one_wish_though_its_opposite_stands_there_by_then(api, opened):
    api["operator"].post("/api/jobs", json={"SEED": 1})
    page = opened(api.address, api.secrets["operator"], "/store")
    page.call("Page.bringToFront")
    page.until("document.querySelector('[data-testid=cancel]')?.checkVisibility()")  # once the role is known
    page.value("document.querySelector('[data-testid=cancel]').focus()")
    page.value("""addEventListener('focusin', function again({ target }) {
        if (target.dataset.testid !== 'retry') return;
        removeEventListener('focusin', again);
        target.click();  // at once, however busy this computer is
    })""")
    page.key("Enter")
    page.until(FOCUS, "retry")
    time.sleep(1)
    assert api["viewer"].get("/api/jobs/1").json()["state"] == "cancelled"
    page.key("Enter")
    page.until(FOCUS, "cancel")
    assert api["viewer"].get("/api/jobs/1").json()["state"] == "queued"


def test_a_message_that_somebody_is_at_stays_and_gives_the_focus_back(api, opened):
    api["operator"].post("/api/models", json=packaged(api.parts, 0.5))
    page = opened(api.address, api.secrets["operator"], "/store")
    page.call("Page.bringToFront")
    page.until("document.querySelector('[data-testid=freeze]')?.checkVisibility()")  # once the role is known
    page.value("document.querySelector('[data-testid=freeze]').focus()")
    page.value("""import('/pages/dom.js').then(({ tell }) => {
        tell('a word', 0.3);
        document.querySelector('[data-testid=close]').focus();
    })""")
    time.sleep(1.5)
    assert page.value(FOCUS) == "close"
    back = "new FocusEvent('focusin', { bubbles: true })"  # as where the window itself had lost the focus meanwhile
    page.value(f"document.querySelector('[data-testid=close]').dispatchEvent({back})")
    page.key("Enter")
    assert (page.value(FOCUS), page.has("message")) == ("freeze", False)


def test_the_history_is_one_stop_whose_lines_arrow_keys_reach_and_earlier_ones_get_the_focus(api, opened):
    for seed in (1, 2):
        api["operator"].post("/api/models", json=packaged(api.parts, 0.4 + seed / 10, seed))
    for turn in range(32):
        api["operator"].post("/api/deployments", json={"model": 1 + turn % 2})
    page = opened(api.address, api.secrets["viewer"], "/store")
    page.call("Page.bringToFront")
    lines = "document.querySelectorAll('[data-testid=history] li')"
    page.until(f"{lines}.length", 30)
    page.until("document.querySelectorAll('[data-testid=history] .copy').length", 30)
    stops = "[...document.querySelectorAll('[data-testid=history] .copy')].filter((one) => one.tabIndex === 0).length"
    assert page.value(stops) == 1
    here = f"[...{lines}].indexOf(document.activeElement.closest('li'))"
    page.value("document.querySelector('[data-testid=history] [tabindex=\"0\"]').focus()")
    for key, place in (("ArrowUp", 0), ("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1)):
        page.key(key)
        assert (page.value(here), page.value(stops)) == (place, 1)
    page.key("Tab")
    assert page.value(FOCUS) == "earlier"
    page.key("Enter")
    page.until(f"{lines}.length", lambda count: count > 30)
    page.until(here, 30)


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
