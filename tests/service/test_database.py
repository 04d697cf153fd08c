from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, inspect, text

from verifine.errors import ConfigError, SetupError
from verifine.service.database import Database, migrate
from verifine.service.database.migrate import EMPTY
from verifine.service.database.owners import ensure_owner, next_seq
from verifine.service.database.tables import METADATA, OWNERS

OWNER, OTHER = "alice", "bob"


def tables(database: Database) -> set[str]:
    with database.read() as connection:
        return set(inspect(connection).get_table_names())


def differences(database: Database) -> list[Any]:
    with database.read() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), METADATA))


def test_migrations_lead_to_the_tables_of_the_code(database_url: str) -> None:
    database = Database(database_url)
    migrate(database)
    assert differences(database) == []
    database.close()


def test_migrations_lead_back_to_nothing_and_up_again(database_url: str) -> None:
    database = Database(database_url)
    migrate(database)
    migrate(database, EMPTY)
    assert tables(database) == {"alembic_version"}
    migrate(database)
    assert differences(database) == []
    database.close()


def test_migrating_twice_keeps_what_is_there(database: Database) -> None:
    with database.write() as connection:
        assert next_seq(connection, OWNER) == 1
    migrate(database)
    ensure_owner(database, OWNER)
    with database.write() as connection:
        assert next_seq(connection, OWNER) == 2
        assert next_seq(connection, OTHER) == 1


def test_a_database_of_a_later_version_is_refused(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SetupError, match="later Verifine"):
        migrate(database)


def test_an_exception_undoes_the_transaction(database: Database) -> None:
    with pytest.raises(KeyError), database.write() as connection:
        connection.execute(insert(OWNERS).values(id="carol", last_seq=0, served_at=0))
        raise KeyError
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM owners")).scalar() == 3


def test_sqlite_writes_ahead_and_syncs(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'folder' / 'service.db'}")
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    database.close()


def test_a_reader_is_not_held_up_by_a_writer(database: Database) -> None:
    with database.write() as writer:
        next_seq(writer, OWNER)
        with database.read() as reader:
            assert reader.execute(text("SELECT max(last_seq) FROM owners")).scalar() == 0


@pytest.mark.parametrize("url", ["", "service.db", "mysql://host/name", "sqlite://", "sqlite:///:memory:"])
def test_what_is_no_database_of_ours_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="sqlite:///PATH"):
        Database(url)


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as refusal:
        Database(f"postgresql://verifine:hunter2@/postgres?host={tmp_path}")
    assert "hunter2" not in str(refusal.value)
    assert "cannot be used" in str(refusal.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database " * 100)
    with pytest.raises(SetupError, match=r"notes\.txt"):
        Database(f"sqlite:///{tmp_path / 'notes.txt'}")
