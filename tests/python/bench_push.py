"""The agent onto many machines over SSH: by us, and by Ansible with 5 and with 50 forks doing the same list of steps, in one
run on one machine. `scripts/bench-push [HOSTS]` runs it; the figures go to docs/benchmarks.md.

Measured for each: wall time from the call until every agent has connected; processor time and largest resident memory of
what controls (our server; ansible-playbook with all its processes). The machines are those of `sshd.py`: real OpenSSH
servers, fresh for each way, on the same two processors."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from outfitter import ROOT, Server, wait_for
from sdk import client
from sshd import Hosts, stripped_agent
from test_push import connected, cpu_seconds, push, reach, register

LIMIT_SECS = 3600.0

PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - file: {{path: /opt/outfitter-agent, state: directory, mode: "0755"}}
    - copy: {{src: "{agent}", dest: /opt/outfitter-agent/outfitter-agent, mode: "0755"}}
    - command: /opt/outfitter-agent/outfitter-agent --version
    - copy: {{src: "{unit}", dest: /etc/systemd/system/outfitter-agent.service, mode: "0644"}}
    - shell: /opt/outfitter-agent/outfitter-agent enroll --server {server} --token - --state-dir /var/lib/outfitter-agent --name {{{{ inventory_hostname }}}}
      args: {{stdin: "{token}"}}
      no_log: true
    - shell: setsid /opt/outfitter-agent/outfitter-agent run --state-dir /var/lib/outfitter-agent </dev/null >/var/log/outfitter-agent.log 2>&1 &
"""


def resident_bytes(group: int) -> int:
    """Resident memory of every process of a session, shared pages counted in each."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getsid(int(entry.name)) == group:
                    total += int((entry / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            except (OSError, ValueError, IndexError):
                continue
    return total


class Peak:
    """The most of something, looked at ten times a second while the block runs."""

    def __init__(self, look):
        self.look, self.most, self.ended = look, 0, threading.Event()

    def __enter__(self) -> Peak:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def _run(self) -> None:
        while not self.ended.wait(0.1):
            self.most = max(self.most, self.look())

    def __exit__(self, *_error) -> None:
        self.ended.set()
        self.thread.join()


def machines(folder: Path, count: int) -> Hosts:
    hosts = Hosts(folder)
    for number in range(count):
        hosts.start(number)
    hosts.wait()
    return hosts


def report(what: str, count: int, wall: float, cpu: float, memory: int) -> None:
    print(f"| {what} | {count} | {wall:.1f} s | {cpu:.2f} s | {memory / 2**20:.0f} MiB |", flush=True)


def by_us(server: Server, folder: Path, count: int) -> None:
    hosts = machines(folder, count)
    try:
        ids = {}
        for number, host in enumerate(hosts.hosts):
            name = f"OURS-{number}"
            ids[name] = register(server, name)
            reach(server, ids[name], address=host.address, port=host.port, user="root", key=hosts.key)
        workspace = client(server)
        cpu, begun = cpu_seconds(server), time.monotonic()
        with Peak(lambda: resident_bytes(server.process.popen.pid)) as peak:
            push(workspace, list(ids.values()))
            wait_for(lambda: ids.keys() <= connected(server), "our agents", LIMIT_SECS)
        report("`outfitter agent install`", count, time.monotonic() - begun, cpu_seconds(server) - cpu, peak.most)
    finally:
        hosts.stop()


def by_ansible(server: Server, folder: Path, count: int, forks: int, agent: Path) -> None:
    hosts = machines(folder, count)
    try:
        (folder / "login").chmod(0o600)
        names = [f"ANSI{forks}-{number}" for number in range(count)]
        lines = [
            f"{name} ansible_host={host.address} ansible_port={host.port} ansible_user=root"
            for name, host in zip(names, hosts.hosts, strict=True)
        ]
        (folder / "inventory").write_text("\n".join(lines) + "\n")
        (folder / "playbook.yml").write_text(
            PLAYBOOK.format(
                agent=agent,
                unit=ROOT / "crates/push/src/outfitter-agent.service",
                server=server.endpoints["agent_endpoint"],
                token=server.bootstrap["enrollment_token"],
            )
        )
        (folder / "ansible.cfg").write_text("[defaults]\nhost_key_checking = False\n[ssh_connection]\npipelining = True\n")
        environment = {**os.environ, "ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "ANSIBLE_HOME": str(folder / "home")}
        command = [str(ROOT / ".tools/ansible/bin/ansible-playbook"), "--forks", str(forks), "--private-key", str(folder / "login")]
        command += ["-i", str(folder / "inventory"), str(folder / "playbook.yml")]
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        with (folder / "ansible.log").open("wb") as log:
            run = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
            with Peak(lambda: resident_bytes(run.pid)) as peak:
                status = run.wait(LIMIT_SECS)
                assert status == 0, (folder / "ansible.log").read_text(errors="replace")[-3000:]
                wait_for(lambda: set(names) <= connected(server), "Ansible's agents", LIMIT_SECS)
        wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        report(f"Ansible, {forks} forks", count, wall, cpu, peak.most)
    finally:
        hosts.stop()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    assert 1 <= count <= 100, "one call takes a hundred desktops"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        binaries = stripped_agent(folder / "agents-to-push")
        agent = binaries / "outfitter-agent"
        os.environ["OUTFITTER_AGENT_BINARIES"] = str(binaries)
        print(f"agent of {agent.stat().st_size / 2**20:.1f} MiB, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}\n")
        print("| way | machines | wall | processor of what controls | its memory, at most |\n| --- | --- | --- | --- | --- |")
        # A server for each way, so that each begins alike.
        for number, forks in enumerate((None, 50, 5)):
            place = folder / f"way-{number}"
            place.mkdir()
            server = Server.start(place)
            try:
                if forks is None:
                    by_us(server, place / "hosts", count)
                else:
                    by_ansible(server, place / "hosts", count, forks, agent)
            finally:
                server.stop()


if __name__ == "__main__":
    main()
