"""One long-lived server and its desktops as processes that can be killed, and a watch over the agents' journals."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests

from faults.apps import WITNESS, App
from faults.database import Database
from faults.gate import Gate
from faults.schedule import How, Kill
from outfitter import Desktop, Server, wait_for
from sdk import client, create_user

BATCH_AUTO_INSTALL = "/v1/{project_id}/app-center/apps/actions/batch-auto-install"
END_LIMIT_SECS = 180.0


@dataclass
class Journal:
    """What was seen of an agent's journal while it worked, by attempt (hex digits)."""

    desktop: Desktop
    evidence: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.desktop.state_dir / "attempts"

    def folders(self) -> dict[str, Path]:
        """Folders of attempts, without those on their way in or out, which have an extension."""
        try:
            return {path.name.partition("-")[0]: path for path in self.folder.iterdir() if not path.suffix}
        except FileNotFoundError:
            return {}

    def find(self, file: str) -> Path | None:
        return next((path / file for path in self.folders().values() if (path / file).exists()), None)

    def look(self) -> None:
        for attempt, path in self.folders().items():
            if attempt not in self.evidence:
                try:
                    envelope = json.loads((path / "receipt.json").read_text())
                    self.evidence[attempt] = base64.b64decode(envelope["payload"]).decode()
                except FileNotFoundError:
                    continue

    def ended(self) -> set[str]:
        """Attempts of which the agent's log says that their evidence is on disk."""
        text = re.sub(r"\x1b\[[0-9;]*m", "", self.desktop.agent.log.read_text(errors="replace"))
        lines = (line for line in text.splitlines() if "the attempt ended" in line)
        return {
            found.group(1).replace("-", "") for line in lines if (found := re.search(r"attempt\.id=\"?([0-9a-f-]{36})", line))
        }


class Fleet:
    """A server on fixed ports, so that those who know it find it again, and its desktops."""

    def __init__(self, folder: Path, database_url: str | None) -> None:
        self.server = Server.start(folder, database_url)
        self.database = Database(folder / "data", database_url)
        self.journals: dict[str, Journal] = {}
        self.kills: Counter[str] = Counter()
        self.server_kills_since_start: Counter[str] = Counter()
        self._gates: list[Gate] = []
        self._stopped = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        try:
            _keep_ports(self.server)
            self.workspace = client(self.server)
            self._watch.start()
        except BaseException:
            self.server.stop()
            raise

    def stop(self) -> None:
        self._stopped.set()
        self._watch.join()
        self.server.stop()
        for gate in self._gates:
            gate.close()

    def _look(self) -> None:
        while not self._stopped.wait(0.02):
            for journal in list(self.journals.values()):
                journal.look()

    # --- desktops

    def add_desktop(self, name: str) -> Desktop:
        """A desktop with a user of the same name."""
        create_user(self.workspace, name)
        desktop = self.server.start_desktop(name, name)
        self.journals[name] = Journal(desktop)
        wait_for(
            lambda: self.database.rows(f"SELECT id FROM desktop WHERE name = '{name}' AND channel_epoch > 0"),
            f"the channel of {name}",
        )
        return desktop

    def add_desktop_behind_gate(self, name: str) -> tuple[Desktop, Gate]:
        gate = Gate(lambda: _host_and_port(direct))
        self._gates.append(gate)
        direct = self.server.endpoints["agent_endpoint"]
        self.server.endpoints["agent_endpoint"] = gate.address
        try:
            return self.add_desktop(name), gate
        finally:
            self.server.endpoints["agent_endpoint"] = direct

    # --- kills

    def kill_server(self, how: How = How.PROCESS) -> None:
        _kill(self.server.process.popen, how)
        self.kills["server"] += 1
        for desktop in self.server.desktops:
            self.server_kills_since_start[desktop.name] += 1

    def start_server(self) -> None:
        self.server.restart()

    def kill_agent(self, desktop: Desktop, how: How = How.PROCESS) -> None:
        if how is How.DESKTOP:
            _cut_power(desktop)
        else:
            _kill(desktop.agent.popen, how)
        self.kills[f"agent ({how.name.lower()})"] += 1

    def start_agent(self, desktop: Desktop) -> None:
        desktop.start()
        self.server_kills_since_start[desktop.name] = 0

    def carry_out(self, desktop: Desktop | None, kills: list[Kill], begun_at: float) -> None:
        """The kills of one victim, each followed by its restart; `None` is the server."""
        for kill in kills:
            time.sleep(max(0.0, begun_at + kill.at_secs - time.monotonic()))
            if desktop is None:
                self.kill_server(kill.how)
            else:
                self.kill_agent(desktop, kill.how)
            time.sleep(kill.down_secs)
            if desktop is None:
                self.start_server()
            else:
                self.start_agent(desktop)

    def hurry_agents(self) -> None:
        """Kills agents that lost their server more than once: they would wait long before they come back."""
        for desktop in self.server.desktops:
            if self.server_kills_since_start[desktop.name] > 1:
                self.kill_agent(desktop, How.GROUP)
                self.start_agent(desktop)

    # --- work

    def upload(self, app: App) -> str:
        """Uploads package and app; answers with the app's id."""
        store = self.server.upload_package(app.file)["bucket_store"]
        answer = self.server.request(
            "POST",
            "/v1/{project_id}/app-center/apps",
            json={
                "name": app.name,
                "version": "1.0",
                "description": "made by the fault proof",
                "authorization_type": "ASSIGN_USER",
                "app_file_store": {
                    "store_type": "OBS",
                    "bucket_store": {key: store[key] for key in ("bucket_name", "bucket_file_path")},
                },
                "install_type": app.install_type,
                "install_command": app.command,
                "support_os": "Linux",
                "catalog_id": "1",
            },
        )
        assert answer.status_code in (200, 201), f"{answer.status_code} {answer.text}"
        return answer.json()["id"]

    def install(self, app_ids: list[str], users: list[str]) -> str:
        """Calls batch-auto-install until it is accepted, however often the server dies; answers with the deployment.

        A call that died with the server may have been accepted too: nobody was told, so nobody relies on it.
        """
        body = {
            "app_ids": app_ids,
            "assign_scope": "ASSIGN_USER",
            "users": [{"account": user, "account_type": "SIMPLE", "platform_type": "LOCAL"} for user in users],
        }
        accepted: list[str] = []

        def call() -> bool:
            try:
                answer = self.server.request("POST", BATCH_AUTO_INSTALL, json=body)
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                return False
            if answer.status_code == 503:
                return False
            assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
            accepted.append(answer.headers["X-Deployment-Id"].replace("-", ""))
            return True

        wait_for(call, "batch-auto-install to be accepted", END_LIMIT_SECS)
        return accepted[0]

    def wait_until_quiet(self) -> None:
        """Waits until every job has ended and every agent's journal is empty."""

        def busy() -> dict[str, object]:
            waiting = {name: sorted(journal.folders()) for name, journal in self.journals.items() if journal.folders()}
            return {**self.database.open_work(), **({"journals": waiting} if waiting else {})}

        last: dict[str, object] = {}

        def quiet() -> bool:
            last.clear()
            last.update(busy())
            return not last

        try:
            wait_for(quiet, "every job to end (I4)", END_LIMIT_SECS)
        except AssertionError as error:
            raise AssertionError(f"{error}; still open: {last}") from None


def witness(desktop: Desktop) -> list[tuple[str, str]]:
    """The lines of the desktop's witness file: what, and the attempt."""
    try:
        lines = (desktop.sandbox / WITNESS).read_text().splitlines()
    except FileNotFoundError:
        return []
    return [(what, attempt) for what, attempt, *_ in map(str.split, lines)]


def _keep_ports(server: Server) -> None:
    """Replaces port 0 by the ports that were bound."""
    for option, endpoint in (
        ("--listen", "endpoint"),
        ("--agent-listen", "agent_endpoint"),
        ("--bucket-listen", "bucket_endpoint"),
    ):
        host, port = _host_and_port(server.endpoints[endpoint])
        server.arguments[server.arguments.index(option) + 1] = f"{host}:{port}"


def _host_and_port(endpoint: str) -> tuple[str, int]:
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    assert parts.hostname and parts.port, endpoint
    return parts.hostname, parts.port


def _kill(popen, how: How) -> None:
    if how is How.GROUP:
        os.killpg(popen.pid, signal.SIGKILL)
    else:
        os.kill(popen.pid, signal.SIGKILL)
    popen.wait()


def _cut_power(desktop: Desktop) -> None:
    """Ends agent, supervisor and installer as one: all are stopped before the first of them dies."""
    _each_process_of(desktop, signal.SIGSTOP)
    _kill(desktop.agent.popen, How.GROUP)
    while _each_process_of(desktop, signal.SIGKILL):
        time.sleep(0.01)
    with (desktop.sandbox / WITNESS).open("a") as file:
        file.write(f"cut - - {time.time_ns() // 1_000_000}\n")


def _each_process_of(desktop: Desktop, signal_number: int) -> int:
    """Signals what has the desktop's folders in its command line or works in its sandbox; answers with the number."""
    needle, sandbox, hit = str(desktop.state_dir).encode(), str(desktop.sandbox), 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if needle in (entry / "cmdline").read_bytes() or os.readlink(entry / "cwd").startswith(sandbox):
                os.kill(int(entry.name), signal_number)
                hit += 1
        except (OSError, ProcessLookupError):
            continue
    return hit
