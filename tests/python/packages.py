"""Real packages, made on the spot from nothing but the machine's own tools."""

from __future__ import annotations

import shutil
import stat
import subprocess
import textwrap
import zipfile
from pathlib import Path

# dpkg works in a folder, without being root; see its manual for --root and --force-not-root. It looks for ldconfig
# and start-stop-daemon on the PATH. `sh -c TEXT sh ${FILE_PATH}` hands the package over as one argument.
DPKG_INSTALL = (
    "sh -c 'PATH=/usr/sbin:/usr/bin:/sbin:/bin exec dpkg --root=\"$OUTFITTER_ROOT\" --force-not-root --force-depends "
    "--log=\"$OUTFITTER_ROOT/dpkg.log\" -i \"$1\"' sh ${FILE_PATH}"
)
SHELL_INSTALL = "sh ${FILE_PATH} --silent"


def zip_package(folder: Path, name: str, files: dict[str, str]) -> Path:
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return path


def shell_package(folder: Path, name: str, body: str) -> Path:
    """A self-contained installer: `body` runs with the desktop's folder in $root."""
    path = folder / f"{name}.run"
    path.write_text(
        textwrap.dedent("""\
        #!/bin/sh
        set -eu
        [ "${1:-}" = --silent ] || { echo "this installer wants --silent" >&2; exit 64; }
        root=${OUTFITTER_ROOT:?}
        """)
        + textwrap.dedent(body)
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def debian_package(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """A Debian package without maintainer scripts: those would need a whole system below the root."""
    tree = folder / f"{name}-tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Tests <tests@example.test>\n"
        "Description: made by a test\n"
    )
    for file, text in files.items():
        target = tree / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    path = folder / f"{name}_{version}_all.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(path)], check=True, stdout=subprocess.DEVNULL
    )
    shutil.rmtree(tree)
    return path


def debian_status(sandbox: Path, package: str) -> str:
    """`installed VERSION`, or an empty text where dpkg does not know the package."""
    answer = subprocess.run(
        ["dpkg-query", f"--admindir={sandbox}/var/lib/dpkg", "-W", "-f", "${db:Status-Status} ${Version}", package],
        capture_output=True,
        text=True,
    )
    return answer.stdout if answer.returncode == 0 else ""


def foreign_debian_package(folder: Path, package: str) -> Path:
    """A package that nobody here wrote, fetched with apt."""
    folder.mkdir(parents=True, exist_ok=True)
    fetched = subprocess.run(["apt-get", "download", package], cwd=folder, capture_output=True, text=True)
    found = list(folder.glob(f"{package}_*.deb"))
    assert fetched.returncode == 0 and len(found) == 1, (
        f"apt-get download {package} failed; is `apt-get update` needed?\n{fetched.stderr}"
    )
    return found[0]
