"""schemathesis over the served document of a real server, with a valid credential and every check it has."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import requests

from faults.record import Proof, write
from outfitter import ROOT, Server

COMMAND = Path(sys.executable).with_name("schemathesis")
HOOKS = ROOT / "tests/python/schemathesis_hooks.py"
CONFIGURATION = ROOT / "tests/python/schemathesis.toml"
# Cases at least, the phases, and cases per operation in the phases of chance. The phase `coverage` tries every bound of
# every member; tests/it/bounds.rs of the server does so from the contract.
SIZES = {"small": (2_000, "fuzzing,stateful", 16), "full": (20_000, "examples,coverage,fuzzing,stateful", 60)}


# With a way in, later calls would dial addresses that chance made up; tests/python/test_push.py has this one.
EXCLUDED = ["SetDesktopReach"]


def answered(server: Server, method: str, path: str, token: str, body: dict | None = None) -> dict:
    answer = requests.request(
        method, server.endpoints["endpoint"] + path, headers={"X-Auth-Token": token}, json=body, timeout=60
    )
    assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else {}


def token(server: Server, scope: dict) -> str:
    """A token of the account's administrator."""
    given = server.bootstrap
    user = {"name": given["user_name"], "password": given["password"], "domain": {"name": given["domain_name"]}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
    answer = requests.post(f"{server.endpoints['endpoint']}/v3/auth/tokens", json=body, timeout=60)
    assert answer.status_code == 201, answer.text
    return answer.headers["X-Subject-Token"]


def make_objects(server: Server, project: str, credential: str) -> dict[str, list[str]]:
    """Real objects of every noun, by the name under which requests refer to them."""

    def call(method: str, path: str, body: dict | None = None) -> dict:
        return answered(server, method, path.replace("{project_id}", project), credential, body)

    apps, rules, users, desktops, iam_users = [], [], [], [], []
    for number in range(4):
        app = {
            "name": f"Tool {number}",
            "version": "1.0",
            "description": "",
            "authorization_type": "ALL_USER",
            "app_file_store": {"store_type": "LINK", "file_link": "http://127.0.0.1:9/never-fetched.zip"},
            "install_type": "UNZIP_INSTALL",
            "install_command": "unzip ${FILE_PATH}",
            "support_os": "Linux",
            "catalog_id": "1",
        }
        apps.append(call("POST", "/v1/{project_id}/app-center/apps", app)["id"])
        rule = {"name": f"Rule {number}", "rule": {"scope": "PATH", "path_rule": {"path": f"/opt/{number}"}}}
        rules.append(call("POST", "/v1/{project_id}/app-center/app-rules", rule)["id"])
        user = {"user_name": f"user{number}", "user_email": f"user{number}@example.test"}
        users.append(call("POST", "/v2/{project_id}/users", user)["id"])
        call("POST", "/v2/{project_id}/groups", {"group_name": f"Group {number}", "platform_type": "LOCAL"})
        desktop = {"name": f"Desk-{number}", "os_type": "Linux", "users": [f"user{number}"]}
        desktops.append(call("POST", "/api/v1/{project_id}/desktops", desktop)["id"])
        iam_user = call("POST", "/api/v1/{project_id}/iam/users", {"name": f"clerk{number}", "role": "read-only"})
        iam_users.append(iam_user["user"]["id"])
    call(
        "POST",
        "/v1/{project_id}/app-center/apps/actions/batch-auto-install",
        {"app_ids": apps, "assign_scope": "ALL_USER"},
    )
    pushed = call("POST", "/v2/{project_id}/desktops/agents", {"desktop_ids": desktops[:2]})["job_id"]
    groups = call("GET", "/v2/{project_id}/groups")["user_groups"]
    jobs = call("GET", "/v1/{project_id}/app-center/jobs?limit=100")["items"]
    deployments = call("GET", "/api/v1/{project_id}/deployments")["items"]
    sub_jobs = call("GET", "/v2/{project_id}/workspace-sub-jobs")["jobs"]
    return {
        "app": apps,
        "rule": rules,
        "user": users,
        "group": [group["id"] for group in groups],
        "desktop": desktops,
        "iam_user": iam_users,
        "install_job": [job["id"] for job in jobs],
        "workspace_job": [pushed],
        "sub_job": [job["id"] for job in sub_jobs],
        "deployment": [deployment["id"] for deployment in deployments],
    }


def noun_of(path: str, name: str) -> str | None:
    """Which objects a parameter of a path, or a list in the body of its operation, refers to."""
    if name == "user_id":
        return "iam_user" if "/iam/" in path else "user"
    if name == "job_id":
        return "workspace_job" if "workspace" in path else "install_job"
    if name == "job_ids":
        return "sub_job"
    if name == "items":
        last = [part for part in path.split("/") if part in ("apps", "jobs") or "rules" in part]
        return {"apps": "app", "jobs": "install_job"}.get(last[-1], "rule") if last else None
    noun = re.sub(r"_ids?$", "", name)
    return noun if noun in {"app", "rule", "group", "desktop", "deployment", "user"} and noun != name else None


def bindings(document: dict) -> list[str]:
    """For each operation, the parameters and members that are given the id of a real object every second time."""
    tables = []
    for path, methods in document["paths"].items():
        for operation in methods.values():
            bound = {}
            for parameter in operation.get("parameters", []):
                if noun := noun_of(path, parameter["name"]):
                    if parameter["in"] == "path":
                        bound[f"path.{parameter['name']}"] = noun
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            schema = content.get("schema", {})
            if "$ref" in schema:
                schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
            for name in schema.get("properties", {}):
                if noun := noun_of(path, name):
                    bound[f"body.{name}" + ("[*]" if name.endswith("s") else "")] = noun
            if "/desktops" in path and "desktops" in schema.get("properties", {}):
                bound["body.desktops[*].desktop_id"] = "desktop"
            if bound:
                lines = [f'{json.dumps(key)} = {{ dictionary = "{noun}", probability = 0.5 }}' for key, noun in bound.items()]
                tables.append("\n".join(["[[operations]]", f'include-operation-id = "{operation["operationId"]}"', "[operations.parameters]", *lines]))
    return tables


def configuration(document: dict, project: str, credential: str, objects: dict[str, list[str]]) -> str:
    dictionaries = [f"[dictionaries.{noun}]\nvalues = {json.dumps(ids)}" for noun, ids in objects.items()]
    return "\n\n".join(
        [
            CONFIGURATION.read_text(),
            f'[headers]\nX-Auth-Token = "{credential}"',
            f'[parameters]\n"path.project_id" = "{project}"',
            *dictionaries,
            *bindings(document),
        ]
    )


def test_every_generated_request_is_answered_as_the_document_says(tmp_path, capsys):
    size = os.environ.get("OUTFITTER_PROOF_SIZE", "small")
    wanted, phases, examples = SIZES[size]
    server = Server.start(tmp_path)
    try:
        # The account's administrator, in a project of its own: whatever is done to that project's users and keys,
        # this credential is none of them.
        account = token(server, {"domain": {"name": server.bootstrap["domain_name"]}})
        project = answered(server, "POST", "/api/v1/projects", account, {"name": "generated"})["project"]["id"]
        credential = token(server, {"project": {"id": project}})
        objects = make_objects(server, project, credential)
        document = requests.get(f"{server.endpoints['endpoint']}/openapi.json", timeout=60).json()
        (tmp_path / "schemathesis.toml").write_text(configuration(document, project, credential, objects))
        run = subprocess.run(
            [str(COMMAND), "run", f"{server.endpoints['endpoint']}/openapi.json", "--no-color"]
            + [f"--exclude-operation-id={operation}" for operation in EXCLUDED]
            + ["--phases", phases, "--max-examples", str(examples)]
            + ["--seed", os.environ.get("OUTFITTER_PROOF_FIRST_SEED", "1"), "--generation-database", "none"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(HOOKS.parent), "SCHEMATHESIS_HOOKS": HOOKS.stem},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if report := os.environ.get("OUTFITTER_SCHEMATHESIS_REPORT"):
            Path(report).write_text(run.stdout)
        log = (tmp_path / "server.log").read_text()
        answers = server.answers()
        answered(server, "GET", f"/v1/{project}/app-center/apps", credential)
    finally:
        server.stop()
    summary = run.stdout[run.stdout.rfind("= SUMMARY =") :]
    assert run.returncode == 0, run.stdout[-20_000:]
    cases = int(re.search(r"(\d+) generated", summary)[1])
    tested = int(re.search(r"Tested: (\d+)", summary)[1])
    succeeded = {operation for operation, status in answers if 200 <= status < 400}
    with capsys.disabled():
        print(f"\nschemathesis: {cases} cases on {tested} operations, {len(succeeded)} of them with a success")
    assert cases >= wanted, summary
    if size == "full":
        write(
            Proof(
                "schemathesis",
                {
                    "cases": f"{cases}, none refused beyond the reviewed rules, no 5xx, no undocumented code, no schema violation",
                    "operations": f"{tested}, {len(succeeded)} of them with a success",
                },
            )
        )
    documented = sum(len(methods) for methods in document["paths"].values())
    assert tested == documented - len(EXCLUDED), summary
    assert [line for line in log.splitlines() if " ERROR " in line] == []
