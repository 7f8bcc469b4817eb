"""From a dropped grid to an answered image and back to the former model, on pages that stay open."""

import json
import signal

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.serving.pages.conftest import DEPLOYED, LIVE, attribute
from tests.serving.test_server import JOBS, told, until

GRID = {
    "EPOCHS": 1,
    "BATCH_SIZE": 20,
    "LEARNING_RATE": [0.000001, 0.01],
    "NUM_FILTERS": [4],
    "DENSE_WIDTH": [16],
    "WIDHT": 3,
}


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
