"""The agent pushed onto machines that run OpenSSH: good ones, and bad ones of every kind."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from huaweicloudsdkworkspace import v2 as ws

from outfitter import Server, wait_for
from sdk import client
from sshd import Hosts, stripped_agent

# Good hosts beside nine that are bad each in its own way, and more of those: a call takes a hundred desktops.
GOOD, MORE_BAD = (80, 11) if os.environ.get("OUTFITTER_PROOF_SIZE") == "full" else (4, 1)
# Far above what a machine of two cores needs for ten at once, with another test suite beside it.
PUSH_LIMIT_SECS = 240.0


@pytest.fixture
def hosts(tmp_path):
    hosts = Hosts(tmp_path / "hosts")
    try:
        yield hosts
    finally:
        hosts.stop()


@pytest.fixture
def pushing(tmp_path, monkeypatch, request):
    """A server that has an agent to hand out."""
    from conftest import SERVER

    monkeypatch.setenv("OUTFITTER_AGENT_BINARIES", str(stripped_agent(tmp_path / "agents-to-push")))
    server = Server.start(tmp_path)
    request.node.stash[SERVER] = server
    try:
        yield server
    finally:
        server.stop()


class SubJob(NamedTuple):
    """How one desktop's part of a push ended."""

    status: str
    error_code: str | None
    fail_reason: str | None
    message: str | None


def register(server: Server, name: str) -> str:
    """Registers a desktop; answers its id."""
    answer = server.request("POST", "/api/v1/{project_id}/desktops", json={"name": name, "os_type": "Linux"})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def reach(server: Server, desktop_id: str, **members) -> None:
    answer = server.request("PUT", f"/api/v1/{{project_id}}/desktops/{desktop_id}/reach", json=members)
    assert answer.status_code == 200, answer.text
    assert not {"key", "password", "sudo_password"} & set(answer.json()), "no secret comes back"


def push(workspace: ws.WorkspaceClient, desktop_ids: list[str]) -> str:
    body = ws.BatchInstallAgentReq(desktop_ids=desktop_ids)
    return workspace.batch_install_agent(ws.BatchInstallAgentRequest(body=body)).job_id


def ended(server: Server, job_id: str) -> dict[str, SubJob]:
    """The sub-jobs by the names of their desktops, once all have ended. The SDK does not know every member."""

    def all_ended():
        answer = server.request("GET", "/v2/{project_id}/workspace-sub-jobs", params={"job_id": job_id})
        assert answer.status_code == 200, answer.text
        listed = answer.json()["jobs"]
        return listed if all(job["status"] in ("SUCCESS", "FAILED") for job in listed) else None

    sub_jobs = wait_for(all_ended, f"the end of {job_id}", PUSH_LIMIT_SECS)
    return {
        job["desktop_name"]: SubJob(job["status"], job.get("error_code"), job.get("fail_reason"), job.get("message"))
        for job in sub_jobs
    }


def cpu_seconds(server: Server) -> float:
    """Processor time of the server so far."""
    fields = Path(f"/proc/{server.process.popen.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connected(server: Server) -> set[str]:
    items = server.request("GET", "/api/v1/{project_id}/desktops", params={"limit": 100}).json()["items"]
    return {item["name"] for item in items if item.get("agent", {}).get("connected")}


def test_good_hosts_get_a_working_agent_and_bad_ones_the_right_reason(pushing, hosts):
    server, workspace = pushing, client(pushing)
    good = [hosts.start(number) for number in range(GOOD)]
    wrong_key = hosts.start(1004)
    no_sudo = hosts.start(1005)
    wrong_arch = hosts.start(
        1006, mend='printf "#!/bin/sh\\n[ \\"\\$1\\" = -m ] && echo vax || echo Linux\\n" >"$1/usr/local/bin/uname"; '
        'chmod 755 "$1/usr/local/bin/uname"'
    )
    full = hosts.start(1007, size="4m")
    hanging = [hosts.start(1010 + number, settings="ForceCommand sleep 600") for number in range(1 + MORE_BAD)]
    dropping = hosts.start(1009)
    hosts.wait()
    cutter = hosts.cutting(dropping, after_bytes=1_500_000)
    refusing, silent = hosts.refusing(), hosts.silent()

    ids = {}

    def desktop(name: str, address: str, port: int, **members) -> None:
        ids[name] = register(server, name)
        reach(server, ids[name], **{"address": address, "port": port, "user": "root", "key": hosts.key, **members})

    for number, host in enumerate(good):
        desktop(f"GOOD-{number}", host.address, host.port)
    desktop("WRONG-KEY", wrong_key.address, wrong_key.port, host_key=good[0].fingerprint)
    desktop("NO-SUDO", no_sudo.address, no_sudo.port, user="operator", sudo=False)
    desktop("WRONG-ARCH", wrong_arch.address, wrong_arch.port)
    desktop("FULL", full.address, full.port)
    for number, host in enumerate(hanging):
        desktop(f"HANGING-{number}", host.address, host.port)
    desktop("DROPPING", cutter.address, cutter.port)
    desktop("REFUSING", *refusing)
    desktop("SILENT", *silent)
    ids["NO-WAY-IN"] = register(server, "NO-WAY-IN")

    # What would happen is told, and nothing happens.
    probe = server.request("POST", f"/api/v1/{{project_id}}/desktops/{ids['GOOD-0']}/probe").json()
    assert probe["ok"] and probe["host_key"] == good[0].fingerprint and probe["systemd"] is False, probe
    assert not (good[0].root / "opt/outfitter-agent").exists()

    begun, cpu_begun = time.monotonic(), cpu_seconds(server)
    job = push(workspace, list(ids.values()))
    # Nothing waits for the hosts that hang: the good ones are connected while those are still being tried.
    names = {f"GOOD-{number}" for number in range(GOOD)}
    wait_for(lambda: names <= connected(server), "the good hosts", PUSH_LIMIT_SECS)
    took, cpu = time.monotonic() - begun, cpu_seconds(server) - cpu_begun
    print(f"{GOOD} agents connected after {took:.1f} s, {cpu / GOOD:.3f} s of the server's processor each")
    sub_jobs = ended(server, job)
    reasons = {name: (sub_job.status, sub_job.error_code) for name, sub_job in sub_jobs.items()}
    assert reasons == {
        **{name: ("SUCCESS", None) for name in names},
        "WRONG-KEY": ("FAILED", "host_key_changed"),
        "NO-SUDO": ("FAILED", "not_root"),
        "WRONG-ARCH": ("FAILED", "no_binary"),
        "FULL": ("FAILED", "no_room"),
        **{f"HANGING-{number}": ("FAILED", "probe_timeout") for number in range(len(hanging))},
        "DROPPING": ("FAILED", "dropped"),
        "REFUSING": ("FAILED", "connect_refused"),
        "SILENT": ("FAILED", "handshake_timeout"),
        "NO-WAY-IN": ("FAILED", "no_way_in"),
    }, {name: sub_job.fail_reason for name, sub_job in sub_jobs.items()}
    assert wrong_key.fingerprint in sub_jobs["WRONG-KEY"].fail_reason
    assert "detached" in sub_jobs["GOOD-0"].message, "systemd does not run there, and that is said"
    assert "vax" in sub_jobs["WRONG-ARCH"].fail_reason
    assert "outfitter-agent enroll" in sub_jobs["NO-WAY-IN"].fail_reason
    assert connected(server) == names
    unit = good[0].root / "etc/systemd/system/outfitter-agent.service"
    assert "ExecStart=/opt/outfitter-agent/outfitter-agent" in unit.read_text(), "left in place for the next boot"
    tokens = server.request("GET", "/api/v1/{project_id}/enrollment-tokens").json()["items"]
    assert [token["name"] for token in tokens] == ["bootstrap"], "tokens of pushes do not stay"

    # What was mended succeeds when the same job is retried; the cut upload goes on where it stopped.
    part = next((dropping.root / "opt/outfitter-agent").glob("*.part"))
    assert part.stat().st_size > 0
    held = part.stat().st_size
    cutter.mend()
    reach(server, ids["WRONG-KEY"], address=wrong_key.address, port=wrong_key.port, user="root", key=hosts.key)
    reach(server, ids["SILENT"], address=no_sudo.address, port=no_sudo.port, user="root", key=hosts.key)
    for name in ("HANGING-0", "NO-SUDO", "REFUSING"):
        server.request("DELETE", f"/api/v1/{{project_id}}/desktops/{ids[name]}/reach")
    action = ws.RunActionsOnWorkspaceJobRequest(job_id=job, body=ws.JobActionsReq(op_type="retry"))
    assert workspace.run_actions_on_workspace_job(action).job_id == job
    sub_jobs = ended(server, job)
    mended = {name for name, sub_job in sub_jobs.items() if sub_job.status == "SUCCESS"}
    assert mended == names | {"WRONG-KEY", "SILENT", "DROPPING"}, {
        name: sub_job.fail_reason for name, sub_job in sub_jobs.items()
    }
    log = (server.folder / "server.log").read_text()
    size = (server.folder / "agents-to-push/outfitter-agent").stat().st_size
    assert f"uploaded_bytes={size - held}" in log.replace("\x1b[3muploaded_bytes\x1b[0m\x1b[2m=\x1b[0m", "uploaded_bytes=")
    assert hosts.key.splitlines()[1] not in log, "no key in a log"

    # Each later push meets the host key that was pinned at the first.
    pinned = server.request("GET", f"/api/v1/{{project_id}}/desktops/{ids['GOOD-1']}/reach").json()
    assert pinned["pinned_host_key"] == good[1].fingerprint
    reach(server, ids["GOOD-1"], address=good[2].address, port=good[2].port, user="root", key=hosts.key)
    again = ended(server, push(workspace, [ids["GOOD-0"], ids["GOOD-1"]]))
    assert again["GOOD-1"].error_code == "host_key_changed"
    assert again["GOOD-0"].status == "SUCCESS", again["GOOD-0"].fail_reason
    conditions = workspace.list_agents_install_condition(
        ws.ListAgentsInstallConditionRequest(desktop_id=ids["GOOD-0"])
    ).agents_condition
    assert conditions[0].agent_info[0].is_installed and conditions[0].process is None


def test_a_push_survives_a_restart_of_the_server(pushing, hosts):
    server = pushing
    workspace = client(server)
    host = hosts.start(20)
    hosts.wait()
    desktop_id = register(server, "LONG-WAY")
    # First at a host that hangs after login, so that the push is under way when the server ends.
    hanging = hosts.start(21, settings="ForceCommand sleep 600")
    hosts.wait()
    reach(server, desktop_id, address=hanging.address, port=hanging.port, user="root", key=hosts.key)
    job = push(workspace, [desktop_id])

    def running():
        conditions = workspace.list_agents_install_condition(ws.ListAgentsInstallConditionRequest(desktop_id=desktop_id))
        return (conditions.agents_condition[0].process or 0) > 0

    wait_for(running, "the push to begin")
    server.request("DELETE", f"/api/v1/{{project_id}}/desktops/{desktop_id}/reach")
    reach(server, desktop_id, address=host.address, port=host.port, user="root", key=hosts.key)
    server.restart()
    workspace = client(server)
    assert ended(server, job)["LONG-WAY"].status == "SUCCESS", ended(server, job)["LONG-WAY"].fail_reason
    assert connected(server) == {"LONG-WAY"}


def test_other_ways_in_are_sudo_a_password_and_a_jump_host(pushing, hosts):
    server, workspace = pushing, client(pushing)
    sudoer = 'mkdir -p "$1/etc/sudoers.d"; echo "operator ALL=(ALL) {what}ALL" >"$1/etc/sudoers.d/operator"; '
    password = 'echo "operator:right horse" | chroot "$1" chpasswd -c SHA256; '
    silent_sudo = hosts.start(40, mend=sudoer.format(what="NOPASSWD: "))
    asking_sudo = hosts.start(
        41, settings="PasswordAuthentication yes\nPubkeyAuthentication no", mend=sudoer.format(what="") + password
    )
    wrong_sudo = hosts.start(42, mend=sudoer.format(what="") + password)
    behind = hosts.start(43)
    hosts.wait()

    ids = {name: register(server, name) for name in ("SUDO", "PASSWORD", "WRONG-PASSWORD", "WRONG-SUDO", "BEHIND")}

    def way(name: str, host, **members) -> None:
        reach(server, ids[name], address=host.address, port=host.port, **members)

    way("SUDO", silent_sudo, user="operator", key=hosts.key)
    way("PASSWORD", asking_sudo, user="operator", password="right horse")
    way("WRONG-PASSWORD", asking_sudo, user="operator", password="wrong horse")
    way("WRONG-SUDO", wrong_sudo, user="operator", key=hosts.key, sudo_password="wrong horse")
    # What the desktop does not say, its network does: the user and the key, and the way through the jump host.
    jump = {"jump_address": silent_sudo.address, "jump_port": silent_sudo.port, "jump_user": "operator"}
    body = {"network": "127.1.0.0/16", "reach": {"user": "root", "key": hosts.key, **jump}}
    answer = server.request("PUT", "/api/v1/{project_id}/network-reaches", json=body)
    assert answer.status_code == 200, answer.text
    reach(server, ids["BEHIND"], address=behind.address, port=behind.port)
    for name in ("SUDO", "PASSWORD", "WRONG-PASSWORD", "WRONG-SUDO"):
        assert server.request("GET", f"/api/v1/{{project_id}}/desktops/{ids[name]}/reach").json()["has_login"]

    sub_jobs = ended(server, push(workspace, list(ids.values())))
    assert {name: (sub_job.status, sub_job.error_code) for name, sub_job in sub_jobs.items()} == {
        "SUDO": ("SUCCESS", None),
        "PASSWORD": ("SUCCESS", None),
        "WRONG-PASSWORD": ("FAILED", "login_refused"),
        "WRONG-SUDO": ("FAILED", "sudo_refused"),
        "BEHIND": ("SUCCESS", None),
    }, {name: sub_job.fail_reason for name, sub_job in sub_jobs.items()}
    assert connected(server) == {"SUDO", "PASSWORD", "BEHIND"}
    shown = server.request("GET", f"/api/v1/{{project_id}}/desktops/{ids['BEHIND']}/reach").json()
    assert shown["pinned_jump_host_key"] == silent_sudo.fingerprint
    assert shown["pinned_host_key"] == behind.fingerprint
    assert "right horse" not in (server.folder / "server.log").read_text()
