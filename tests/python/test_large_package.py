"""A large package goes up in parts and down to a desktop in little memory, however often it is interrupted.

Made while it streams. 200 MB with three interruptions in `make test`; in `make proof` 20 GB with ten, or what the disk
has room for, never less than 5 GB (OUTFITTER_PROOF_PACKAGE_GB=n for less).
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import threading
import time
import zipfile
from collections import Counter
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from huaweicloudsdkworkspace import v2 as ws

from conftest import SERVER
from faults import record
from faults.fleet import Fleet
from outfitter import wait_for
from sdk import install, jobs, upload, user

MIB = 1024 * 1024
GB = 1000**3
FULL = os.environ.get("OUTFITTER_PROOF_SIZE") == "full"
LARGEST_GB, SMALLEST_GB = 20, 5
SERVER_LIMIT_MIB = 100
AGENT_LIMIT_MIB = 30
KINDS_DOWN = ["server", "agent", "cut"]


def package_bytes(folder: Path) -> int:
    """Whole GB. At most three times as much lies on the disk at once: parts and whole on the server while it puts them
    together, later the whole there, the package on the desktop and what it holds; a fifth of the disk's room stays free.
    """
    if not FULL:
        return 200 * MIB
    most = int(os.environ.get("OUTFITTER_PROOF_PACKAGE_GB", LARGEST_GB))
    room = shutil.disk_usage(folder).free * 4 // 5 // 3 // GB
    fits = min(most, LARGEST_GB, room)
    assert fits >= SMALLEST_GB, f"there is room for {room} GB, and less than {SMALLEST_GB} GB would show nothing"
    return fits * GB


class Stream:
    """A zip archive with one member, written while it is read; knows the digest of what was read."""

    def __init__(self, member_bytes: int) -> None:
        self.member_bytes = member_bytes
        self.read_bytes = 0
        self.digest = hashlib.sha256()
        reading, self._writing = os.pipe()
        self._source = os.fdopen(reading, "rb")
        threading.Thread(target=self._write, daemon=True).start()

    def _write(self) -> None:
        block = hashlib.shake_256(b"block").digest(MIB)
        with os.fdopen(self._writing, "wb") as sink, zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
            with archive.open("big.bin", "w", force_zip64=True) as member:
                for number in range(-(-self.member_bytes // MIB)):
                    member.write(number.to_bytes(8, "big") + block[8:])

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.read_bytes += len(data)
        self.digest.update(data)
        return data


class Peaks:
    """The most memory of its own (RssAnon) that each process held, in MiB, whichever process it is at the time."""

    def __init__(self, processes: dict) -> None:
        self.mib: Counter[str] = Counter()
        self._processes = processes
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            for name, process in self._processes.items():
                try:
                    status = Path(f"/proc/{process().popen.pid}/status").read_text()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                for line in status.splitlines():
                    if line.startswith("RssAnon:"):
                        self.mib[name] = max(self.mib[name], int(line.split()[1]) // 1024)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


@pytest.fixture(autouse=True)
def quick_heartbeats(monkeypatch):
    monkeypatch.setenv("OUTFITTER_AGENT_HEARTBEAT_SECS", "1")
    monkeypatch.setenv("NO_COLOR", "1")


def credential(fleet: Fleet, file_name: str) -> dict:
    opened = fleet.server.request("POST", "/v1/{project_id}/app-center/buckets")
    assert opened.status_code == 200, opened.text
    path = "/v1/{project_id}/app-center/buckets/actions/create-credential"
    answer = fleet.server.request("POST", path, json={"file_name": file_name})
    assert answer.status_code == 200, answer.text
    return answer.json()


def put(given: dict, stream: Stream) -> None:
    pair = given["credential"]
    s3 = boto3.client(
        "s3",
        endpoint_url=given["server_end_point"],
        region_name="any-1",
        aws_access_key_id=pair["access"],
        aws_secret_access_key=pair["secret"],
        aws_session_token=pair["security_token"],
        config=Config(
            # A part that the server's end cut is sent again; the last call waits for the whole to be put together.
            retries={"max_attempts": 12, "mode": "standard"},
            read_timeout=900,
            s3={"addressing_style": "path"},
        ),
    )
    s3.upload_fileobj(stream, given["bucket_name"], given["object_path"], Config=parts(stream.member_bytes))


def parts(total: int) -> boto3.s3.transfer.TransferConfig:
    size = max(8 * MIB, total // 2000)
    return boto3.s3.transfer.TransferConfig(multipart_threshold=size, multipart_chunksize=size, max_concurrency=2)


def test_a_large_package_survives_interruptions_in_little_memory(request, tmp_path, capsys):
    seed = int(os.environ.get("OUTFITTER_PROOF_FIRST_SEED", "1"))
    draw = random.Random(seed)
    total = package_bytes(tmp_path)
    count_up, count_down = (3, 7) if FULL else (1, 2)
    up = sorted(draw.uniform(0.05, 0.9) for _ in range(count_up))
    down = sorted(draw.uniform(0.05, 0.95) for _ in range(count_down))
    kinds = [KINDS_DOWN[number % 3] if FULL else ["cut", "agent"][number] for number in range(count_down)]
    draw.shuffle(kinds)
    done: Counter[str] = Counter()
    fleet = Fleet(tmp_path, None)
    request.node.stash[SERVER] = fleet.server
    try:
        desktop, gate = fleet.add_desktop_behind_gate("ann")
        peaks = Peaks({"server": lambda: fleet.server.process, "agent": lambda: desktop.agent})
        began = time.monotonic()
        given, stream = credential(fleet, "large.zip"), Stream(total)
        failed: list[BaseException] = []

        def upload_it() -> None:
            try:
                put(given, stream)
            except BaseException as error:
                failed.append(error)

        uploading = threading.Thread(target=upload_it)
        uploading.start()
        for share in up:
            wait_for(lambda: stream.read_bytes >= share * total or failed, f"{share:.0%} to be sent", 3600)
            fleet.kill_server()
            fleet.start_server()
            done["kill of the server while it was sent"] += 1
        uploading.join()
        assert not failed, failed
        up_secs, began = time.monotonic() - began, time.monotonic()
        digest, size = stream.digest.hexdigest(), stream.read_bytes

        store = ws.BucketStore(bucket_name=given["bucket_name"], bucket_file_path=given["object_path"])
        app = upload(fleet.workspace, "large", app_file_store=ws.FileStoreLink(store_type="OBS", bucket_store=store))
        install(fleet.workspace, [app.id], [user("ann")])
        highest = 0
        for share, kind in zip(down, kinds):

            def so_far() -> int:
                nonlocal highest
                found = fleet.journals["ann"].find("package.part")
                try:
                    highest = max(highest, found.stat().st_size if found else 0)
                except FileNotFoundError:
                    pass
                return highest >= share * size

            wait_for(so_far, f"{share:.0%} to be fetched", 3600)
            if kind == "server":
                fleet.kill_server()
                fleet.start_server()
            elif kind == "agent":
                fleet.kill_agent(desktop)
                fleet.start_agent(desktop)
            else:
                gate.cut()
            done[{"cut": "cut"}.get(kind, f"kill of the {kind}") + " while it was fetched"] += 1

        def ended():
            (job,) = jobs(fleet.workspace)
            return job if job.job_status in ("SUCCESS", "FAIL") else None

        job = wait_for(ended, "the job to end", 3600)
        assert (job.job_status, job.error_message) == ("SUCCESS", None)
        down_secs = time.monotonic() - began
        peaks.end()
        attempts = fleet.server.request("GET", f"/api/v1/{{project_id}}/jobs/{job.id}/attempts").json()
        receipt = attempts["items"][0]["receipt"]
        assert attempts["count"] == 1
        assert (receipt["package_sha256"], receipt["package_size_bytes"]) == (digest, size)
        assert (desktop.sandbox / "opt/large/big.bin").stat().st_size == -(-total // MIB) * MIB
        # Nothing was fetched twice but what was on its way: what passed the gate is little more than the package.
        assert gate.passed_bytes["to agent"] < size * 1.05 + count_down * 32 * MIB, gate.passed_bytes
    finally:
        fleet.stop()
        shutil.rmtree(tmp_path, ignore_errors=True)
    assert peaks.mib["server"] < SERVER_LIMIT_MIB and peaks.mib["agent"] < AGENT_LIMIT_MIB, peaks.mib
    proof = record.Proof(
        "large package",
        {
            "package": f"{size} bytes, a zip archive with one member, made while it streams (seed {seed})",
            "interruptions": record.counted(done),
            "most memory of the server": f"{peaks.mib['server']} MiB (limit {SERVER_LIMIT_MIB})",
            "most memory of the agent": f"{peaks.mib['agent']} MiB (limit {AGENT_LIMIT_MIB})",
            "up": f"{up_secs:.0f} s",
            "down, verified, unpacked and proven": f"{down_secs:.0f} s",
        },
    )
    with capsys.disabled():
        print(f"\n{proof}")
    if FULL:
        record.write(proof)
