"""Every request body that the contract gives as an example is accepted as it stands.

Replaced are only what an example cannot know: ids, the bucket's name, and a whole PNG for the fragment of an icon.
"""

from __future__ import annotations

import json

import pytest

import packages
from outfitter import ROOT
from sdk import PNG, bucket, client, upload

CONTRACT = ROOT / "api/contract/openapi.json"
OPERATIONS = {
    "BatchDeleteJobs",
    "BatchInstallApps",
    "BatchUpdateAppAuthorizations",
    "InstallApp",
    "RetryJobs",
    "UpdateAppAuthorizations",
    "UpdateUploadedApp",
    "UploadApp",
}


def examples() -> list:
    """(operation, method, path, body) of every example of these operations."""
    found = []
    for path, methods in json.loads(CONTRACT.read_text())["paths"].items():
        for method, operation in methods.items():
            if not isinstance(operation, dict) or operation.get("operationId") not in OPERATIONS:
                continue
            for content in operation.get("requestBody", {}).get("content", {}).values():
                given = [content["example"]] if "example" in content else []
                given += [example["value"] for example in content.get("examples", {}).values()]
                for number, body in enumerate(given):
                    name = f"{operation['operationId']}-{number}"
                    found.append(pytest.param(method.upper(), path, body, id=name))
    return found


def test_the_contract_still_has_its_examples():
    assert len(examples()) >= 4


@pytest.mark.parametrize("method, path, body", examples())
def test_example_is_accepted(server, tmp_path, method, path, body):
    workspace = client(server)
    archive = packages.zip_package(tmp_path, "example", {"example": "yes\n"})
    store = bucket(server, archive)
    apps = [upload(workspace, f"example {number}", app_file_store=store).id for number in range(2)]
    if "app_ids" in body:
        body["app_ids"] = apps[: len(body["app_ids"])]
    if "catalog_id" in body:
        body["catalog_id"] = "1"
    if "app_icon_url" in body:
        body["app_icon_url"] = PNG
    if "app_file_store" in body:
        body["app_file_store"]["bucket_store"]["bucket_name"] = f"wks-appcenter-{server.project_id}"
    answer = server.request(method, path.replace("{app_id}", apps[0]), json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Request-Id"]
