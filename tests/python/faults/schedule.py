"""Which process dies when: drawn from a seed alone, so that a seed repeats its schedule as far as timing allows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random

ROUND_SECS = 2.0
"""Kills fall into the first part of a round, while its batch is under way."""

IN_THE_CALL_SECS = 0.06
"""About as long as the call that starts the batch takes."""


class How(Enum):
    """What a kill -9 hits."""

    PROCESS = "the process alone"
    GROUP = "its process group; supervisors are in groups of their own"
    DESKTOP = "agent, supervisor and installer: what a power cut of the desktop does"


@dataclass(frozen=True)
class Kill:
    """One kill and the restart that follows."""

    at_secs: float
    how: How
    down_secs: float


@dataclass(frozen=True)
class Schedule:
    """A round's kills, by victim, in order of time."""

    seed: int
    server: list[Kill]
    agents: list[list[Kill]]
    pauses_secs: dict[tuple[int, str], float]
    """How long each installer takes, by desktop and kind of app."""

    @property
    def cut_desktops(self) -> set[int]:
        """Desktops on which installers may die half-way."""
        return {
            number
            for number, kills in enumerate(self.agents)
            if any(kill.how is How.DESKTOP for kill in kills)
        }

    def __str__(self) -> str:
        def line(victim: str, kills: list[Kill]) -> str:
            text = ", ".join(f"{kill.at_secs:.3f} s {kill.how.name}, {kill.down_secs:.2f} s away" for kill in kills)
            return f"  {victim}: {text or 'spared'}"

        lines = [f"seed {self.seed}:", line("server", self.server)]
        lines += [line(f"agent {number}", kills) for number, kills in enumerate(self.agents)]
        return "\n".join(lines)


def draw(seed: int, desktops: int, kinds: list[str]) -> Schedule:
    """The schedule of a seed."""
    random = Random(f"kills of seed {seed}")

    def kill(hows: dict[How, float], earliest_secs: float, latest_secs: float) -> Kill:
        (how,) = random.choices(list(hows), list(hows.values()))
        return Kill(random.uniform(earliest_secs, latest_secs), how, random.uniform(0, 0.4))

    server = []
    for _ in range(random.choices([0, 1, 2], [1, 3, 1])[0]):
        in_the_call = random.random() < 0.4
        bounds = (0, IN_THE_CALL_SECS) if in_the_call else (IN_THE_CALL_SECS, ROUND_SECS)
        server.append(kill({How.PROCESS: 1, How.GROUP: 1}, *bounds))
    agents = [
        [
            kill({How.PROCESS: 5, How.GROUP: 4, How.DESKTOP: 1}, 0, ROUND_SECS)
            for _ in range(random.choices([0, 1, 2], [2, 4, 2])[0])
        ]
        for _ in range(desktops)
    ]
    by_time = lambda kills: sorted(kills, key=lambda each: each.at_secs)  # noqa: E731
    pauses = {(desktop, kind): random.uniform(0, 0.4) for desktop in range(desktops) for kind in kinds}
    return Schedule(seed, by_time(server), [by_time(kills) for kills in agents], pauses)
