"""Real OpenSSH servers, each a machine of its own as far as a push can see: own root folder, own address, own keys.

A root folder is an overlay over this machine's, with the changes in memory; the server runs inside it (chroot) in a
mount namespace that ends with it. That needs root. What runs in the folder is found by its root, and ended with it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from outfitter import AGENT_BINARY, wait_for

SSHD = "/usr/sbin/sshd"
LIGHT = "operator"  # A user who is not root, and may not use sudo unless a test says so.

_START = r"""
set -eu
folder=$1 size=$2 address=$3 port=$4
mount -t tmpfs -o "size=$size,mode=755" tmpfs "$folder/memory"
mkdir "$folder/memory/upper" "$folder/memory/work" "$folder/memory/root"
root=$folder/memory/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/memory/upper,workdir=$folder/memory/work" "$root"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
home=$root/root
mkdir -p "$root/run/sshd" "$root/etc/systemd/system" "$home/.ssh" "$root/home/operator/.ssh" "$root/tmp"
rm -rf "$root/opt" "$root/var/lib/outfitter-agent" "$root/run/systemd/system"
mkdir -p "$root/opt"
rm -f "$home/.bashrc" "$home/.bash_profile"
grep -q "^operator:" "$root/etc/passwd" || echo "operator:x:4711:4711::/home/operator:/bin/sh" >>"$root/etc/passwd"
grep -q "^operator:" "$root/etc/shadow" || echo "operator:*:19000:0:99999:7:::" >>"$root/etc/shadow"
cat "$folder/machine-id" >"$root/etc/machine-id"
install -m 600 "$folder/authorized_keys" "$home/.ssh/authorized_keys"
install -m 600 "$folder/authorized_keys" "$root/home/operator/.ssh/authorized_keys"
chown -R 4711:4711 "$root/home/operator"
install -m 600 "$folder/host_key" "$root/etc/ssh_host_key"
install -m 600 "$folder/sshd_config" "$root/etc/sshd_config"
sh "$folder/mend" "$root"
exec chroot "$root" /usr/sbin/sshd -D -e -f /etc/sshd_config
"""


def generate_key(path: Path) -> str:
    """A key pair; answers its fingerprint."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    shown = subprocess.run(["ssh-keygen", "-lf", f"{path}.pub"], check=True, capture_output=True, text=True)
    return shown.stdout.split()[1]


def stripped_agent(folder: Path) -> Path:
    """A folder with the agent as packages have it, without debugging information: for --agent-binaries."""
    folder.mkdir()
    subprocess.run(["strip", "-o", str(folder / "outfitter-agent"), str(AGENT_BINARY)], check=True)
    return folder


@dataclass
class Host:
    """One machine with an OpenSSH server."""

    folder: Path
    address: str
    port: int
    fingerprint: str
    process: subprocess.Popen = field(repr=False)

    @property
    def root(self) -> Path:
        """Its root folder, seen from outside."""
        return Path(f"/proc/{self.process.pid}/root")

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


class Hosts:
    """The machines of one test."""

    def __init__(self, folder: Path):
        assert os.geteuid() == 0, "machines with roots of their own need root: run the tests as root or in a container"
        assert Path(SSHD).exists(), f"{SSHD} is missing: run `scripts/need openssh`"
        self.folder = folder
        self.hosts: list[Host] = []
        self.closers: list = []
        folder.mkdir()
        generate_key(folder / "login")
        self.key = (folder / "login").read_text()

    def start(self, number: int, *, settings: str = "", mend: str = "", size: str = "96m") -> Host:
        """A machine at 127.1.x.y; `settings` are lines of sshd_config, `mend` is a script that gets its root folder."""
        folder = self.folder / f"host-{number}"
        (folder / "memory").mkdir(parents=True)
        address = f"127.1.{number // 200}.{number % 200 + 1}"
        with socket.socket() as free:
            free.bind((address, 0))
            port = free.getsockname()[1]
        fingerprint = generate_key(folder / "host_key")
        shutil.copy(self.folder / "login.pub", folder / "authorized_keys")
        (folder / "machine-id").write_text(f"{number:032x}\n")
        (folder / "mend").write_text(mend)
        (folder / "sshd_config").write_text(
            # Of two lines about one thing the first counts.
            f"{settings}\nListenAddress {address}\nPort {port}\nHostKey /etc/ssh_host_key\nPidFile none\nUsePAM no\n"
            "PermitRootLogin yes\nPasswordAuthentication no\nStrictModes no\nMaxStartups 100\nUseDNS no\n"
        )
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", _START, "start"]
                + [str(folder), size, address, str(port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        host = Host(folder, address, port, fingerprint, process)
        self.hosts.append(host)
        return host

    def wait(self) -> None:
        """Until every server listens."""
        for host in self.hosts:

            def listens(host=host) -> bool:
                assert host.process.poll() is None, f"sshd of {host.folder.name} ended:\n{host.log()}"
                try:
                    with socket.create_connection((host.address, host.port), timeout=1):
                        return True
                except OSError:
                    return False

            wait_for(listens, f"sshd of {host.folder.name}")

    def refusing(self) -> tuple[str, int]:
        """Where nothing listens."""
        with socket.socket() as free:
            free.bind(("127.1.9.1", 0))
            return free.getsockname()

    def silent(self) -> tuple[str, int]:
        """Something that accepts connections and never says a word."""
        listener = socket.create_server(("127.1.9.2", 0))
        self.closers.append(listener.close)
        held = []

        def accept() -> None:
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        return listener.getsockname()

    def cutting(self, host: Host, after_bytes: int) -> Cutter:
        """A way to a host that is cut after so many bytes towards it, until it is mended."""
        cutter = Cutter(host, after_bytes)
        self.closers.append(cutter.listener.close)
        return cutter

    def stop(self) -> None:
        for close in self.closers:
            close()
        ours = os.stat("/")
        roots = set()
        for host in self.hosts:
            try:
                facts = os.stat(host.root)
            except OSError:
                continue
            # One that failed to start still has this machine's root: nothing of ours runs there.
            if (facts.st_dev, facts.st_ino) != (ours.st_dev, ours.st_ino):
                roots.add((facts.st_dev, facts.st_ino))
        # Agents that were started there are children of nobody; they are known by their root folder.
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                facts = os.stat(entry / "root")
                if (facts.st_dev, facts.st_ino) in roots:
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue
        for host in self.hosts:
            host.process.kill()
            host.process.wait()


class Cutter:
    """Passes bytes to a host, and cuts the connection in the middle of an upload until told otherwise."""

    def __init__(self, host: Host, after_bytes: int):
        self.host, self.after_bytes = host, after_bytes
        self.listener = socket.create_server(("127.1.9.3", 0))
        self.address, self.port = self.listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def mend(self) -> None:
        self.after_bytes = 1 << 40

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection((self.host.address, self.host.port))
            threading.Thread(target=self._pass, args=(client, server, self.after_bytes), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, 1 << 40), daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket, limit: int) -> None:
        passed = 0
        try:
            while data := source.recv(65536):
                passed += len(data)
                if passed > limit:
                    break
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
