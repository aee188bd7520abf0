"""A second kind of package store that nobody here wrote: moto's S3 and IAM, as a process.

Where it is told to enforce, it verifies signatures and policies (session policies of AssumeRole too: moto keeps those
and does not judge by them, so `moto_sessions.py` starts it and adds that), and cannot answer an address signed in advance: its
check knows the Authorization header alone (moto 5.2.5). So what fetches from such addresses runs without; that an
address without its signature is refused is shown with another server, in crates/artifacts/tests/store.rs.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import requests
from botocore.config import Config

from outfitter import Process, wait_for

BUCKET = "packages"
PREFIX = "out/fitter"
ROLE = "arn:aws:iam::123456789012:role/uploads"
# What a machine would have: the rights of the key.
MACHINE_ROLE = "arn:aws:iam::123456789012:role/machine"
OF_THE_KEY = ["s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
UPLOADS = "arn:aws:s3:::wks-appcenter-*/app-file/*"
# What the guide asks for beside, where uploads go past the server.
FOR_DIRECT_UPLOADS = [
    {"Effect": "Allow", "Action": ["s3:CreateBucket", "s3:ListBucket"], "Resource": "arn:aws:s3:::wks-appcenter-*"},
    {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": [ROLE, MACHINE_ROLE]},
]


@dataclass
class ObjectStore:
    """Where it is, its root key, and the key that may do what Outfitter's guide asks for, below the prefix alone."""

    endpoint: str
    trust: Path | None
    root: dict[str, str]
    keys: dict[str, str]
    process: Process
    folder: Path

    def client(self, service: str = "s3", keys: dict[str, str] | None = None):
        keys = keys or self.root
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=keys["access_key"],
            aws_secret_access_key=keys["secret_key"],
            verify=str(self.trust) if self.trust else None,
            config=Config(signature_version="s3v4" if service == "s3" else None, retries={"max_attempts": 0}),
        )

    def keys_file(self) -> Path:
        path = self.folder / "store-keys.toml"
        path.write_text("".join(f"{name} = '{value}'\n" for name, value in self.keys.items()))
        path.chmod(0o600)
        return path

    def direct(self) -> list[str]:
        """What it is told besides, for uploads that go past it."""
        return [*self.options(), "--package-store-uploads", "direct", "--package-store-upload-role", ROLE]

    def options(self) -> list[str]:
        """What `outfitter serve` is told; the keys are in a file."""
        options = ["--package-store", f"s3://{BUCKET}/{PREFIX}", "--package-store-endpoint", self.endpoint]
        options += ["--package-store-credentials", str(self.keys_file())]
        if self.trust:
            options += ["--package-store-ca", str(self.trust)]
        return options

    def objects(self, kind: str) -> list[str]:
        """Keys of a kind, without the prefix."""
        listed = self.client().list_objects_v2(Bucket=BUCKET, Prefix=f"{PREFIX}/{kind}/")
        return [found["Key"].removeprefix(f"{PREFIX}/") for found in listed.get("Contents", [])]


@contextmanager
def object_store(folder: Path, enforce: bool, https: bool = False) -> Iterator[ObjectStore]:
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(__file__).parent / "moto_sessions.py"
    arguments = [sys.executable, str(program), "-H", "127.0.0.1", "-p", str(port)]
    trust = None
    if https:
        trust, key = certificate(folder)
        arguments += ["--ssl-cert", str(trust), "--ssl-key", str(key)]
    process = Process.start("moto", arguments, folder / "moto.log")
    try:
        endpoint = f"{'https' if https else 'http'}://127.0.0.1:{port}"
        verify = str(trust) if trust else True

        def ready() -> bool:
            process.assert_running()
            try:
                return requests.get(f"{endpoint}/moto-api/", timeout=5, verify=verify).status_code == 200
            except requests.ConnectionError:
                return False

        wait_for(ready, "moto")
        anybody = {"access_key": "any", "secret_key": "any"}
        store = ObjectStore(endpoint, trust, anybody, anybody, process, folder)
        store.root = user(store, "root", "arn:aws:s3:::*", ["s3:*"])
        store.client().create_bucket(Bucket=BUCKET)
        store.keys = user(
            store,
            "outfitter",
            [f"arn:aws:s3:::{BUCKET}/{PREFIX}/*", UPLOADS],
            OF_THE_KEY,
            FOR_DIRECT_UPLOADS,
        )
        # Its own policy allows more than any credential of it may do.
        role(store, "uploads", [allow(["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"], UPLOADS)])
        below = f"arn:aws:s3:::{BUCKET}/{PREFIX}/*"
        role(store, "machine", [allow(OF_THE_KEY, below), allow("s3:ListBucket", f"arn:aws:s3:::{BUCKET}")])
        if enforce:
            # From here on every signature is verified and every policy counts.
            reset = requests.post(
                f"{endpoint}/moto-api/reset-auth",
                data="0",
                headers={"Content-Type": "text/plain"},
                timeout=30,
                verify=verify,
            )
            assert reset.status_code == 200, reset.text
        yield store
    finally:
        process.stop()


def allow(actions: str | list[str], resources: str | list[str]) -> dict:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def role(store: ObjectStore, name: str, statements: list[dict]) -> None:
    """A role that the server's key may assume."""
    iam = store.client("iam")
    trusted = {"AWS": "arn:aws:iam::123456789012:user/outfitter"}
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": trusted}
    document = lambda statements: json.dumps({"Version": "2012-10-17", "Statement": statements})  # noqa: E731
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=document([trust]))
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=document(statements))


def user(
    store: ObjectStore, name: str, objects: str | list[str], actions: list[str], more: list[dict] | None = None
) -> dict[str, str]:
    iam = store.client("iam")
    iam.create_user(UserName=name)
    statements = [
        {"Effect": "Allow", "Action": actions, "Resource": objects},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"},
        *(more or []),
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that only its own file vouches for."""
    trust, key = folder / "moto.crt", folder / "moto.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        + ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
        + ["-keyout", str(key), "-out", str(trust)],
        check=True,
        capture_output=True,
    )
    return trust, key
