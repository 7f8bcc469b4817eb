"""The pages load nothing from elsewhere, run nothing inline and never make markup of a name."""

import re
from html.parser import HTMLParser

import pytest

from serving.api.pages import ADDRESSES, FOLDER
from utils.charts import PALETTE

MODULES = sorted(FOLDER.glob("*.js"))
PAGES = sorted(FOLDER.glob("*.html"))


class Tags(HTMLParser):
    def __init__(self, file):
        super().__init__()
        self.found, self.texts, self.last = [], [], ""
        self.feed(file.read_text())

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self.last = tag

    def handle_data(self, text):
        self.texts.append((self.last, text.strip()))


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_page_is_for_everybody_and_may_load_nothing_from_elsewhere(api, address):
    answer = api["nobody"].get(address)
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'" and policy["img-src"] == "'self' blob: data:"
    assert {policy[key] for key in ("object-src", "frame-ancestors", "base-uri", "form-action")} == {"'none'"}
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers


def test_a_part_that_is_known_is_not_sent_again(api):
    first = api["nobody"].get("/pages/page.css")
    again = api["nobody"].get("/pages/page.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"] != api["nobody"].get("/pages/dom.js").headers["etag"]
    stale = api["nobody"].get("/pages/page.css", headers={"If-None-Match": '"former"'})
    assert stale.status_code == 200 and stale.content == first.content


@pytest.mark.parametrize("name", ["nothing.js", "..%2fparts.py", "%2e%2e/api/pages.py", "demo.html%00", ".", ""])
def test_what_is_no_part_of_the_pages_is_not_served(api, name):
    assert api["nobody"].get(f"/pages/{name}").status_code in (401, 404)


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_a_page_has_no_inline_script_or_style_and_loads_only_what_is_there(file):
    here = {f"/pages/{one.name}" for one in FOLDER.iterdir()}
    tags = Tags(file)
    for tag, attributes in tags.found:
        assert tag not in ("style", "base", "iframe", "object", "embed")
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
        loaded = attributes.get("src") or (attributes.get("href") if tag == "link" else None)
        assert loaded is None or loaded in here, loaded
        assert tag != "script" or "src" in attributes
        assert tag != "a" or attributes["href"] in ADDRESSES
    assert [text for tag, text in tags.texts if tag in ("script", "style") and text] == []


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.name)
def test_a_module_makes_text_of_names_and_never_markup_or_code(file):
    risky = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|javascript:|\.on\w+ = \""
    )
    assert re.findall(risky, file.read_text()) == []
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", file.read_text()) == []


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.name)
def test_a_module_imports_what_another_one_exports(file):
    for names, source in re.findall(r'^import \{ (.+) \} from "\./(.+)";$', file.read_text(), re.MULTILINE):
        exported = re.findall(
            r"^export (?:const|let|class|function|async function) (\w+)", (FOLDER / source).read_text(), re.M
        )
        assert set(names.split(", ")) <= set(exported), source
        used = [name for name in names.split(", ") if len(re.findall(rf"\b{name}\b", file.read_text())) < 2]
        assert used == [], f"{used} of {source} is not used"


def test_the_colours_are_those_of_the_reports():
    style = (FOLDER / "page.css").read_text()
    pairs = dict(re.findall(r"--(\w+): light-dark\((#\w+, #\w+)\)", style))
    for name in ("paper", "raised", "ink", "soft", "line", "accent", "train", "val", "wrong"):
        assert pairs[name] == ", ".join(PALETTE[name])
    assert "url(" not in style and "@import" not in style


def test_every_class_and_colour_that_a_module_names_has_a_look():
    style = (FOLDER / "page.css").read_text()
    named = {word for file in MODULES for text in re.findall(r'className: "([^"$]+)"', file.read_text())
             for word in text.split()}  # fmt: skip
    assert {word for word in named if f".{word}" not in style} == set()
