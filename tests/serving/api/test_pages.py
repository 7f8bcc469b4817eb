"""The pages load nothing from elsewhere, run nothing inline and never make markup of a name."""

import itertools
import re
from html.parser import HTMLParser

import numpy as np
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


SEEN = {  # linear RGB as it is seen (Machado, Oliveira & Fernandes 2009)
    "by most": np.eye(3),
    "without green": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "without red": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "without blue": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}
XYZ = np.array([[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1095, 0.8729]])  # of white's own
LAB = np.array([[0, 116, 0], [500, -500, 0], [0, 200, -200]])


def linear(color):
    values = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("eyes", SEEN)
def test_curves_beside_one_another_are_told_apart_by_everybody(theme, eyes):
    pairs = dict(re.findall(r"--(\w+): light-dark\((#\w+, #\w+)\)", (FOLDER / "page.css").read_text()))
    paper, *curves = (
        linear(pairs[name].split(", ")[theme]) for name in ("paper", "accent", "first", "second", "third", "fourth")
    )
    seen = [LAB @ np.cbrt(XYZ @ np.clip(SEEN[eyes] @ color, 0, 1)) for color in curves]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > 20  # 2 is just seen
    for color in curves:  # WCAG 2, of graphics
        dark, light = sorted(XYZ[1] @ one + 0.05 for one in (paper, color))
        assert light / dark >= 3
