"""I1 to I4 (docs/invariants.md), checked from the agents' journals, logs and witness files against the database."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

import packages
from faults.apps import DEBIAN_PACKAGE, archived_files, unpacked_files
from faults.database import PROOF, WIRE, Database
from faults.fleet import Fleet, witness

EXPECTED = {
    "zip": ("SUCCESS", {"manifest", "already installed"}),
    "shell": ("SUCCESS", {"exit code only"}),
    "deb": ("SUCCESS", {"rule", "already installed"}),
    "failing": ("FAIL", {"exit_code"}),
    "liar": ("FAIL", {"not_detected_after_install"}),
}
"""Outcome of each kind of app, and the proofs or reasons it may have."""

JOBS = """
SELECT {id:job.public_id} AS id, {id:deployment.public_id} AS deployment, app.name AS app, desktop.name AS desktop,
  job.wire, job.state, job.reason, job.message, job.proof, job.attempts
FROM job JOIN deployment ON deployment.id = job.deployment_id JOIN app ON app.id = job.app_id
  JOIN desktop ON desktop.id = job.desktop_id
"""

ATTEMPTS = """
SELECT {id:attempt.public_id} AS id, {id:job.public_id} AS job, attempt.number, attempt.state, attempt.outcome,
  attempt.started_at, attempt.ended_at, attempt.task, receipt.statement
FROM attempt JOIN job ON job.id = attempt.job_id LEFT JOIN receipt ON receipt.attempt_id = attempt.id
"""


@dataclass
class Truth:
    """What the database says of one batch, and of all attempts."""

    jobs: list[dict]
    attempts: dict[str, dict]
    """Those of the batch's jobs, by id."""

    def last_attempt(self, job: dict) -> dict | None:
        own = [attempt for attempt in self.attempts.values() if attempt["job"] == job["id"]]
        return max(own, key=lambda attempt: int(attempt["number"]), default=None)


def read(database: Database, tag: str) -> Truth:
    """The batch whose apps' names end in `-TAG`."""
    jobs = database.rows(f"{JOBS} WHERE app.name LIKE '%-{tag}' ORDER BY job.id")
    attempts = database.rows(
        f"{ATTEMPTS} WHERE job.app_id IN (SELECT id FROM app WHERE name LIKE '%-{tag}') ORDER BY attempt.id"
    )
    for job in jobs:
        job["kind"] = job["app"].removesuffix(f"-{tag}")
        job["status"] = WIRE[int(job["wire"])]
        job["proof"] = None if job["proof"] is None else PROOF[int(job["proof"])]
    for attempt in attempts:
        attempt["evidence"] = json.loads(attempt["statement"])["evidence"] if attempt["statement"] else None
        attempt["task"] = json.loads(attempt["task"])
    return Truth(jobs, {attempt["id"]: attempt for attempt in attempts})


def check_accepted_is_durable(fleet: Fleet, truth: Truth, deployment: str, apps: set[str], desktops: set[str]) -> None:
    """I1: the deployment that was answered 2xx is there with all its jobs, and so is every result an agent let go of."""
    found = fleet.database.rows(f"SELECT id, state FROM deployment WHERE {{id:public_id}} = '{deployment}'")
    assert [row["state"] for row in found] == ["expanded"], f"deployment {deployment}: {found}"
    pairs = [(job["app"], job["desktop"]) for job in truth.jobs if job["deployment"] == deployment]
    pairs += [
        (row["app"], row["desktop"])
        for row in fleet.database.rows(
            "SELECT app.name AS app, desktop.name AS desktop FROM deployment_skip AS skip "
            "JOIN app ON app.id = skip.app_id JOIN desktop ON desktop.id = skip.desktop_id "
            f"WHERE skip.deployment_id = {found[0]['id']} AND skip.reason = 'job_in_progress'"
        )
    ]
    assert Counter(pairs) == Counter((app, desktop) for app in apps for desktop in desktops)

    receipts = {
        row["id"]: row["statement"]
        for row in fleet.database.rows(
            "SELECT {id:attempt.public_id} AS id, receipt.statement FROM attempt "
            "JOIN receipt ON receipt.attempt_id = attempt.id"
        )
    }
    for desktop in fleet.server.desktops:
        journal = fleet.journals[desktop.name]
        assert journal.folders() == {}
        let_go = journal.ended() | set(journal.evidence)
        lost = let_go - set(receipts)
        assert not lost, f"{desktop.name} was told that these results are recorded, and they are not: {lost}"
        for attempt, evidence in journal.evidence.items():
            # The very bytes that the desktop signed.
            assert receipts[attempt] == evidence, f"attempt {attempt} of {desktop.name}"
        ran = {attempt for what, attempt in witness(desktop) if what == "start"}
        assert ran <= set(receipts), f"installers that ran on {desktop.name} without a receipt: {ran - set(receipts)}"

    counted = fleet.database.rows(
        "SELECT wire, SUM(jobs) AS jobs FROM job_count WHERE dimension = 0 GROUP BY wire HAVING SUM(jobs) <> 0 ORDER BY wire"
    )
    live = fleet.database.rows("SELECT wire, COUNT(*) AS jobs FROM job GROUP BY wire ORDER BY wire")
    assert counted == live, "the counters were changed with the jobs or not at all"
    fleet.database.assert_sound()


def check_at_most_once(fleet: Fleet) -> None:
    """I2: no attempt's installer started twice, and no two ran at once on a desktop."""
    for desktop in fleet.server.desktops:
        running: str | None = None
        started: set[str] = set()
        for number, (what, attempt) in enumerate(witness(desktop), 1):
            where = f"{desktop.name}, line {number} of the witness: {what} {attempt}"
            if what == "start":
                assert running is None, f"{where}, while {running} runs"
                assert attempt not in started, f"{where}, for the second time"
                started.add(attempt)
                running = attempt
            elif what == "end":
                assert running == attempt, f"{where}, while {running} runs"
                running = None
            else:
                running = None


def check_truth(fleet: Fleet, truth: Truth, cut_desktops: set[str]) -> None:
    """I3: every SUCCESS rests on evidence and on what really lies on the desktop; every FAIL says why."""
    sandboxes = {desktop.name: desktop.sandbox for desktop in fleet.server.desktops}
    lines = {desktop.name: set(witness(desktop)) for desktop in fleet.server.desktops}
    for job in truth.jobs:
        what = f"{job['app']} on {job['desktop']}: {job['status']} {job['reason'] or job['proof']} {job['message']}"
        attempt = truth.last_attempt(job)
        assert attempt is not None, what
        status, words = EXPECTED[job["kind"]]
        if job["status"] == "FAIL":
            assert job["reason"] and job["message"] and job["proof"] is None, what
            cut = job["reason"] == "interrupted" and job["desktop"] in cut_desktops
            assert cut or (status == "FAIL" and job["reason"] in words), what
            assert attempt["outcome"] == job["reason"], f"{what}: {attempt}"
            if job["reason"] == "interrupted":
                assert attempt["evidence"]["failure"] == "interrupted", f"{what}: {attempt}"
            continue
        assert job["status"] == status == "SUCCESS" and job["proof"] in words, what
        assert (job["reason"], job["message"], attempt["outcome"]) == (None, None, "succeeded"), f"{what}: {attempt}"
        evidence, task = attempt["evidence"], attempt["task"]
        assert evidence is not None, f"{what}: no receipt"
        assert evidence.get("failure") is None, f"{what}: {evidence}"
        if job["proof"] == "already installed":
            assert evidence["already_installed"] and evidence["before"]["holds"], f"{what}: {evidence}"
        else:
            assert evidence["exit_code"] in task["success_exit_codes"], f"{what}: {evidence}"
            assert evidence["package_sha256"] == task["package"]["sha256"], f"{what}: {evidence}"
            assert (job["proof"] == "exit code only") == ("after" not in evidence), f"{what}: {evidence}"
            assert evidence.get("after", {"holds": True})["holds"], f"{what}: {evidence}"
        sandbox = sandboxes[job["desktop"]]
        if job["kind"] == "zip":
            assert unpacked_files(sandbox, job["app"]) == archived_files(job["app"]), what
        else:
            assert (sandbox / "opt" / job["app"] / "made").exists(), what
            if job["proof"] != "already installed":
                ran = {("start", attempt["id"]), ("end", attempt["id"])}
                assert ran <= lines[job["desktop"]], f"{what}: its installer never ran to its end"
    for desktop in {job["desktop"] for job in truth.jobs if (job["kind"], job["status"]) == ("deb", "SUCCESS")}:
        assert packages.debian_status(sandboxes[desktop], DEBIAN_PACKAGE).startswith("installed "), desktop


def check_every_job_ended(fleet: Fleet) -> None:
    """I4: no open attempt, no leased row, no deployment left half expanded."""
    assert fleet.database.open_work() == {}
