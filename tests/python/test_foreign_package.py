"""A package that nobody here wrote is installed, through an upload and through a link, and only from where the operator
lets desktops fetch from."""

from __future__ import annotations

from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler

import pytest
from huaweicloudsdkworkspace import v2 as ws

import packages
from outfitter import Server
from sdk import bucket, client, create_user, ended_jobs, install, upload, user
from web import web_server

# Small, without maintainer scripts, in every release of Debian and Ubuntu.
PACKAGE = "hello"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    return packages.foreign_debian_package(tmp_path_factory.mktemp("foreign"), PACKAGE)


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder."""

    def log_message(self, *_arguments):
        pass


class LeadsTo(BaseHTTPRequestHandler):
    """Another address for whatever is asked for."""

    def __init__(self, *arguments, address: str) -> None:
        self.address = address
        super().__init__(*arguments)

    def log_message(self, *_arguments):
        pass

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.address)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def link(foreign):
    """The package behind an ordinary web server."""
    with web_server(partial(Quiet, directory=str(foreign.parent))) as address:
        yield f"{address}/{foreign.name}"


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


def test_a_link_is_followed_only_to_where_the_operator_lets_desktops_fetch_from(tmp_path, link):
    """The vendor's address leads to another one, which the operator does not know."""
    with web_server(partial(LeadsTo, address=link)) as vendor:
        mirror = link.rsplit("/", 1)[0]
        server = Server.start(tmp_path, options=["--link-allow", vendor])
        try:
            workspace = client(server)
            create_user(workspace, "ann")
            server.start_desktop("desktop1", "ann")
            app = upload(
                workspace,
                PACKAGE,
                install_type="QUIET_INSTALL",
                app_file_store=ws.FileStoreLink(store_type="LINK", file_link=f"{vendor}/latest"),
                install_command=packages.DPKG_INSTALL,
            )

            def outcome(jobs_so_far: int) -> tuple[str, list[str]]:
                """Of the newest job: its state, and the outcomes of its attempts."""
                install(workspace, [app.id], [user("ann")])
                newest = ended_jobs(workspace, jobs_so_far)[0]
                found = server.request("GET", f"/api/v1/{{project_id}}/jobs/{newest.id}/attempts").json()
                return newest.job_status, [attempt["outcome"] for attempt in found["items"]]

            assert outcome(1) == ("FAIL", ["link_not_allowed"])
            for number, allowed, expected in (
                # The list no longer has the link itself: refused when it is handed out, and not tried again.
                (2, [mirror], ("FAIL", ["link_not_allowed"])),
                (3, [vendor, mirror], ("SUCCESS", ["succeeded"])),
            ):
                server.arguments[server.arguments.index("--link-allow") + 1] = ",".join(allowed)
                # Where its agents go on looking for it.
                address = server.endpoints["agent_endpoint"].split("://")[-1].rstrip("/")
                server.arguments[server.arguments.index("--agent-listen") + 1] = address
                server.restart()
                server.desktops[0].restart()
                workspace = client(server)
                assert outcome(number) == expected
        finally:
            server.stop()
