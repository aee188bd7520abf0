"""Writes what a proof in its stated size has shown into docs/proofs.md."""

from __future__ import annotations

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
    table = "\n".join(["| | |", "| --- | --- |", *(f"| {what} | {value} |" for what, value in proof.numbers.items())])
    put = [str(ROOT / "scripts/put-table"), str(PAGE), proof.name]
    subprocess.run(put, input=table + "\n", check=True, stdout=subprocess.DEVNULL, text=True, cwd=ROOT)
