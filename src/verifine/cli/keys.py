"""`verifine keys`: who may ask a service, and what for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from verifine.service.access.key_store import KeyStore

app = typer.Typer(
    name="keys",
    help="Make and end the keys of a service that `verifine serve` runs on this machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_Data = Annotated[
    Path | None, typer.Option(metavar="DIR", help="The --data of the service; `service` in VERIFINE_HOME if not given.")
]
_Database = Annotated[
    str | None, typer.Option(metavar="URL", help="The --database of the service; SQLite in --data if not given.")
]
_AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output, and nothing else.")]


@app.command("create")
def create_key(
    owner: Annotated[
        str, typer.Option(metavar="NAME", help="Whose files, jobs and models the key opens; a new name is a new owner.")
    ] = "local",
    scopes: Annotated[
        str, typer.Option(metavar="SCOPE,...", help="What it is for: some of read, run, admin, metrics.")
    ] = "read,run",
    expires: Annotated[str, typer.Option(metavar="TIME", help="How long it lasts: 90d, 12h, 30m, or never.")] = "never",
    data: _Data = None,
    database: _Database = None,
    as_json: _AsJson = False,
) -> None:
    """Make a key, and print it once: only a hash of it is kept."""
    from verifine.cli.keys_text import as_numbers
    from verifine.service.access.key import check_owner_name
    from verifine.service.access.lifetime import read_lifetime
    from verifine.service.access.scopes import read_scopes

    given, lasts_s = read_scopes(scopes.split(",")), read_lifetime(expires)
    check_owner_name(owner)
    with _open(data, database) as keys:
        key, text = keys.create(owner, given, lasts_s)
    print(json.dumps({**as_numbers(key), "key": text.reveal()}) if as_json else text.reveal())
    print("keep it now: it cannot be shown again", file=sys.stderr)


@app.command("list")
def list_keys(
    owner: Annotated[str | None, typer.Option(metavar="NAME", help="Of this owner only.")] = None,
    data: _Data = None,
    database: _Database = None,
    as_json: _AsJson = False,
) -> None:
    """List keys, also those that have ended, and the sessions of browsers."""
    from verifine.cli.keys_text import as_numbers, describe_keys

    with _open(data, database) as keys:
        found = keys.list(owner)
    print(json.dumps([as_numbers(key) for key in found]) if as_json else describe_keys(found))


@app.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(metavar="ID", help="The id of a key, as `list` has it.")],
    data: _Data = None,
    database: _Database = None,
) -> None:
    """End a key at once, and the sessions of browsers that were begun with it."""
    with _open(data, database) as keys:
        keys.revoke(key)
    print(f"{key} is revoked")


@contextmanager
def _open(data: Path | None, database: str | None) -> Iterator[KeyStore]:
    import time

    from verifine.service.access.key_store import KeyStore
    from verifine.service.database import Database, migrate
    from verifine.service.folder import data_folder, database_url, make_data_folder

    folder = data_folder(data, os.environ)
    make_data_folder(folder)
    opened = Database(database or database_url(folder))
    try:
        migrate(opened)
        yield KeyStore(opened, time.time)
    finally:
        opened.close()
