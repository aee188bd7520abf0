"""Taking off what was put on: an archive, a Debian package and a command's work, on real desktops."""

from __future__ import annotations

import packages
from conftest import BOTH_DATABASES
from outfitter import Server, unique, wait_for
from sdk import INSTALL_LIMIT_SECS, bucket, client, create_user, ended_jobs, install, jobs, upload, user

UNINSTALL = "/api/v1/{project_id}/deployments/uninstall"


def asked(server: Server, path: str, body: dict, status: int) -> dict:
    answer = server.request("POST", path, json=body)
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    return answer.json()


def shown(server: Server, path: str) -> dict:
    answer = server.request("GET", path)
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
    return answer.json()


def ended(server: Server, deployment_id: str) -> list[dict]:
    """The jobs of a deployment, when all have ended."""
    path = f"/api/v1/{{project_id}}/deployments/{deployment_id}"
    wait_for(lambda: shown(server, path)["state"] == "ended", "the deployment to end", INSTALL_LIMIT_SECS)
    return [shown(server, f"/api/v1/{{project_id}}/jobs/{job['id']}") for job in shown(server, f"{path}/jobs")["items"]]


def uninstall(server: Server, app_ids: list[str], **members) -> list[dict]:
    return ended(server, asked(server, UNINSTALL, {"app_ids": app_ids, **members}, 201)["id"])


@BOTH_DATABASES
def test_archive_debian_package_and_command_are_taken_off_again(server, tmp_path):
    workspace = client(server)
    create_user(workspace, "ana")
    desktop = server.start_desktop("desktop1", "ana")
    debian_name = unique("outfitter-test")
    zipped = upload(
        workspace,
        "zipped",
        app_file_store=bucket(server, packages.zip_package(tmp_path, "zipped", {"bin/tool": "tool\n", "readme": "r\n"})),
        install_command="unzip ${FILE_PATH} -d /opt/zipped",
    )
    debian = upload(
        workspace,
        "debian",
        version="1.2-3",
        install_type="QUIET_INSTALL",
        app_file_store=bucket(
            server, packages.debian_package(tmp_path, debian_name, "1.2-3", {"opt/debian/made": "debian\n"})
        ),
        install_command=packages.DPKG_INSTALL,
    )
    # The uninstaller is the installer itself, so its package is fetched again.
    body = 'if [ "${2:-}" = --remove ]; then rm -r "$root/opt/shell"; else mkdir -p "$root/opt/shell"; echo s >"$root/opt/shell/made"; fi'
    shell = upload(
        workspace,
        "shell",
        install_type="QUIET_INSTALL",
        app_file_store=bucket(server, packages.shell_package(tmp_path, "shell", body)),
        install_command=packages.SHELL_INSTALL,
        uninstall_command=f"{packages.SHELL_INSTALL} --remove",
    )
    rule = server.request(
        "PUT",
        f"/api/v1/{{project_id}}/apps/{shell.id}/detection-rule",
        json={"rule": {"file": {"path": "/opt/shell/made"}}},
    )
    assert rule.status_code == 200, rule.text
    apps = [zipped.id, debian.id, shell.id]
    install(workspace, apps, [user("ana")])
    assert {job.job_status for job in ended_jobs(workspace, 3)} == {"SUCCESS"}
    (desktop.sandbox / "opt/zipped/mine").write_text("mine\n")
    (desktop.sandbox / "opt/zipped/readme").write_text("changed\n")

    off = uninstall(server, apps, users=[{"account": "ana", "account_type": "SIMPLE"}])
    assert {job["app_name"]: (job["job_status"], job.get("proof")) for job in off} == {
        "zipped": ("SUCCESS", "manifest"),
        "debian": ("SUCCESS", "detection_rule"),
        "shell": ("SUCCESS", "detection_rule"),
    }, [job.get("error_message") for job in off]
    assert {job["kind"] for job in off} == {"uninstall"}
    assert [path.name for path in (desktop.sandbox / "opt/zipped").iterdir()] == ["mine"], "nothing but its own files"
    assert packages.debian_status(desktop.sandbox, debian_name).split(" ")[0] in ("", "not-installed", "config-files")
    assert not (desktop.sandbox / "opt/shell").exists()
    # A client of the contract sees the installs, and nothing that reads like a further one.
    assert len(jobs(workspace)) == 3

    # Once more: nothing is there, nothing is run, and it is so.
    again = uninstall(server, apps, assign_scope="ALL_USER")
    assert {(job["job_status"], job.get("proof")) for job in again} == {("SUCCESS", "already_absent")}

    # And on again, where it was.
    install(workspace, apps, [user("ana")])
    assert {job.job_status for job in ended_jobs(workspace, 6)} == {"SUCCESS"}
    assert (desktop.sandbox / "opt/zipped/bin/tool").read_text() == "tool\n"
    assert (desktop.sandbox / "opt/zipped/mine").read_text() == "mine\n"


def test_an_uninstaller_that_lies_is_caught_and_a_repair_runs_again(server, tmp_path):
    workspace = client(server)
    create_user(workspace, "ana")
    desktop = server.start_desktop("desktop1", "ana")
    body = 'mkdir -p "$root/opt/app"; echo app >"$root/opt/app/made"; echo x >>"$root/count"'
    app = upload(
        workspace,
        "app",
        install_type="QUIET_INSTALL",
        app_file_store=bucket(server, packages.shell_package(tmp_path, "app", body)),
        install_command=packages.SHELL_INSTALL,
        uninstall_command="true",
    )
    answer = server.request(
        "PUT", f"/api/v1/{{project_id}}/apps/{app.id}/detection-rule", json={"rule": {"file": {"path": "/opt/app/made"}}}
    )
    assert answer.status_code == 200, answer.text
    install(workspace, [app.id], [user("ana")])
    ended_jobs(workspace, 1)
    (job,) = uninstall(server, [app.id], assign_scope="ALL_USER")
    assert (job["job_status"], job["reason"]) == ("FAIL", "still_detected_after_uninstall")
    assert (desktop.sandbox / "opt/app/made").exists()

    create = "/api/v1/{project_id}/deployments"
    body = {"app_ids": [app.id], "desktop_ids": [job["instance_id"]], "repair": True}
    (repaired,) = ended(server, asked(server, create, body, 201)["id"])
    assert (repaired["job_status"], repaired["proof"]) == ("SUCCESS", "detection_rule")
    assert (desktop.sandbox / "count").read_text() == "x\nx\n"
