"""What exit codes mean, restarts that are wanted, limits of failures, old versions, and the answers to why."""

from __future__ import annotations

import packages
from outfitter import wait_for
from sdk import INSTALL_LIMIT_SECS, bucket, client, create_user, upload
from test_uninstall import asked, ended, shown

CREATE = "/api/v1/{project_id}/deployments"


def test_a_wish_for_a_restart_an_old_version_and_why_are_told(server, tmp_path):
    workspace = client(server)
    create_user(workspace, "ana")
    server.start_desktop("desktop1", "ana")
    body = 'mkdir -p "$root/opt"; echo made >"$root/opt/made"; exit 5'
    app = upload(
        workspace,
        "app",
        install_type="QUIET_INSTALL",
        app_file_store=bucket(server, packages.shell_package(tmp_path, "app", body)),
        install_command=packages.SHELL_INSTALL,
    )
    ana = {"account": "ana", "account_type": "SIMPLE"}
    (desktop,) = shown(server, "/api/v1/{project_id}/desktops")["items"]
    why = f"/api/v1/{{project_id}}/why?app={app.id}&desktop={desktop['id']}"
    assert "No deployment of the application has reached the desktop" in shown(server, why)["answer"]

    (failed,) = ended(server, asked(server, CREATE, {"app_ids": [app.id], "users": [ana]}, 201)["id"])
    assert (failed["job_status"], failed["reason"]) == ("FAIL", "exit_code")
    answer = shown(server, why)["answer"]
    assert answer.startswith("desktop1 does not have app. The install failed:") and "exit code 5" in answer, answer

    codes = {"exit_codes": [{"code": 5, "outcome": "reboot_needed", "text": "restart to finish"}]}
    answer = server.request("PUT", f"/api/v1/{{project_id}}/apps/{app.id}/exit-codes", json=codes)
    assert answer.status_code == 200, answer.text
    (job,) = ended(server, asked(server, CREATE, {"app_ids": [app.id], "users": [ana]}, 201)["id"])
    assert (job["job_status"], job["restart_pending"]) == ("SUCCESS", True)
    assert "restart_needed_since" in shown(server, "/api/v1/{project_id}/desktops")["items"][0]
    (attempt,) = shown(server, f"/api/v1/{{project_id}}/jobs/{job['id']}/attempts")["items"]
    assert attempt["receipt"]["wants_restart"]
    assert shown(server, why)["answer"] == "desktop1 has app 1.0, the newest."

    outdated = f"/api/v1/{{project_id}}/apps/{app.id}/outdated-desktops"
    assert shown(server, outdated)["count"] == 0
    answer = server.request("PATCH", f"/v1/{{project_id}}/app-center/apps/{app.id}", json={"version": "2.0"})
    assert answer.status_code == 200, answer.text
    (found,) = shown(server, outdated)["items"]
    assert (found["desktop_name"], found["app_version"]) == ("desktop1", "1.0")
    assert "which is not the newest (2.0)" in shown(server, why)["answer"]


def test_a_deployment_that_fails_too_often_is_halted_and_goes_on_when_told(server, tmp_path):
    workspace = client(server)
    app = upload(
        workspace,
        "app",
        authorization_type="ALL_USER",
        install_type="QUIET_INSTALL",
        app_file_store=bucket(server, packages.shell_package(tmp_path, "app", "exit 1")),
        install_command=packages.SHELL_INSTALL,
    )
    for number in (1, 2):
        server.start_desktop(f"desktop{number}", None)
    server.register_desktop("desktop3", [])
    body = {"app_ids": [app.id], "assign_scope": "ALL_USER", "fail_limit": {"count": 1}}
    made = asked(server, CREATE, body, 201)["id"]
    path = f"/api/v1/{{project_id}}/deployments/{made}"
    halted = wait_for(lambda: "halted_at" in shown(server, path), "the deployment to be halted", INSTALL_LIMIT_SECS)
    assert halted
    third = next(job for job in shown(server, f"{path}/jobs")["items"] if job["instance_name"] == "desktop3")
    why = f"/api/v1/{{project_id}}/why?app={app.id}&desktop={third['instance_id']}"
    assert "Its deployment is halted" in shown(server, why)["answer"]
    answer = server.request("POST", f"{path}/actions/resume", json={})
    assert answer.status_code == 200, answer.text
    assert "halted_at" not in shown(server, path)
    assert "The desktop has no agent" in shown(server, why)["answer"]
