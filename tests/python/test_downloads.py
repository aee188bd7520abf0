"""Packages on their way to real agents: through a proxy that nobody here wrote, in turn, and no faster than allowed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huaweicloudsdkworkspace import v2 as ws

import packages
from outfitter import AGENT_BINARY, SERVER_BINARY, Desktop, Process, Server, wait_for
from sdk import bucket, client, create_user, ended_jobs, install, upload, user

PASSWORD = "pa55-in-no-log"


@contextmanager
def proxy(folder: Path):
    """proxy.py, which wants a password; gives its port and its log."""
    port_file, log = folder / "proxy.port", folder / "proxy.log"
    arguments = [sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", "0"]
    arguments += ["--port-file", str(port_file), "--basic-auth", f"ann:{PASSWORD}"]
    arguments += ["--num-workers", "1", "--num-acceptors", "1", "--data-dir", str(folder / "proxy")]
    process = Process.start("proxy", arguments, log)
    try:
        port = wait_for(lambda: port_file.exists() and port_file.read_text().strip(), "the proxy's port")
        yield int(port), process
    finally:
        process.stop()


@contextmanager
def file_server(folder: Path):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_arguments):
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=served.serve_forever, daemon=True).start()
    try:
        yield served.server_address[1]
    finally:
        served.shutdown()


def through_proxy(server: Server, name: str, proxy_url: str) -> Desktop:
    """A desktop whose agent knows the proxy from its settings alone."""
    server.register_desktop(name, [name])
    state_dir, sandbox, log = (server.folder / f"{part}-{name}" for part in ("state", "sandbox", "agent.log"))
    sandbox.mkdir()
    arguments = [str(AGENT_BINARY), "enroll", "--server", server.endpoints["agent_endpoint"], "--name", name]
    arguments += ["--token", server.bootstrap["enrollment_token"], "--state-dir", str(state_dir)]
    arguments += ["--sandbox-root", str(sandbox)]
    enrollment = Process.start("enrollment", arguments, log, {"OUTFITTER_PROXY": proxy_url})
    assert enrollment.popen.wait(timeout=60) == 0, enrollment.tail()
    agent = Process.start(f"agent {name}", [str(AGENT_BINARY), "run", "--log", "debug", "--state-dir", str(state_dir)], log)
    desktop = Desktop(name, name, state_dir, sandbox, agent)
    server.desktops.append(desktop)
    return desktop


def test_enrollment_channel_packages_and_links_pass_a_real_proxy(server, tmp_path):
    workspace = client(server)
    create_user(workspace, "ann")
    own = packages.zip_package(tmp_path, "own", {"file": "from the server\n"})
    links = tmp_path / "links"
    links.mkdir()
    packages.zip_package(links, "linked", {"file": "from elsewhere\n"})
    with proxy(tmp_path) as (port, of_proxy), file_server(links) as link_port:
        desktop = through_proxy(server, "ann", f"http://ann:{PASSWORD}@127.0.0.1:{port}")
        link = f"http://127.0.0.1:{link_port}/linked.zip"
        apps = [
            upload(workspace, "own", app_file_store=bucket(server, own)),
            upload(workspace, "linked", app_file_store=ws.FileStoreLink(store_type="LINK", file_link=link)),
        ]
        install(workspace, [app.id for app in apps], [user("ann")])
        found = ended_jobs(workspace, 2)
        assert [job.job_status for job in found] == ["SUCCESS", "SUCCESS"], found
        command_lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        ours = [line for line in command_lines.splitlines() if "outfitter-agent" in line]
        assert ours and not any(PASSWORD in line for line in ours)
        doctor = subprocess.run(
            [AGENT_BINARY, "doctor", "--state-dir", desktop.state_dir], capture_output=True, text=True, check=True
        ).stdout
        log = of_proxy.log.read_text()
    assert (desktop.sandbox / "opt/own/file").read_text() == "from the server\n"
    assert (desktop.sandbox / "opt/linked/file").read_text() == "from elsewhere\n"
    listener = server.endpoints["agent_endpoint"].rpartition(":")[2]
    # Enrollment, channel and package are tunnels to the server, of which the proxy sees nothing; the link is a request.
    assert log.count(f"CONNECT 127.0.0.1:{listener}") >= 2, log
    assert "/linked.zip" in log, log
    assert f"http://127.0.0.1:{port} as ann" in doctor
    for text in (doctor, desktop.agent.log.read_text()):
        assert PASSWORD not in text


def test_without_the_password_the_doctor_says_so(server, tmp_path):
    with proxy(tmp_path) as (port, _):
        arguments = [str(AGENT_BINARY), "enroll", "--server", server.endpoints["agent_endpoint"], "--name", "bob"]
        arguments += ["--token", server.bootstrap["enrollment_token"], "--state-dir", str(tmp_path / "state")]
        clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        refused = subprocess.run(
            arguments, capture_output=True, text=True, env={**clean, "https_proxy": f"http://127.0.0.1:{port}"}
        )
    assert refused.returncode == 5 and "proxy authorization required" in refused.stderr, refused


def limits(server: Server, *arguments: str) -> dict:
    """The command line: the limits are the account's, and a token of one project may not touch them."""
    command = [SERVER_BINARY, "--json", "--bootstrap", server.folder / "data/bootstrap.json", "download-limits"]
    return json.loads(subprocess.run([*command, *arguments], capture_output=True, text=True, check=True).stdout)


@pytest.fixture
def quick_signs(monkeypatch):
    monkeypatch.setenv("OUTFITTER_AGENT_HEARTBEAT_SECS", "1")


def test_desktops_download_in_turn_and_as_fast_as_they_may(quick_signs, server, tmp_path):
    workspace = client(server)
    names = ["ann", "bob", "eve"]
    for name in names:
        create_user(workspace, name)
        server.start_desktop(name, name)
    assert limits(server, "set", "--parallel", "1", "--per-desktop", "2000000")["parallel_downloads"] == 1
    (tmp_path / "noise.bin").write_bytes(os.urandom(5_000_000))
    noise = packages.shell_package(tmp_path, "noisy", "exit 0\n")
    with noise.open("ab") as file:
        file.write((tmp_path / "noise.bin").read_bytes())
    app = upload(
        workspace,
        "noisy",
        app_file_store=bucket(server, noise),
        install_type="QUIET_INSTALL",
        install_command=packages.SHELL_INSTALL,
    )
    most, rates, waited = 0, set(), set()
    install(workspace, [app.id], [user(name) for name in names])

    def look() -> bool:
        nonlocal most
        most = max(most, limits(server, "show")["downloading"])
        listed = workspace.list_jobs(ws.ListJobsRequest(offset=0, limit=100)).items
        for job in listed:
            path = f"/api/v1/{{project_id}}/jobs/{job.id}/attempts"
            for attempt in server.request("GET", path).json()["items"]:
                rate = attempt.get("bytes_per_second")
                if rate == 0:
                    waited.add(job.id)
                elif rate:
                    rates.add(rate)
        return len(listed) == 3 and all(job.job_status in ("SUCCESS", "FAIL") for job in listed)

    wait_for(look, "the three of them", 120)
    assert [job.job_status for job in ended_jobs(workspace, 3)] == ["SUCCESS"] * 3
    # One at a time; the others were told to wait, and none of them failed or was tried again for that.
    assert most == 1 and waited and rates, (most, waited, rates)
    for job in ended_jobs(workspace, 3):
        attempts = server.request("GET", f"/api/v1/{{project_id}}/jobs/{job.id}/attempts").json()
        assert attempts["count"] == 1
    assert limits(server, "show")["waiting"] == 0
