"""A server and its desktops as real processes, for tests: started, waited for, driven and killed.

Nothing here knows what the product should answer; that is in the tests.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import requests

ROOT = Path(__file__).resolve().parents[2]
# Tests use what `scripts/build` made, benchmarks what `scripts/build release` did.
BUILT = os.environ.get("OUTFITTER_BUILT", "debug")
SERVER_BINARY = ROOT / "target" / BUILT / "outfitter"
AGENT_BINARY = ROOT / "target" / ("agent" if BUILT == "release" else BUILT) / "outfitter-agent"
T = TypeVar("T")
START_LIMIT_SECS = 60.0


def wait_for(condition: Callable[[], T], what: str, limit_secs: float = START_LIMIT_SECS) -> T:
    """The first truthy answer of the condition; fails with what was waited for, and the last answer, after the limit."""
    give_up_at = time.monotonic() + limit_secs
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > give_up_at:
            raise AssertionError(f"waited {limit_secs} s in vain for {what}; last answer: {answer!r}")
        time.sleep(0.05)


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@dataclass
class Process:
    """A program of ours with its output in a file, in a process group of its own."""

    name: str
    popen: subprocess.Popen
    log: Path

    @classmethod
    def start(cls, name: str, arguments: list[str], log: Path, environment: dict[str, str] | None = None) -> Process:
        if not Path(arguments[0]).exists():
            raise AssertionError(f"{arguments[0]} is missing: run `make test`, or `scripts/build` first")
        with log.open("ab") as output:
            popen = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        return cls(name, popen, log)

    def assert_running(self) -> None:
        status = self.popen.poll()
        assert status is None, f"{self.name} ended with {status}:\n{self.tail()}"

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def kill(self) -> None:
        """kill -9 of the whole group: what a power cut looks like to the program."""
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()

    def stop(self) -> None:
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(timeout=10)
            except subprocess.TimeoutExpired:
                pass
        self.kill()


def kill_all_below(folder: Path) -> None:
    """Kills what still runs with this folder in its command line: supervisors leave their agent's group on purpose."""
    needle = str(folder).encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if needle in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
        except (OSError, ProcessLookupError):
            continue


@dataclass
class Desktop:
    """A desktop whose agent runs, with a folder in the place of its file system."""

    name: str
    user: str | None
    state_dir: Path
    sandbox: Path
    agent: Process

    def restart(self) -> None:
        self.agent.stop()
        self.start()

    def start(self) -> None:
        """Starts the agent again; it must have ended."""
        self.agent = _run_agent(self.name, self.state_dir, self.agent.log)


def _run_agent(name: str, state_dir: Path, log: Path) -> Process:
    return Process.start(f"agent {name}", [str(AGENT_BINARY), "run", "--state-dir", str(state_dir)], log)


@dataclass
class Server:
    """A server of its own: its folder, its endpoints, its administrator."""

    folder: Path
    process: Process
    arguments: list[str]
    bootstrap: dict[str, str]
    endpoints: dict[str, str]
    desktops: list[Desktop] = field(default_factory=list)
    _token: tuple[str, str] | None = None

    @classmethod
    def start(cls, folder: Path, database_url: str | None = None, options: list[str] | None = None) -> Server:
        data = folder / "data"
        arguments = [str(SERVER_BINARY), "serve", "--data-dir", str(data)]
        for listener in ("--listen", "--agent-listen", "--bucket-listen"):
            arguments += [listener, "127.0.0.1:0"]
        if database_url:
            arguments += ["--database-url", database_url]
        arguments += options or []
        process = Process.start("server", arguments, folder / "server.log")
        try:
            bootstrap = _json_when_there(process, data / "bootstrap.json")
            endpoints = _ready(process, data)
        except BaseException:
            process.stop()
            raise
        return cls(folder, process, arguments, bootstrap, endpoints)

    @classmethod
    def join(cls, folder: Path, first: Server, database_url: str, options: list[str]) -> Server:
        """Another server over the first one's database; who initialised that has the secrets."""
        data = folder / "data"
        arguments = [str(SERVER_BINARY), "serve", "--data-dir", str(data), "--database-url", database_url, *options]
        for listener in ("--listen", "--agent-listen", "--bucket-listen"):
            arguments += [listener, "127.0.0.1:0"]
        process = Process.start("joined server", arguments, folder / "server.log")
        try:
            endpoints = _ready(process, data)
        except BaseException:
            process.stop()
            raise
        return cls(folder, process, arguments, first.bootstrap, endpoints)

    def restart(self) -> None:
        """Starts it again on the same folder; port 0 means that the endpoints may change."""
        self.process.stop()
        (self.folder / "data/endpoints.json").unlink(missing_ok=True)
        self.process = Process.start("server", self.arguments, self.process.log)
        self.endpoints = _ready(self.process, self.folder / "data")

    def stop(self) -> None:
        for desktop in self.desktops:
            desktop.agent.stop()
        self.process.stop()
        kill_all_below(self.folder)

    def logs(self) -> Iterator[tuple[str, str]]:
        for process in [self.process, *(desktop.agent for desktop in self.desktops)]:
            yield process.name, process.tail()

    # What no SDK call does: the product's own routes, and the token that opens them.

    def token(self) -> tuple[str, str]:
        """A token scoped to the first project, and that project's id."""
        if self._token is None:
            answer = requests.post(
                f"{self.endpoints['endpoint']}/v3/auth/tokens",
                json={
                    "auth": {
                        "identity": {
                            "methods": ["password"],
                            "password": {
                                "user": {
                                    "name": self.bootstrap["user_name"],
                                    "password": self.bootstrap["password"],
                                    "domain": {"name": self.bootstrap["domain_name"]},
                                }
                            },
                        },
                        "scope": {"project": {"name": self.bootstrap["region"]}},
                    }
                },
                timeout=30,
            )
            assert answer.status_code == 201, answer.text
            self._token = (answer.headers["X-Subject-Token"], answer.json()["token"]["project"]["id"])
        return self._token

    @property
    def project_id(self) -> str:
        return self.token()[1]

    def request(self, method: str, path: str, **arguments) -> requests.Response:
        """A call with the token; `{project_id}` in the path is filled in."""
        headers = {"X-Auth-Token": self.token()[0], **arguments.pop("headers", {})}
        path = path.replace("{project_id}", self.project_id)
        return requests.request(
            method, self.endpoints["endpoint"] + path, headers=headers, timeout=60, allow_redirects=False, **arguments
        )

    def answers(self) -> dict[tuple[str, int], int]:
        """How often each operation gave which status, by the server's own counters."""
        text = requests.get(f"{self.endpoints['endpoint']}/metrics", timeout=30).text
        found = re.findall(r'^outfitter_http_answers_total\{operation="(\w+)",status="(\d+)"\} (\d+)$', text, re.M)
        return {(operation, int(status)): int(times) for operation, status, times in found}

    def upload_package(self, file: Path) -> dict:
        """Streams a package into the project's bucket; the answer's `bucket_store` is what UploadApp wants."""
        with file.open("rb") as body:
            answer = self.request(
                "POST",
                "/api/v1/{project_id}/packages",
                params={"file_name": file.name},
                data=body,
                headers={"Content-Type": "application/octet-stream"},
            )
        assert answer.status_code in (200, 201), f"{answer.status_code} {answer.text}"
        return answer.json()

    def register_desktop(self, name: str, users: list[str]) -> None:
        """Makes a desktop without an agent: what is installed there waits."""
        answer = self.request(
            "POST", "/api/v1/{project_id}/desktops", json={"name": name, "os_type": "Linux", "users": users}
        )
        assert answer.status_code in (200, 201), f"{answer.status_code} {answer.text}"

    def start_desktop(self, name: str, user: str | None) -> Desktop:
        """Registers a desktop, enrolls an agent for it and leaves the agent running."""
        self.register_desktop(name, [user] if user else [])
        state_dir, sandbox = self.folder / "agents" / name, self.folder / "desktops" / name
        for folder in (state_dir, sandbox):
            folder.mkdir(parents=True)
        log = self.folder / f"agent-{name}.log"
        arguments = [str(AGENT_BINARY), "enroll", "--server", self.endpoints["agent_endpoint"].split("://")[-1].rstrip("/")]
        arguments += ["--token", self.bootstrap["enrollment_token"], "--state-dir", str(state_dir), "--name", name]
        arguments += ["--sandbox-root", str(sandbox)]
        enrollment = Process.start(f"enrollment of {name}", arguments, log)
        status = enrollment.popen.wait(timeout=START_LIMIT_SECS)
        assert status == 0, f"enrollment of {name} ended with {status}:\n{enrollment.tail()}"
        desktop = Desktop(name, user, state_dir, sandbox, _run_agent(name, state_dir, log))
        self.desktops.append(desktop)
        return desktop


def _json_when_there(process: Process, path: Path) -> dict[str, str]:
    def read() -> dict[str, str] | None:
        process.assert_running()
        try:
            return json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    return wait_for(read, f"{path} of {process.name}")


def _ready(process: Process, data: Path) -> dict[str, str]:
    endpoints = _json_when_there(process, data / "endpoints.json")

    def ready() -> bool:
        process.assert_running()
        try:
            return requests.get(f"{endpoints['endpoint']}/readyz", timeout=5).status_code == 200
        except (requests.ConnectionError, requests.Timeout):
            return False

    wait_for(ready, "readyz")
    return endpoints


@contextmanager
def postgres_database() -> Iterator[str]:
    """An empty database on the server that scripts/with-postgres started."""
    server_url = os.environ.get("OUTFITTER_TEST_POSTGRES")
    if not server_url:
        raise AssertionError(
            "this test needs PostgreSQL and OUTFITTER_TEST_POSTGRES is not set: run `make test`, or "
            "`scripts/with-postgres .tools/venv/bin/pytest tests/python`"
        )
    name = f"test_{uuid.uuid4().hex}"
    base, _, _ = server_url.rpartition("/")

    def sql(text: str) -> None:
        subprocess.run(["psql", "--quiet", "--no-psqlrc", server_url, "--command", text], check=True)

    sql(f"CREATE DATABASE {name}")
    try:
        yield f"{base}/{name}"
    finally:
        sql(f"DROP DATABASE {name} WITH (FORCE)")
