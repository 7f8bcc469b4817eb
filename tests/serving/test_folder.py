"""A database of its own and the folder with its files are one store."""

import shutil

import pytest
from sqlalchemy import select

from serving.backup import backup, restore
from serving.database import FILE
from serving.folder import ID
from serving.parts import assemble
from serving.promotion import Better
from serving.settings import ServingSettings
from serving.tables import store_folder
from tests.serving.conftest import accept
from tests.serving.material import VERSION

in_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


@pytest.fixture
def opens(database_url, tmp_path):
    """Opens a store in a folder by its name, with a token in it where one is asked for."""
    opened = []

    def open_(name, url=database_url, token=True):
        parts = assemble(ServingSettings(root=str(tmp_path / name), database=url), Better(), VERSION, accept)
        opened.append(parts)
        if token:
            parts.tokens.create("one", "viewer")
        return parts

    yield open_
    for parts in opened:
        parts.database.close()


@in_postgres
def test_another_folder_is_refused_with_both_named_and_takes_the_id_by_hand(opens, tmp_path):
    opens("one")
    with pytest.raises(ValueError) as refused:
        opens("two")
    one, two, known = tmp_path / "one", tmp_path / "two", (tmp_path / "one" / ID).read_text().strip()
    said = str(refused.value)
    assert f"belongs to the store in {one}, where its files lie, and serving.root={two} is another folder" in said
    assert f"give serving.root={one}, or another serving.database" in said
    assert said.endswith(f"write {known} into {two / ID}")
    assert list(two.iterdir()) == []
    (two / ID).write_text(known)
    one.rename(tmp_path / "away")
    opens("two")


@in_postgres
def test_the_same_folder_again_under_another_path_or_moved_is_the_same_store(opens, tmp_path):
    opens("one")
    opens("one")
    (tmp_path / "mounted").symlink_to(tmp_path / "one")
    opens("mounted")
    (tmp_path / "one").rename(tmp_path / "moved")
    opens("moved")
    with pytest.raises(ValueError, match=f"belongs to the store in {tmp_path / 'moved'},"):
        opens("one")
    (tmp_path / "moved").rename(tmp_path / "unmounted")
    with pytest.raises(ValueError, match="what is there now is another folder: is its disk mounted"):
        opens("moved")


@in_postgres
def test_a_copy_beside_its_original_is_refused_and_takes_its_place_when_that_is_gone(opens, tmp_path):
    """Else files of new models would lie in one of them, and both servers would believe that they have them."""
    opens("one")
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    with pytest.raises(ValueError, match=f"root={tmp_path / 'copy'} is a copy of {tmp_path / 'one'}, .* move"):
        opens("copy")
    opens("one")
    (tmp_path / "one").rename(tmp_path / "away")
    opens("copy")


@in_postgres
def test_a_database_that_nothing_was_kept_in_is_nobodys(opens, tmp_path):
    """As after a restore that did not come to its end."""
    opens("one", token=False)
    opens("two")
    with pytest.raises(ValueError, match=f"belongs to the store in {tmp_path / 'two'},"):
        opens("one")


@in_postgres
def test_files_whose_rows_are_in_another_kind_of_database_are_not_opened_as_nobodys(opens, tmp_path):
    """Else they would be pruned."""
    opens("one")
    with pytest.raises(ValueError, match=rf"root={tmp_path / 'one'} are in a database beside it,.* give its serving\."):
        opens("one", url=None)
    assert not (tmp_path / "one" / FILE).exists()


@in_postgres
def test_a_store_in_sqlite_does_not_seem_empty_where_a_new_postgres_is_given(opens, tmp_path):
    opens("one", url=None)
    with pytest.raises(ValueError, match=rf"root={tmp_path / 'one'} holds a store in store\.sqlite.*backup"):
        opens("one")
    opens("two")
    (tmp_path / "two" / FILE).touch()
    opens("two")


@in_postgres
def test_a_backup_carries_no_folder_and_its_store_opens_again(opens, tmp_path):
    one, two = opens("one"), opens("two", url=None, token=False)
    backup(one.store.root, one.database, tmp_path / "a.tar")
    restore(two.store.root, two.database, tmp_path / "a.tar")
    with two.database.read() as connection:
        assert connection.execute(select(store_folder)).all() == []
    opens("two", url=None)
