"""Fixtures: a server of its own for each test, on SQLite, or on both databases where a test says so."""

from __future__ import annotations

import pytest

from outfitter import Server, postgres_database

BOTH_DATABASES = pytest.mark.parametrize("server", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def server(request, tmp_path):
    database = getattr(request, "param", "sqlite")
    if database == "postgres":
        with postgres_database() as url:
            yield from _serve(request, tmp_path, url)
    else:
        yield from _serve(request, tmp_path, None)


@pytest.fixture(scope="module")
def client_server(request, tmp_path_factory):
    """One server for all tests of a file about one client: its counters then say what that client called."""
    yield from _serve(request, tmp_path_factory.mktemp("server"), None)


def _serve(request, folder, database_url):
    server = Server.start(folder, database_url)
    request.node.stash[SERVER] = server
    try:
        yield server
    finally:
        server.stop()


SERVER = pytest.StashKey[Server]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the ends of its server's and agents' logs."""
    report = yield
    server = item.stash.get(SERVER, None) or item.parent.stash.get(SERVER, None)
    if report.when == "call" and report.failed and server is not None:
        report.sections.extend((f"log of {name}", text) for name, text in server.logs())
    return report
