import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from utils.charts import Chart, Series
from utils.report import (
    Charts,
    Column,
    Facts,
    Gallery,
    Picture,
    Section,
    Stat,
    Stats,
    Table,
    Text,
    cell,
    data_uri,
    render,
    write_report,
)

NASTY = "<script>alert('x')</script> & \"quoted\""


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def of(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def chart(name="line"):
    return Chart(name, "A line", (Series("s", [0.0, 1.0], [0.0, 1.0]),))


def picture(**words):
    return Picture(np.zeros((8, 8, 1), np.uint8), **words)


def test_each_line_of_a_fact_is_one_on_the_page():
    page = Page(render("Title", [Section("", (Facts("", {"refused": "int8: slow\n         fp16: no GPU"}),))]))
    assert len(page.of("br")) == 1 and "slow\n" not in page.text and "fp16: no GPU" in page.text


def test_the_page_and_a_picture_of_each_chart_are_written(tmp_path):
    page = write_report(tmp_path / "report", "Title", [Section("Curves", (Charts((chart(), chart("other"))),))])
    assert page == tmp_path / "report" / "index.html"
    assert sorted(file.name for file in page.parent.iterdir()) == ["index.html", "line.png", "other.png"]
    assert (page.parent / "line.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_needs_no_network():
    section = Section("All", (Charts((chart(),)), Gallery((picture(title="a"),))))
    page = Page(render("Title", [section]).replace("<\\/script", ""))
    sources = [attrs.get("src") or attrs.get("href") for _, attrs in page.tags if attrs.get("src") or attrs.get("href")]
    assert all(source.startswith(("data:", "#")) or source == "line.png" for source in sources)
    assert not re.search(r"@import|url\(", render("Title", []))


def test_plotly_is_embedded_once_and_only_where_there_is_a_chart():
    sections = [Section("One", (Charts((chart("a"), chart("b"))),)), Section("Two", (Charts((chart("c"),)),))]
    assert render("Title", sections).count("plotly.js v") == 1
    assert len(render("Title", [Section("Words", (Text("x"),))])) < 50_000


def test_words_from_outside_are_never_markup():
    blocks = (
        Stats((Stat(NASTY, NASTY, NASTY),)),
        Table((Column(NASTY),), ((NASTY,),)),
        Gallery((picture(title=NASTY, note=NASTY, hint=NASTY),)),
        Facts(NASTY, {NASTY: NASTY}),
        Text(NASTY),
        Charts((Chart("c", NASTY, (Series(NASTY, [NASTY], [1.0]),)),)),
    )
    text = render(NASTY, [Section(NASTY, blocks, NASTY)], NASTY)
    assert "<script>alert" not in text
    assert Page(render("Title", [Section("a", blocks[:-1])])).text.count(NASTY) >= 8


def test_a_missing_figure_is_a_dash_and_sorts_last():
    columns = (Column("Class"), Column("Images", "count"), Column("F1", "share"), Column("Error", "number"))
    page = Page(render("t", [Section("s", (Table(columns, (("cat", 1234, (0.5, 0.4, 0.61), None),)),))]))
    cells = page.of("td")
    assert [cell["data-key"] for cell in cells] == ["cat", "1234", "0.5", ""]
    assert cells[2]["title"] == "40.0 – 61.0 %"
    assert [word in page.text for word in ("1,234", "50.0 %", "–")] == [True] * 3


def test_sentences_are_shown_whole_in_the_width_that_there_is():
    cut, whole = (
        Page(render("t", [Section("s", (Table((Column("a"), Column("why", wraps=wraps)), (("x", "y"),)),))]))
        for wraps in (False, True)
    )
    assert [cell["class"] for cell in (*cut.of("td"), *whole.of("td"))] == ["text", "text", "text", "text wraps"]
    assert [any("slim" in block.get("class", "") for block in page.of("div")) for page in (cut, whole)] == [True, False]


def test_a_long_table_can_be_filtered_and_a_short_one_needs_no_field():
    short, long = (Section("s", (Table((Column("a"),), (("x",),) * rows),)) for rows in (20, 21))
    assert not Page(render("t", [short])).of("input")
    assert Page(render("t", [long])).of("input")


def test_charts_of_one_name_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"the same name.*'line', 'line'"):
        write_report(tmp_path, "Title", [Section("a", (Charts((chart(), chart())),))])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 8, 2), (8, 8, 3), (8, 8, 5)])
def test_a_small_image_of_any_channels_is_embedded_to_the_pixel(shape):
    image = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    head, content = data_uri(image).split(",")
    assert head == "data:image/png;base64"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
    seen = image[..., :3] if len(shape) == 3 and shape[2] >= 3 else image.reshape(8, 8, -1)[..., 0]
    assert (shown == seen).all()


def test_a_large_image_is_reduced():
    content = data_uri(np.full((1200, 600, 3), 128, np.uint8))
    assert content.startswith("data:image/jpeg")
    assert Image.open(io.BytesIO(base64.b64decode(content.split(",")[1]))).size == (96, 192)


def test_an_image_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="float64"):
        data_uri(np.zeros((4, 4, 3)))


def test_a_number_is_spelt_without_an_exponent_where_it_is_large():
    numbers = {35718.0: "35,718", 1234.5: "1234", 0.00123456: "0.001235", 1e-7: "1e-07"}
    assert [cell(number, "number") for number in numbers] == [*numbers.values()]
