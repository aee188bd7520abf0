"""The agent's own program replaced from afar: under install load, with power cut at each step, and with builds that are
bad in each way. Every agent ends connected."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import packages
from outfitter import AGENT_BINARY, SERVER_BINARY, Desktop, Server, kill_all_below, wait_for
from sdk import bucket, client, create_user, install, jobs, upload, user

FULL = os.environ.get("OUTFITTER_PROOF_SIZE") == "full"
AGENTS = 20 if FULL else 4
# Those whose power stays on: their installers have to live through the update.
UNCUT = 5 if FULL else 1
LIMIT_SECS = 600.0 if FULL else 180.0
MARKER = b"\x7foutfitter-agent-version="
SLOT_BYTES = 64

STEPS = ["downloading", "downloaded", "trial decided", "trial begun", "on trial", "proven", "running as chosen"]

BAD_BUILD = r"""
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <signal.h>
static const char slot[64] = "\x7foutfitter-agent-version=" VERSION;
int main(int count, char **words) {
    if (count > 1 && !strcmp(words[1], "--version")) {
        printf("outfitter-agent %s\n", slot + 25);
        return 0;
    }
    signal(SIGTERM, SIG_IGN);
    if (HANGS) for (;;) pause();
    return 7;
}
"""


def stamped(folder: Path, version: str) -> Path:
    """The agent as a release of this version: the slot in the program says so."""
    path = folder / f"agent-{version}"
    subprocess.run(["strip", "-o", str(path), str(AGENT_BINARY)], check=True)
    program = bytearray(path.read_bytes())
    found = [match.start() for match in re.finditer(re.escape(MARKER), program)]
    assert len(found) == 1, f"{len(found)} slots in the program"
    text = MARKER + version.encode()
    program[found[0] : found[0] + SLOT_BYTES] = text.ljust(SLOT_BYTES, b"\0")
    path.write_bytes(program)
    path.chmod(0o755)
    return path


def bad(folder: Path, version: str, hangs: bool) -> Path:
    """A program that tells its version and is no agent."""
    source, path = folder / f"bad-{version}.c", folder / f"bad-{version}"
    source.write_text(BAD_BUILD)
    subprocess.run(["cc", f'-DVERSION="{version}"', f"-DHANGS={int(hangs)}", "-o", str(path), str(source)], check=True)
    return path


def cli(server: Server, *words: str) -> dict:
    command = [str(SERVER_BINARY), "--bootstrap", str(server.folder / "data/bootstrap.json"), "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout} {done.stderr}"
    return json.loads(done.stdout)


def release(server: Server, *words: str) -> dict:
    return cli(server, "agent", "release", *words)


def versions(server: Server) -> dict[str, str]:
    """Version of each connected agent."""
    items = server.request("GET", "/api/v1/{project_id}/desktops", params={"limit": 100}).json()["items"]
    return {item["name"]: item["agent"]["version"] for item in items if item.get("agent", {}).get("connected")}


def record(desktop: Desktop) -> dict:
    try:
        return json.loads((desktop.state_dir / "update.json").read_text())
    except FileNotFoundError:
        return {}


def words_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def child_on_trial(pid: int) -> bool:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return False
    return any(b"--trial" in words_of(int(child)) for child in children)


def progress(desktop: Desktop, sha256: str) -> int:
    """How many of STEPS have been reached."""
    pid, now = desktop.agent.popen.pid, record(desktop)
    trial = now.get("trial") or {}
    if (now.get("current") or {}).get("sha256") == sha256:
        return 7 if b"--chosen" in words_of(pid) else 6
    if (trial.get("program") or {}).get("sha256") == sha256:
        if child_on_trial(pid):
            return 5
        return 4 if trial["starts"] > 0 else 3
    programs = desktop.state_dir / "programs"
    if (programs / sha256).exists():
        return 2
    part = programs / f"{sha256}.part"
    return 1 if part.exists() and part.stat().st_size > 0 else 0


def cut_power(desktop: Desktop) -> None:
    """kill -9 of the agent, of what it tries out, of supervisors and of what they run."""
    for folder in (desktop.state_dir, desktop.sandbox):
        kill_all_below(folder)
    desktop.agent.kill()


class Cutter(threading.Thread):
    """Cuts the power of a desktop when it is first seen to have come a step further, and lets it start again as a service
    would. What goes by unseen is not cut: a program that dies again and again before it is steady is rightly given up. The
    agents are let run one after the other, a moment each, so that steps of milliseconds are seen too."""

    turn = threading.Lock()

    def __init__(self, desktop: Desktop, sha256: str):
        super().__init__(daemon=True)
        self.desktop, self.sha256 = desktop, sha256
        self.seen: list[str] = []
        self.start()

    def run(self) -> None:
        give_up_at = time.monotonic() + LIMIT_SECS
        reached = 0
        while reached < len(STEPS):
            before = reached
            while (reached := self.after_a_moment()) <= before:
                if time.monotonic() > give_up_at:
                    return
            cut_power(self.desktop)
            self.seen.append(STEPS[reached - 1])
            self.desktop.start()

    def after_a_moment(self) -> int:
        with Cutter.turn:
            if self.desktop.agent.popen.poll() is not None:
                # What died just before it may still have held the folder.
                self.desktop.start()
            pid = self.desktop.agent.popen.pid
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.0003)
            os.kill(pid, signal.SIGSTOP)
            return progress(self.desktop, self.sha256)


def test_agents_are_updated_under_load_with_power_cuts_and_survive_bad_builds(server, tmp_path):
    workspace = client(server)
    # None is the beginning of another: what runs below a folder is found by its name.
    names = [f"desk{number:02}" for number in range(AGENTS)]
    for name in names:
        create_user(workspace, name)
    desktops = [server.start_desktop(name, name) for name in names]
    wait_for(lambda: set(versions(server)) == set(names), "every agent", LIMIT_SECS)
    built = set(versions(server).values())
    assert len(built) == 1, built

    def application(name: str, body: str):
        return upload(
            workspace,
            name,
            install_type="QUIET_INSTALL",
            app_file_store=bucket(server, packages.shell_package(tmp_path, name, body)),
            install_command=packages.SHELL_INSTALL,
        )

    # An installer that lasts as long as the uncut desktops need for their update, and until it may end.
    slow = application(
        "slow", 'echo run >>"$root/runs"; tries=0; while [ ! -e "$root/may-end" ] && [ $tries -lt 3000 ]; do sleep 0.1; tries=$((tries+1)); done\n'
    )
    install(workspace, [slow.id], [user(name) for name in names])
    wait_for(lambda: all((desktop.sandbox / "runs").exists() for desktop in desktops), "the installers", LIMIT_SECS)

    good = stamped(tmp_path, "1.2.0")
    added = release(server, "add", str(good), "--version", "1.2.0")
    sha256 = added["programs"][0]["sha256"]
    assert (added["percent"], added["programs"][0]["version"]) == (0, "1.2.0")
    pids = {desktop.name: desktop.agent.popen.pid for desktop in desktops[:UNCUT]}
    begun = time.monotonic()
    cutters = [Cutter(desktop, sha256) for desktop in desktops[UNCUT:]]
    release(server, "roll-out", "1.2.0", "--percent", "100", "--trial-limit", "90")
    for cutter in cutters:
        cutter.join(LIMIT_SECS)
        assert cutter.seen[-1:] == STEPS[-1:], f"{cutter.desktop.name}: {cutter.seen}, {record(cutter.desktop)}"
    wait_for(lambda: versions(server) == dict.fromkeys(names, "1.2.0"), "1.2.0 everywhere", LIMIT_SECS)
    took = time.monotonic() - begun
    hits = Counter(step for cutter in cutters for step in cutter.seen)
    # Two of the steps are over so soon that not every run meets them, and few desktops not each of the others.
    assert hits.keys() & {"downloading", "downloaded"}, hits
    assert not FULL or hits.keys() | {"trial begun", "proven"} == set(STEPS), hits
    print(f"{AGENTS} agents updated in {took:.1f} s; power was cut when these steps were seen: {dict(hits)}")

    # The process stayed the same one: what systemd or a pid file knows of it still holds.
    for desktop in desktops[:UNCUT]:
        assert desktop.agent.popen.pid == pids[desktop.name]
        assert b"--chosen" in words_of(desktop.agent.popen.pid)
        assert (desktop.sandbox / "runs").read_text() == "run\n"
    # The results of installers that were begun under the old program are told by the new one, once.
    for desktop in desktops:
        (desktop.sandbox / "may-end").touch()
    ended = wait_for(
        lambda: (listed := jobs(workspace)) and all(job.job_status in ("SUCCESS", "FAIL") for job in listed) and listed,
        "the end of every job",
        LIMIT_SECS,
    )
    outcome = Counter(job.job_status for job in ended)
    assert outcome["SUCCESS"] >= UNCUT and sum(outcome.values()) == AGENTS, outcome
    shown = wait_for(
        lambda: (found := release(server, "show", "1.2.0"))["done"] == AGENTS and found, "every agent to say so", LIMIT_SECS
    )
    assert (shown["failed"], shown["refused"], shown["trying"]) == (0, 0, 0), shown

    # Builds that end at once, and that hang: the old program is back by itself, in the same process.
    for version, hangs, why in (("1.3.0", False, "it ended"), ("1.4.0", True, "not connected within 5 s")):
        pids = {desktop.name: desktop.agent.popen.pid for desktop in desktops}
        release(server, "add", str(bad(tmp_path, version, hangs)), "--version", version)
        release(server, "roll-out", version, "--percent", "100", "--trial-limit", "5", "--halt-after", "1000")
        failed = wait_for(
            lambda version=version: (found := release(server, "show", version))["failed"] == AGENTS and found,
            f"{version} to fail everywhere",
            LIMIT_SECS,
        )
        assert all(why in failure["detail"] for failure in failed["failures"]), failed["failures"]
        wait_for(lambda: versions(server) == dict.fromkeys(names, "1.2.0"), "1.2.0 to be back", LIMIT_SECS)
        assert {desktop.name: desktop.agent.popen.pid for desktop in desktops} == pids
        for desktop in desktops:
            desktop.agent.assert_running()

    # Power cut in the middle of the trial of a build that hangs, as often as it is tried.
    victim = desktops[-1]
    release(server, "resume", "1.4.0", "--retry-failed")
    for _ in range(2):
        wait_for(lambda: child_on_trial(victim.agent.popen.pid), "the trial", LIMIT_SECS)
        cut_power(victim)
        victim.start()
    wait_for(lambda: versions(server) == dict.fromkeys(names, "1.2.0"), "1.2.0 to be back", LIMIT_SECS)

    # A release that fails too often halts by itself, a release of before can not come back, bytes that are no program
    # of the agent make no release.
    release(server, "halt", "1.4.0")
    release(server, "add", str(bad(tmp_path, "1.5.0", hangs=False)), "--version", "1.5.0")
    release(server, "roll-out", "1.5.0", "--percent", "100", "--halt-after", "1")
    halted = wait_for(lambda: (found := release(server, "show", "1.5.0"))["halted"] and found, "the halt", LIMIT_SECS)
    assert "failed on as many" in halted["halt_reason"]
    foreign = server.request("POST", "/api/v1/agent-programs", data=b"\x7fELF nothing")
    assert foreign.status_code in (400, 403), foreign.text

    # And after all that the next good one arrives, and the fleet works.
    release(server, "add", str(stamped(tmp_path, "1.6.0")), "--version", "1.6.0")
    release(server, "roll-out", "1.6.0", "--percent", "100")
    wait_for(lambda: versions(server) == dict.fromkeys(names, "1.6.0"), "1.6.0 everywhere", LIMIT_SECS)
    after = application("after", 'mkdir -p "$root/opt"; echo done >"$root/opt/after"\n')
    install(workspace, [after.id], [user(name) for name in names])
    wait_for(lambda: all((desktop.sandbox / "opt/after").exists() for desktop in desktops), "the app", LIMIT_SECS)
    programs = {name.name for name in (desktops[0].state_dir / "programs").iterdir()}
    assert len(programs) == 2, "the one that runs and the one before it"
