"""Keys: what is kept of them, how long they are good for, and the command that makes them."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from verifine.errors import ConfigError
from verifine.service.access.key import KeyText
from verifine.service.access.key_store import SESSION_S, USE_S, KeyStore, UnknownKeyError
from verifine.service.access.local_key import keep_local_key
from verifine.service.access.scopes import SCOPES
from verifine.service.database import Database
from verifine.testing.clock import ManualClock

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def keys(database: Database, clock: ManualClock) -> KeyStore:
    return KeyStore(database, clock)


def test_a_key_opens_what_its_owner_has(keys: KeyStore) -> None:
    key, made = keys.create("carol", ["run", "read"])
    caller = keys.identify(made.reveal())
    assert caller is not None
    assert (caller.owner_id, caller.key_id, caller.scopes) == ("carol", key.id, frozenset({"read", "run"}))
    assert made.reveal().startswith(f"vf_{key.id}_")
    assert len(made.reveal()) > 50


def test_nothing_that_is_kept_gives_the_key_away(keys: KeyStore, database: Database) -> None:
    _, made = keys.create("alice", ["read"])
    secret = made.reveal().split("_", 2)[2]
    with database.read() as connection:
        rows = connection.execute(text("SELECT * FROM keys")).mappings().all()
    assert made.sha256 in str(rows)
    assert secret not in str(rows)
    assert secret not in repr(made)


def test_a_key_that_differs_in_one_character_is_none(keys: KeyStore) -> None:
    _, made = keys.create("alice", ["read"])
    key = made.reveal()
    for place in range(len(key)):
        changed = key[:place] + ("A" if key[place] != "A" else "B") + key[place + 1 :]
        assert keys.identify(changed) is None, place
    for wrong in ("", key[:-1], f"{key}A", key.upper(), f" {key}", f"{key}\n", "vf_", "vf__", "sk-123", f"{key}ÿ"):
        assert keys.identify(wrong) is None, wrong


def test_a_key_ends_at_its_time(keys: KeyStore, clock: ManualClock) -> None:
    _, made = keys.create("alice", ["read"], lasts_s=60)
    clock.advance(59)
    assert keys.identify(made.reveal()) is not None
    clock.advance(1)
    assert keys.identify(made.reveal()) is None


def test_a_revoked_key_ends_at_once_with_the_sessions_that_it_began(keys: KeyStore) -> None:
    key, made = keys.create("alice", ["read"])
    other, kept = keys.create("alice", ["read"])
    session = keys.begin_session("alice", ["read"], key)
    others = keys.begin_session("alice", ["read"], other)
    keys.revoke(key.id)
    keys.revoke(key.id)
    assert keys.identify(made.reveal()) is None
    assert keys.identify(session.reveal(), is_session=True) is None
    assert keys.identify(kept.reveal()) is not None
    assert keys.identify(others.reveal(), is_session=True) is not None
    with pytest.raises(UnknownKeyError, match="nothing"):
        keys.revoke("nothing")


def test_a_session_is_no_key_and_a_key_no_session(keys: KeyStore) -> None:
    key, made = keys.create("alice", ["read"])
    session = keys.begin_session("alice", ["read"], key)
    assert keys.identify(session.reveal()) is None
    assert keys.identify(made.reveal(), is_session=True) is None


def test_a_session_ends_no_later_than_its_key_and_is_then_forgotten(keys: KeyStore, clock: ManualClock) -> None:
    short, _ = keys.create("alice", ["read"], lasts_s=3600)
    session = keys.begin_session("alice", ["read"], short)
    own = keys.begin_session("alice", ["read"])
    clock.advance(3600)
    assert keys.identify(session.reveal(), is_session=True) is None
    assert keys.identify(own.reveal(), is_session=True) is not None
    clock.advance(SESSION_S - 3600)
    assert keys.identify(own.reveal(), is_session=True) is None
    keys.remove_ended_sessions()
    assert [key.id for key in keys.list()] == [short.id]


def test_when_a_key_was_used_is_known_to_the_minute(keys: KeyStore, clock: ManualClock) -> None:
    key, made = keys.create("alice", ["read"])
    assert key.last_used_at is None
    for seconds, known in ((0, 0), (USE_S - 1, 0), (1, USE_S)):
        clock.advance(seconds)
        keys.identify(made.reveal())
        [found] = keys.list("alice")
        assert found.last_used_at == key.created_at + known


def test_the_local_key_is_made_once_and_is_for_its_user_alone(keys: KeyStore, tmp_path: Path) -> None:
    path = tmp_path / "service" / "key"
    keep_local_key(keys, path)
    key = path.read_text().strip()
    keep_local_key(keys, path)
    assert path.read_text().strip() == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    caller = keys.identify(key)
    assert caller is not None
    assert (caller.owner_id, caller.scopes) == ("local", frozenset(SCOPES))


def test_the_local_key_of_a_version_without_a_table_of_keys_goes_on_working(keys: KeyStore, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text("vf_local_c2VjcmV0\n")
    keep_local_key(keys, path)
    assert path.read_text() == "vf_local_c2VjcmV0\n"
    caller = keys.identify("vf_local_c2VjcmV0")
    assert caller is not None
    assert caller.owner_id == "local"


def test_a_local_key_that_is_revoked_or_was_readable_by_others_is_replaced(keys: KeyStore, tmp_path: Path) -> None:
    path = tmp_path / "key"
    keep_local_key(keys, path)
    revoked = path.read_text().strip()
    keys.revoke(keys.list("local")[0].id)
    keep_local_key(keys, path)
    seen = path.read_text().strip()
    path.chmod(0o640)
    keep_local_key(keys, path)
    key = path.read_text().strip()
    assert len({revoked, seen, key}) == 3
    assert [keys.identify(each) is not None for each in (revoked, seen, key)] == [False, False, True]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_text_in_the_file_that_is_no_key_is_replaced(keys: KeyStore, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff nothing")
    keep_local_key(keys, tmp_path / "key")
    assert KeyText.parse((tmp_path / "key").read_text().strip()) is not None


def test_the_command_makes_lists_and_revokes_keys(
    verifine: Command, database: Database, database_url: str, keys: KeyStore, tmp_path: Path
) -> None:
    where = ("--data", tmp_path / "data", "--database", database_url)
    code, out, told = verifine(
        "keys", "create", "--owner", "carol", "--scopes", "read,metrics", "--expires", "9999d", *where
    )
    assert (code, out.count("\n")) == (0, 1)
    assert "cannot be shown again" in told
    caller = keys.identify(out.strip())
    assert caller is not None
    assert (caller.owner_id, caller.scopes) == ("carol", frozenset({"read", "metrics"}))
    [listed] = json.loads(verifine("keys", "list", "--owner", "carol", "--json", *where)[1])
    assert listed["scopes"] == ["read", "metrics"]
    assert listed["id"] == caller.key_id
    assert out.strip().split("_", 2)[2] not in verifine("keys", "list", *where)[1]
    assert verifine("keys", "revoke", caller.key_id, *where)[0] == 0
    assert keys.identify(out.strip()) is None
    assert "revoked" in verifine("keys", "list", *where)[1]
    assert verifine("keys", "revoke", "nothing", *where)[0] == ConfigError.exit_code


def test_the_command_makes_a_key_before_the_service_has_ever_run(verifine: Command, tmp_path: Path) -> None:
    where = ("--data", tmp_path / "data")
    assert verifine("keys", "list", *where)[1] == "there are no keys; `verifine keys create` makes one\n"
    code, out, _ = verifine("keys", "create", "--json", *where)
    made = json.loads(out)
    assert (code, made["owner"], made["scopes"], made["expires_at"]) == (0, "local", ["read", "run"], None)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("--scopes", "reed"), "did you mean"),
        (("--scopes", ""), "scopes"),
        (("--owner", "../alice"), "owner"),
        (("--owner", "Alice"), "owner"),
        (("--owner", "a:b"), "owner"),
        (("--owner", "a" * 33), "owner"),
        (("--expires", "soon"), "90d"),
        (("--expires", "0d"), "90d"),
    ],
)
def test_a_wrong_option_of_a_key_is_told(verifine: Command, tmp_path: Path, wrong: tuple[str, str], told: str) -> None:
    code, out, errors = verifine("keys", "create", *wrong, "--data", tmp_path / "data")
    assert (code, out) == (ConfigError.exit_code, "")
    assert told in errors
