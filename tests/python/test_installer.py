"""The printed line that installs the agent, pasted on a machine with a root folder of its own."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path

import yaml

from outfitter import SERVER_BINARY, Server, wait_for
from sshd import Host
from test_push import hosts, pushing  # noqa: F401  (fixtures)


def printed(server: Server, *arguments: str, stdin: str | None = None) -> dict[str, str]:
    bootstrap = server.folder / "data/bootstrap.json"
    command = [str(SERVER_BINARY), "--bootstrap", str(bootstrap), "agent", "install-command", "--json", *arguments]
    answer = subprocess.run(command, input=stdin, check=True, capture_output=True, text=True, timeout=60)
    return json.loads(answer.stdout)


def paste(host: Host, text: str) -> subprocess.CompletedProcess[str]:
    """Runs what somebody pastes into a shell there; the text is in no command line."""
    return subprocess.run(
        ["chroot", str(host.root), "/bin/sh"], input=text + "\n", capture_output=True, text=True, timeout=120
    )


def agents(server: Server) -> dict[str, bool]:
    items = server.request("GET", "/api/v1/{project_id}/desktops", params={"limit": 100}).json()["items"]
    return {item["name"]: bool(item.get("agent", {}).get("connected")) for item in items}


def command_lines_with(secret: str, until: threading.Event) -> list[str]:
    """Command lines that hold the secret, looked for until told to stop."""
    found = []
    while not until.is_set():
        for entry in Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            except OSError:
                continue
            if secret.encode() in line:
                found.append(line.decode(errors="replace"))
        time.sleep(0.01)
    return found


def test_the_printed_line_brings_a_connected_agent_and_nothing_else_is_run(pushing, hosts):
    server = pushing
    host, other = hosts.start(60), hosts.start(61)
    hosts.wait()
    program = host.root / "opt/outfitter-agent/outfitter-agent"

    with_token = printed(server, "--new-token", "by hand", "--max-uses", "1", "--tag", "floor=2", "--network", "127.0.0.0/8")
    line, digest = with_token["command"], with_token["script_sha256"]
    assert "\n" not in line.rstrip("\n")
    token = line.split("'oft1.")[1].split("'")[0]

    # A script that is not the server's does not run.
    wrong = paste(host, line.replace(digest, "0" * 64))
    assert wrong.returncode != 0 and "FAILED" in wrong.stdout + wrong.stderr, wrong
    assert not program.exists() and agents(server) == {}
    # Nor does a program that is not.
    script = subprocess.run(
        ["curl", "-fsSk", f"https://{server.endpoints['agent_endpoint']}/install.sh"], check=True, capture_output=True, text=True
    ).stdout
    altered = script.replace("/agent-programs/$digest", "/install.sh")
    assert altered != script and "oft1." not in script
    (host.root / "tmp/altered.sh").write_text(altered)
    wrong = paste(host, f"printf '%s\\n' 'oft1.{token}' | sh /tmp/altered.sh --token - --name LAB-1")
    assert wrong.returncode != 0 and "another digest" in wrong.stderr, wrong
    assert not program.exists() and agents(server) == {}
    # The token was not used up by any of that, and nobody who looks at processes sees it.
    over, seen = threading.Event(), []
    watcher = threading.Thread(target=lambda: seen.extend(command_lines_with(token, over)))
    watcher.start()
    done = paste(host, line.replace("--token -", "--token - --name LAB-1"))
    over.set()
    watcher.join()
    assert done.returncode == 0, done
    assert "runs detached" in done.stdout, done
    assert seen == []
    wait_for(lambda: agents(server) == {"LAB-1": True}, "the agent")
    unit = host.root / "etc/systemd/system/outfitter-agent.service"
    assert "ExecStart=/opt/outfitter-agent/outfitter-agent" in unit.read_text()
    desktop = server.request("GET", "/api/v1/{project_id}/desktops").json()["items"][0]["id"]
    tags = server.request("GET", f"/v2/{{project_id}}/desktops/{desktop}/tags").json()["tags"]
    assert tags == [{"key": "floor", "value": "2"}]

    # Again: nothing is enrolled anew, so the used token does no harm.
    again = paste(host, line)
    assert again.returncode == 0 and "enrolled" not in again.stdout, again
    # Elsewhere it has no use left, and the server's words say so.
    refused = paste(other, line)
    assert refused.returncode != 0 and "no use left" in refused.stderr, refused

    # cloud-init: the file with the token, then the command; only root may read the file, and it is gone afterwards.
    text = printed(server, "--cloud-init", "--token", "-", stdin=server.bootstrap["enrollment_token"])["cloud_config"]
    assert text.startswith("#cloud-config\n")
    config = yaml.safe_load(text)
    for file in config["write_files"]:
        path = other.root / file["path"].lstrip("/")
        path.write_text(file["content"])
        path.chmod(int(file["permissions"], 8))
    (shell, option, command), = config["runcmd"]
    assert (shell, option) == ("sh", "-c") and "oft1." not in command
    booted = paste(other, command.replace("--token -", "--token - --name LAB-2"))
    assert booted.returncode == 0, booted
    assert not path.exists()
    wait_for(lambda: agents(server) == {"LAB-1": True, "LAB-2": True}, "the agent of the booted machine")
    assert token not in (server.folder / "server.log").read_text()
