"""docker-compose.yml and Dockerfile: what they start takes these keys, as an ordinary user on a read-only system."""

import yaml

from serving.settings import ServingSettings, WorkerSettings
from serving.version import ROOT
from utils.build import settings

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def given(service: str) -> dict:
    pairs = (text.removeprefix("serving.").split("=", 1) for text in COMPOSE[service]["command"])
    return {key: yaml.safe_load(value) for key, value in pairs}


def test_the_keys_of_store_and_worker_are_those_of_the_settings():
    store = settings(ServingSettings, given("store"), "serving.")
    worker = settings(WorkerSettings, given("worker"), "serving.")
    assert worker.server == f"http://{store.hosts[0]}:{store.port}"
    assert worker.token_file.startswith(store.root) and store.database.startswith("postgresql://")


def test_nothing_of_it_may_write_but_into_its_volumes():
    for name in ("store", "worker"):
        service = COMPOSE[name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
    assert COMPOSE["store"]["ports"] == ["127.0.0.1:8000:8000"]


def test_the_image_runs_as_an_ordinary_user_who_owns_only_what_is_written():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER")] == ["USER evergreen"]
    owned = next(line for line in lines if "chown" in line).rpartition("chown evergreen ")[2].split()
    folders = {volume.split(":")[1] for name in ("store", "worker") for volume in COMPOSE[name]["volumes"]}
    assert {f"/app/{name}" for name in owned} == folders
