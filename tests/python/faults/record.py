"""Writes what a proof in its stated size has shown into docs/proofs.md."""

from __future__ import annotations

import os
import platform
import subprocess
from collections import Counter
from dataclasses import dataclass

from outfitter import ROOT

PAGE = ROOT / "docs/proofs.md"


@dataclass(frozen=True)
class Proof:
    """What was run and what came of it."""

    name: str
    numbers: dict[str, str]

    def __str__(self) -> str:
        return f"{self.name}: " + "; ".join(f"{what}: {value}" for what, value in self.numbers.items())


def counted(numbers: Counter[str]) -> str:
    """`5: 3 server, 2 agent`."""
    parts = ", ".join(f"{count} {name}" for name, count in sorted(numbers.items()))
    return f"{numbers.total()}: {parts}" if parts else "0"


def write(proof: Proof) -> None:
    """Puts the proof between its marks in the page, in the place of its earlier result."""
    begin, end = f"<!-- {proof.name}: begin -->", f"<!-- {proof.name}: end -->"
    rows = {**proof.numbers, "commit": _commit(), "machine": _machine()}
    table = "\n".join(["| | |", "| --- | --- |", *(f"| {what} | {value} |" for what, value in rows.items())])
    page = PAGE.read_text()
    before, found, rest = page.partition(begin)
    assert found, f"{PAGE} has no {begin}"
    _, found, after = rest.partition(end)
    assert found, f"{PAGE} has no {end}"
    PAGE.write_text(f"{before}{begin}\n{table}\n{end}{after}")


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/proofs.md")
    return git("rev-parse", "--short=12", "HEAD") + (" with changes" if changed else "")


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.release()}"
