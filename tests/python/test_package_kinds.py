"""What arrives is known by its content: packages made on the spot by the tools that others make theirs with."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

import packages

NSIS = """
Name "tool"
OutFile "{out}"
InstallDir "$TEMP\\tool"
Section
  SetOutPath $INSTDIR
  File "{file}"
SectionEnd
"""

WXS = """<?xml version="1.0"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
  <Product Id="*" Name="tool" Language="1033" Version="1.2.3" Manufacturer="Tests" UpgradeCode="6b9c4bde-9a7c-4d3e-8b4e-2f1f6a0c7d11">
    <Package InstallerVersion="200" Compressed="yes"/>
    <Media Id="1" Cabinet="a.cab" EmbedCab="yes"/>
    <Directory Id="TARGETDIR" Name="SourceDir">
      <Component Id="c" Guid="0d1c3f6e-55d4-4cf8-8d7c-5f1a8a2b9e10"><File Id="f" Source="{file}"/></Component>
    </Directory>
    <Feature Id="all"><ComponentRef Id="c"/></Feature>
  </Product>
</Wix>
"""

SPEC = """Name: tool
Version: 1.2.3
Release: 1
Summary: made by a test
License: MIT
BuildArch: noarch
%description
Made by a test.
%install
mkdir -p %{buildroot}/opt
echo tool > %{buildroot}/opt/tool
%files
/opt/tool
"""


def run(folder: Path, *arguments: str | Path) -> None:
    subprocess.run([str(argument) for argument in arguments], cwd=folder, check=True, capture_output=True)


def nsis(folder: Path) -> Path:
    out, script = folder / "tool-setup.exe", folder / "tool.nsi"
    script.write_text(NSIS.format(out=out, file=script))
    run(folder, "makensis", "-V1", script)
    return out


def msi(folder: Path) -> Path:
    out, source = folder / "tool.msi", folder / "tool.wxs"
    source.write_text(WXS.format(file=source.name))
    run(folder, "wixl", "-o", out, source.name)
    return out


def rpm(folder: Path) -> Path:
    spec = folder / "tool.spec"
    spec.write_text(SPEC)
    run(folder, "rpmbuild", "-bb", "--quiet", "--define", f"_topdir {folder}", "--define", f"_tmppath {folder}", spec)
    (built,) = folder.rglob("*.rpm")
    return built


def tar(mode: str):
    def make(folder: Path) -> Path:
        file = folder / "tool"
        file.write_text("tool")
        path = folder / f"tool.{mode}"
        with tarfile.open(path, f"w:{mode}") as archive:
            archive.add(file, "tool")
        return path

    return make


def wheel(folder: Path) -> Path:
    path = folder / "tool.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tool/__init__.py", "")
    return path


@pytest.mark.parametrize(
    ("make", "kind", "installer", "command"),
    [
        (nsis, "exe", "nsis", "${FILE_PATH} /S"),
        (msi, "msi", None, "msiexec /i ${FILE_PATH} /qn /norestart"),
        (rpm, "rpm", None, "rpm -U --replacepkgs ${FILE_PATH}"),
        (lambda folder: packages.debian_package(folder, "tool", "1", {"opt/tool": "x"}), "deb", None, None),
        (tar(""), "tar", None, "unzip ${FILE_PATH}"),
        (tar("gz"), "tar", None, "unzip ${FILE_PATH}"),
        (tar("xz"), "tar", None, "unzip ${FILE_PATH}"),
        (tar("bz2"), "tar", None, "unzip ${FILE_PATH}"),
        (wheel, "zip", None, "unzip ${FILE_PATH}"),
        (lambda folder: packages.shell_package(folder, "tool", "true"), "script", None, "/bin/sh ${FILE_PATH}"),
    ],
    ids=["nsis", "msi", "rpm", "deb", "tar", "tar.gz", "tar.xz", "tar.bz2", "wheel", "script"],
)
def test_packages_are_known_by_what_is_in_them(client_server, tmp_path, make, kind, installer, command):
    package = make(tmp_path)
    misleading = package.rename(package.with_name("package.bin"))
    answer = client_server.upload_package(misleading)
    assert (answer["kind"], answer.get("installer")) == (kind, installer)
    proposed = answer["proposal"]
    if command:
        assert proposed["install_command"] == command
    else:
        assert proposed["name"] == "tool"
