"""Packages in an S3-compatible store that nobody here wrote: from the uploader's hand to desktops, on several servers.

That every client uploads into it through our bucket is shown in test_bucket.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from huaweicloudsdkworkspace import v2 as ws

import packages
from object_store import BUCKET, MACHINE_ROLE, PREFIX, object_store
from outfitter import SERVER_BINARY, Server, postgres_database, unique, wait_for
from sdk import bucket, client, create_user, ended_jobs, install, upload, user
from test_bucket import LARGE, SMALL, Credential, arrived, aws_cli, code_of, credential, make_app, s3, shown_upload
from web import web_server

# Of a server that takes in what was uploaded past it.
KILLS = 24 if os.environ.get("OUTFITTER_PROOF_SIZE") == "full" else 5


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Verifies signatures and policies."""
    with object_store(tmp_path_factory.mktemp("moto"), enforce=True) as store:
        yield store


@pytest.fixture(scope="module")
def fetched_from(tmp_path_factory):
    """Answers addresses that are signed in advance."""
    with object_store(tmp_path_factory.mktemp("moto"), enforce=False) as store:
        yield store


@pytest.fixture
def server(store, tmp_path):
    server = Server.start(tmp_path, options=store.options())
    try:
        yield server
    finally:
        server.stop()


def cli(server: Server, *arguments: str) -> subprocess.CompletedProcess:
    command = [str(SERVER_BINARY), "--bootstrap", str(server.folder / "data/bootstrap.json"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_package_uploaded_at_one_server_is_installed_by_an_agent_of_another(fetched_from, tmp_path):
    """Two servers, one PostgreSQL, one store: the desktop fetches from the store itself."""
    store = fetched_from
    package = packages.zip_package(tmp_path, "tool", {"tool/run.sh": "echo tool\n"})
    with postgres_database() as url:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        key = tmp_path / "server.key"
        options = [*store.options(), "--server-key-file", str(key)]
        first = Server.start(tmp_path / "a", url, options)
        second = None
        try:
            second = Server.join(tmp_path / "b", first, url, options)
            workspace = client(first)
            create_user(workspace, "ann")
            desktop = second.start_desktop("desktop1", "ann")
            app = upload(workspace, "tool", app_file_store=bucket(first, package))
            install(workspace, [app.id], [user("ann")])
            (job,) = ended_jobs(workspace, 1)
            assert (job.job_status, job.error_message) == ("SUCCESS", None)
            found = [path for path in desktop.sandbox.rglob("run.sh")]
            assert [path.read_text() for path in found] == ["echo tool\n"]
            # The bytes came from the store, not through a server.
            log = store.process.log.read_text()
            assert "X-Amz-Signature" in log and f"/{BUCKET}/{PREFIX}/objects/" in log
        finally:
            if second:
                second.stop()
            first.stop()


def test_a_package_that_goes_or_changes_in_the_store_is_told_and_refuses_installs(server, store, tmp_path):
    file = packages.zip_package(tmp_path, "frail", {"a": "a" * 100})
    workspace = client(server)
    create_user(workspace, "ann")
    app = upload(workspace, "frail", app_file_store=bucket(server, file))
    sha256 = server.request("GET", f"/api/v1/{{project_id}}/apps/{app.id}/detection-rule").json()["package"]["sha256"]
    s3_client = store.client()
    pointer = json.loads(s3_client.get_object(Bucket=BUCKET, Key=f"{PREFIX}/sha256/{sha256}")["Body"].read())
    key = f"{PREFIX}/objects/{pointer['object']}"
    good = s3_client.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def verified(condition: str) -> None:
        ran = cli(server, "app", "verify", "frail", "--wait", "--json")
        assert json.loads(ran.stdout)[0]["package"]["condition"] == condition, ran.stderr
        assert ran.returncode == (0 if condition == "intact" else 1)
        listed = json.loads(cli(server, "app", "list", "--json").stdout)["damaged_packages"]
        damaged = [(found["app_id"], found["condition"]) for found in listed]
        assert damaged == ([] if condition == "intact" else [(app.id, condition)])

    def refused() -> None:
        body = {"app_ids": [app.id], "assign_scope": "ASSIGN_USER", "users": [user("ann").to_dict()]}
        answer = server.request("POST", "/v1/{project_id}/app-center/apps/actions/batch-auto-install", json=body)
        assert (answer.status_code, answer.json()["error_code"]) == (409, "WKS.00211106"), answer.text

    verified("intact")
    s3_client.put_object(Bucket=BUCKET, Key=key, Body=b"x" * len(good))
    verified("altered")
    refused()
    doctor = cli(server, "doctor", "--json")
    assert "frail (altered)" in doctor.stdout and doctor.returncode == 1
    s3_client.delete_object(Bucket=BUCKET, Key=key)
    verified("missing")
    refused()
    # The same bytes once more heal it.
    server.upload_package(file)
    verified("intact")
    install(workspace, [app.id], [user("ann")])


def check(tmp_path, options: list[str]) -> tuple[int, dict[str, bool], str]:
    command = [str(SERVER_BINARY), "store", "check", "--data-dir", str(tmp_path), "--json", *options]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return ran.returncode, {step["step"]: step["ok"] for step in json.loads(ran.stdout)}, ran.stdout


def test_store_check_proves_the_store_as_servers_and_desktops_use_it(store, fetched_from, tmp_path):
    for place, how in ((store, "relayed"), (fetched_from, "presigned")):
        before = place.objects("objects")
        status, steps, text = check(tmp_path, [*place.options(), "--package-store-downloads", how])
        assert (status, set(steps.values())) == (0, {True}), text
        assert set(steps) == {
            "reach", "small package", "package in parts", "read a range", "read and digest all", "fetch as a desktop", "remove"
        }
        assert ("at a signed address" in text) == (how == "presigned")
        assert place.objects("objects") == before


def test_store_check_proves_that_credentials_of_the_sts_put_one_object(store, fetched_from, tmp_path):
    options = [*store.direct(), "--package-store-downloads", "relayed"]
    status, steps, text = check(tmp_path, options)
    assert (status, steps["upload past the server"]) == (0, True), text
    # Where nothing is judged, the credential puts everything.
    status, steps, text = check(tmp_path, fetched_from.direct())
    assert (status, steps["upload past the server"]) == (1, False), text
    assert "does not judge by session policies" in text


def test_store_check_says_what_is_wrong_and_no_secret(store, tmp_path):
    options = store.options()
    keys = tmp_path / "keys.toml"
    keys.write_text(f"access_key = '{store.keys['access_key']}'\nsecret_key = 'hunter2'\n")
    options[options.index("--package-store-credentials") + 1] = str(keys)
    status, steps, text = check(tmp_path, options)
    assert (status, steps) == (1, {"reach": False}), text
    assert "hunter2" not in text


def test_desktops_get_packages_through_the_server_where_that_is_wanted(store, tmp_path):
    package = packages.zip_package(tmp_path, "tool", {"tool/run.sh": "echo tool\n"})
    (tmp_path / "a").mkdir()
    server = Server.start(tmp_path / "a", options=[*store.options(), "--package-store-downloads", "relayed"])
    try:
        workspace = client(server)
        create_user(workspace, "ann")
        server.start_desktop("desktop1", "ann")
        app = upload(workspace, "tool", app_file_store=bucket(server, package))
        install(workspace, [app.id], [user("ann")])
        (job,) = ended_jobs(workspace, 1)
        assert (job.job_status, job.error_message) == ("SUCCESS", None)
        assert "X-Amz-Signature" not in store.process.log.read_text()
    finally:
        server.stop()


def test_packages_of_a_folder_are_copied_into_the_store_and_damaged_ones_stay_out(store, tmp_path):
    (tmp_path / "a").mkdir()
    server = Server.start(tmp_path / "a")
    try:
        files = [packages.zip_package(tmp_path, name, {name: name * 10}) for name in ("good", "bad")]
        good, bad = (server.upload_package(file)["sha256"] for file in files)
        folder = tmp_path / "a/data/packages"
        (folder / bad[:2] / bad[2:]).write_bytes(b"rot")
        command = [str(SERVER_BINARY), "store", "import", str(folder), "--data-dir", str(tmp_path), "--json", *store.options()]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
        done = {found["sha256"]: found["ok"] for found in json.loads(ran.stdout)}
        assert (ran.returncode, done) == (3, {good: True, bad: False}), ran.stdout + ran.stderr
        assert f"sha256/{good}" in store.objects("sha256") and f"sha256/{bad}" not in store.objects("sha256")
    finally:
        server.stop()


def test_desktops_fetch_over_https_with_the_operators_certificate(tmp_path):
    """Only the file that the operator named vouches for the store; agents are told it."""
    package = packages.zip_package(tmp_path, "tool", {"tool/run.sh": "echo tool\n"})
    with object_store(tmp_path / "moto", enforce=False, https=True) as store:
        (tmp_path / "a").mkdir()
        server = Server.start(tmp_path / "a", options=store.options())
        try:
            workspace = client(server)
            create_user(workspace, "ann")
            server.start_desktop("desktop1", "ann")
            app = upload(workspace, "tool", app_file_store=bucket(server, package))
            install(workspace, [app.id], [user("ann")])
            (job,) = ended_jobs(workspace, 1)
            assert (job.job_status, job.error_message) == ("SUCCESS", None)
            assert "X-Amz-Signature" in store.process.log.read_text()
        finally:
            server.stop()


def test_a_store_that_goes_away_makes_the_server_unready_until_it_is_back(tmp_path):
    with object_store(tmp_path / "moto", enforce=True) as store:
        (tmp_path / "a").mkdir()
        server = Server.start(tmp_path / "a", options=store.options())
        try:
            os.kill(store.process.popen.pid, 19)
            wait_for(lambda: server.request("GET", "/readyz").status_code == 503, "readyz to say no")
            os.kill(store.process.popen.pid, 18)
            wait_for(lambda: server.request("GET", "/readyz").status_code == 200, "readyz to say yes")
        finally:
            server.stop()


@pytest.fixture(scope="module")
def direct(store, tmp_path_factory):
    """A server past which uploaders put packages into the store itself, with credentials of its STS."""
    server = Server.start(tmp_path_factory.mktemp("direct"), options=store.direct())
    try:
        yield server
    finally:
        server.stop()


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "multipart"])
def test_what_real_clients_put_is_digested_and_becomes_the_object(direct, store, tmp_path, content):
    for put in (with_boto3, with_aws_cli):
        # No plus: moto reads policies as patterns in which it means something.
        given = credential(direct, f"{unique('name')} 名é=%.bin")
        assert (given.endpoint, given.bucket) == (store.endpoint, f"wks-appcenter-{direct.project_id}")
        file = tmp_path / "file"
        file.write_bytes(content)
        put(given, file)
        wait_until_taken_in(direct, given, content)
        shown = shown_upload(direct, given, store.client().head_object(Bucket=given.bucket, Key=given.key)["ETag"])
        assert (shown["state"], shown["package"]["sha256"]) == ("ready", hashlib.sha256(content).hexdigest())


def test_a_credential_of_the_sts_puts_nothing_but_the_one_object(direct, store):
    given = credential(direct, unique("own"))
    own = {"Bucket": given.bucket, "Key": given.key}
    client = s3(given)
    client.put_object(**own, Body=SMALL)
    denied = {
        "another key": lambda: client.put_object(Bucket=given.bucket, Key="app-file/other", Body=b"x"),
        "a key below": lambda: client.put_object(Bucket=given.bucket, Key=given.key + "/x", Body=b"x"),
        "packages": lambda: client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/objects/x", Body=b"x"),
        "get": lambda: client.get_object(**own),
        "delete": lambda: client.delete_object(**own),
        "list": lambda: client.list_objects_v2(Bucket=given.bucket),
        "list packages": lambda: client.list_objects_v2(Bucket=BUCKET),
        "create bucket": lambda: client.create_bucket(Bucket="anything"),
        "parts of another key": lambda: client.create_multipart_upload(Bucket=given.bucket, Key="app-file/other"),
    }
    for what, attempt in denied.items():
        assert code_of(attempt) == "AccessDenied", what
    put = lambda client: lambda: client.put_object(**own, Body=b"y")  # noqa: E731
    assert code_of(put(s3(given, secret="x" * 40))) == "SignatureDoesNotMatch"
    assert code_of(put(s3(given, token="x" * 40))) in ("InvalidToken", "InvalidAccessKeyId")
    assert code_of(put(s3(credential(direct, unique("other"))))) == "AccessDenied"


def test_names_that_policies_read_otherwise_are_uploaded_through_the_server(direct, store):
    for name in ("any*", "one?", "x$y"):
        given = credential(direct, name)
        assert given.endpoint != store.endpoint
        s3(given).put_object(Bucket=given.bucket, Key=given.key, Body=SMALL)
        arrived(direct, given, SMALL)


def test_a_digest_that_an_uploader_past_the_server_gave_holds(direct, store):
    given = credential(direct, unique("name"))
    own = {"Bucket": given.bucket, "Key": given.key}
    put = s3(given).put_object(**own, Body=SMALL, Metadata={"sha256": "0" * 64})
    # Whoever asks meanwhile hears that it is still to be read, and then that it is not taken.
    states = set()
    wait_for(lambda: states.add(shown_upload(direct, given, put["ETag"])["state"]) or "refused" in states, "the upload to be refused")
    assert states <= {"pending", "refused"}
    assert "is not the one its uploader gave" in direct.process.log.read_text()
    other = b"other bytes"
    s3(given).put_object(**own, Body=other, Metadata={"sha256": hashlib.sha256(other).hexdigest()})
    wait_until_taken_in(direct, given, other)


def test_an_install_asked_for_right_after_the_upload_waits_until_it_is_digested(fetched_from, tmp_path):
    package = packages.zip_package(tmp_path, "tool", {"tool/run.sh": "echo tool\n"})
    (tmp_path / "a").mkdir()
    server = Server.start(tmp_path / "a", options=fetched_from.direct())
    try:
        workspace = client(server)
        create_user(workspace, "ann")
        desktop = server.start_desktop("desktop1", "ann")
        given = credential(server, "tool.zip")
        s3(given).upload_file(str(package), given.bucket, given.key)
        place = ws.BucketStore(bucket_name=given.bucket, bucket_file_path=given.key)
        app = upload(workspace, "tool", app_file_store=ws.FileStoreLink(store_type="OBS", bucket_store=place))
        install(workspace, [app.id], [user("ann")])
        (job,) = ended_jobs(workspace, 1)
        assert (job.job_status, job.error_message) == ("SUCCESS", None)
        assert [path.read_text() for path in desktop.sandbox.rglob("run.sh")] == ["echo tool\n"]
        # Who still has the credential replaces the upload, never the package.
        sha256 = hashlib.sha256(package.read_bytes()).hexdigest()
        other = b"something else"
        s3(given).put_object(Bucket=given.bucket, Key=given.key, Body=other)
        name = f"sha256/{hashlib.sha256(other).hexdigest()}"
        wait_for(lambda: name in fetched_from.objects("sha256"), "the second upload to be taken in")
        verified = cli(server, "app", "verify", "tool", "--wait", "--json")
        (found,) = json.loads(verified.stdout)
        assert (found["package"]["sha256"], found["package"]["condition"]) == (sha256, "intact")
    finally:
        server.stop()


def test_a_server_killed_while_it_takes_uploads_in_loses_none(store, tmp_path):
    """`kill -9` at moments drawn from a seed: after an upload, while its bytes are read and recorded, and right after
    the start. An upload whose server died waits for the end of the lease."""
    draw = random.Random(int(os.environ.get("OUTFITTER_PROOF_FIRST_SEED", "1")))
    server = Server.start(tmp_path, options=store.direct())
    try:
        before = set(store.objects("sha256"))
        uploads = []
        for _ in range(KILLS):
            given = credential(server, unique("name"))
            content = draw.randbytes(draw.choice([100, 3_000_000, 12_000_000]))
            s3(given).put_object(Bucket=given.bucket, Key=given.key, Body=content)
            # Who makes an app of an upload has it taken in at once.
            make_app(server, given)
            uploads.append((given, content))
            time.sleep(draw.choice([0, draw.uniform(0, 0.1), draw.uniform(0, 1)]))
            server.process.kill()
            server.restart()
        for given, content in uploads:
            wait_until_taken_in(server, given, content)
        taken = [hashlib.sha256(content).hexdigest() for _, content in uploads]
        assert set(store.objects("sha256")) - before == {f"sha256/{sha256}" for sha256 in taken}
    finally:
        server.stop()


def with_boto3(given: Credential, file: Path) -> None:
    s3(given).upload_file(str(file), given.bucket, given.key)


def with_aws_cli(given: Credential, file: Path) -> None:
    done = aws_cli(given, file, None, file.parent)
    assert done.returncode == 0, done.stdout + done.stderr


def wait_until_taken_in(server: Server, given: Credential, content: bytes) -> None:
    """An app that was made before the object was digested is bound to it."""
    app = make_app(server, given)

    def known() -> dict | None:
        found = server.request("GET", f"/api/v1/{{project_id}}/apps/{app}/detection-rule").json()["package"]
        return found if "sha256" in found else None

    package = wait_for(known, "the upload to be taken in")
    assert (package["state"], package["sha256"], package["size_bytes"]) == (
        "ready",
        hashlib.sha256(content).hexdigest(),
        len(content),
    )


def test_a_server_takes_the_credential_that_the_machine_gives(store, tmp_path, monkeypatch):
    """As containers are given one: no key is in the server's files or environment."""
    session = store.client("sts", store.keys).assume_role(RoleArn=MACHINE_ROLE, RoleSessionName="machine")["Credentials"]
    given = {
        "AccessKeyId": session["AccessKeyId"],
        "SecretAccessKey": session["SecretAccessKey"],
        "Token": session["SessionToken"],
        "Expiration": session["Expiration"].isoformat(),
    }
    token = tmp_path / "token"
    token.write_text("proof of who asks")

    class Agent(BaseHTTPRequestHandler):
        def log_message(self, *_arguments):
            pass

        def do_GET(self) -> None:
            known = self.headers["Authorization"] == token.read_text()
            body = json.dumps(given if known else {}).encode()
            self.send_response(200 if known else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with web_server(Agent) as address:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{address}/v1/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
        options = [*store.options(), "--package-store-downloads", "relayed"]
        at = options.index("--package-store-credentials")
        options[at : at + 2] = ["--package-store-machine-credentials"]
        status, steps, text = check(tmp_path, options)
        assert (status, set(steps.values())) == (0, {True}), text
