import pytest

from datamodule.checks import bad_rows, settle
from datamodule.csv_file import CsvFile
from datamodule.digits import Digits


@pytest.fixture
def listed(image_folder, tmp_path):
    """Writes 60 images and a CSV of these lines, and gives its source."""

    def make(*lines, **options):
        root = image_folder({f"{number}.png": number for number in range(60)})
        (root / "list.csv").write_text("\n".join(lines) + "\n")
        return CsvFile(str(root / "list.csv"), cache_dir=str(tmp_path / "cache"), **options)

    return make


def encoded(source):
    inventory = source.scan()
    return source.encode(inventory).tolist(), inventory.classes


def test_several_labels_stand_in_one_column(listed):
    source = listed("path,label", "0.png,dog|cat", "1.png,cat", "2.png,|", "3.png,", kind="labels")
    assert encoded(source) == ([[1, 1], [1, 0], [0, 0], [0, 0]], ("cat", "dog"))
    assert source.scan().label.tolist() == ["dog|cat", "cat", "|", ""]


def test_a_label_that_would_become_two_is_refused(listed):
    with pytest.raises(ValueError, match=r"the label 'a\|b' in line 3 has a \|"):
        encoded(listed("path,label", "0.png,b;c", "1.png,c;a|b", kind="labels", separator=";"))


def test_a_separator_can_be_named(listed):
    assert encoded(listed("path,label", "0.png,b ; a", kind="labels", separator=";")) == ([[1, 1]], ("a", "b"))


def test_several_labels_have_a_column_each(listed):
    source = listed(
        "path,dog,cat", "0.png,1,0", "1.png,False,true", "2.png,0,0", kind="labels", label_column=["dog", "cat"]
    )
    assert encoded(source) == ([[1, 0], [0, 1], [0, 0]], ("dog", "cat"))


def test_a_list_of_one_is_a_column_of_its_own_and_a_word_a_column_of_names(listed, caplog):
    lines = ("path,cat", "0.png,1", "1.png,0", "2.png,")
    one, names = (listed(*lines, kind="labels", label_column=column).scan() for column in (["cat"], "cat"))
    assert (one.classes, one.label.tolist()) == (("cat",), ["cat", "|", ""])
    assert (names.classes, names.label.tolist()) == (("0", "1"), ["1", "0", ""])
    assert "labels called 0 and 1; for one label cat, which an image has or not, give" in caplog.text
    source = listed("path,tags", "0.png,", "1.png,a|b", kind="labels", label_column=["tags"])
    with pytest.raises(ValueError, match=r"label_column=\[tags\]: .* has 'a\|b'; names .* are .*\.label_column=tags$"):
        source.scan()


@pytest.mark.parametrize("kind", ["labels", "values"])
def test_a_column_that_is_named_twice_is_refused(listed, kind):
    with pytest.raises(ValueError, match=r"label_column=\['a', 'a'\] names a column twice"):
        listed("path,a", "0.png,1", kind=kind, label_column=["a", "a"])


def test_an_image_with_no_label_to_its_name_trains_and_one_without_any_word_is_the_pool(listed, tmp_path):
    lines = [f"{number}.png,{number % 2},0" for number in range(59)]
    source = listed("path,a,b", "59.png,,", *lines, "58.png,1,1", kind="labels", label_column=["a", "b"])
    inventory = source.scan()
    inventory, _ = settle(inventory.take(inventory.path != "58.png"), cache_dir=tmp_path, targets=source.targets,
                          class_names=["a"])  # fmt: skip
    assert inventory.path[inventory.rows("pool")].tolist() == ["59.png"]
    assert {"train", "val", "test"} <= set(inventory.split)


@pytest.mark.parametrize("cell", ["2", "yes", ""])
def test_a_cell_that_is_neither_yes_nor_no_is_named_with_its_file_and_line(listed, cell):
    source = listed("path,dog,cat", "0.png,1,0", f"1.png,0,{cell}", kind="labels", label_column=["dog", "cat"])
    told = rf"1.png is labelled cat='{cell}' in line 3 \(use 1, 0, true or false\), which is none of cat, dog"
    with pytest.raises(ValueError, match=told):
        source.prepare()


def test_values_follow_the_order_of_class_names(listed):
    lines = [f"{number}.png,{number},{100 + number}" for number in range(60)]
    options = {"kind": "values", "label_column": ["age", "size"]}
    source = listed("path,age,size", *lines, class_names=["size", "age"], **options)
    assert encoded(source)[0][0] == [100, 0]
    assert source.settled()[0].classes == ("size", "age")
    with pytest.raises(ValueError, match=r"class_names=\['size', 'mass'\] are not the columns of .*'age', 'size'"):
        listed("path,age,size", *lines, class_names=["size", "mass"], **options)


@pytest.mark.parametrize(
    ("kind", "one", "same", "other"), [("labels", "cat|dog", "dog|cat", "dog"), ("values", "3", "3.0", "4")]
)
def test_copies_contradict_each_other_by_what_their_labels_mean(listed, tmp_path, kind, one, same, other):
    lines = [f"{number}.png,{one}" for number in range(59)]
    for label, bad in ((same, []), (other, ["59.png", "7.png"])):
        source = listed("path,label", *lines, f"59.png,{label}", kind=kind)
        (tmp_path / "images" / "59.png").write_bytes((tmp_path / "images" / "7.png").read_bytes())
        assert sorted(bad_rows_of(source)) == bad


def bad_rows_of(source):
    inventory = source.scan()
    return [inventory.path[row] for row in bad_rows(inventory, source.targets)]


def test_a_label_outside_the_list_is_named_with_its_file_or_left_out(listed):
    lines = [f"{number}.png,{'ab'[number % 2]}" for number in range(59)]
    for kind, said in (("classes", "is labelled 'c', which"), ("labels", "is labelled c, which is none of a, b")):
        raising, skipping = (
            listed("path,label", *lines, "59.png,c", kind=kind, class_names=["a", "b"], on_bad_image=wanted)
            for wanted in ("raise", "skip")
        )
        with pytest.raises(ValueError, match=f"59.png {said}"):
            raising.prepare()
        skipping.prepare()
        assert [file for file, _ in skipping.skipped] == ["59.png"]


def test_values_are_read_as_numbers(listed):
    assert encoded(listed("path,label", "0.png,2.5", "1.png,-1e3", kind="values")) == ([[2.5], [-1000]], ("label",))
    source = listed("path,x,y", "0.png,1,2", "1.png,3,4", kind="values", label_column=["y", "x"])
    assert encoded(source) == ([[2, 1], [4, 3]], ("y", "x"))
    source = listed("path,x", "0.png,1|2", "1.png,3|4", kind="values", label_column="x")
    assert encoded(source) == ([[1, 2], [3, 4]], ("x 1", "x 2"))


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("nan", "for y, which is no finite number"),
        ("inf", "for y, which is no finite number"),
        ("12 cm", "for y, which is no finite number"),
        ("1e39", "for y, which is no finite number of 32 bits"),
        ("1|2", "3 values for 2 targets"),
        ("", "no value for y; .*leave them out: datamodule.on_bad_image=skip"),
    ],
)
def test_a_target_that_is_no_number_is_named_with_its_file_or_left_out(listed, cell, told):
    lines = [f"{number}.png,{number},{number}" for number in range(59)]
    options = {"kind": "values", "label_column": ["x", "y"]}
    with pytest.raises(ValueError, match=f"59.png has .*{told}"):
        listed("path,x,y", *lines, f"59.png,0,{cell}", **options).prepare()
    skipping = listed("path,x,y", *lines, f"59.png,0,{cell}", on_bad_image="skip", **options)
    skipping.prepare()
    assert [file for file, _ in skipping.skipped] == ["59.png"] and skipping.target.isfinite().all()


def test_values_are_split_by_content_though_no_two_are_equal(listed):
    source = listed("path,label", *(f"{number}.png,{number}" for number in range(60)), kind="values")
    source.prepare()
    assert source.sizes["val"] > 2 and source.sizes["test"] > 2 and source.sizes["train"] > 30


def test_a_label_that_no_training_image_has_is_named(listed):
    lines = [f"{number}.png,a,train" for number in range(8)]
    with pytest.raises(ValueError, match="no training image has the label b"):
        listed("path,label,split", *lines, "9.png,a|b,test", kind="labels").prepare()


def test_a_source_that_cannot_give_what_the_task_learns_says_which_can():
    with pytest.raises(ValueError, match=r"Digits gives classes, but the task learns values: .*datamodule=csv"):
        Digits(kind="values")


def test_several_columns_are_no_class(listed):
    with pytest.raises(ValueError, match=r"label_column=\['a', 'b'\]: .*task=multilabel"):
        listed("path,a,b", label_column=["a", "b"])
