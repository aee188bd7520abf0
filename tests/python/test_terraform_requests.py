"""The requests of the Terraform provider's resources and data sources, in its order. The provider itself is not run."""

from __future__ import annotations

import pytest

from compatibility import assert_listed, not_built
from terraform import PAGE, Provider, Refused

APPS = "/v1/{project_id}/app-center/apps"
RULES = "/v1/{project_id}/app-center/app-rules"
CONTROLLED = "/v1/{project_id}/app-center/app-restricted-rules"


@pytest.fixture(scope="module", params=["access key", "password"])
def provider(request, client_server) -> Provider:
    return Provider(client_server, by=request.param)


def application(name: str, **members) -> dict:
    """The body of huaweicloud_workspace_application: every member that is not set is null."""
    return {
        "name": name,
        "version": "1.0.0",
        "description": "Made by a script",
        "authorization_type": "ASSIGN_USER",
        "app_file_store": {"store_type": "LINK", "bucket_store": None, "file_link": "http://127.0.0.1:9/a.zip"},
        "install_type": "QUIET_INSTALL",
        "support_os": "Windows",
        "catalog_id": "1",
        "app_icon_url": None,
        "install_command": None,
        "uninstall_command": None,
        "install_info": None,
        **members,
    }


def create(provider: Provider, body: dict) -> str:
    """Creates, then reads at once: the provider knows no retry."""
    app_id = provider.call("POST", APPS, body)["id"]
    assert isinstance(app_id, str) and app_id
    assert read(provider, app_id) is not None
    return app_id


def read(provider: Provider, app_id: str) -> dict | None:
    """There is no GET of one application: it pages the list and picks the id."""
    found = [app for app in provider.pages(f"{APPS}?limit={PAGE}") if app["id"] == app_id]
    assert len(found) <= 1
    return found[0] if found else None


def test_an_application_is_created_read_updated_and_destroyed(provider):
    body = application("tf-editor")
    app_id = create(provider, body)
    app = read(provider, app_id)
    for member, value in body.items():
        if member == "app_file_store":
            store = {name: part for name, part in value.items() if part is not None}
            assert app[member] == store
        elif value is not None:
            assert app[member] == value, member
        else:
            assert member not in app, "what is not set stays unset, else the next plan shows a change"
    assert (app["status"], app["application_source"], app["catalog"]) == ("NORMAL", "CUSTOM", app["catalog"])
    assert app["create_time"].endswith("Z")

    store = {
        "store_type": "OBS",
        "bucket_store": {"bucket_name": f"app-center-{provider.project_id}", "bucket_file_path": "tf/editor.msi"},
        "file_link": None,
    }
    changed = application(
        "tf-editor-2", app_file_store=store, install_command="msiexec /i ${FILE_PATH}", status=app["status"]
    )
    provider.call("PATCH", f"{APPS}/{app_id}", changed)
    app = read(provider, app_id)
    assert (app["name"], app["install_command"]) == ("tf-editor-2", "msiexec /i ${FILE_PATH}")
    assert app["app_file_store"]["bucket_store"]["bucket_file_path"] == "tf/editor.msi"
    # Null is absent: the command that is no longer configured stays as it was.
    provider.call("PATCH", f"{APPS}/{app_id}", application("tf-editor-3", app_file_store=store, status="FORBIDDEN"))
    app = read(provider, app_id)
    assert (app["name"], app["status"]) == ("tf-editor-3", "FORBIDDEN")
    assert app["install_command"] == "msiexec /i ${FILE_PATH}"

    for reserve in ("true", "false"):
        provider.call("DELETE", f"{APPS}/{app_id}?reserve_obs_file={reserve}", content_type=False)
        assert read(provider, app_id) is None
    provider.call("DELETE", f"{APPS}/{app_id}", content_type=False)


def test_lists_are_paged_by_hundreds_to_the_last_item(provider):
    made = [provider.call("POST", APPS, application(f"tf-many-{number}"))["id"] for number in range(PAGE)]
    # A full page, then an empty one; the name unescaped, between limit and offset.
    found = provider.pages(f"{APPS}?limit={PAGE}&name=tf-many-")
    assert [app["id"] for app in found] == made[::-1]
    made.append(create(provider, application("tf-many-工具")))
    assert [app["id"] for app in provider.pages(f"{APPS}?limit={PAGE}&name=tf-many-")] == made[::-1]
    assert [app["id"] for app in provider.pages(f"{APPS}?limit={PAGE}&name=many-工")] == made[-1:]
    for app_id in made:
        provider.call("DELETE", f"{APPS}/{app_id}", content_type=False)
    assert provider.pages(f"{APPS}?limit={PAGE}&name=tf-many-") == []


def test_the_catalogs_and_their_first_ids(provider):
    catalogs = provider.call("GET", "/v1/{project_id}/app-center/app-catalogs")["items"]
    assert [catalog["id"] for catalog in catalogs[:2]] == ["1", "2"]


def test_applications_are_authorized_hidden_and_installed_in_batches(provider):
    app_id = create(provider, application("tf-tool", install_command="setup.exe /S", support_os="Linux"))
    account = {"account": "tf-user", "account_type": "SIMPLE", "domain": "local.com", "platform_type": "LOCAL"}
    body = {"app_ids": [app_id], "authorization_type": "ASSIGN_USER", "users": [account], "del_users": None}
    provider.call("POST", f"{APPS}/actions/batch-assign-authorization", body)
    listed = provider.pages(f"{APPS}/{app_id}/authorizations?limit={PAGE}&name=tf-&target_type=SIMPLE")
    assert listed == [account]
    for action, status in (("batch-disable", "FORBIDDEN"), ("batch-enable", "NORMAL")):
        provider.call("POST", f"{APPS}/actions/{action}", {"items": [app_id]})
        assert read(provider, app_id)["status"] == status
    body = {"app_ids": [app_id], "assign_scope": "ASSIGN_USER", "users": [account]}
    assert provider.call("POST", f"{APPS}/actions/batch-auto-install", body) is None
    provider.call("DELETE", f"{APPS}/{app_id}?reserve_obs_file=true", content_type=False)


def test_the_bucket_is_authorized(provider):
    if "CreateAndAuthorizeBucket" not in not_built():
        made = provider.call("POST", "/v1/{project_id}/app-center/buckets")
        assert made["bucket_name"] == f"wks-appcenter-{provider.project_id}"


def find_rule(provider: Provider, name: str, rule_id: str) -> dict | None:
    """The rule's own page size is 10."""
    found: list[dict] = []
    while True:
        items = provider.call("GET", f"{RULES}?limit=10&name={name}&offset={len(found)}")["items"]
        for rule in items:
            if rule["id"] == rule_id:
                return rule
        found += items
        if len(items) < 10:
            return None


def test_a_rule_is_created_updated_restricted_and_destroyed(provider):
    product = {
        "identify_condition": "product",
        "publisher": "Games Ltd",
        "product_name": "*",
        "process_name": "*",
        "support_os": "Windows",
    }
    body = {"name": "tf_games", "description": "", "rule": {"scope": "PRODUCT", "product_rule": product}}
    rule_id = provider.call("POST", RULES, body)["id"]
    others = [
        provider.call(
            "POST",
            RULES,
            {"name": f"tf_games_{number}", "description": "", "rule": {"scope": "PATH", "path_rule": {"path": "C:\\x"}}},
        )["id"]
        for number in range(12)
    ]
    rule = find_rule(provider, "tf_games", rule_id)
    assert rule["rule"]["product_rule"] == product
    assert rule["rule"].get("path_rule") is None
    change = {"name": "tf_play", "description": "x", "rule": {"scope": "PATH", "path_rule": {"path": "D:\\Games"}}}
    provider.call("PATCH", f"{RULES}/{rule_id}", change)
    assert find_rule(provider, "tf_play", rule_id)["rule"]["path_rule"] == {"path": "D:\\Games"}

    provider.call("POST", CONTROLLED, {"items": [rule_id, *others]})
    controlled = provider.pages(f"{CONTROLLED}?limit={PAGE}")
    assert sorted(rule["id"] for rule in controlled) == sorted([rule_id, *others])
    provider.call("POST", f"{CONTROLLED}/actions/batch-delete", {"items": [rule_id]})
    assert rule_id not in [rule["id"] for rule in provider.pages(f"{CONTROLLED}?limit={PAGE}")]

    for each in (rule_id, *others):
        provider.call("DELETE", f"{RULES}/{each}", content_type=False)
    with pytest.raises(Refused) as gone:
        provider.call("DELETE", f"{RULES}/{rule_id}", content_type=False)
    assert gone.value.status == 404, "what the provider takes for gone"


def test_the_restriction_settings_are_set_and_switched(provider):
    def settings() -> dict:
        return provider.call("GET", f"{RULES}/actions/get-rule-restriction")

    body = {
        "app_restrict_rule_switch": True,
        "app_control_mode": 0,
        "app_periodic_switch": True,
        "app_periodic_interval": 10,
        "app_force_kill_proc_switch": None,
    }
    provider.call("POST", f"{RULES}/actions/set-rule-restriction", body)
    assert (settings()["app_restrict_rule_switch"], settings()["app_periodic_interval"]) == (True, 10)
    for action, switch in (("disable", False), ("enable", True), ("disable", False)):
        provider.call("POST", f"{RULES}/actions/{action}-rule-restriction")
        assert settings()["app_restrict_rule_switch"] is switch


def test_two_equal_requests_in_one_second_carry_one_signature_and_both_pass(provider):
    for _ in range(5):
        provider.call("GET", f"{APPS}?limit={PAGE}&offset=0")


def test_the_list_of_clients_says_what_was_replayed(client_server):
    assert_listed("Terraform (requests replayed)", None, client_server)
