"""One idle agent beside one idle salt-minion (PyPI `salt`), both connected to a server on this machine, in the same minutes.
`scripts/bench-idle [MINUTES]` runs it; the figures go to docs/benchmarks.md.

Measured of each, with all its processes: proportional set size (its own pages, and its share of those that others have
too), resident set size (whole, those of others too), processor time, and how often its threads gave up the processor of
their own accord, which is how often they woke."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from outfitter import ROOT, Process, Server, wait_for
from sshd import stripped_agent
from test_push import connected

SALT = ROOT / ".tools/salt/bin"
SETTLE_SECS = 60


@dataclass
class Use:
    pss_kib: int = 0
    rss_kib: int = 0
    cpu_secs: float = 0.0
    wakeups: int = 0
    processes: int = 0
    threads: int = 0


def use_of(session: int) -> Use:
    """What all processes of a session use now, or have used so far."""
    use = Use()
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or os.getsid(int(entry.name)) != session:
                continue
            memory = dict(line.split()[:2] for line in (entry / "smaps_rollup").read_text().splitlines()[1:])
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
            use.pss_kib += int(memory["Pss:"])
            use.rss_kib += int(memory["Rss:"])
            use.cpu_secs += (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
            use.processes += 1
            for task in (entry / "task").iterdir():
                status = (task / "status").read_text()
                use.wakeups += int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])
                use.threads += 1
        except (OSError, ProcessLookupError):
            continue
    return use


def salt(folder: Path) -> tuple[Process, Process]:
    """A master and a minion of their own folders, as they are configured when they are installed; the minion is connected."""
    common = f"root_dir: {folder}\nuser: {os.environ.get('USER', 'root')}\ninterface: 127.0.0.1\n"
    for role in ("master", "minion"):
        (folder / role).mkdir()
    (folder / "master/master").write_text(common + "auto_accept: True\npublish_port: 24505\nret_port: 24506\n")
    (folder / "minion/minion").write_text(common + "master: 127.0.0.1\nmaster_port: 24506\npublish_port: 24505\nid: idle\n")
    processes = []
    for role in ("master", "minion"):
        command = [str(SALT / f"salt-{role}"), "-c", str(folder / role), "-l", "warning"]
        processes.append(Process.start(f"salt-{role}", command, folder / f"{role}.log"))

    def answers() -> bool:
        ping = [str(SALT / "salt"), "-c", str(folder / "master"), "-t", "5", "--out", "txt", "idle", "test.ping"]
        return "True" in subprocess.run(ping, capture_output=True, text=True, check=False).stdout

    wait_for(answers, "the minion", 180.0)
    return processes[0], processes[1]


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        agent = stripped_agent(folder / "binaries") / "outfitter-agent"
        server = Server.start(folder)
        running: list[Process] = []
        try:
            (folder / "salt").mkdir()
            running += salt(folder / "salt")
            # As packages have it, and as a service runs it: without a sandbox.
            enroll = [str(agent), "enroll", "--server", server.endpoints["agent_endpoint"].split("://")[-1].rstrip("/")]
            enroll += ["--token", server.bootstrap["enrollment_token"], "--state-dir", str(folder / "agent"), "--name", "IDLE"]
            assert Process.start("enrollment", enroll, folder / "agent.log").popen.wait(60) == 0, (folder / "agent.log").read_text()
            run = [str(agent), "run", "--state-dir", str(folder / "agent")]
            running.append(Process.start("agent", run, folder / "agent.log"))
            wait_for(lambda: connected(server), "the agent")
            time.sleep(SETTLE_SECS)
            watched = {"`outfitter-agent`": running[2], "`salt-minion`": running[1]}
            before = {name: use_of(process.popen.pid) for name, process in watched.items()}
            time.sleep(minutes * 60)
            version = subprocess.run([str(SALT / "salt-minion"), "--version"], capture_output=True, text=True, check=True).stdout
            print(f"agent of {agent.stat().st_size / 2**20:.1f} MiB ({os.environ.get('OUTFITTER_BUILT', 'debug')} build), {version.strip()}, {minutes:g} minutes\n")
            print("| idle for the same minutes | memory: PSS, RSS | processes, threads | processor time | wakeups |\n| --- | --- | --- | --- | --- |")
            for name, process in watched.items():
                process.assert_running()
                was, now = before[name], use_of(process.popen.pid)
                cpu, wakeups = (now.cpu_secs - was.cpu_secs) / minutes, (now.wakeups - was.wakeups) / minutes
                print(f"| {name} | {now.pss_kib / 1024:.1f}, {now.rss_kib / 1024:.1f} MiB | {now.processes}, {now.threads} | {cpu:.3f} s a minute | {wakeups:.1f} a minute |")
        finally:
            for process in reversed(running):
                process.stop()
            server.stop()


if __name__ == "__main__":
    main()
