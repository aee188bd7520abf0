"""The spine, walked with the vendor's own Python SDK: an application becomes verifiably installed on real desktops."""

from __future__ import annotations

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkworkspace import v2 as ws

import packages
from conftest import BOTH_DATABASES
from outfitter import unique
from sdk import (
    PNG,
    app_body,
    bucket,
    build,
    client,
    create_group,
    create_user,
    ended_jobs,
    group,
    install,
    jobs,
    upload,
    user,
)


def list_apps(workspace: ws.WorkspaceClient, **arguments) -> ws.ListAppsResponse:
    return workspace.list_apps(ws.ListAppsRequest(**arguments))


def authorizations(workspace: ws.WorkspaceClient, app_id: str, **filters) -> set[tuple[str, str]]:
    answer = workspace.list_app_authorizations(ws.ListAppAuthorizationsRequest(app_id=app_id, limit=100, **filters))
    assert answer.count == len(answer.items)
    return {(found.account_type, found.account) for found in answer.items}


# --- finding the project


def test_project_is_found_through_the_iam_endpoint_of_the_credentials(server):
    assert list_apps(client(server)).count == 0


def test_project_is_found_through_the_iam_endpoint_of_the_environment(server, monkeypatch):
    monkeypatch.setenv("HUAWEICLOUD_SDK_IAM_ENDPOINT", server.endpoints["iam_endpoint"])
    credentials = BasicCredentials(server.bootstrap["access_key"], server.bootstrap["secret_key"])
    assert list_apps(build(server, credentials)).count == 0
    assert credentials.project_id == server.project_id


def test_a_wrong_secret_is_an_error_with_code_message_and_request_id(server):
    credentials = BasicCredentials(server.bootstrap["access_key"], "not-the-secret", server.project_id)
    with pytest.raises(ClientRequestException) as refused:
        list_apps(build(server, credentials))
    assert refused.value.status_code == 401
    assert refused.value.error_code == "APIGW.0301"
    assert "verify aksk signature fail" in refused.value.error_msg
    assert refused.value.request_id


# --- the catalogue


@BOTH_DATABASES
def test_an_uploaded_app_is_listed_at_once_and_as_it_was_sent(server):
    workspace = client(server)
    body = app_body(
        "Paint, 笔 100%.exe", version="v1.1.1", app_icon_url=PNG, uninstall_command="rm -r x", install_info="notes"
    )
    made = workspace.upload_app(ws.UploadAppRequest(body=body))
    (listed,) = list_apps(workspace).items
    for app in (made, listed):
        for member in ("name", "version", "description", "install_command", "uninstall_command", "install_info"):
            assert getattr(app, member) == getattr(body, member), member
        assert (app.authorization_type, app.install_type, app.support_os) == ("ASSIGN_USER", "UNZIP_INSTALL", "Linux")
        assert (app.status, app.application_source, app.catalog_id) == ("NORMAL", "CUSTOM", "1")
        assert app.app_file_store.store_type == "LINK"
        assert app.app_file_store.file_link == body.app_file_store.file_link
        assert app.app_icon_url.startswith("http")
        assert app.create_time.year >= 2024
        assert app.tenant_id and app.tenant_id != server.project_id
    assert listed.id == made.id


@BOTH_DATABASES
def test_apps_are_paged_newest_first_and_searched_without_regard_to_case(server):
    workspace = client(server)
    made = [upload(workspace, f"{'Tool' if number % 2 else 'Game'} {number:02}").id for number in range(12)]
    newest_first = made[::-1]
    assert [app.id for app in list_apps(workspace).items] == newest_first[:10], "the default limit is 10"
    for offset, expected in ((0, 5), (5, 5), (10, 2), (12, 0)):
        page = list_apps(workspace, offset=offset, limit=5)
        assert page.count == 12
        assert [app.id for app in page.items] == newest_first[offset : offset + 5]
        assert len(page.items) == expected
    found = list_apps(workspace, name="tOOL", limit=100)
    assert found.count == 6
    assert [app.id for app in found.items] == made[1::2][::-1]
    assert list_apps(workspace, name="%").count == 0, "a wildcard of the database is an ordinary character"


@pytest.mark.parametrize("limit", [0, 101, -1])
def test_a_page_size_out_of_bounds_is_refused(server, limit):
    with pytest.raises(ClientRequestException) as refused:
        list_apps(client(server), limit=limit)
    assert (refused.value.status_code, refused.value.error_code) == (400, "WKS.00211102")
    assert "limit" in refused.value.error_msg


def test_catalogs_are_listed_whole_with_other_first(server):
    catalogs = client(server).list_app_catalogs(ws.ListAppCatalogsRequest()).items
    assert [catalog.id for catalog in catalogs] == [str(number) for number in range(1, 10)]


@BOTH_DATABASES
def test_an_update_replaces_what_it_names_and_keeps_the_rest(server):
    workspace = client(server)
    app = upload(workspace, "before", install_info="stays", uninstall_command="stays too")

    def update(**members) -> ws.Application:
        body = ws.UpdateAppReq(**members)
        workspace.update_uploaded_app(ws.UpdateUploadedAppRequest(app_id=app.id, body=body))
        (found,) = list_apps(workspace).items
        return found

    changed = update(name="after", version="2.0")
    assert (changed.name, changed.version) == ("after", "2.0")
    assert (changed.install_info, changed.uninstall_command) == ("stays", "stays too")
    assert changed.app_file_store.file_link == app.app_file_store.file_link
    changed = update(status="FORBIDDEN", authorization_type="ALL_USER")
    assert (changed.status, changed.authorization_type, changed.name) == ("FORBIDDEN", "ALL_USER", "after")
    # Making an application break the rule is refused, and changes nothing.
    with pytest.raises(ClientRequestException) as refused:
        update(install_command="", name="never")
    assert (refused.value.status_code, refused.value.error_code) == (400, "WKS.00211102")
    assert "install_command" in refused.value.error_msg
    (found,) = list_apps(workspace).items
    assert (found.name, found.install_command) == ("after", "unzip ${FILE_PATH}")


def test_an_update_of_an_unknown_app_is_not_found(server):
    with pytest.raises(ClientRequestException) as refused:
        request = ws.UpdateUploadedAppRequest(app_id="no-such-app", body=ws.UpdateAppReq(version="2"))
        client(server).update_uploaded_app(request)
    assert (refused.value.status_code, refused.value.error_code) == (404, "WKS.00211902")


# --- who may


@BOTH_DATABASES
def test_authorizations_of_users_and_groups_are_added_and_removed_in_batches(server):
    workspace = client(server)
    apps = [upload(workspace, name).id for name in ("one", "two")]

    def batch(app_ids, authorization_type="ASSIGN_USER", **members) -> None:
        body = ws.BatchAssignAppAuthorizationsReq(app_ids=app_ids, authorization_type=authorization_type, **members)
        workspace.batch_update_app_authorizations(ws.BatchUpdateAppAuthorizationsRequest(body=body))

    batch(apps, users=[user("ann"), user("bob"), group("painters")])
    everyone = {("SIMPLE", "ann"), ("SIMPLE", "bob"), ("USER_GROUP", "painters")}
    assert authorizations(workspace, apps[0]) == authorizations(workspace, apps[1]) == everyone
    batch(apps[:1], users=[user("ann"), user("cid")], del_users=[user("bob"), user("cid"), user("nobody")])
    assert authorizations(workspace, apps[0]) == {("SIMPLE", "ann"), ("USER_GROUP", "painters")}, "removed wins"
    assert authorizations(workspace, apps[1]) == everyone
    assert authorizations(workspace, apps[1], target_type="USER_GROUP") == {("USER_GROUP", "painters")}
    assert authorizations(workspace, apps[1], name="AN") == {("SIMPLE", "ann")}
    # All or nothing: one unknown application, and nobody gains anything.
    with pytest.raises(ClientRequestException) as refused:
        batch([apps[0], "no-such-app"], users=[user("eve")])
    assert (refused.value.status_code, refused.value.error_code) == (404, "WKS.00211902")
    assert ("SIMPLE", "eve") not in authorizations(workspace, apps[0])
    batch(apps, "ALL_USER")
    assert {app.authorization_type for app in list_apps(workspace).items} == {"ALL_USER"}
    assert authorizations(workspace, apps[1]) == everyone, "the stored list outlives ALL_USER"


# --- installing


def start_fleet(server, workspace, count: int) -> list[str]:
    users = [f"user{number}" for number in range(1, count + 1)]
    for number, name in enumerate(users, 1):
        create_user(workspace, name)
        server.start_desktop(f"desktop{number}", name)
    return users


@BOTH_DATABASES
def test_three_apps_on_five_desktops_end_installed_and_verifiably_so(server, tmp_path):
    workspace = client(server)
    users = start_fleet(server, workspace, 5)
    debian_name = unique("outfitter-test")
    zipped = upload(
        workspace,
        "zipped",
        app_file_store=bucket(server, packages.zip_package(tmp_path, "zipped", {"share/readme.txt": "zipped\n"})),
        install_command="unzip ${FILE_PATH} -d /opt/zipped",
    )
    shell = upload(
        workspace,
        "shell",
        install_type="QUIET_INSTALL",
        app_file_store=bucket(
            server,
            packages.shell_package(tmp_path, "shell", 'mkdir -p "$root/opt/shell"; echo shell >"$root/opt/shell/made"'),
        ),
        install_command=packages.SHELL_INSTALL,
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
    apps = [zipped, shell, debian]

    install(workspace, [app.id for app in apps], [user(name) for name in users])
    ended = ended_jobs(workspace, 15)

    assert {job.job_status for job in ended} == {"SUCCESS"}, [(job.app_name, job.error_message) for job in ended]
    assert {(job.app_id, job.instance_name) for job in ended} == {
        (app.id, desktop.name) for app in apps for desktop in server.desktops
    }
    for desktop in server.desktops:
        assert (desktop.sandbox / "opt/zipped/share/readme.txt").read_text() == "zipped\n"
        assert (desktop.sandbox / "opt/shell/made").read_text() == "shell\n"
        assert (desktop.sandbox / "opt/debian/made").read_text() == "debian\n"
        assert packages.debian_status(desktop.sandbox, debian_name) == "installed 1.2-3"

    by_desktop = {job.instance_name: job for job in ended}
    for desktop in server.desktops:
        desktop_id = by_desktop[desktop.name].instance_id
        assert {job.instance_name for job in jobs(workspace, instance_id=desktop_id)} == {desktop.name}
        assert len(jobs(workspace, instance_id=desktop_id)) == 3
        mine = jobs(workspace, target=desktop.user)
        assert len(mine) == 3
        assert {(job.instance_name, job.target) for job in mine} == {(desktop.name, desktop.user)}
    for app in apps:
        of_app = jobs(workspace, app_id=app.id)
        assert len(of_app) == 5
        assert {(job.app_name, job.app_version) for job in of_app} == {(app.name, app.version)}
    assert len(jobs(workspace, job_status="SUCCESS")) == 15
    for status in ("INIT", "WAITING", "FAIL"):
        assert jobs(workspace, job_status=status) == []
    one = jobs(workspace, app_id=shell.id, target=users[0], job_status="SUCCESS")
    assert [job.instance_name for job in one] == ["desktop1"]
    assert all(job.error_message is None and job.operator and job.update_time >= job.create_time for job in ended)
    for app in apps:
        assert authorizations(workspace, app.id) == {("SIMPLE", name) for name in users}, "the call adds what lacks"


@BOTH_DATABASES
def test_a_failed_job_says_why_and_a_retry_makes_it_good(server, tmp_path):
    workspace = client(server)
    (account,) = start_fleet(server, workspace, 1)
    (desktop,) = server.desktops
    moody = packages.shell_package(
        tmp_path, "moody", '[ -e "$root/licence" ] || { echo "no licence found" >&2; exit 42; }; echo >"$root/made"'
    )
    app = upload(
        workspace,
        "moody",
        install_type="QUIET_INSTALL",
        app_file_store=bucket(server, moody),
        install_command=packages.SHELL_INSTALL,
    )
    install(workspace, [app.id], [user(account)])
    (failed,) = ended_jobs(workspace, 1)
    assert failed.job_status == "FAIL"
    assert "42" in failed.error_message
    assert [job.id for job in jobs(workspace, job_status="FAIL")] == [failed.id]
    assert not (desktop.sandbox / "made").exists()

    (desktop.sandbox / "licence").write_text("paid\n")
    retry(workspace, failed.id)
    (good,) = ended_jobs(workspace, 1)
    assert (good.id, good.job_status, good.error_message) == (failed.id, "SUCCESS", None)
    assert (desktop.sandbox / "made").exists()
    with pytest.raises(ClientRequestException) as refused:
        retry(workspace, good.id)
    assert (refused.value.status_code, refused.value.error_code) == (409, "WKS.00211202")


def test_an_installer_that_lies_is_caught(server, tmp_path):
    workspace = client(server)
    (account,) = start_fleet(server, workspace, 1)
    name = unique("outfitter-liar")
    app = upload(
        workspace,
        "liar",
        install_type="QUIET_INSTALL",
        app_file_store=bucket(server, packages.debian_package(tmp_path, name, "1.0", {"opt/liar": "never\n"})),
        install_command="sh -c 'exit 0' sh ${FILE_PATH}",
    )
    install(workspace, [app.id], [user(account)])
    (job,) = ended_jobs(workspace, 1)
    assert job.job_status == "FAIL"
    assert job.error_message


def test_a_group_reaches_the_desktops_of_its_members_and_no_other(server, tmp_path):
    workspace = client(server)
    members = [create_user(workspace, name) for name in ("ann", "bob")]
    create_user(workspace, "eve")
    create_group(workspace, "painters", members)
    for name in ("ann", "bob", "eve"):
        server.start_desktop(f"desktop-{name}", name)
    archive = packages.zip_package(tmp_path, "brush", {"brush": "soft\n"})
    app = upload(workspace, "brush", app_file_store=bucket(server, archive))
    install(workspace, [app.id], [group("painters")])
    ended = ended_jobs(workspace, 2)
    assert {(job.instance_name, job.target, job.job_status) for job in ended} == {
        ("desktop-ann", "ann", "SUCCESS"),
        ("desktop-bob", "bob", "SUCCESS"),
    }
    assert authorizations(workspace, app.id) == {("USER_GROUP", "painters")}
    for desktop in server.desktops:
        assert (desktop.sandbox / "opt/brush/brush").exists() == (desktop.user != "eve")


@BOTH_DATABASES
def test_jobs_for_a_silent_desktop_wait_and_can_be_deleted(server, tmp_path):
    workspace = client(server)
    create_user(workspace, "ann")
    server.register_desktop("asleep", ["ann"])
    archive = packages.zip_package(tmp_path, "later", {"later": "yes\n"})
    app = upload(workspace, "later", app_file_store=bucket(server, archive))
    install(workspace, [app.id], [user("ann")])
    (waiting,) = jobs(workspace)
    assert (waiting.job_status, waiting.instance_name, waiting.target) == ("INIT", "asleep", "ann")
    install(workspace, [app.id], [user("ann")])
    assert [job.id for job in jobs(workspace)] == [waiting.id], "no second job for the same app and desktop"
    with pytest.raises(ClientRequestException) as refused:
        retry(workspace, waiting.id)
    assert (refused.value.status_code, refused.value.error_code) == (409, "WKS.00211202")
    body = ws.BatchOperateJobsReq(items=[waiting.id, "no-such-job"])
    workspace.batch_delete_jobs(ws.BatchDeleteJobsRequest(body=body))
    assert jobs(workspace) == []


def test_records_of_ended_jobs_can_be_deleted(server, tmp_path):
    workspace = client(server)
    (account,) = start_fleet(server, workspace, 1)
    archive = packages.zip_package(tmp_path, "done", {"done": "yes\n"})
    app = upload(workspace, "done", app_file_store=bucket(server, archive))
    install(workspace, [app.id], [user(account)])
    (job,) = ended_jobs(workspace, 1)
    assert job.job_status == "SUCCESS"
    workspace.batch_delete_jobs(ws.BatchDeleteJobsRequest(body=ws.BatchOperateJobsReq(items=[job.id])))
    assert jobs(workspace) == []
    assert (server.desktops[0].sandbox / "opt/done/done").exists(), "deleting a record uninstalls nothing"


def test_apps_that_need_a_person_are_not_installed_by_themselves(server):
    workspace = client(server)
    create_user(workspace, "ann")
    app = upload(workspace, "clicky", install_type="GUI_INSTALL", install_command=None)
    with pytest.raises(ClientRequestException) as refused:
        install(workspace, [app.id], [user("ann")])
    assert (refused.value.status_code, refused.value.error_code) == (400, "WKS.00211102")
    assert authorizations(workspace, app.id) == set(), "a refused call changes nothing"


def retry(workspace: ws.WorkspaceClient, *job_ids: str) -> None:
    body = ws.BatchOperateJobsReq(items=list(job_ids))
    workspace.retry_jobs(ws.RetryJobsRequest(body=body))
