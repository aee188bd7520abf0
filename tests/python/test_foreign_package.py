"""A package that nobody here wrote is installed, through an upload and through a link."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huaweicloudsdkworkspace import v2 as ws

import packages
from sdk import bucket, client, create_user, ended_jobs, install, upload, user

# Small, without maintainer scripts, in every release of Debian and Ubuntu.
PACKAGE = "hello"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    return packages.foreign_debian_package(tmp_path_factory.mktemp("foreign"), PACKAGE)


@pytest.fixture
def link(foreign):
    """The package behind an ordinary web server."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_arguments):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(foreign.parent)))
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{web.server_port}/{foreign.name}"
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


def install_and_look(server, store: ws.FileStoreLink) -> None:
    workspace = client(server)
    create_user(workspace, "ann")
    desktop = server.start_desktop("desktop1", "ann")
    app = upload(
        workspace,
        PACKAGE,
        install_type="QUIET_INSTALL",
        app_file_store=store,
        install_command=packages.DPKG_INSTALL,
    )
    install(workspace, [app.id], [user("ann")])
    (job,) = ended_jobs(workspace, 1)
    assert (job.job_status, job.error_message) == ("SUCCESS", None)
    assert packages.debian_status(desktop.sandbox, PACKAGE).startswith("installed ")
    assert (desktop.sandbox / "usr/bin/hello").stat().st_size > 0


def test_through_an_upload(server, foreign):
    install_and_look(server, bucket(server, foreign))


def test_through_a_link(server, link):
    install_and_look(server, ws.FileStoreLink(store_type="LINK", file_link=link))
