"""docker-compose.yml and Dockerfile: what they start takes these keys, as an ordinary user on a read-only system."""

import yaml

from serving.settings import ServingSettings, WorkerSettings
from serving.version import ROOT
from utils.build import settings

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def given(service: str) -> dict:
    pairs = (text.removeprefix("serving.").split("=", 1) for text in COMPOSE[service]["command"])
    return {key: yaml.safe_load(value) for key, value in pairs}


def folders_of(service: str) -> set[str]:
    return {volume.split(":")[1] for volume in COMPOSE[service]["volumes"]}


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
    assert {f"/app/{name}" for name in owned} == folders_of("store") | folders_of("worker")


def test_what_libraries_keep_or_compile_lies_in_a_volume_and_not_on_a_tmpfs():
    """Docker mounts a tmpfs noexec, and over a home that is not everybody's it is root's alone."""
    line = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("ENV"))
    given = dict(pair.split("=") for pair in line.split()[1:])
    for name in ("store", "worker"):
        assert COMPOSE[name]["tmpfs"] == ["/tmp"]
        for key in ("HOME", "TORCHINDUCTOR_CACHE_DIR"):
            assert any(f"{given[key]}/".startswith(f"{folder}/") for folder in folders_of(name))


def test_what_git_does_not_keep_does_not_get_into_the_image_such_as_a_password_in_env():
    left_out = {line.removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().split()}
    not_kept = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()}
    assert ".env" in not_kept and not_kept | {".git"} <= left_out
