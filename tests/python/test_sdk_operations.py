"""Every operation that the vendor's own Python SDK has of the contract, called with it, unmodified.

The tests of this file share a server and build on one another's objects by name only; the last one checks that
nothing was left out. What the operations are for as a whole is in test_sdk_spine.py.
"""

from __future__ import annotations

import re
from importlib.metadata import version

import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkworkspace import v2 as ws

import packages
from compatibility import assert_listed, not_built, operations, succeeded
from outfitter import wait_for
from sdk import app_body, bucket, client, create_group, create_user, ended_jobs, group, install, jobs, upload, user


@pytest.fixture(scope="module")
def workspace(client_server) -> ws.WorkspaceClient:
    return client(client_server)


def refusal(call, *arguments) -> tuple[int, str]:
    with pytest.raises(ClientRequestException) as refused:
        call(*arguments)
    assert refused.value.request_id
    return refused.value.status_code, refused.value.error_code


# --- applications


def app_named(workspace, name: str) -> ws.Application | None:
    found = workspace.list_apps(ws.ListAppsRequest(name=name, limit=100)).items
    return next((app for app in found if app.name == name), None)


def test_apps_are_uploaded_changed_hidden_and_deleted(workspace):
    catalogs = workspace.list_app_catalogs(ws.ListAppCatalogsRequest()).items
    body = app_body("Editor", catalog_id=catalogs[1].id, authorization_type="ALL_USER")
    made = workspace.upload_app(ws.UploadAppRequest(body=body))
    assert (made.catalog_id, made.catalog) == (catalogs[1].id, catalogs[1].catalog_zh)

    change = ws.UpdateAppReq(version="2.0", description="")
    changed = workspace.update_uploaded_app(ws.UpdateUploadedAppRequest(app_id=made.id, body=change))
    assert (changed.id, changed.version, changed.description, changed.name) == (made.id, "2.0", "", "Editor")

    others = [upload(workspace, name).id for name in ("Editor Two", "Editor Three")]
    workspace.batch_disable_apps(ws.BatchDisableAppsRequest(body=ws.BatchOperateAppsReq(items=[made.id, others[0]])))
    assert [app_named(workspace, name).status for name in ("Editor", "Editor Two", "Editor Three")] == [
        "FORBIDDEN",
        "FORBIDDEN",
        "NORMAL",
    ]
    workspace.batch_enable_apps(ws.BatchEnableAppsRequest(body=ws.BatchOperateAppsReq(items=[made.id])))
    assert app_named(workspace, "Editor").status == "NORMAL"
    unknown = ws.BatchDisableAppsRequest(body=ws.BatchOperateAppsReq(items=[made.id, "no-such-app"]))
    assert refusal(workspace.batch_disable_apps, unknown) == (404, "WKS.00211902")
    assert app_named(workspace, "Editor").status == "NORMAL", "all or nothing"

    workspace.delete_app(ws.DeleteAppRequest(app_id=made.id, reserve_obs_file="true"))
    workspace.delete_app(ws.DeleteAppRequest(app_id=made.id, reserve_obs_file="false"))
    assert app_named(workspace, "Editor") is None
    body = ws.BatchDeleteAppsReq(items=[*others, "no-such-app"], reserve_obs_file=False)
    workspace.batch_delete_apps(ws.BatchDeleteAppsRequest(body=body))
    assert workspace.list_apps(ws.ListAppsRequest(name="editor")).count == 0


def test_authorizations_are_given_taken_and_listed(workspace):
    one, two = (upload(workspace, f"Authorized {number}").id for number in (1, 2))
    body = ws.AssignAppAuthorizationsReq(
        authorization_type="ASSIGN_USER", users=[user("ann"), user("bob"), group("painters")]
    )
    workspace.update_app_authorizations(ws.UpdateAppAuthorizationsRequest(app_id=one, body=body))

    def listed(app_id, **filters):
        answer = workspace.list_app_authorizations(ws.ListAppAuthorizationsRequest(app_id=app_id, **filters))
        assert answer.count == len(answer.items)
        return sorted((found.account_type, found.account, found.domain, found.platform_type) for found in answer.items)

    painters = ("USER_GROUP", "painters", "local.com", "LOCAL")
    assert listed(one) == [
        ("SIMPLE", "ann", "local.com", "LOCAL"),
        ("SIMPLE", "bob", "local.com", "LOCAL"),
        painters,
    ]
    assert listed(one, target_type="USER_GROUP") == [painters]
    assert listed(one, assign_type="ALL_USER") == []
    body = ws.BatchAssignAppAuthorizationsReq(
        app_ids=[one, two], authorization_type="ALL_USER", users=[user("cid")], del_users=[user("ann"), user("bob")]
    )
    workspace.batch_update_app_authorizations(ws.BatchUpdateAppAuthorizationsRequest(body=body))
    assert listed(one, assign_type="ALL_USER", name="CI") == [("SIMPLE", "cid", "local.com", "LOCAL")]
    assert listed(two) == [("SIMPLE", "cid", "local.com", "LOCAL")]
    assert app_named(workspace, "Authorized 2").authorization_type == "ALL_USER"


def test_installs_are_ordered_retried_and_their_records_deleted(client_server, workspace, tmp_path):
    create_user(workspace, "installer")
    desktop = client_server.start_desktop("Work-1", "installer")
    moody = packages.shell_package(tmp_path, "moody", '[ -e "$root/licence" ] || exit 42')
    app = upload(
        workspace,
        "Moody",
        install_type="QUIET_INSTALL",
        app_file_store=bucket(client_server, moody),
        install_command="sh ${FILE_PATH} --wrong",
    )
    install(workspace, [app.id], [user("installer")])
    (failed,) = ended_jobs(workspace, 1, app_id=app.id)
    assert (failed.job_status, failed.instance_name) == ("FAIL", "Work-1")
    assert "64" in failed.error_message, "the installer's own code for a wrong option"

    body = ws.AutoInstallAppReq(install_command=packages.SHELL_INSTALL, users=[user("installer")])
    workspace.install_app(ws.InstallAppRequest(app_id=app.id, body=body))
    second = {job.id: job for job in ended_jobs(workspace, 2, app_id=app.id)}
    del second[failed.id]
    (again,) = second.values()
    assert again.job_status == "FAIL"
    assert "42" in again.error_message, "the command of this call alone"

    (desktop.sandbox / "licence").write_text("paid\n")
    workspace.retry_jobs(ws.RetryJobsRequest(body=ws.BatchOperateJobsReq(items=[again.id])))
    ended = {job.id: job.job_status for job in ended_jobs(workspace, 2, app_id=app.id)}
    assert ended == {failed.id: "FAIL", again.id: "SUCCESS"}
    request = ws.RetryJobsRequest(body=ws.BatchOperateJobsReq(items=[failed.id, again.id]))
    assert refusal(workspace.retry_jobs, request) == (409, "WKS.00211202")

    body = ws.BatchOperateJobsReq(items=[failed.id, "no-such-job"])
    workspace.batch_delete_jobs(ws.BatchDeleteJobsRequest(body=body))
    assert [job.id for job in jobs(workspace, app_id=app.id)] == [again.id]


def test_the_bucket_is_made_and_a_key_for_one_file_is_lent(client_server, workspace):
    bucket_name = f"wks-appcenter-{client_server.project_id}"
    if "CreateAndAuthorizeBucket" not in not_built():
        for _ in range(2):
            made = workspace.create_and_authorize_bucket(ws.CreateAndAuthorizeBucketRequest())
            assert made.bucket_name == bucket_name
    if "CreateBucketCredential" not in not_built():
        body = ws.CreateBucketCredentialReq(file_name="Setup 1.0.exe")
        lent = workspace.create_bucket_credential(ws.CreateBucketCredentialRequest(body=body))
        assert (lent.bucket_name, lent.object_path) == (bucket_name, "app-file/Setup 1.0.exe")
        assert lent.policy.version == "1.1"
        assert lent.credential.access and lent.credential.secret and lent.credential.security_token


# --- rules


def rule(name: str, path: str) -> ws.CreateAppRuleReq:
    return ws.CreateAppRuleReq(name=name, rule=ws.Rule(scope="PATH", path_rule=ws.PathRule(path=path)))


def test_rules_are_made_changed_and_deleted(workspace):
    product = ws.ProductRule(identify_condition="product", publisher="Games Ltd", product_version="1.0")
    body = ws.CreateAppRuleReq(
        name="Games", description="Not at work", rule=ws.Rule(scope="PRODUCT", product_rule=product)
    )
    made = workspace.create_app_rule(ws.CreateAppRuleRequest(body=body))
    assert (made.name, made.rule.scope, made.rule.product_rule.publisher) == ("Games", "PRODUCT", "Games Ltd")
    assert made.rule_source == "CUSTOM"
    assert refusal(workspace.create_app_rule, ws.CreateAppRuleRequest(body=body)) == (409, "WKS.00211109")

    body = ws.UpdateAppRuleReq(description="Never", rule=rule("", "C:\\Games").rule)
    changed = workspace.update_app_rule(ws.UpdateAppRuleRequest(rule_id=made.id, body=body))
    assert (changed.name, changed.description, changed.rule.path_rule.path) == ("Games", "Never", "C:\\Games")

    more = [
        workspace.create_app_rule(ws.CreateAppRuleRequest(body=rule(name, f"C:\\{name}"))).id
        for name in ("Chess", "Cards")
    ]
    listed = workspace.list_app_rule(ws.ListAppRuleRequest(limit=2))
    assert (listed.count, [found.id for found in listed.items]) == (3, more[::-1])
    assert [found.name for found in workspace.list_app_rule(ws.ListAppRuleRequest(name="CHE")).items] == ["Chess"]

    workspace.delete_app_rule(ws.DeleteAppRuleRequest(rule_id=made.id))
    assert refusal(workspace.delete_app_rule, ws.DeleteAppRuleRequest(rule_id=made.id)) == (404, "WKS.00211902")
    body = ws.BatchOperateAppRulesReq(items=[*more, "no-such-rule"])
    workspace.batch_delete_app_rules(ws.BatchDeleteAppRulesRequest(body=body))
    assert workspace.list_app_rule(ws.ListAppRuleRequest()).count == 0


def test_rules_are_put_under_control_and_taken_out(workspace):
    one, two = (
        workspace.create_app_rule(ws.CreateAppRuleRequest(body=rule(name, f"/opt/{name}"))).id for name in ("a", "b")
    )

    def controlled() -> list[str]:
        return [found.id for found in workspace.list_restricted_rule(ws.ListRestrictedRuleRequest()).items]

    for _ in range(2):
        workspace.add_restricted_rule(ws.AddRestrictedRuleRequest(body=ws.BatchOperateAppRulesReq(items=[one, two])))
        assert sorted(controlled()) == sorted([one, two])
    for _ in range(2):
        request = ws.DeleteRestrictedRuleRequest(body=ws.BatchOperateAppRulesReq(items=[two]))
        workspace.delete_restricted_rule(request)
        assert controlled() == [one]
    assert workspace.list_app_rule(ws.ListAppRuleRequest()).count == 2, "out of control is not deleted"

    def settings() -> tuple:
        shown = workspace.show_rule_restriction(ws.ShowRuleRestrictionRequest())
        return (
            shown.app_restrict_rule_switch,
            shown.app_control_mode,
            shown.app_periodic_switch,
            shown.app_periodic_interval,
            shown.app_force_kill_proc_switch,
        )

    assert settings() == (False, 0, False, 5, False)
    workspace.enable_rule_restriction(ws.EnableRuleRestrictionRequest())
    assert settings() == (True, 0, False, 5, False)
    body = ws.SetRuleRestrictionReq(app_restrict_rule_switch=True, app_periodic_switch=True, app_periodic_interval=30)
    workspace.set_rule_restriction(ws.SetRuleRestrictionRequest(body=body))
    assert settings() == (True, 0, True, 30, False)
    workspace.disable_rule_restriction(ws.DisableRuleRestrictionRequest())
    assert settings() == (False, 0, True, 30, False)


def test_profiles_are_merged(workspace):
    def profiles() -> dict[str, bool]:
        return workspace.list_tenant_profiles(ws.ListTenantProfilesRequest()).body

    before = profiles()
    assert before == {"app_center": True, "app_restriction": True}
    workspace.update_tenant_profile(ws.UpdateTenantProfileRequest(body={"app_restriction": False, "preview": True}))
    assert profiles() == {**before, "app_restriction": False, "preview": True}


# --- users and groups


def test_users_are_made_shown_changed_and_deleted(workspace):
    user_id = create_user(workspace, "zoe")
    made = ws.CreateUserRequest(user_name="yan", user_email="yan@example.test", description="Sales")
    more = ws.CreateUserRequest(user_name="xia", active_type="ADMIN_ACTIVATE", password="Passw0rd-1")
    workspace.batch_create_users(ws.BatchCreateUsersRequest(body=ws.BatchCreateUsersReq(users=[made, more])))
    listed = {
        found.user_name: found for found in workspace.list_users(ws.ListUsersRequest(user_names=["yan", "xia"])).users
    }
    assert {name: found.description or None for name, found in listed.items()} == {"yan": "Sales", "xia": None}

    body = ws.EditUserReq(description="Moved", disabled=True)
    assert workspace.update_user_info(ws.UpdateUserInfoRequest(user_id=user_id, body=body)).id == user_id
    shown = workspace.list_user_detail(ws.ListUserDetailRequest(user_id=user_id)).user_detail
    assert (shown.user_name, shown.description, shown.disabled) == ("zoe", "Moved", True)
    page = workspace.list_users(ws.ListUsersRequest(disabled=True, limit="1", offset="0"))
    assert (page.total_count, [found.user_name for found in page.users]) == (1, ["zoe"])

    workspace.delete_user(ws.DeleteUserRequest(user_id=user_id))
    assert refusal(workspace.list_user_detail, ws.ListUserDetailRequest(user_id=user_id)) == (400, "WKS.00170312")
    body = ws.BatchDeleteUserReq(user_ids=[found.id for found in listed.values()])
    workspace.batch_delete_user(ws.BatchDeleteUserRequest(body=body))
    assert workspace.list_users(ws.ListUsersRequest(user_names=["yan", "xia", "zoe"])).total_count == 0


def test_groups_are_made_filled_changed_and_deleted(workspace):
    members = [create_user(workspace, name) for name in ("gil", "hal")]
    create_group(workspace, "Sales", members)
    (sales,) = workspace.list_user_groups(ws.ListUserGroupsRequest(keyword="sal", platform_type=["LOCAL"])).user_groups
    assert (sales.name, sales.platform_type, sales.user_quantity) == ("Sales", "LOCAL", 2)

    body = ws.EditUserGroupRequest(group_name="Selling", description="Was Sales")
    workspace.update_user_group(ws.UpdateUserGroupRequest(group_id=sales.id, body=body))
    body = ws.ActionsOfUsersInGroupRequest(user_ids=members[:1], op_type="DELETE")
    workspace.run_actions_on_group(ws.RunActionsOnGroupRequest(group_id=sales.id, body=body))
    inside = workspace.list_users_of_group(ws.ListUsersOfGroupRequest(group_id=sales.id))
    assert (inside.total_count, [found.user_name for found in inside.users]) == (1, ["hal"])
    (found,) = workspace.list_user_groups(ws.ListUserGroupsRequest(keyword="selling")).user_groups
    assert (found.id, found.description, found.user_quantity) == (sales.id, "Was Sales", 1)

    workspace.delete_user_group(ws.DeleteUserGroupRequest(group_id=sales.id))
    unknown = ws.ListUsersOfGroupRequest(group_id=sales.id)
    assert refusal(workspace.list_users_of_group, unknown) == (400, "WKS.00170208")
    for name in ("One", "Two"):
        create_group(workspace, name, members)
    ids = [found.id for found in workspace.list_user_groups(ws.ListUserGroupsRequest()).user_groups]
    assert len(ids) == 2
    workspace.batch_delete_user_groups(
        ws.BatchDeleteUserGroupsRequest(body=ws.BatchDeleteUserGroupsReq(group_ids=ids))
    )
    assert workspace.list_user_groups(ws.ListUserGroupsRequest()).total_count == 0


# --- desktops, their tags, agents and workspace jobs


def desktop_id(workspace, name: str) -> str:
    (found,) = workspace.list_desktops(ws.ListDesktopsRequest(computer_name=name)).desktops
    return found.desktop_id


def test_desktops_are_attached_detached_and_deleted(client_server, workspace):
    for name in ("uma", "vic"):
        create_user(workspace, name)
    for number in (1, 2, 3):
        client_server.register_desktop(f"Desk-{number}", [])
    one, two, three = (desktop_id(workspace, f"Desk-{number}") for number in (1, 2, 3))

    attach = ws.AttachInstancesDesktopInfo(desktop_id=one, user_name="uma", user_group="sudo", computer_name="Uma-1")
    answer = workspace.attach_instances(
        ws.AttachInstancesRequest(body=ws.AttachInstancesReq(desktops=[attach]))
    )
    job = workspace.show_job(ws.ShowJobRequest(job_id=answer.job_id))
    assert (job.status, job.sub_jobs_total) == ("SUCCESS", 1)
    shown = workspace.show_desktop_detail(ws.ShowDesktopDetailRequest(desktop_id=one)).desktop
    assert (shown.computer_name, [found.user_name for found in shown.attach_user_infos]) == ("Uma-1", ["uma"])
    body = ws.BatchAttachInstancesReq(
        desktops=[
            ws.AttachInstancesDesktopInfo(desktop_id=desktop, user_name="vic", user_group="default")
            for desktop in (two, three)
        ]
    )
    assert workspace.batch_attach_instances(ws.BatchAttachInstancesRequest(body=body)).job_id
    details = workspace.list_desktops_detail(ws.ListDesktopsDetailRequest(user_names=["vic"])).desktops
    assert sorted(found.computer_name for found in details) == ["Desk-2", "Desk-3"]

    body = ws.DetachInstancesReq(desktop_ids=[one])
    assert workspace.detach_instances(ws.DetachInstancesRequest(body=body)).failed_operation_list == []
    detach = ws.DetachInstancesDesktopInfo(desktop_id=two, is_detach_all_users=True)
    body = ws.BatchDetachInstancesReq(desktops=[detach])
    assert workspace.batch_detach_instances(ws.BatchDetachInstancesRequest(body=body)).failed_operation_list == []
    listed = workspace.list_desktops(ws.ListDesktopsRequest(desktop_id=[one, two, three])).desktops
    assert {found.computer_name: found.user_name or None for found in listed} == {
        "Uma-1": None,
        "Desk-2": None,
        "Desk-3": "vic",
    }

    workspace.delete_desktop(ws.DeleteDesktopRequest(desktop_id=one))
    assert refusal(workspace.show_desktop_detail, ws.ShowDesktopDetailRequest(desktop_id=one)) == (404, "WKS.0404")
    body = ws.DeleteDesktopsReq(desktop_ids=[two, three], delete_users=True)
    assert workspace.batch_delete_desktops(ws.BatchDeleteDesktopsRequest(body=body)).job_id
    assert workspace.list_desktops(ws.ListDesktopsRequest(desktop_id=[one, two, three])).total_count == 0
    assert workspace.list_users(ws.ListUsersRequest(user_name="vic")).total_count == 0, "deleted with the desktop"


def tags_of(workspace, desktop: str) -> dict[str, str]:
    tags = workspace.show_tag_by_desktop_id(ws.ShowTagByDesktopIdRequest(desktop_id=desktop)).tags
    return {tag.key: tag.value for tag in tags}


def test_tags_are_put_on_desktops_searched_and_taken_off(client_server, workspace):
    for name in ("Tagged-1", "Tagged-2"):
        client_server.register_desktop(name, [])
    one, two = (desktop_id(workspace, name) for name in ("Tagged-1", "Tagged-2"))
    workspace.create_tag(
        ws.CreateTagRequest(desktop_id=one, body=ws.CreateTagReq(tag=ws.Tag(key="区域 A", value="北")))
    )
    body = ws.TagsReq(action="create", tags=[ws.Tag(key="team", value="red"), ws.Tag(key="floor", value="2")])
    workspace.batch_change_tags(ws.BatchChangeTagsRequest(desktop_id=one, body=body))
    assert tags_of(workspace, one) == {"区域 A": "北", "team": "red", "floor": "2"}

    both = [ws.DesktopTagsInfo(desktop_id=desktop, tags=[ws.Tag(key="team", value="blue")]) for desktop in (one, two)]
    workspace.batch_add_desktops_tags(
        ws.BatchAddDesktopsTagsRequest(body=ws.BatchAddDesktopsTagsReq(desktops=both))
    )
    assert tags_of(workspace, one)["team"] == tags_of(workspace, two)["team"] == "blue"
    of_project = workspace.list_project_tags(ws.ListProjectTagsRequest(key="team"))
    assert {tag.key: tag.values for tag in of_project.tags} == {"team": ["blue"]}

    for search, request in (
        (workspace.list_desktop_by_tags, ws.ListDesktopByTagsRequest),
        (workspace.list_desktops_by_tags, ws.ListDesktopsByTagsRequest),
    ):
        body = ws.QueryDesktopByTagReq(action="filter", tags=[ws.Tags(key="team", values=["blue"])])
        found = search(request(body=body))
        assert (found.total_count, sorted(it.resource_name for it in found.resources)) == (2, ["Tagged-1", "Tagged-2"])
        body = ws.QueryDesktopByTagReq(action="count", not_tags=[ws.Tags(key="floor", values=["2"])])
        assert search(request(body=body)).total_count == (
            workspace.list_desktops(ws.ListDesktopsRequest()).total_count - 1
        )

    workspace.delete_tag(ws.DeleteTagRequest(desktop_id=one, key="区域 A"))
    workspace.batch_delete_desktops_tags(
        ws.BatchDeleteDesktopsTagsRequest(body=ws.BatchDeleteDesktopsTagsReq(desktops=both))
    )
    assert (tags_of(workspace, one), tags_of(workspace, two)) == ({"floor": "2"}, {})


def test_agents_are_looked_up_and_pushed_and_the_push_is_followed(client_server, workspace):
    client_server.register_desktop("Bare-1", [])
    bare = desktop_id(workspace, "Bare-1")
    conditions = workspace.list_agents_install_condition(
        ws.ListAgentsInstallConditionRequest(is_installed=False, desktop_name="bare")
    )
    (condition,) = conditions.agents_condition
    assert (condition.desktop_id, condition.agent_info[0].is_installed) == (bare, False)

    body = ws.BatchInstallAgentReq(desktop_ids=[bare])
    job_id = workspace.batch_install_agent(ws.BatchInstallAgentRequest(body=body)).job_id
    sub_jobs = ended_sub_jobs(workspace, job_id)
    assert [(found.status, found.entities.desktop_id) for found in sub_jobs] == [("FAILED", bare)]
    assert "enroll" in sub_jobs[0].fail_reason and "TOKEN" in sub_jobs[0].fail_reason
    job = workspace.show_job(ws.ShowJobRequest(job_id=job_id))
    assert (job.job_type, job.status, job.sub_jobs_total) == ("installAgents", "FAILED", 1)

    retried = workspace.run_actions_on_workspace_job(
        ws.RunActionsOnWorkspaceJobRequest(job_id=job_id, body=ws.JobActionsReq(op_type="retry"))
    )
    assert retried.job_id == job_id
    ids = [found.id for found in ended_sub_jobs(workspace, job_id)]
    workspace.batch_delete_sub_jobs(ws.BatchDeleteSubJobsRequest(body=ws.DeleteSubJobsReq(job_ids=ids)))
    assert workspace.list_ita_sub_jobs(ws.ListItaSubJobsRequest(job_id=job_id)).total_count == 0


def ended_sub_jobs(workspace, job_id: str) -> list[ws.JobDetailInfo]:
    def look() -> list[ws.JobDetailInfo] | None:
        found = workspace.list_ita_sub_jobs(ws.ListItaSubJobsRequest(job_id=job_id)).jobs
        return found if found and all(it.status in ("SUCCESS", "FAILED") for it in found) else None

    return wait_for(look, f"the sub-jobs of {job_id} to end")


# --- nothing left out


class AnyRequest:
    """Enough of a request for the SDK to say where a call of its would go."""

    attribute_map: dict[str, str] = {}


def test_every_operation_of_the_contract_that_the_sdk_has_was_called(client_server):
    of_sdk = set()
    for name in dir(ws.WorkspaceClient):
        if re.fullmatch(r"_\w+_http_info", name):
            call = getattr(ws.WorkspaceClient, name)(AnyRequest())
            of_sdk.add((call["method"], call["resource_path"]))
    expected = {operation for call, operation in operations().items() if call in of_sdk} - not_built()
    assert len(expected) > 60, expected
    assert expected - succeeded(client_server) == set()


def test_the_list_of_clients_says_what_was_called(client_server):
    assert_listed("Python SDK", version("huaweicloudsdkworkspace"), client_server)
