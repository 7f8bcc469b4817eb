"""From a dropped grid to an answered image and back to the former model, on pages that stay open."""

import json
import signal

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.serving.pages.conftest import DEPLOYED, FOCUS, LIVE, attribute
from tests.serving.test_server import JOBS, told, until

GRID = {
    "EPOCHS": 1,
    "BATCH_SIZE": 20,
    "LEARNING_RATE": [0.000001, 0.01],
    "NUM_FILTERS": [4],
    "DENSE_WIDTH": [16],
    "WIDHT": 3,
}


@pytest.fixture
def server(launch, tmp_path):
    """As a user starts it, with a worker of its own."""
    running = launch(
        "serving/__main__.py", f"serving.root={tmp_path / 'store'}", "serving.port=0", "engine=eager",
        f"serving.worker_arguments='{JOBS}'",
    )  # fmt: skip
    until(lambda: told(running, "the demo"))
    yield running
    running.send(signal.SIGTERM)
    running.wait()


def trained(store):
    """The hashes of the two models that become of a grid, the newest and better one first; it is live."""
    store.until("document.querySelectorAll('[data-testid=job][data-state=succeeded]').length", 2, seconds=240)
    hashes = "[...document.querySelectorAll('[data-testid=model] .copy')].map((one) => one.dataset.hash)"
    better, former = store.until(hashes, lambda found: len(found) == 2)
    store.until(DEPLOYED, better)
    return better, former


@pytest.mark.timeout(600)  # two trainings, as a user starts them
def test_a_dropped_grid_becomes_a_live_model_on_the_open_page_and_one_click_brings_the_former_back(
    server, opened, browser, tmp_path
):
    demo, store = browser.open(told(server, "the demo")), browser.open(told(server, "the store"))
    demo.until_there("empty")
    demo.value("window.sameDocument = true")
    grid = tmp_path / "grid.json"
    grid.write_text(json.dumps(GRID))

    store.drop("grid-drop", grid, "application/json")
    store.until(attribute("size", "textContent"), "2 jobs")
    assert "WIDHT" in store.text("unknown") and "DENSE_WIDTH" in store.text("unknown")
    store.click("start")
    better, former = trained(store)
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


@pytest.mark.timeout(600)
def test_the_whole_story_is_told_by_the_keyboard_alone(server, opened, browser):
    address = told(server, "the API").removesuffix("/api")
    demo, store = opened(address), opened(address, path="/store")
    store.until_there("token")
    store.call("Page.bringToFront")
    store.until(FOCUS, "token")
    store.call("Input.insertText", text=told(server, "your token"))
    store.key("Enter")
    demo.until_there("empty")  # the token is its, too

    store.until_there("no-jobs")
    reach(store, "grid")
    store.call("Input.insertText", text=json.dumps(GRID))
    store.until(attribute("start", "textContent"), "Start 2 jobs")
    reach(store, "start")
    store.key("Enter")
    better, former = trained(store)
    demo.until(LIVE, better, seconds=240)

    reach(store, "rollback")
    store.key("Enter")
    store.until_there("sure")
    reach(store, "sure")
    store.key("Enter")
    store.until(DEPLOYED, former)
    demo.until(LIVE, former)
    assert [line for line in browser.problems if "401 (Unauthorized)" not in line] == []


def reach(page, testid):
    """By the Tab key."""
    for _ in range(100):
        if page.value(FOCUS) == testid:
            return
        page.key("Tab")
    raise AssertionError(f"{testid} is not reached from {page.value(FOCUS)}")
