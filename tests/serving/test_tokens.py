"""The first tokens of a store: made once, and again where the database is another one."""

import pytest

from serving.database import Database
from serving.tokens import FIRST, Tokens


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb"])
def test_a_name_that_no_list_could_show_is_refused(parts, name):
    with pytest.raises(ValueError, match="a token's name has 1 to 64 characters"):
        parts.tokens.create(name, "viewer")


def secrets(folder):
    return {role: (folder / role).read_text().strip() for role in FIRST}


def test_the_first_tokens_are_made_once_and_stay_where_one_was_revoked(parts, tmp_path):
    assert parts.tokens.first(tmp_path / "tokens")
    before = secrets(tmp_path / "tokens")
    assert [parts.tokens.find(secret).role for secret in before.values()] == [*FIRST]
    parts.tokens.revoke(1, "a test")
    assert not parts.tokens.first(tmp_path / "tokens")
    assert secrets(tmp_path / "tokens") == before and len(parts.tokens.every()) == len(FIRST)


def test_another_database_below_the_same_root_gets_tokens_that_are_good_there(parts, tmp_path):
    parts.tokens.first(tmp_path / "tokens")
    other = Database(tmp_path / "other")
    assert Tokens(other).first(tmp_path / "tokens")
    assert [Tokens(other).find(secret).role for secret in secrets(tmp_path / "tokens").values()] == [*FIRST]
    other.close()
