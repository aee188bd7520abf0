"""kill -9 of server and agents: nothing accepted is lost, nothing runs twice, nothing lies, everything ends (I1-I4).

The rounds draw their kills from a seed; the cases below them stop the line at one point each and kill there.
`OUTFITTER_PROOF_FIRST_SEED=n OUTFITTER_PROOF_SIZE=full OUTFITTER_PROOF_SEEDS=1` repeats the round of seed n.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from huaweicloudsdkworkspace import v2 as ws

from conftest import SERVER
from faults import invariants, record
from faults.apps import App, debian_app, shell_app, zip_app
from faults.fleet import Fleet, witness
from faults.gate import TO_AGENT, TO_SERVER, Gate
from faults.schedule import How, Schedule, draw
from outfitter import Desktop, postgres_database, unique, wait_for

KINDS = ["zip", "shell", "deb", "failing", "liar"]
DESKTOPS = 3
SMALL_ROUNDS = 20
FULL_ROUNDS = 200

# A gate that the installers of the directed cases wait at.
WAIT_AT_THE_GATE = 'until [ -e "$root/go-on" ]; do sleep 0.02; done'


def rounds() -> int:
    if os.environ.get("OUTFITTER_PROOF_SIZE") != "full":
        return SMALL_ROUNDS
    return int(os.environ.get("OUTFITTER_PROOF_SEEDS", FULL_ROUNDS))


@pytest.fixture(scope="module", autouse=True)
def quick_heartbeats():
    """Silence of an agent is noticed within seconds."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OUTFITTER_AGENT_HEARTBEAT_SECS", "1")
        environment.setenv("NO_COLOR", "1")
        yield


# --- seeded rounds


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_random_kills_lose_nothing_and_run_nothing_twice(request, tmp_path, capsys, database):
    if database == "postgres":
        with postgres_database() as url:
            run_rounds(request, tmp_path, capsys, url, -(-rounds() // 8))
    else:
        run_rounds(request, tmp_path, capsys, None, rounds())


def run_rounds(request, folder: Path, capsys, database_url: str | None, count: int) -> None:
    fleet = Fleet(folder, database_url)
    request.node.stash[SERVER] = fleet.server
    outcomes: Counter[str] = Counter()
    first_seed = int(os.environ.get("OUTFITTER_PROOF_FIRST_SEED", "1"))
    began = time.monotonic()
    try:
        for number in range(DESKTOPS):
            fleet.add_desktop(f"desktop{number}")
        for seed in range(first_seed, first_seed + count):
            schedule = draw(seed, DESKTOPS, KINDS)
            try:
                outcomes += run_round(fleet, folder / f"packages-{seed}", schedule)
            except BaseException as error:
                error.add_note(f"round with {schedule}")
                raise
    finally:
        fleet.stop()
    proof = record.Proof(
        "kills on PostgreSQL" if database_url else "kills on SQLite",
        {
            "rounds": f"{count} (seeds {first_seed} to {first_seed + count - 1})",
            "kills": record.counted(fleet.kills),
            "jobs": record.counted(outcomes),
            "installers run": str(sum(what == "start" for desktop in fleet.server.desktops for what, _ in witness(desktop))),
            "wall time": f"{time.monotonic() - began:.0f} s",
        },
    )
    with capsys.disabled():
        print(f"\n{proof}")
    if os.environ.get("OUTFITTER_PROOF_SIZE") == "full":
        record.write(proof)


def run_round(fleet: Fleet, folder: Path, schedule: Schedule) -> Counter[str]:
    """One batch under one schedule of kills; answers with the outcomes of its jobs."""
    folder.mkdir()
    tag = f"{schedule.seed}"
    apps = [make(folder, kind, schedule) for kind in KINDS]
    ids = [fleet.upload(app) for app in apps]
    desktops = list(fleet.server.desktops)
    victims = [(None, schedule.server), *zip(desktops, schedule.agents)]
    begun_at = time.monotonic()
    threads = [Thread(lambda victim=victim, kills=kills: fleet.carry_out(victim, kills, begun_at)) for victim, kills in victims]
    for thread in threads:
        thread.start()
    try:
        deployment = fleet.install(ids, [desktop.name for desktop in desktops])
    finally:
        for thread in threads:
            thread.join()
    for thread in threads:
        thread.raise_error()
    fleet.hurry_agents()
    fleet.wait_until_quiet()

    truth = invariants.read(fleet.database, tag)
    names = {desktop.name for desktop in desktops}
    invariants.check_accepted_is_durable(fleet, truth, deployment, {app.name for app in apps}, names)
    invariants.check_at_most_once(fleet)
    invariants.check_truth(fleet, truth, {desktops[number].name for number in schedule.cut_desktops})
    invariants.check_every_job_ended(fleet)
    return Counter(f"{job['status']} {job['reason'] or job['proof']}" for job in truth.jobs)


def make(folder: Path, kind: str, schedule: Schedule) -> App:
    """The round's app of a kind; its installer takes its own time on each desktop."""
    tag = f"{schedule.seed}"
    if kind == "zip":
        return zip_app(folder, tag)
    arms = " ".join(
        f"*/desktop{desktop}) sleep {secs:.3f};;" for (desktop, of), secs in schedule.pauses_secs.items() if of == kind
    )
    pause = f'case "$OUTFITTER_ROOT" in {arms} esac'
    if kind in ("deb", "liar"):
        return debian_app(folder, kind, tag, f"1.0-{schedule.seed}", pause, installs=kind == "deb")
    return shell_app(folder, kind, tag, pause, exit_code=42 if kind == "failing" else 0)


class Thread(threading.Thread):
    """A thread whose error is not lost."""

    def __init__(self, work) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001: raised again by raise_error
            self._error = error

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error


# --- one point each


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), None)
    try:
        yield fleet
    finally:
        fleet.stop()


@dataclass
class Bench:
    """A desktop of its own behind a gate, for one case."""

    fleet: Fleet
    desktop: Desktop
    gate: Gate
    folder: Path

    def install(self, work: str = WAIT_AT_THE_GATE, exit_code: int = 0, payload_bytes: int = 0) -> str:
        """Installs an app whose installer does this work; answers with the app's tag."""
        tag = unique("case")
        app = shell_app(self.folder, "shell", tag, work, exit_code)
        if payload_bytes:
            with app.file.open("ab") as file:
                file.write(os.urandom(payload_bytes))
        self.fleet.install([self.fleet.upload(app)], [self.desktop.name])
        return tag

    def let_installer_end(self) -> None:
        (self.desktop.sandbox / "go-on").touch()

    def wait_for_file(self, name: str) -> Path:
        """The file in the journal of the desktop's agent."""
        journal = self.fleet.journals[self.desktop.name]
        return wait_for(lambda: journal.find(name), f"{name} in the journal")

    def wait_for_witness(self, what: str) -> None:
        wait_for(lambda: what in [line for line, _ in witness(self.desktop)], f"{what} in the witness file")

    def wait_for_attempt(self, tag: str, condition) -> dict:
        def look() -> dict | None:
            attempts = invariants.read(self.fleet.database, tag).attempts.values()
            return next((attempt for attempt in attempts if condition(attempt)), None)

        return wait_for(look, "the attempt in the database")

    def end(self, tag: str, attempts: int | None = 1) -> tuple[dict, dict]:
        """Waits for the end of the only job and checks what holds always; answers with job and last attempt."""
        self.let_installer_end()
        self.fleet.wait_until_quiet()
        truth = invariants.read(self.fleet.database, tag)
        (job,) = truth.jobs
        if attempts is not None:
            assert len(truth.attempts) == attempts, truth.attempts
        invariants.check_at_most_once(self.fleet)
        return job, truth.last_attempt(job)

    def end_well_after_one_run(self, tag: str, attempts: int | None = 1) -> dict:
        job, attempt = self.end(tag, attempts)
        assert (job["status"], job["proof"]) == ("SUCCESS", "exit code only"), job
        assert attempt["evidence"]["exit_code"] == 0
        assert witness(self.desktop) == [("start", attempt["id"]), ("end", attempt["id"])]
        return attempt


@pytest.fixture
def bench(request, fleet, tmp_path):
    request.node.stash[SERVER] = fleet.server
    desktop, gate = fleet.add_desktop_behind_gate(unique("pc"))
    yield Bench(fleet, desktop, gate, tmp_path)
    gate.bytes_per_sec_to_agent = None
    gate.release()
    desktop.agent.stop()
    fleet.server.desktops.remove(desktop)
    fleet.journals.pop(desktop.name)


def test_server_killed_before_it_hears_that_the_task_was_accepted(bench):
    bench.gate.hold(TO_SERVER)
    tag = bench.install()
    bench.wait_for_file("task.json")
    bench.fleet.kill_server()
    bench.gate.cut()
    bench.gate.release()
    assert witness(bench.desktop) == [], "nothing runs before go"
    bench.fleet.start_server()
    bench.end_well_after_one_run(tag, attempts=None)


def test_server_killed_between_its_go_and_the_agents_hearing_it(bench):
    bench.gate.hold(TO_SERVER)
    tag = bench.install()
    task = bench.wait_for_file("task.json")
    bench.gate.hold(TO_AGENT)
    bench.gate.release(TO_SERVER)
    bench.wait_for_attempt(tag, lambda attempt: attempt["state"] == "running")
    assert not (task.parent / "go").exists()
    bench.fleet.kill_server()
    bench.gate.cut()
    bench.gate.release()
    assert witness(bench.desktop) == [], "nothing runs before go"
    bench.fleet.start_server()
    bench.end_well_after_one_run(tag)


def test_server_killed_after_it_recorded_a_result_and_before_the_agent_hears_it(bench):
    tag = bench.install()
    bench.wait_for_witness("start")
    bench.gate.hold(TO_AGENT)
    bench.let_installer_end()
    recorded = bench.wait_for_attempt(tag, lambda attempt: attempt["evidence"])
    bench.fleet.kill_server()
    bench.gate.cut()
    bench.gate.release()
    bench.wait_for_file("receipt.json")
    bench.fleet.start_server()
    assert bench.end_well_after_one_run(tag) == recorded, "a result that comes again changes nothing"


def test_server_killed_while_a_result_is_on_its_way(bench):
    tag = bench.install()
    bench.wait_for_witness("start")
    bench.gate.hold(TO_SERVER)
    bench.let_installer_end()
    bench.wait_for_file("receipt.json")
    bench.fleet.kill_server(How.GROUP)
    bench.gate.cut()
    bench.gate.release()
    bench.fleet.start_server()
    bench.end_well_after_one_run(tag)


@pytest.mark.parametrize("victim", ["agent", "server"])
def test_killed_in_a_download_the_agent_goes_on_where_it_was(bench, victim):
    size_bytes = 8 * 1024 * 1024
    bench.gate.bytes_per_sec_to_agent = 6 * 1024 * 1024
    tag = bench.install(work='sha256sum <"$FILE_PATH" >"$root/digest"', payload_bytes=size_bytes)
    part = bench.wait_for_file("package.part")
    wait_for(lambda: part.stat().st_size >= size_bytes // 2, "half of the download")
    if victim == "agent":
        bench.fleet.kill_agent(bench.desktop)
    else:
        bench.fleet.kill_server()
    bench.gate.cut()
    assert part.stat().st_size < size_bytes, "the kill came too late"
    passed_before = bench.gate.passed_bytes[TO_AGENT]
    if victim == "agent":
        bench.fleet.start_agent(bench.desktop)
    else:
        bench.fleet.start_server()
    attempt = bench.end_well_after_one_run(tag)
    passed_after = bench.gate.passed_bytes[TO_AGENT] - passed_before
    assert passed_after < size_bytes * 3 // 4, "it began anew"
    digest = (bench.desktop.sandbox / "digest").read_text().split()[0]
    assert digest == attempt["evidence"]["package_sha256"] == attempt["task"]["package"]["sha256"]


@pytest.mark.parametrize("how", [How.PROCESS, How.GROUP])
@pytest.mark.parametrize("installer_ends", ["while the agent is away", "after the agent is back"])
def test_agent_killed_in_the_installer_adopts_it(bench, how, installer_ends):
    tag = bench.install(exit_code=7)
    bench.wait_for_witness("start")
    bench.fleet.kill_agent(bench.desktop, how)
    if installer_ends == "while the agent is away":
        bench.let_installer_end()
        bench.wait_for_file("exit.json")
    bench.fleet.start_agent(bench.desktop)
    job, attempt = bench.end(tag)
    assert witness(bench.desktop) == [("start", attempt["id"]), ("end", attempt["id"])]
    assert (job["status"], job["reason"], attempt["evidence"]["exit_code"]) == ("FAIL", "exit_code", 7)
    assert "7" in job["message"]


def test_agent_killed_before_its_report(bench):
    tag = bench.install()
    bench.wait_for_witness("start")
    bench.gate.hold(TO_SERVER)
    bench.let_installer_end()
    bench.wait_for_file("receipt.json")
    bench.fleet.kill_agent(bench.desktop)
    bench.gate.cut()
    bench.gate.release()
    bench.fleet.start_agent(bench.desktop)
    bench.end_well_after_one_run(tag)


def test_both_killed_at_once_in_the_installer(bench):
    tag = bench.install()
    bench.wait_for_witness("start")
    bench.fleet.kill_agent(bench.desktop, How.GROUP)
    bench.fleet.kill_server(How.GROUP)
    bench.let_installer_end()
    bench.fleet.start_agent(bench.desktop)
    bench.fleet.start_server()
    bench.end_well_after_one_run(tag)


def test_agents_wait_for_a_server_that_is_away_for_a_while(bench):
    tag = bench.install()
    bench.wait_for_witness("start")
    agent = bench.desktop.agent.popen.pid
    bench.fleet.kill_server()
    bench.let_installer_end()
    bench.wait_for_file("receipt.json")
    # Several tries of the agent find nobody.
    time.sleep(3)
    bench.fleet.start_server()
    bench.end_well_after_one_run(tag)
    again = bench.install()
    job, _ = bench.end(again)
    assert job["status"] == "SUCCESS"
    bench.desktop.agent.assert_running()
    assert bench.desktop.agent.popen.pid == agent, "it came back by itself"


def test_a_desktop_that_loses_power_in_the_installer_never_says_success(bench):
    tag = bench.install()
    bench.wait_for_witness("start")
    bench.fleet.kill_agent(bench.desktop, How.DESKTOP)
    bench.fleet.start_agent(bench.desktop)
    job, first = bench.end(tag)
    assert (job["status"], job["reason"], first["evidence"]["failure"]) == ("FAIL", "interrupted", "interrupted")
    assert witness(bench.desktop) == [("start", first["id"]), ("cut", "-")]
    body = ws.BatchOperateJobsReq(items=[public_id(job["id"])])
    bench.fleet.workspace.retry_jobs(ws.RetryJobsRequest(body=body))
    job, second = bench.end(tag, attempts=2)
    assert job["status"] == "SUCCESS"
    assert witness(bench.desktop)[2:] == [("start", second["id"]), ("end", second["id"])]


def test_a_call_that_was_answered_survives_a_kill_at_once(bench):
    for _ in range(3):
        tag = bench.install(work="true")
        bench.fleet.kill_server(How.GROUP)
        with pytest.raises(requests.ConnectionError):
            bench.fleet.server.request("GET", "/healthz")
        bench.fleet.start_server()
        # The agent waits for the server that died; a new process of it does not.
        bench.fleet.kill_agent(bench.desktop)
        bench.fleet.start_agent(bench.desktop)
        job, _ = bench.end(tag, attempts=None)
        assert job["status"] == "SUCCESS"


def test_an_archive_that_is_there_already_is_not_unpacked_again(bench):
    """What an agent finds when it died between unpacking and its report."""
    tag = unique("case")
    app_id = bench.fleet.upload(zip_app(bench.folder, tag))
    for proof in ("manifest", "already installed"):
        bench.fleet.install([app_id], [bench.desktop.name])
        bench.fleet.wait_until_quiet()
        job = invariants.read(bench.fleet.database, tag).jobs[-1]
        assert (job["status"], job["proof"]) == ("SUCCESS", proof), job


def public_id(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
