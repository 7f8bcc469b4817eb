"""The labelling page over HTTP, and in a browser where there is one."""

import threading
import time

import httpx
import pytest

from active.oracles.sheet import Sheet
from active.oracles.web import Web
from active.oracles.web_server import Server
from tests.active.oracles.desks import answers, desk


@pytest.fixture
def served(tmp_path):
    made, questions, journal = desk(tmp_path)
    sheet = Sheet(60, time.monotonic)
    sheet.lay_out(questions, made)
    server = Server(sheet, "127.0.0.1", 0)
    server.start()
    yield server, questions, journal
    server.stop()


def test_an_image_is_shown_guessed_only_when_asked_and_answered(served):
    server, questions, journal = served
    with httpx.Client(base_url=server.address) as client:
        said = client.post("/next", json={"labeller": "ann"}).json()
        assert said["image"] == questions[0].sha256 and "dog" not in str({**said, "classes": None})
        assert client.get(f"/image/{said['image']}").headers["content-type"] == "image/png"
        assert client.get(f"/guess/{said['image']}").json() == {"label": "dog", "probability": 0.75}
        kept = client.post("/answer", json={"labeller": "ann", "image": said["image"], "label": "cat"})
        assert kept.json() == {"kept": True} and answers(journal) == {0: "cat"}
        wrong = client.post("/answer", json={"labeller": "ann", "image": questions[1].sha256, "label": "cow"})
        assert wrong.status_code == 422 and "none of the classes" in wrong.text
        assert client.get("/image/unknown").status_code == client.get("/page/web.py").status_code == 404


def test_another_sites_page_cannot_label_through_a_visitors_browser(served):
    server, questions, _ = served
    body = {"labeller": "ann", "image": questions[0].sha256, "label": "cat"}
    for header in ({"Origin": "http://evil.example"}, {"Host": "rebound.example"}):
        assert httpx.post(server.address + "answer", json=body, headers=header).status_code == 403


def test_others_in_the_network_need_the_key(tmp_path):
    server = Server(Sheet(60, time.monotonic), "0.0.0.0", 0)
    server.start()
    address = f"http://127.0.0.1:{server._socket.getsockname()[1]}/"
    assert "?key=" in server.address
    assert httpx.get(address).status_code == 403
    with httpx.Client(base_url=address) as client:
        assert client.get("/", params={"key": server.key}).status_code == 200
        assert client.post("/next", json={"labeller": "ann"}).json() == {"state": "training"}
    server.stop()


def test_a_port_in_use_is_told_with_the_way_out(served):
    port = served[0]._socket.getsockname()[1]
    with pytest.raises(ValueError, match=f"active.oracle.port={port}: cannot listen .* give another port, 0 for any"):
        Server(Sheet(60, time.monotonic), "127.0.0.1", port)


def test_what_was_answered_before_a_kill_is_not_asked_again(tmp_path):
    made, questions, journal = desk(tmp_path)
    made.answer(questions[0].sha256, "dog", "ann")
    oracle = Web(port=0)
    asked = threading.Thread(target=oracle.answer, args=(questions, made))
    asked.start()
    until = time.monotonic() + 30
    while oracle._server is None or not oracle._server._server.started:
        assert time.monotonic() < until
        time.sleep(0.02)
    with httpx.Client(base_url=oracle._server.address) as client:
        while (said := client.post("/next", json={"labeller": "ann"}).json())["state"] == "label":
            client.post("/answer", json={"labeller": "ann", "image": said["image"], "label": "cat"})
    asked.join(30)
    assert not asked.is_alive() and answers(journal) == {0: "dog", 1: "cat", 2: "cat"}
    oracle._server.stop()


def test_in_a_browser_keys_label_undo_skip_and_ask_for_the_guess(served, browser):
    server, _, journal = served
    page = browser.open(server.address)
    count = "document.getElementById('count').textContent.split(' ·')[0]"
    page.until(count, "0 of 3")
    assert "dog" not in page.value("document.getElementById('note').textContent")
    page.key("g")
    page.until("document.getElementById('note').textContent", "the model says dog, 75 % sure")
    page.key("1")
    page.until(count, "1 of 3")
    assert answers(journal) == {0: "cat"}
    page.key("u")
    page.until(count, "0 of 3")
    assert answers(journal) == {}
    page.key("2")
    page.until(count, "1 of 3")
    page.key("s")
    page.until(count, "2 of 3")
    page.value("document.querySelector('[data-label=cat]').click()")
    page.until(count, "3 of 3")
    assert answers(journal) == {0: "dog", 1: None, 2: "cat"}
    page.until("document.getElementById('image').hidden", True)
