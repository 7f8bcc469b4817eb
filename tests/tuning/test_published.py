"""Published accuracies and what they belong to."""

from dataclasses import replace

import pytest
import timm

from tuning.benchmark_page import cells
from tuning.limits import Limits
from tuning.model_search import judged
from tuning.published import Published, joined, parsed, published
from tuning.speed_table import Row

TABLE = """model,img_size,top1,top1_err,top5
resnet18.a1_in1k,288,73.164,26.836,91.054
resnet18.a1_in1k,224,71.504,28.496,90.086
resnet18.fb_swsl_ig1b_ft_in1k,224,73.286,26.714,91.754
resnet18d.ra2_in1k,224,72.262,27.738,90.684
"""
ROW = Row("resnet18", "eager", "fp32", 1, "224x224", "inference", "versions", "machine", p50_ms=1.0)


def names(*rows):
    return [one.published and one.published.name for one in joined(rows, parsed(TABLE, "T"))]


def test_an_architecture_gets_its_best_weights_at_its_size():
    assert names(ROW, replace(ROW, size="288x288")) == ["resnet18.fb_swsl_ig1b_ft_in1k", "resnet18.a1_in1k"]


def test_an_accuracy_at_another_size_says_which_and_so_does_a_model_search():
    known = parsed(TABLE, "T")
    here, small = joined([ROW, replace(ROW, size="64x64")], known)
    assert (here.of_size, small.of_size) == (None, 224)
    assert "published for images of 224 pixels" in judged([small], Limits()).why
    assert "published" not in judged([here], Limits()).why
    assert cells(small, False)[-1] == "fb_swsl_ig1b_ft_in1k at 224 px" and " at " not in str(cells(here, False)[-1])


def test_a_row_with_a_tag_gets_that_tag_alone():
    (one,) = joined([replace(ROW, model="resnet18.a1_in1k")], parsed(TABLE, "T"))
    assert one.published == Published("resnet18.a1_in1k", 224, 71.504)


def test_a_model_without_an_accuracy_keeps_its_row():
    assert names(replace(ROW, model="mine"), replace(ROW, model="resnet18d")) == [None, "resnet18d.ra2_in1k"]


@pytest.mark.parametrize("line", ["resnet18.x,224,good", "resnet18.x", "resnet18.x,large,70"])
def test_a_line_that_cannot_be_read_is_named(line):
    with pytest.raises(ValueError, match=r"benchmark\.published=T, line 2 cannot be read"):
        parsed(f"model,img_size,top1\n{line}\n", "T")


def test_another_table_is_refused_by_its_columns(tmp_path):
    (tmp_path / "t.csv").write_text("model,accuracy\n")
    with pytest.raises(ValueError, match="no column img_size, top1"):
        published(str(tmp_path / "t.csv"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.csv: there is no such file"):
        published(str(tmp_path / "none.csv"))


def test_the_table_that_lies_here_knows_most_of_timms_models():
    known = {one.name.partition(".")[0] for one in published("auto")}
    models = timm.list_models()
    assert sum(model in known for model in models) > 0.6 * len(models) and published(None) == []


def test_a_url_that_does_not_answer_is_an_error_with_a_way_out():
    with pytest.raises(ValueError, match=r"cannot be fetched .*benchmark\.published=FILE"):
        published("http://127.0.0.1:9/results.csv")
