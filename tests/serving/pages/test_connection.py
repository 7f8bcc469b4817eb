"""Who is let in, and what an open page shows while its server is away."""

from serving.package import Package
from tests.serving.conftest import packaged, served
from tests.serving.pages.conftest import DEPLOYED, attribute


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


def test_a_token_that_one_tab_was_given_is_every_tabs(api, opened):
    """Also where they were open before, and where it is another one."""
    first, second = opened(api.address), opened(api.address, path="/store")
    for page in (first, second):
        page.until_there("token")
    for role in ("viewer", "operator"):
        first.until_there("token")
        first.value(f"document.querySelector('[data-testid=token]').value = '{api.secrets[role]}'")
        first.click("token-go")
        for page in (first, second):
            page.until("document.documentElement.dataset.role", role)
            assert not page.has("ask-token")
        first.press("document.getElementById('who')")


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


def test_a_push_that_never_comes_is_repaired_by_asking(open_parts, opened):
    parts = open_parts(max_sockets=0)
    secret = parts.tokens.create("guest", "viewer")
    with served(parts) as address:
        page = opened(address, secret, "/store")
        page.until(attribute("connection", "dataset.state"), "reconnecting")
        page.until_there("no-models")
        parts.completion.register(_package(parts), "somebody")
        page.until(DEPLOYED, parts.deployments.get("main")["file_sha256"], seconds=15)
