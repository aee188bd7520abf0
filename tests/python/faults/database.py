"""The server's database, read beside it, in one form for SQLite and PostgreSQL. Ids are hex digits without dashes."""

from __future__ import annotations

import csv
import io
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

# domain::job::WireState and State, by their numbers in the database.
WIRE = {0: "INIT", 1: "WAITING", 2: "SUCCESS", 3: "FAIL"}
OPEN_STATES = "(0, 1, 2, 3)"
# domain::job::Proof.
PROOF = {0: "rule", 1: "manifest", 2: "already installed", 3: "exit code only", 4: "already absent", 5: "receipt invalid"}


class Database:
    """Reads; never writes."""

    def __init__(self, data: Path, url: str | None) -> None:
        self._file = data / "outfitter.db"
        self._url = url

    def rows(self, sql: str) -> list[dict[str, str | None]]:
        """The rows of a query in the words both databases understand; `{id:COLUMN}` stands for a public id."""
        return self._postgres(sql) if self._url else self._sqlite(sql)

    def _sqlite(self, sql: str) -> list[dict[str, str | None]]:
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute(_with_ids(sql, "lower(hex({}))")).fetchall()
        return [{key: None if row[key] is None else str(row[key]) for key in row.keys()} for row in found]

    def _postgres(self, sql: str) -> list[dict[str, str | None]]:
        sql = _with_ids(sql, "replace(CAST({} AS TEXT), '-', '')")
        answer = subprocess.run(
            ["psql", "--no-psqlrc", "--quiet", "--csv", "--pset=null=\x01", self._url, "--command", sql],
            check=True,
            capture_output=True,
            text=True,
        )
        rows = csv.DictReader(io.StringIO(answer.stdout))
        return [{key: None if value == "\x01" else value for key, value in row.items()} for row in rows]

    def assert_sound(self) -> None:
        """What a database checks by itself; on SQLite from a copy, as one would after a crash."""
        if self._url:
            return
        with (
            closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=30)) as original,
            closing(sqlite3.connect(":memory:")) as copy,
        ):
            original.backup(copy)
            assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert copy.execute("PRAGMA foreign_key_check").fetchall() == []

    def open_work(self) -> dict[str, list]:
        """Whatever has not ended, by where it stands; empty when all is quiet."""
        found = {
            "deployments": self.rows("SELECT id, state FROM deployment WHERE state <> 'expanded'"),
            "jobs": self.rows(f"SELECT id, state, desktop_id, attempts FROM job WHERE state IN {OPEN_STATES}"),
            "attempts": self.rows("SELECT id, job_id, state, epoch, phase FROM attempt WHERE ended_at IS NULL"),
        }
        return {name: rows for name, rows in found.items() if rows}


def _with_ids(sql: str, form: str) -> str:
    while "{id:" in sql:
        before, _, rest = sql.partition("{id:")
        column, _, after = rest.partition("}")
        sql = before + form.format(column) + after
    return sql
