"""The agent under a real systemd: pushed there, then restarted, updated and killed in the middle of an install, and started
again after a power cut of the whole machine.

The machine is systemd in namespaces of its own (systemd-nspawn) over this machine's files, with the changes in memory. That
needs root."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from outfitter import wait_for
from sdk import bucket, client, create_user, ended_jobs, install, upload, user
from sshd import generate_key
from test_agent_updates import release, stamped, versions
from test_push import ended, push, pushing, reach  # noqa: F401  (a fixture among them)

LIMIT_SECS = 120.0
UNIT = "outfitter-agent.service"

_BOOT = r"""
set -eu
folder=$1
mount -t tmpfs -o size=256m,mode=755 tmpfs "$folder/memory"
mkdir "$folder/memory/upper" "$folder/memory/work" "$folder/memory/root"
root=$folder/memory/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/memory/upper,workdir=$folder/memory/work" "$root"
# Nothing that this machine starts, and nothing that a test left.
rm -rf "$root/etc/systemd/system" "$root/etc/init.d" "$root"/etc/rc?.d "$root/opt" "$root/srv" "$root/var/lib/outfitter-agent"
wants=$root/etc/systemd/system/multi-user.target.wants
home=$root$HOME
mkdir -p "$wants" "$root/opt" "$root/srv" "$home/.ssh"
rm -f "$home/.bashrc"
cat "$folder/machine-id" >"$root/etc/machine-id"
ln -s /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
install -m 600 "$folder/login.pub" "$home/.ssh/authorized_keys"
install -m 600 "$folder/host_key" "$root/etc/ssh_host_key"
install -m 600 "$folder/sshd_config" "$root/etc/sshd_config"
install -m 644 "$folder/test-sshd.service" "$root/etc/systemd/system/test-sshd.service"
ln -s ../test-sshd.service "$wants/test-sshd.service"
# Power that was cut comes back.
while [ ! -e "$folder/off" ]; do
    systemd-nspawn --directory "$root" --boot --register=no --keep-unit --quiet --console=pipe || true
done
"""


class Machine:
    """A machine that systemd runs, with an OpenSSH server at 127.1.200.1."""

    def __init__(self, folder: Path):
        assert os.geteuid() == 0, "a machine of its own needs root: run the tests as root or in a container"
        for tool in ("systemd-nspawn", "nsenter"):
            assert shutil.which(tool), f"{tool} is missing: run `scripts/need nspawn`"
        self.folder = folder
        (folder / "memory").mkdir(parents=True)
        self.address = "127.1.200.1"
        with socket.socket() as free:
            free.bind((self.address, 0))
            self.port = free.getsockname()[1]
        generate_key(folder / "login")
        generate_key(folder / "host_key")
        self.key = (folder / "login").read_text()
        (folder / "machine-id").write_text(f"{os.urandom(16).hex()}\n")
        (folder / "sshd_config").write_text(
            f"ListenAddress {self.address}\nPort {self.port}\nHostKey /etc/ssh_host_key\nPidFile none\nUsePAM no\n"
            "PermitRootLogin yes\nPasswordAuthentication no\nStrictModes no\nUseDNS no\n"
        )
        (folder / "test-sshd.service").write_text(
            "[Service]\nRuntimeDirectory=sshd\nExecStart=/usr/sbin/sshd -D -e -f /etc/sshd_config\n"
        )
        with (folder / "log").open("wb") as log:
            self.popen = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", _BOOT, "boot", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait()

    def init(self) -> int | None:
        """Process id of its systemd, as it is seen from outside."""
        waiting = [self.popen.pid]
        while waiting:
            pid = waiting.pop()
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            except OSError:
                continue
            spaces = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
            if len(spaces) > 1 and spaces[-1] == "1" and "Name:\tsystemd\n" in status:
                return pid
            waiting += [int(child) for child in children]
        return None

    @property
    def root(self) -> Path:
        return Path(f"/proc/{self.init()}/root")

    def wait(self) -> None:
        def runs() -> bool:
            assert self.popen.poll() is None, (self.folder / "log").read_text(errors="replace")
            if not self.init() or self.run("systemctl", "is-active", "multi-user.target", check=False) != "active":
                return False
            try:
                with socket.create_connection((self.address, self.port), timeout=1):
                    return True
            except OSError:
                return False

        wait_for(runs, "the machine", LIMIT_SECS)

    def run(self, *words: str, check: bool = True) -> str:
        """Runs a command on the machine, as its root."""
        command = ["nsenter", "--target", str(self.init()), "--all", "--root", "--wd", "--", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0 or not check, f"{words}: {done.stdout} {done.stderr}"
        return done.stdout.strip()

    def shown(self, what: str) -> str:
        return self.run("systemctl", "show", UNIT, "--property", what, "--value")

    def cut_power(self) -> None:
        """Ends everything on the machine at once; it starts again by itself."""
        before = self.init()
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: self.init() not in (None, before), "the next boot", LIMIT_SECS)
        self.wait()

    def off(self) -> None:
        (self.folder / "off").touch()
        if pid := self.init():
            os.kill(pid, signal.SIGKILL)
        try:
            self.popen.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path / "machine")
    try:
        yield machine
    finally:
        machine.off()


def script(folder: Path, name: str, body: str) -> Path:
    path = folder / f"{name}.run"
    path.write_text(f"#!/bin/sh\nset -eu\n{body}\n")
    return path


def test_a_unit_is_restarted_updated_and_killed_in_the_middle_of_an_install(pushing, machine, tmp_path):  # noqa: F811
    server, workspace = pushing, client(pushing)
    create_user(workspace, "ana")
    body = {"name": "UNIT", "os_type": "Linux", "users": ["ana"]}
    answer = server.request("POST", "/api/v1/{project_id}/desktops", json=body)
    assert answer.status_code == 201, answer.text
    desktop = answer.json()["id"]
    reach(server, desktop, address=machine.address, port=machine.port, user="root", key=machine.key)
    pushed = ended(server, push(workspace, [desktop]))["UNIT"]
    assert pushed.status == "SUCCESS", f"{pushed.fail_reason}\n{machine.run('journalctl', '-n', '50', check=False)}"
    assert "detached" not in (pushed.message or "")
    assert (machine.shown("ActiveState"), machine.shown("UnitFileState")) == ("active", "enabled")

    def application(name: str, text: str):
        return upload(
            workspace,
            name,
            install_type="QUIET_INSTALL",
            app_file_store=bucket(server, script(tmp_path, name, text)),
            install_command="sh ${FILE_PATH}",
        )

    slow = application(
        "slow", "echo run >>/srv/runs; echo $$ >/srv/pid; until [ -e /srv/may-end ]; do sleep 0.1; done; echo end >>/srv/runs"
    )
    install(workspace, [slow.id], [user("ana")])
    wait_for(lambda: (machine.root / "srv/pid").exists(), "the installer", LIMIT_SECS)
    installer = (machine.root / "srv/pid").read_text().strip()

    def lives() -> bool:
        return bool(machine.run("cat", f"/proc/{installer}/cmdline", check=False))

    group = machine.run("cat", f"/proc/{installer}/cgroup")
    assert "outfitter-attempt-" in group and UNIT not in group, "it is in a scope of its own"

    # Restarted: the whole control group of the unit ends, and the installer is not in it.
    machine.run("systemctl", "restart", UNIT)
    assert lives()
    wait_for(lambda: versions(server).get("UNIT"), "the agent after its restart", LIMIT_SECS)

    # Updated: systemd sees the same process all along.
    release(server, "add", str(stamped(tmp_path, "1.2.0")), "--version", "1.2.0")
    before = machine.shown("MainPID")
    release(server, "roll-out", "1.2.0", "--percent", "100")
    wait_for(lambda: release(server, "show", "1.2.0")["done"] == 1, "the update", LIMIT_SECS)
    assert (machine.shown("MainPID"), machine.shown("NRestarts")) == (before, "0")
    assert "/programs/" in machine.run("readlink", f"/proc/{before}/exe")
    assert versions(server) == {"UNIT": "1.2.0"}
    assert lives()

    # Killed: systemd starts the installed program, which becomes the newer one.
    machine.run("kill", "-9", before)
    wait_for(lambda: machine.shown("NRestarts") == "1" and machine.shown("ActiveState") == "active", "the restart", LIMIT_SECS)
    wait_for(lambda: "/programs/" in machine.run("readlink", f"/proc/{machine.shown('MainPID')}/exe", check=False), "1.2.0", LIMIT_SECS)
    assert lives()

    # The result arrives, once.
    (machine.root / "srv/may-end").touch()
    assert [job.job_status for job in ended_jobs(workspace, 1)] == ["SUCCESS"]
    assert (machine.root / "srv/runs").read_text() == "run\nend\n"

    # The power of the whole machine is cut: the unit starts the agent again, and it works.
    machine.cut_power()
    after = application("after", "echo done >/srv/after")
    install(workspace, [after.id], [user("ana")])
    wait_for(lambda: (machine.root / "srv/after").exists(), "the app after the power cut", LIMIT_SECS)
    assert versions(server) == {"UNIT": "1.2.0"}
    assert "/programs/" in machine.run("readlink", f"/proc/{machine.shown('MainPID')}/exe")
