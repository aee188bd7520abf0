"""The core of the vendor's SDK for Node, unmodified: its own finding of the project, signature and reading of answers."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from compatibility import assert_listed
from outfitter import ROOT

FOLDER = ROOT / "tests/node"
APPS = "/v1/{project_id}/app-center/apps"


class NodeClient:
    """One Node process; a line in is a call, a line out its answer."""

    def __init__(self, server, **credential):
        if not (FOLDER / "node_modules").is_dir():
            raise AssertionError("the packages of tests/node are missing: run `scripts/need node-clients`")
        answers, write_end = os.pipe()
        self.process = subprocess.Popen(
            ["node", "client.js", str(write_end)],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[write_end],
            text=True,
        )
        os.close(write_end)
        self.answers = os.fdopen(answers)
        # The core appends its own /v3: what it calls the IAM endpoint is a host.
        hosts = {"endpoint": server.endpoints["endpoint"], "iam_endpoint": server.endpoints["endpoint"]}
        members = {name: server.bootstrap[name] for name in ("region", "access_key", "secret_key")}
        self._write({**hosts, **members, **credential})

    def _write(self, line: dict) -> None:
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def call(self, method: str, url: str, **parts) -> dict:
        self._write({"method": method, "url": url, **parts})
        line = self.answers.readline()
        assert line, f"the client ended with {self.process.wait()}"
        return json.loads(line)

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.answers.close()


@pytest.fixture(scope="module")
def node(client_server):
    client = NodeClient(client_server)
    yield client
    client.stop()


def app(name: str) -> dict:
    return {
        "name": name,
        "version": "1.0",
        "description": "",
        "authorization_type": "ALL_USER",
        "app_file_store": {"store_type": "LINK", "file_link": "http://127.0.0.1:9/never-fetched.zip"},
        "install_type": "UNZIP_INSTALL",
        "install_command": "unzip ${FILE_PATH}",
        "support_os": "Linux",
        "catalog_id": "1",
    }


def test_the_project_is_found_and_what_is_written_is_listed(node):
    made = node.call("POST", APPS, body=app("Paint, 笔 100%"))
    assert made["httpStatusCode"] == 200, made
    # Keys unsorted on the wire, a space and a plus sign in a value.
    for name, expected in (("笔 100%", [made["id"]]), ("a+b c", [])):
        listed = node.call("GET", APPS, query={"offset": 0, "name": name, "limit": 100})
        assert (listed["count"], [item["id"] for item in listed["items"]]) == (len(expected), expected), listed


def test_an_app_is_changed_hidden_authorized_and_deleted(node):
    app_id = node.call("POST", APPS, body=app("Editor"))["id"]
    path = {"app_id": app_id}
    assert node.call("PATCH", f"{APPS}/{{app_id}}", path=path, body={"version": "2.0"})["version"] == "2.0"
    for action in ("batch-disable", "batch-enable"):
        answer = node.call("POST", f"{APPS}/actions/{action}", body={"items": [app_id]})
        assert answer == {"httpStatusCode": 200}
    body = {
        "authorization_type": "ASSIGN_USER",
        "users": [{"account": "王", "account_type": "SIMPLE", "platform_type": "LOCAL"}],
    }
    answer = node.call("POST", f"{APPS}/{{app_id}}/actions/assign-authorizations", path=path, body=body)
    assert answer == {"httpStatusCode": 200}
    listed = node.call("GET", f"{APPS}/{{app_id}}/authorizations", path=path)
    assert [item["account"] for item in listed["items"]] == ["王"]
    answer = node.call("DELETE", f"{APPS}/{{app_id}}", path=path, query={"reserve_obs_file": "true"})
    assert answer == {"httpStatusCode": 200}
    assert node.call("GET", APPS, query={"name": "Editor"})["count"] == 0


def test_lists_of_the_other_nouns_are_read(node):
    for url, member in (
        ("/v1/{project_id}/app-center/app-catalogs", "items"),
        ("/v1/{project_id}/app-center/app-rules", "items"),
        ("/v1/{project_id}/app-center/jobs", "items"),
        ("/v2/{project_id}/desktops", "desktops"),
        ("/v2/{project_id}/users", "users"),
        ("/v2/{project_id}/groups", "user_groups"),
    ):
        answer = node.call("GET", url)
        assert answer["httpStatusCode"] == 200, answer
        assert isinstance(answer[member], list), url


def test_refusals_carry_code_message_and_request_id(client_server, node):
    refused = node.call("PATCH", f"{APPS}/{{app_id}}", path={"app_id": "no-such-app"}, body={"version": "2"})["error"]
    assert (refused["status"], refused["code"]) == (404, "WKS.00211902")
    assert len(refused["request_id"]) == 32
    other = NodeClient(client_server, secret_key="not-the-secret")
    try:
        assert other.call("GET", APPS)["error"], "a wrong secret"
    finally:
        other.stop()


def test_the_list_of_clients_says_what_was_called(client_server):
    package = FOLDER / "node_modules/@huaweicloud/huaweicloud-sdk-core/package.json"
    assert_listed("Node SDK core", json.loads(package.read_text())["version"], client_server)
