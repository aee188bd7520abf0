"""The agent for Windows under wine, beside a real server: `scripts/windows` builds it and runs this; no other suite does.

wine is no Windows: access lists, sessions, Windows Installer and restarts are not shown here (docs/adr/0030-windows.md).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import packages
from outfitter import SERVER_BINARY, START_LIMIT_SECS, Process, Server, unique, wait_for
from sdk import bucket, client, create_user, install, upload, user
from test_uninstall import uninstall

WINE = "/usr/lib/wine/wine64"
WINE_SERVER = "/usr/lib/wine/wineserver64"
LIMIT_SECS = 120.0

# The library has it on Windows 10 and later; wine 8 has not.
PROCESS_PRNG = r"""
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length) { return SystemFunction036(data, (ULONG)length); }
"""

# installer.exe FOLDER CODE: notes in FOLDER\runs that it ran, and what it was given; starts a child that is not bound to it and
# that notes in FOLDER\ticks that it lives; ends with CODE when FOLDER\go is there.
INSTALLER = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

static void note(const char *folder, const char *name, const char *text) {
    char path[1024];
    snprintf(path, sizeof path, "%s\\%s", folder, name);
    FILE *file = fopen(path, "ab");
    if (!file) exit(90);
    fputs(text, file);
    fclose(file);
}

int main(int count, char **given) {
    if (count != 3) return 91;
    char path[1024], line[2048];
    if (!strcmp(given[2], "child")) {
        for (;;) { note(given[1], "ticks", "."); Sleep(50); }
    }
    snprintf(line, sizeof line, "%s\n", GetCommandLineA());
    note(given[1], "runs", line);
    STARTUPINFOA startup = { sizeof startup };
    PROCESS_INFORMATION made;
    snprintf(line, sizeof line, "\"%s\" \"%s\" child", given[0], given[1]);
    if (!CreateProcessA(NULL, line, NULL, NULL, FALSE, DETACHED_PROCESS, NULL, NULL, &startup, &made)) return 92;
    printf("waiting in %s\n", given[1]);
    fflush(stdout);
    snprintf(path, sizeof path, "%s\\go", given[1]);
    while (GetFileAttributesA(path) == INVALID_FILE_ATTRIBUTES) Sleep(20);
    note(given[1], "done", "done");
    printf("done\n");
    return atoi(given[2]);
}
"""


PRODUCT = "{5d4c4c0e-3c51-4a0e-9f0e-0a8f6d2b7c31}"

MSI = f"""<?xml version="1.0"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
  <Product Id="{PRODUCT}" Name="tool" Language="1033" Version="1.2.3" Manufacturer="Tests"
      UpgradeCode="6b9c4bde-9a7c-4d3e-8b4e-2f1f6a0c7d11">
    <Package InstallerVersion="200" Compressed="yes" InstallScope="perMachine"/>
    <Media Id="1" Cabinet="a.cab" EmbedCab="yes"/>
    <Directory Id="TARGETDIR" Name="SourceDir"><Directory Id="ProgramFiles64Folder"><Directory Id="tool" Name="MSI tool">
      <Component Id="c" Guid="0d1c3f6e-55d4-4cf8-8d7c-5f1a8a2b9e10" Win64="yes"><File Id="f" Source="tool.txt"/></Component>
    </Directory></Directory></Directory>
    <Feature Id="all" Level="1"><ComponentRef Id="c"/></Feature>
  </Product>
</Wix>
"""


def compile_c(folder: Path, name: str, text: str, *options: str) -> Path:
    source, made = folder / f"{name}.c", folder / name
    source.write_text(text)
    subprocess.run(["x86_64-w64-mingw32-gcc", "-O1", "-o", str(made), str(source), *options], check=True)
    return made


@dataclass
class Wine:
    """A prefix of its own: a drive C:, a registry, and the processes that a wineserver of its own keeps."""

    folder: Path
    agent: Path
    environment: dict[str, str]
    server: Process

    @classmethod
    def start(cls, folder: Path) -> Wine:
        agent = os.environ.get("OUTFITTER_WINDOWS_AGENT")
        assert agent, "run `make windows`: it builds the agent and says where it lies"
        programs = folder / "programs"
        programs.mkdir()
        shutil.copy(agent, programs)
        compile_c(programs, "bcryptprimitives.dll", PROCESS_PRNG, "-shared", "-ladvapi32")
        environment = {
            "WINEPREFIX": str(folder / "prefix"),
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml=",
            "DISPLAY": "",
        }
        # Lives as long as the suite: a boot of the desktop.
        (folder / "prefix").mkdir()
        arguments = [WINE_SERVER, "--foreground", "--persistent"]
        server = Process.start("wineserver", arguments, folder / "wineserver.log", environment)
        wine = cls(folder, programs / Path(agent).name, environment, server)
        try:
            wine.run(WINE, "wineboot", "--init", limit_secs=300)
        except BaseException:
            wine.stop()
            raise
        return wine

    def run(self, *arguments: str, limit_secs: float = START_LIMIT_SECS) -> str:
        # A file, not a pipe: what wine starts beside holds it on.
        said = self.folder / "said"
        with said.open("wb") as output:
            done = subprocess.run(
                arguments,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=limit_secs,
                check=False,
            )
        text = said.read_text(errors="replace")
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{text}"
        return text

    @property
    def drive(self) -> Path:
        """The desktop's C:."""
        return self.folder / "prefix/drive_c"

    def stop(self) -> None:
        """Ends everything that runs in the prefix."""
        self.server.stop()


@dataclass
class WindowsDesktop:
    """A desktop whose agent runs under wine, on the drives of wine's prefix."""

    wine: Wine
    name: str
    state_dir: str
    log: Path
    agent: Process | None = None

    @classmethod
    def enroll(cls, wine: Wine, server: Server, name: str, account: str) -> WindowsDesktop:
        log = server.folder / f"agent-{name}.log"
        desktop = cls(wine, name, rf"C:\ProgramData\Outfitter {name}", log)
        listener = server.endpoints["agent_endpoint"].split("://")[-1].rstrip("/")
        token = server.bootstrap["enrollment_token"]
        said = wine.run(
            WINE, str(wine.agent), "enroll", "--server", listener, "--token", token, "--state-dir", desktop.state_dir,
            "--name", name, "--user", account,
        )
        assert f"enrolled as {name} " in said, said
        desktop.start()
        return desktop

    def start(self) -> None:
        arguments = [WINE, str(self.wine.agent), "run", "--state-dir", self.state_dir]
        self.agent = Process.start(f"agent {self.name}", arguments, self.log, self.wine.environment)

    @property
    def state(self) -> Path:
        return self.wine.drive / "ProgramData" / f"Outfitter {self.name}"

    def supervisors(self) -> list[int]:
        """Numbers of this desktop's supervisors, as Linux counts."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"supervise" in line and any(self.state_dir.encode() in word for word in line):
                found.append(int(entry.name))
        return found

    def kill_supervisor(self) -> None:
        (pid,) = self.supervisors()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.supervisors(), "the supervisor to be gone")


@pytest.fixture(scope="module")
def wine(tmp_path_factory):
    wine = Wine.start(tmp_path_factory.mktemp("wine"))
    try:
        yield wine
    finally:
        wine.stop()


@pytest.fixture
def desktop(wine, server):
    workspace = client(server)
    create_user(workspace, "ana")
    desktop = WindowsDesktop.enroll(wine, server, unique("win"), "ana")
    try:
        yield desktop
    except BaseException:
        print(desktop.agent.tail(), file=sys.stderr)
        raise
    finally:
        print(desktop.agent.tail())
        desktop.agent.kill()
        for pid in desktop.supervisors():
            os.kill(pid, signal.SIGKILL)


@dataclass
class Installer:
    """An app whose installer waits in a folder of the desktop's C: until it is let go."""

    app_id: str
    folder: Path

    @classmethod
    def upload(cls, server: Server, wine: Wine, package: Path, code: int = 0, **members) -> Installer:
        name = unique("app")
        folder = wine.drive / "Program Files" / name
        folder.mkdir()
        app = upload(
            client(server),
            name,
            app_file_store=bucket(server, package),
            install_type="QUIET_INSTALL",
            support_os="Windows",
            install_command=rf'${{FILE_PATH}} "%PROGRAMFILES%\{name}" {code}',
            **members,
        )
        rule = server.request(
            "PUT",
            f"/api/v1/{{project_id}}/apps/{app.id}/detection-rule",
            json={"rule": {"file": {"path": rf"%ProgramFiles%\{name}\done"}}},
        )
        assert rule.status_code == 200, rule.text
        return cls(app.id, folder)

    def text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def wait_until_it_runs(self) -> None:
        wait_for(lambda: self.text("runs") and self.text("ticks"), "the installer and its child to run", LIMIT_SECS)

    def let_go(self) -> None:
        (self.folder / "go").touch()

    def child_lives(self) -> bool:
        before = len(self.text("ticks"))
        try:
            wait_for(lambda: len(self.text("ticks")) > before, "another tick", 3)
        except AssertionError:
            return False
        return True


@pytest.fixture(scope="module")
def setup_program(wine) -> Path:
    return compile_c(wine.folder, "setup.exe", INSTALLER)


def started(server: Server, app_id: str) -> str:
    """Installs an app for the user; answers the job's id."""
    install(client(server), [app_id], [user("ana")])
    path = f"/api/v1/{{project_id}}/jobs?app_id={app_id}"
    items = wait_for(lambda: server.request("GET", path).json()["items"], "the job")
    return items[0]["id"]


def job(server: Server, job_id: str) -> dict:
    answer = server.request("GET", f"/api/v1/{{project_id}}/jobs/{job_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def finished(server: Server, job_id: str) -> tuple[dict, dict]:
    """The job, ended, and the receipt of its only attempt, which has to verify."""
    wait_for(lambda: job(server, job_id)["job_status"] in ("SUCCESS", "FAIL"), "the job to end", LIMIT_SECS)
    attempts = server.request("GET", f"/api/v1/{{project_id}}/jobs/{job_id}/attempts").json()
    assert attempts["count"] == 1, attempts
    bootstrap = server.folder / "data/bootstrap.json"
    verified = subprocess.run(
        [str(SERVER_BINARY), "--bootstrap", str(bootstrap), "job", "verify", job_id, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert verified.returncode == 0, f"{verified.stdout} {verified.stderr}"
    return job(server, job_id), attempts["items"][0]["receipt"]


def test_an_archive_is_unpacked_on_the_drive_proven_and_taken_off(wine, server, desktop, tmp_path):
    package = packages.zip_package(tmp_path, "tool", {"bin/tool.exe": "tool\n", "readme.txt": "r\n"})
    name = unique("zipped")
    app = upload(
        client(server),
        name,
        app_file_store=bucket(server, package),
        support_os="Windows",
        install_command=rf'unzip ${{FILE_PATH}} -d "%ProgramFiles%\{name}"',
    )
    job_id = started(server, app.id)
    ended_job, receipt = finished(server, job_id)
    assert (ended_job["job_status"], receipt["manifest_files"]) == ("SUCCESS", 2), (ended_job, receipt)
    folder = wine.drive / "Program Files" / name
    assert (folder / "bin/tool.exe").read_text() == "tool\n"
    (folder / "mine.txt").write_text("mine\n")
    (off,) = uninstall(server, [app.id], users=[{"account": "ana", "account_type": "SIMPLE"}])
    assert off["job_status"] == "SUCCESS", off
    assert sorted(path.name for path in folder.iterdir()) == ["mine.txt"]


def test_an_installer_gets_its_line_as_written_and_what_it_leaves_behind_stays(wine, server, desktop, setup_program):
    app = Installer.upload(server, wine, setup_program, 3010)
    job_id = started(server, app.app_id)
    app.wait_until_it_runs()
    app.let_go()
    ended_job, receipt = finished(server, job_id)
    assert ended_job["job_status"] == "SUCCESS", (ended_job, receipt)
    assert (receipt["exit_code"], receipt["wants_restart"]) == (3010, True), receipt
    assert receipt["output_tail"].endswith("done\r\n"), receipt
    (line,) = app.text("runs").splitlines()
    assert line == receipt["command"] and line.endswith(rf'\setup.exe" "C:\Program Files\{app.folder.name}" 3010'), line
    assert app.child_lives()


def test_a_cancellation_ends_the_installer_and_all_it_started(wine, server, desktop, setup_program):
    app = Installer.upload(server, wine, setup_program)
    job_id = started(server, app.app_id)
    app.wait_until_it_runs()
    assert app.child_lives()
    answer = server.request("POST", "/api/v1/{project_id}/jobs/actions/cancel", json={"items": [job_id]})
    assert answer.status_code == 200, answer.text
    ended_job, receipt = finished(server, job_id)
    assert ended_job["job_status"] == "FAIL" and receipt["failure"] == "cancelled", (ended_job, receipt)
    assert not app.child_lives() and not app.text("done")


def test_a_script_is_run_by_its_host(wine, server, desktop, tmp_path):
    name = unique("script")
    script = tmp_path / "set up.cmd"
    script.write_text('@echo off\r\nmkdir "C:\\%1"\r\necho %2>"C:\\%1\\made.txt"\r\necho it is %2\r\nexit /b 7\r\n')
    app = upload(
        client(server),
        name,
        app_file_store=bucket(server, script),
        install_type="QUIET_INSTALL",
        support_os="Windows",
        install_command=f'${{FILE_PATH}} {name} "a b"',
    )
    ended_job, receipt = finished(server, started(server, app.id))
    assert receipt["command"].startswith("cmd.exe /d /s /c "), receipt
    assert (ended_job["job_status"], receipt["exit_code"]) == ("FAIL", 7), (ended_job, receipt)
    assert (wine.drive / name / "made.txt").read_text().strip() == '"a b"', receipt


def test_an_agent_that_is_killed_adopts_the_installer(wine, server, desktop, setup_program):
    app = Installer.upload(server, wine, setup_program)
    job_id = started(server, app.app_id)
    app.wait_until_it_runs()
    desktop.agent.kill()
    assert desktop.supervisors() and app.child_lives()
    app.let_go()
    wait_for(lambda: list(desktop.state.glob("attempts/*/exit.json")), "the supervisor's record")
    desktop.start()
    ended_job, receipt = finished(server, job_id)
    assert (ended_job["job_status"], receipt["exit_code"]) == ("SUCCESS", 0), (ended_job, receipt)
    assert len(app.text("runs").splitlines()) == 1


def test_a_supervisor_that_is_killed_is_no_success_and_the_installer_is_waited_for(wine, server, desktop, setup_program):
    app = Installer.upload(server, wine, setup_program)
    job_id = started(server, app.app_id)
    app.wait_until_it_runs()
    desktop.agent.kill()
    desktop.kill_supervisor()
    desktop.start()
    wait_for(lambda: "the installer still runs" in desktop.agent.tail(), "the agent to find the installer")
    assert app.child_lives()
    app.let_go()
    ended_job, receipt = finished(server, job_id)
    assert receipt["failure"] == "interrupted", (ended_job, receipt)
    assert "ended by itself" in receipt["failure_detail"], receipt
    assert len(app.text("runs").splitlines()) == 1


def test_an_installer_without_supervisor_is_ended_with_all_it_started(wine, server, desktop, setup_program):
    app = Installer.upload(server, wine, setup_program)
    job_id = started(server, app.app_id)
    app.wait_until_it_runs()
    desktop.kill_supervisor()
    assert app.child_lives()
    answer = server.request("POST", "/api/v1/{project_id}/jobs/actions/cancel", json={"items": [job_id]})
    assert answer.status_code == 200, answer.text
    _, receipt = finished(server, job_id)
    assert receipt["failure"] == "interrupted" and "was ended by the agent" in receipt["failure_detail"], receipt
    assert not app.child_lives()


def looked(server: Server, desktop: WindowsDesktop, app_id: str, rule: dict) -> bool:
    """What the desktop says of a rule, once it is connected."""
    desktops = server.request("GET", f"/api/v1/{{project_id}}/desktops?name={desktop.name}").json()["items"]
    body = {"desktop_ids": [found["id"] for found in desktops if found["name"] == desktop.name], "rule": rule}

    def answer() -> dict | None:
        asked = server.request("POST", f"/api/v1/{{project_id}}/apps/{app_id}/actions/evaluate-detection", json=body)
        assert asked.status_code == 200, asked.text
        (item,) = asked.json()["items"]
        return None if item["state"] == "not_connected" else item

    item = wait_for(answer, "the desktop's answer")
    assert item["state"] == "evaluated", item
    return item["holds"]


def test_registry_values_are_told_as_text(wine, server, desktop):
    app = upload(client(server), unique("rules"), support_os="Windows")
    key = rf"HKLM\Software\{unique('Outfitter test')}"
    for name, kind, data in [("Text", "REG_SZ", "1.2 b"), ("Number", "REG_DWORD", "4000000000"), ("Path", "REG_EXPAND_SZ", "%TEMP%\\x")]:
        wine.run(WINE, "reg", "add", key, "/v", name, "/t", kind, "/d", data, "/f")

    def holds(key: str, name: str | None = None, data: str | None = None) -> bool:
        members = {"key": key, "name": name, "data": data}
        rule = {"registry_value": {member: value for member, value in members.items() if value is not None}}
        return looked(server, desktop, app.id, rule)

    assert holds(key) and holds(key.replace("HKLM", "hkey_local_machine"), "Text")
    assert holds(key, "text", "1.2 b") and holds(key, "Number", "4000000000") and holds(key, "Path", "%TEMP%\\x")
    assert [holds(key, "Text", "1.2"), holds(key, "None"), holds(rf"{key}\Below")] == [False, False, False]


def test_a_product_of_windows_installer_is_put_on_proven_and_taken_off(wine, server, desktop, tmp_path):
    (tmp_path / "tool.wxs").write_text(MSI)
    (tmp_path / "tool.txt").write_text("tool\n")
    subprocess.run(["wixl", "-a", "x64", "-o", "tool.msi", "tool.wxs"], cwd=tmp_path, check=True)
    app = upload(
        client(server),
        unique("msi"),
        app_file_store=bucket(server, tmp_path / "tool.msi"),
        install_type="QUIET_INSTALL",
        support_os="Windows",
        install_command="${FILE_PATH} /qn",
        uninstall_command=f"msiexec /x {PRODUCT} /qn",
    )
    path = f"/api/v1/{{project_id}}/apps/{app.id}/detection-rule"
    rule = {"msi_product": {"product_code": PRODUCT, "version": "1.2.3"}}
    answer = server.request("PUT", path, json={"rule": rule})
    assert answer.status_code == 200, answer.text
    other = {"msi_product": {"product_code": PRODUCT, "version": "1.2.4"}}
    assert looked(server, desktop, app.id, rule) is False
    ended_job, receipt = finished(server, started(server, app.id))
    assert receipt["command"].startswith("msiexec.exe /i "), receipt
    assert ended_job["job_status"] == "SUCCESS", (ended_job, receipt)
    assert [looked(server, desktop, app.id, one) for one in (rule, other)] == [True, False]
    assert (wine.drive / "Program Files/MSI tool/tool.txt").exists()
    (off,) = uninstall(server, [app.id], users=[{"account": "ana", "account_type": "SIMPLE"}])
    assert off["job_status"] == "SUCCESS", off
    assert not (wine.drive / "Program Files/MSI tool").exists()
