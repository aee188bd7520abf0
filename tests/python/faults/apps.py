"""The apps of the fault proof. Each run of an installer leaves its lines in the desktop's witness file.

A line is `start|end ATTEMPT PID MILLISECONDS`, appended in one write; the attempt is read from the path of the
package, which lies in the attempt's own folder. `cut - - MILLISECONDS` is written by the test when it cut the
desktop's power.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import packages

WITNESS = "witness"

_WITNESS_START = [
    'attempt=$(basename "$(dirname "$(dirname "$FILE_PATH")")" | cut -d- -f1)',
    'witness() { echo "$1 $attempt $$ $(date +%s%3N)" >>"$OUTFITTER_ROOT/witness"; }',
    "witness start",
]

DEBIAN_PACKAGE = "outfitter-faults"


@dataclass(frozen=True)
class App:
    """An app as it is uploaded."""

    kind: str
    name: str
    file: Path
    install_type: str
    command: str


def zip_app(folder: Path, tag: str, files: int = 60) -> App:
    name = f"zip-{tag}"
    content = {f"share/{number:03}.txt": f"{name} {number}\n" * 200 for number in range(files)}
    return App(
        "zip", name, packages.zip_package(folder, name, content), "UNZIP_INSTALL", f"unzip ${{FILE_PATH}} -d /opt/{name}"
    )


def unpacked_files(sandbox: Path, name: str) -> dict[str, str]:
    """Digest of each file that the app of this name should have put there, by its path."""
    root = sandbox / "opt" / name
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def archived_files(name: str, files: int = 60) -> dict[str, str]:
    return {
        f"share/{number:03}.txt": hashlib.sha256((f"{name} {number}\n" * 200).encode()).hexdigest()
        for number in range(files)
    }


def shell_app(folder: Path, kind: str, tag: str, work: str, exit_code: int = 0) -> App:
    """An installer that does `work`, leaves a file of its own and ends with the code."""
    name = f"{kind}-{tag}"
    steps = [
        *_WITNESS_START,
        work,
        f'mkdir -p "$root/opt/{name}"',
        f'echo "$attempt" >"$root/opt/{name}/made"',
        "witness end",
        f"exit {exit_code}\n",
    ]
    return App(
        kind, name, packages.shell_package(folder, name, "\n".join(steps)), "QUIET_INSTALL", packages.SHELL_INSTALL
    )


def debian_app(folder: Path, kind: str, tag: str, version: str, work: str, installs: bool = True) -> App:
    """A Debian package; with `installs=False` its installer lies: exit code 0, and nothing is there."""
    name = f"{kind}-{tag}"
    package = DEBIAN_PACKAGE if installs else f"{DEBIAN_PACKAGE}-never"
    file = packages.debian_package(folder, package, version, {f"opt/{name}/made": f"{name}\n"})
    dpkg = (
        'PATH=/usr/sbin:/usr/bin:/sbin:/bin dpkg --root="$OUTFITTER_ROOT" --force-not-root --force-depends '
        '--log="$OUTFITTER_ROOT/dpkg.log" -i "$1" || exit'
    )
    script = "; ".join([*_WITNESS_START, work, *([dpkg] if installs else []), "witness end"])
    assert "'" not in script, "it stands between single quotes"
    return App(kind, name, file, "QUIET_INSTALL", f"sh -c '{script}' sh ${{FILE_PATH}}")
