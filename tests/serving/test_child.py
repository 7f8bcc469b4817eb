"""Work that a server asks another process for ends with the server, and has none of its tokens."""

import json
import subprocess
import sys
import time

import psutil
import pytest

from serving.child import ask
from serving.package import BadCandidate, Package
from serving.preparation import folder_of
from serving.version import ROOT
from tests.serving.networks import network_package

OPENVINO = {"_target_": "serving.engines.openvino.OpenVino", "type": "fp32", "threads": 1}
ASKS = "import sys; from serving.child import ask; ask('serving.preparation', sys.argv[1:], 300)"


def test_a_conversion_ends_with_the_server_that_asked_for_it(open_parts):
    parts = open_parts()
    number, _ = parts.completion.register(Package(**network_package(parts)), "a test")
    folder = folder_of(parts.store.root, parts.store.blobs, parts.store.files(number))
    server = subprocess.Popen([sys.executable, "-c", ASKS, str(folder), json.dumps(OPENVINO)], cwd=ROOT)
    while not (children := psutil.Process(server.pid).children()):
        time.sleep(0.01)
    server.kill()
    server.wait()
    alive = psutil.wait_procs(children, timeout=60)[1]
    assert not alive and not list(folder.glob("engines/openvino-*/engine.json"))


def test_a_child_has_no_token_and_its_last_word_is_the_reason(monkeypatch):
    monkeypatch.setenv("EVERGREEN_TOKEN", "secret")
    monkeypatch.setenv("EVERGREEN_TOKEN_FILE", "file")
    monkeypatch.setenv("ANOTHER", "kept")
    with pytest.raises(BadCandidate, match=r"^\['ANOTHER'\] \['some', 'words'\]$"):
        ask("tests.serving.telling", ["some", "words"], 60)


def test_a_child_that_takes_too_long_is_ended():
    with pytest.raises(BadCandidate, match=r"did not answer within 0\.01 s"):
        ask("tests.serving.telling", [], 0.01)
