"""Packages are put into the bucket by object clients that nobody here wrote, and nothing else can be done there.

One suite over every kind of store and both schemes: where the server keeps packages is nothing that a client sees.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import boto3
import obs
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError
from huaweicloudsdkworkspace import v2 as ws

from conftest import SERVER
from object_store import BUCKET, ObjectStore, object_store
from outfitter import Server, unique
from sdk import client, create_user, ended_jobs, install, upload, user

FILE_NAME = "set up+1 名é=%.bin"
SMALL = b"a few bytes"
# More than two parts of 8 MiB, and no whole number of them.
LARGE = hashlib.shake_256(b"large").digest(17 * 1024 * 1024 + 13)
WHEEL = "six==1.17.0"
MIB = 1024 * 1024


@dataclass
class Credential:
    """What CreateBucketCredential answered."""

    endpoint: str
    bucket: str
    key: str
    access: str
    secret: str
    token: str


def credential(server: Server, file_name: str = FILE_NAME) -> Credential:
    created = server.request("POST", "/v1/{project_id}/app-center/buckets")
    assert (created.status_code, created.json()) == (200, {"bucket_name": f"wks-appcenter-{server.project_id}"})
    path = "/v1/{project_id}/app-center/buckets/actions/create-credential"
    answer = server.request("POST", path, json={"file_name": file_name})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["object_path"] == f"app-file/{file_name}"
    assert body["policy"]["statement"]["action"] == ["obs:object:PutObject"]
    pair = body["credential"]
    return Credential(
        body["server_end_point"],
        body["bucket_name"],
        body["object_path"],
        pair["access"],
        pair["secret"],
        pair["security_token"],
    )


@dataclass
class Served:
    """A server, the file that its certificate is checked with, and the store where it does not keep packages itself."""

    server: Server
    trust: Path | None
    store: ObjectStore | None

    def left_over(self) -> list[str]:
        """What uploads that ended should not have left."""
        if self.store is None:
            return [str(path) for path in (self.server.folder / "data/packages").glob("parts/*")]
        uploads = self.store.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return self.store.objects("parts") + self.store.objects("staging") + [found["Key"] for found in uploads]


@pytest.fixture(scope="module")
def another_store(tmp_path_factory) -> Iterator[ObjectStore]:
    """Verifies the server's signatures, and that it does no more than its key may."""
    with object_store(tmp_path_factory.mktemp("moto"), enforce=True) as store:
        yield store


def serve(request, tmp_path_factory) -> Iterator[Served]:
    kind, scheme = request.param.split("-")
    store = request.getfixturevalue("another_store") if kind == "s3" else None
    folder = tmp_path_factory.mktemp("server")
    options = store.options() if store else []
    with pytest.MonkeyPatch.context() as patch:
        trust = None
        if scheme == "https":
            trust = folder / "data/tls.crt"
            patch.setenv("REQUESTS_CA_BUNDLE", str(trust))
            options = [*options, "--tls-self-signed"]
        server = Server.start(folder, options=options)
        request.node.stash[SERVER] = server
        try:
            yield Served(server, trust, store)
        finally:
            server.stop()


@pytest.fixture(scope="module", params=["folder-http", "folder-https", "s3-http", "s3-https"])
def served(request, tmp_path_factory):
    """A server of each scheme over each kind of store."""
    yield from serve(request, tmp_path_factory)


@pytest.fixture(scope="module", params=["folder-http", "s3-http"])
def stored(request, tmp_path_factory):
    """A server over each kind of store."""
    yield from serve(request, tmp_path_factory)


def s3(given: Credential, trust: Path | None = None, **changes):
    return boto3.client(
        "s3",
        endpoint_url=given.endpoint,
        region_name=changes.pop("region", "any-1"),
        aws_access_key_id=changes.pop("access", given.access),
        aws_secret_access_key=changes.pop("secret", given.secret),
        aws_session_token=changes.pop("token", given.token),
        verify=str(trust) if trust else None,
        config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}, **changes),
    )


def make_app(server: Server, given: Credential) -> str:
    """An application with the object as its package; gives its id."""
    store = {"bucket_name": given.bucket, "bucket_file_path": given.key}
    body = {
        "name": unique("app"),
        "version": "1",
        "description": "d",
        "authorization_type": "ALL_USER",
        "app_file_store": {"store_type": "OBS", "bucket_store": store},
        "install_type": "QUIET_INSTALL",
        "install_command": "true",
        "support_os": "Linux",
        "catalog_id": "1",
    }
    answer = server.request("POST", "/v1/{project_id}/app-center/apps", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def arrived(server: Server, given: Credential, content: bytes) -> None:
    """The object is there with exactly these bytes: an application is bound to it."""
    app = make_app(server, given)
    rule = server.request("GET", f"/api/v1/{{project_id}}/apps/{app}/detection-rule").json()
    assert rule["package"]["state"] == "ready"
    assert rule["package"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert rule["package"]["size_bytes"] == len(content)


def shown_upload(server: Server, given: Credential, etag: str) -> dict:
    """What became of the upload that was answered this entity tag."""
    query = {"object_path": given.key, "etag": etag.strip('"')}
    # A plus sign is itself, as in signed requests.
    answer = server.request("GET", "/api/v1/{project_id}/packages", params=urlencode(query, quote_via=quote))
    assert answer.status_code == 200, answer.text
    return answer.json()


def aws_cli(given: Credential, file: Path, trust: Path | None, home: Path) -> subprocess.CompletedProcess:
    command = [str(Path(sys.executable).parent / "aws"), "--endpoint-url", given.endpoint]
    command += ["--ca-bundle", str(trust)] if trust else []
    command += ["s3", "cp", "--no-progress", str(file), f"s3://{given.bucket}/{given.key}"]
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": given.access,
        "AWS_SECRET_ACCESS_KEY": given.secret,
        "AWS_SESSION_TOKEN": given.token,
        "AWS_DEFAULT_REGION": "any-1",
        "HOME": str(home),
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "multipart"])
def test_boto3(served, tmp_path, content):
    server, trust = served.server, served.trust
    file = tmp_path / "file"
    file.write_bytes(content)
    given = credential(server)
    s3(given, trust).upload_file(str(file), given.bucket, given.key)
    head = s3(given, trust).head_object(Bucket=given.bucket, Key=given.key)
    assert head["ContentLength"] == len(content)
    arrived(server, given, content)
    shown = shown_upload(server, given, head["ETag"])
    assert (shown["state"], shown["package"]["sha256"]) == ("ready", hashlib.sha256(content).hexdigest())
    assert served.left_over() == []


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "multipart"])
def test_aws_cli(served, tmp_path, content):
    server, trust = served.server, served.trust
    file = tmp_path / "file"
    file.write_bytes(content)
    given = credential(server)
    done = aws_cli(given, file, trust, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    arrived(server, given, content)


def put_in_parts(store: obs.ObsClient, given: Credential, file: Path):
    """Call by call: the client's own uploadFile asks for the bucket first, which the credential does not allow."""
    part_size, size = 6 * MIB, file.stat().st_size
    begun = store.initiateMultipartUpload(given.bucket, given.key)
    assert begun.status == 200, (begun.status, begun.errorCode, begun.errorMessage)
    parts = []
    for number, offset in enumerate(range(0, size, part_size), 1):
        length = min(part_size, size - offset)
        part = store.uploadPart(
            given.bucket, given.key, number, begun.body.uploadId, str(file), True, partSize=length, offset=offset
        )
        assert part.status == 200, (part.status, part.errorCode, part.errorMessage)
        parts.append(obs.CompletePart(number, part.body.etag))
    listed = store.listParts(given.bucket, given.key, begun.body.uploadId)
    assert [part.partNumber for part in listed.body.parts] == list(range(1, len(parts) + 1))
    return store.completeMultipartUpload(
        given.bucket, given.key, begun.body.uploadId, obs.CompleteMultipartUploadRequest(parts)
    )


@pytest.mark.parametrize("signature", ["obs", "v2", "v4"])
def test_obs_client(served, tmp_path, signature):
    server, trust = served.server, served.trust
    for content in (SMALL, LARGE):
        file = tmp_path / "file"
        file.write_bytes(content)
        given = credential(server)
        store = obs.ObsClient(
            access_key_id=given.access,
            secret_access_key=given.secret,
            security_token=given.token,
            server=given.endpoint,
            signature=signature,
            region="any-1",
            ssl_verify=str(trust) if trust else False,
            max_retry_count=0,
        )
        if content is SMALL:
            answer = store.putFile(given.bucket, given.key, str(file))
        else:
            answer = put_in_parts(store, given, file)
        assert answer.status == 200, (answer.status, answer.errorCode, answer.errorMessage)
        store.close()
        arrived(server, given, content)


def code_of(attempt) -> str:
    with pytest.raises(ClientError) as refused:
        attempt()
    return refused.value.response["Error"]["Code"]


def test_nothing_but_the_one_object(stored):
    server = stored.server
    given = credential(server, unique("name"))
    own = {"Bucket": given.bucket, "Key": given.key}
    store = s3(given)
    store.put_object(**own, Body=SMALL)
    denied = {
        "another key": lambda: store.put_object(Bucket=given.bucket, Key="app-file/other", Body=b"x"),
        "a key below": lambda: store.put_object(Bucket=given.bucket, Key=given.key + "/x", Body=b"x"),
        "another bucket": lambda: store.put_object(Bucket="wks-appcenter-other", Key=given.key, Body=b"x"),
        "get": lambda: store.get_object(**own),
        "delete": lambda: store.delete_object(**own),
        "delete many": lambda: store.delete_objects(Bucket=given.bucket, Delete={"Objects": [{"Key": given.key}]}),
        "list": lambda: store.list_objects_v2(Bucket=given.bucket),
        "list uploads": lambda: store.list_multipart_uploads(Bucket=given.bucket),
        "list buckets": lambda: store.list_buckets(),
        "create bucket": lambda: store.create_bucket(Bucket="anything"),
        "copy": lambda: store.copy_object(**own, CopySource=own),
        "acl": lambda: store.put_object_acl(**own, ACL="public-read"),
        "tagging": lambda: store.put_object_tagging(**own, Tagging={"TagSet": []}),
    }
    for what, attempt in denied.items():
        assert code_of(attempt) == "AccessDenied", what

    other = credential(server, "other")
    put = lambda store: lambda: store.put_object(**own, Body=b"y")  # noqa: E731
    assert code_of(put(s3(given, secret="x" * 40))) == "SignatureDoesNotMatch"
    assert code_of(put(s3(given, access="A" * 20))) == "InvalidAccessKeyId"
    assert code_of(put(s3(given, token=None))) == "InvalidToken"
    assert code_of(put(s3(given, token=other.token))) == "InvalidToken"
    assert code_of(put(s3(given, token=given.token[:-2] + "AA"))) == "InvalidToken"
    assert code_of(put(s3(other))) == "AccessDenied"
    administrator = s3(
        given, access=server.bootstrap["access_key"], secret=server.bootstrap["secret_key"], token=None
    )
    assert code_of(put(administrator)) == "InvalidAccessKeyId"
    anonymous = requests.put(f"{given.endpoint}/{given.bucket}/app-file/x", data=b"x", timeout=30)
    assert anonymous.status_code == 403 and "<Code>AccessDenied</Code>" in anonymous.text
    form = requests.post(f"{given.endpoint}/{given.bucket}", files={"file": b"x"}, timeout=30)
    assert form.status_code == 403
    arrived(server, given, SMALL)


def test_what_the_uploader_says_about_the_bytes_is_checked(stored):
    server = stored.server
    given = credential(server, unique("name"))
    own = {"Bucket": given.bucket, "Key": given.key}
    store = s3(given)
    wrong = {
        "ContentMD5": "AAAAAAAAAAAAAAAAAAAAAA==",
        "ChecksumCRC32": "AAAAAA==",
        "ChecksumSHA256": "A" * 43 + "=",
        "Metadata": {"sha256": "0" * 64},
    }
    for name, value in wrong.items():
        assert code_of(lambda: store.put_object(**own, Body=b"x", **{name: value})) == "BadDigest", name  # noqa: B023
    assert code_of(lambda: store.head_object(**own)) == "404"
    right = hashlib.sha256(SMALL).hexdigest()
    store.put_object(**own, Body=SMALL, Metadata={"sha256": right})
    arrived(server, given, SMALL)


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_presigned_address(stored, version):
    server = stored.server
    given = credential(server)
    own = {"Bucket": given.bucket, "Key": given.key}
    address = s3(given, signature_version=version).generate_presigned_url("put_object", Params=own, ExpiresIn=60)
    added = requests.put(address, data=SMALL, headers={"x-amz-meta-added": "x", "Content-Type": ""}, timeout=30)
    assert added.status_code == 403, added.text
    put = requests.put(address, data=SMALL, headers={"Content-Type": ""}, timeout=30)
    assert put.status_code == 200, put.text
    arrived(server, given, SMALL)
    read = requests.get(address, timeout=30)
    assert read.status_code == 403


def test_an_upload_in_parts_goes_on_with_a_fresh_credential_and_after_a_restart(stored):
    server = stored.server
    first = credential(server)
    own = {"Bucket": first.bucket, "Key": first.key}
    begun = s3(first).create_multipart_upload(**own)["UploadId"]
    halves = [LARGE[: 9 * MIB], LARGE[9 * MIB :]]
    one = s3(first).upload_part(**own, UploadId=begun, PartNumber=1, Body=halves[0])
    server.process.kill()
    server.restart()
    again = credential(server)
    store = s3(again)
    (listed,) = store.list_parts(**own, UploadId=begun)["Parts"]
    assert (listed["PartNumber"], listed["Size"], listed["ETag"]) == (1, 9 * MIB, one["ETag"])
    two = store.upload_part(**own, UploadId=begun, PartNumber=2, Body=halves[1])
    parts = [{"PartNumber": number, "ETag": part["ETag"]} for number, part in ((1, one), (2, two))]
    complete = lambda parts: store.complete_multipart_upload(  # noqa: E731
        **own, UploadId=begun, MultipartUpload={"Parts": parts}
    )
    assert code_of(lambda: complete(parts[::-1])) == "InvalidPartOrder"
    assert code_of(lambda: complete([parts[0], {**parts[1], "ETag": one["ETag"]}])) == "InvalidPart"
    done = complete(parts)
    assert complete(parts)["ETag"] == done["ETag"], "asked again because the answer was lost"
    arrived(server, again, LARGE)

    given_up = store.create_multipart_upload(**own)["UploadId"]
    store.upload_part(**own, UploadId=given_up, PartNumber=1, Body=b"x")
    store.abort_multipart_upload(**own, UploadId=given_up)
    assert code_of(lambda: store.list_parts(**own, UploadId=given_up)) == "NoSuchUpload"
    assert stored.left_over() == []


def test_a_bucket_that_was_not_opened_gives_no_credential(server):
    path = "/v1/{project_id}/app-center/buckets/actions/create-credential"
    refused = server.request("POST", path, json={"file_name": "a"})
    assert (refused.status_code, refused.json()["error_code"]) == (409, "WKS.00211108")
    server.request("POST", "/v1/{project_id}/app-center/buckets")
    for name in ("a/b", "..", "a\\b", "a|b", ""):
        refused = server.request("POST", path, json={"file_name": name})
        assert (refused.status_code, refused.json()["error_code"]) == (400, "WKS.00211102"), name


def test_a_wheel_from_the_package_index_is_installed_on_live_agents(server, tmp_path):
    fetched = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", tmp_path, WHEEL],
        # The certificate that clients of a server over https trust here is not the package index's.
        env={name: value for name, value in os.environ.items() if name != "REQUESTS_CA_BUNDLE"},
        capture_output=True,
        text=True,
    )
    assert fetched.returncode == 0, fetched.stderr
    (wheel,) = tmp_path.glob("six-*.whl")
    given = credential(server, wheel.name)
    s3(given).upload_file(str(wheel), given.bucket, given.key)
    workspace = client(server)
    desktops = []
    for name in ("ann", "ben"):
        create_user(workspace, name)
        desktops.append(server.start_desktop(f"{name}s-desktop", name))
    store = ws.FileStoreLink(
        store_type="OBS",
        bucket_store=ws.BucketStore(bucket_name=given.bucket, bucket_file_path=given.key),
    )
    app = upload(workspace, "archive", app_file_store=store, install_command="unzip ${FILE_PATH} -d /opt/archive")
    install(workspace, [app.id], [user("ann"), user("ben")])
    assert [(job.job_status, job.error_message) for job in ended_jobs(workspace, 2)] == [("SUCCESS", None)] * 2
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read("six.py")
    assert [(desktop.sandbox / "opt/archive/six.py").read_bytes() for desktop in desktops] == [content] * 2
