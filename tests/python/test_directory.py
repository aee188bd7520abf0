"""Users and groups of real company directories: who is reached, who is not any more, and what an outage changes."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
import requests
from huaweicloudsdkworkspace import v2 as ws

import packages
from companies import CROWD, Authority, Domain, OpenLdap
from conftest import BOTH_DATABASES
from outfitter import SERVER_BINARY, Server
from sdk import bucket, client, ended_jobs, install, jobs, upload

DOMAIN = "corp.test"
DIRECTORY = "/api/v1/{project_id}/directory"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


@pytest.fixture
def domain(tmp_path, authority):
    (tmp_path / "company").mkdir()
    company = Domain(tmp_path / "company", authority)
    try:
        company.change(f"dn: OU=People,{company.base}\nobjectClass: organizationalUnit\n\n")
        yield company
    finally:
        company.stop()


@pytest.fixture
def openldap(tmp_path, authority):
    (tmp_path / "company").mkdir()
    company = OpenLdap(tmp_path / "company", authority)
    try:
        yield company
    finally:
        company.stop()


def outfitter(server: Server, *arguments: str, secret: str | None = None) -> tuple[int, dict]:
    """A command of ours; answers its exit code and its JSON."""
    command = [str(SERVER_BINARY), "--bootstrap", str(server.folder / "data/bootstrap.json"), "--json", *arguments]
    done = subprocess.run(command, input=secret, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else {"error": done.stderr}


def set_directory(server: Server, body: dict) -> None:
    answer = server.request("PUT", DIRECTORY, json=body)
    assert answer.status_code == 200, answer.text
    assert "bind_password" not in answer.json()


def sync(server: Server, *options: str) -> dict:
    """Synchronises; answers the status."""
    code, status = outfitter(server, "directory", "sync", *options)
    assert code == 0, status
    assert not status["stale"], status
    return status


def users(server: Server, **filters) -> dict[str, dict]:
    answer = server.request("GET", "/v2/{project_id}/users", params={"platform_type": "AD", **filters})
    assert answer.status_code == 200, answer.text
    return {user["user_name"]: user for user in answer.json()["users"]}


def groups(server: Server) -> dict[str, dict]:
    answer = server.request("GET", "/v2/{project_id}/groups", params={"platform_type": "AD", "limit": "100"})
    assert answer.status_code == 200, answer.text
    return {group["name"]: group for group in answer.json()["user_groups"]}


def of_group(server: Server, name: str) -> set[str]:
    group_id = groups(server)[name]["id"]
    answer = server.request("GET", f"/v2/{{project_id}}/groups/{group_id}/users")
    return {user["user_name"] for user in answer.json()["users"]}


def attach(server: Server, desktop: str, user: str) -> None:
    listed = server.request("GET", "/v2/{project_id}/desktops", params={"computer_name": desktop}).json()["desktops"]
    who = {"user_name": user, "domain": DOMAIN, "user_group": "sudo"}
    body = {"desktops": [{"desktop_id": listed[0]["desktop_id"], "attach_user_infos": [who]}]}
    answer = server.request("POST", "/v2/{project_id}/desktops/attach", json=body)
    assert answer.status_code == 200, answer.text


def account(name: str, kind: str = "USER_GROUP") -> ws.AccountInfo:
    return ws.AccountInfo(account=name, domain=DOMAIN, account_type=kind, platform_type="AD")


def targets(found: list[ws.AppInstallJob]) -> dict[str, str]:
    return {job.instance_name: job.job_status for job in found}


@BOTH_DATABASES
def test_an_install_to_a_nested_group_of_a_domain_reaches_its_members_and_nobody_else(server, domain, tmp_path):
    for name in ("ana", "ben", "cleo", "dora"):
        domain.add_user(name, mail=f"{name}@corp.test")
    domain.add_group("sales", "ana")
    domain.add_group("staff", "ben")
    # Two deep, beside a circle.
    domain.add_group("europe", "sales", "staff")
    domain.add_group("all", "europe")
    domain.member("add", "sales", "all")

    password = domain.password
    arguments = ["--url", domain.url, "--ca-file", str(domain.authority.pem), "--bind-user", domain.bind_user]
    arguments += ["--password-file", "-", "--base", domain.base, "--interval", "3600"]
    code, shown = outfitter(server, "directory", "set", *arguments, secret=password)
    assert (code, shown["domain"]) == (0, DOMAIN), shown
    code, found = outfitter(server, "directory", "test")
    assert code == 0 and found["tells_changes"] and found["users"] > CROWD, found
    sync(server)

    listed = users(server)
    assert listed["ana"]["user_email"] == "ana@corp.test" and listed["ana"]["domain"] == DOMAIN
    assert listed["ana"]["sid"].startswith("S-1-5-21-")
    assert set(listed["ana"]["group_names"]) >= {"sales", "europe", "all", "Domain Users"}, "a primary group lists nobody"
    # Range by range, for the directory does not hand out so many at once.
    assert groups(server)["crowd"]["user_quantity"] == CROWD
    assert of_group(server, "all") == {"ana", "ben"}

    desktops = {name: server.start_desktop(f"{name.upper()}-DESK", None) for name in ("ana", "ben", "cleo")}
    server.register_desktop("DORA-DESK", [])
    for name in ("ana", "ben", "cleo", "dora"):
        attach(server, f"{name.upper()}-DESK", name)
    workspace = client(server)
    store = bucket(server, packages.zip_package(tmp_path, "tool", {"tool.txt": "one"}))
    first, second, third = (upload(workspace, name, app_file_store=store).id for name in ("one", "two", "three"))

    install(workspace, [first], [account("all")])
    assert targets(ended_jobs(workspace, 2, app_id=first)) == {"ANA-DESK": "SUCCESS", "BEN-DESK": "SUCCESS"}

    # A member moves, the group is renamed, a user is disabled; each is a change that a partial read tells.
    domain.member("delete", "sales", "ana")
    domain.member("add", "sales", "cleo")
    domain.rename("all", "everyone")
    domain.rename("cleo", "cleopatra")
    domain.set("ben", "userAccountControl", "546")
    # Source: [MS-ADA1], accountExpires: steps of 100 ns since 1601; this one is 2001-01-01.
    domain.set("dora", "accountExpires", "126227808000000000")
    before = users(server)["cleo"]["id"]
    status = sync(server)
    assert status["last_full_at"] < status["last_success_at"], status
    assert users(server)["cleopatra"]["id"] == before, "who is renamed stays the same"
    assert users(server)["ben"]["disabled"]
    assert users(server)["dora"]["disabled"], "an account that has expired is locked out"
    entries = server.request("GET", "/api/v1/{project_id}/audit?limit=100&action=outfitter:directory:sync").json()["items"]
    entries = [entry for entry in entries if entry["operation"] == "SynchroniseDirectory"]
    assert {entry["actor"]["kind"] for entry in entries} == {"server"}
    changes = {change["name"]: change for entry in entries for change in entry["detail"].get("changes", ()) if change["before"]}
    for name in ("ben", "dora"):
        assert (changes[name]["before"]["disabled_in_directory"], changes[name]["after"]["disabled_in_directory"]) == (0, 1)
    assert changes["cleopatra"]["before"]["name"] == "cleo"
    told = {
        (move["group"], word, name)
        for entry in entries
        for move in entry["detail"].get("memberships", ())
        for word in ("joined", "left", "groups_joined")
        for name in move.get(word, ())
    }
    assert told >= {("sales", "left", "ana"), ("sales", "joined", "cleopatra"), ("all", "groups_joined", "europe")}, told
    domain.set("dora", "accountExpires", "0")
    granted = workspace.list_app_authorizations(ws.ListAppAuthorizationsRequest(app_id=first)).items
    assert [one.account for one in granted] == ["everyone"], "authorizations follow the name"
    install(workspace, [second], [account("everyone")])
    assert targets(ended_jobs(workspace, 1, app_id=second)) == {"CLEO-DESK": "SUCCESS"}

    # What is asked at the beginning is asked again at the end: who left in between does not get it.
    desktops["ana"].agent.stop()
    domain.member("add", "staff", "ana")
    sync(server)
    install(workspace, [third], [account("everyone")])
    assert set(targets(jobs(workspace, app_id=third))) == {"ANA-DESK", "CLEO-DESK"}
    domain.member("delete", "staff", "ana")
    sync(server)
    desktops["ana"].start()
    third_jobs = ended_jobs(workspace, 2, app_id=third)
    assert targets(third_jobs) == {"ANA-DESK": "FAIL", "CLEO-DESK": "SUCCESS"}
    refused = next(job for job in third_jobs if job.job_status == "FAIL")
    assert "Authorize a user" in refused.error_message, refused

    # Who is deleted is gone with everything, and a new account of the old name gets nothing of it.
    body = {"app_ids": [first], "authorization_type": "ASSIGN_USER", "users": [account("dora", "SIMPLE").to_dict()]}
    path = "/v1/{project_id}/app-center/apps/actions/batch-assign-authorization"
    answer = server.request("POST", path, json=body)
    assert answer.status_code == 200, answer.text
    old = users(server)["dora"]["id"]
    domain.delete("dora")
    domain.add_user("dora")
    sync(server)
    assert users(server)["dora"]["id"] != old
    granted = workspace.list_app_authorizations(ws.ListAppAuthorizationsRequest(app_id=first)).items
    assert [one.account for one in granted] == ["everyone"]

    # An outage keeps what is known, and says so.
    known = users(server)
    domain.stop()
    code, status = outfitter(server, "directory", "sync")
    assert code == 1 and status["stale"] and status["error_code"] == "unreachable", status
    assert status["last_success_at"] and status["users"] > CROWD
    assert users(server) == known
    domain.start()
    sync(server)

    # What the directory keeps cannot be changed here.
    group_id = groups(server)["everyone"]["id"]
    for method, path, body in (
        ("PUT", f"/v2/{{project_id}}/groups/{group_id}", {"group_name": "mine"}),
        ("POST", f"/v2/{{project_id}}/groups/{group_id}/actions", {"op_type": "ADD", "user_ids": [before]}),
        ("DELETE", f"/v2/{{project_id}}/groups/{group_id}", None),
        ("DELETE", f"/v2/{{project_id}}/users/{before}", None),
        ("PUT", f"/v2/{{project_id}}/users/{before}", {"user_email": "x@example.com"}),
    ):
        answer = server.request(method, path, json=body)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "WKS.0001"), answer.text
    assert password not in (server.folder / "server.log").read_text()


def test_an_openldap_directory_is_followed_over_starttls(server, openldap):
    openldap.add_users("ana", "ben", "cleo", mail="someone@corp.test")
    openldap.add_group("sales", "uid=ana")
    openldap.add_group("all", "cn=sales", "uid=ben")
    body = openldap.settings(kind="LDAP", domain=DOMAIN, sync_interval_seconds=3600)
    set_directory(server, body)
    status = sync(server)
    assert (status["users"], status["groups"]) == (3, 2)
    assert of_group(server, "all") == {"ana", "ben"}
    ana = users(server)["ana"]

    # What changed alone: members, a rename (which the directory carries into its groups), a deletion.
    openldap.member("add", "sales", "uid=cleo")
    openldap.change("dn: uid=ana,o=corp\nchangetype: modrdn\nnewrdn: uid=anastasia\ndeleteoldrdn: 1\n\n")
    openldap.change("dn: uid=ben,o=corp\nchangetype: delete\n\n")
    status = sync(server)
    assert status["last_full_at"] < status["last_success_at"]
    assert status["report"]["removed"] == 1, status
    assert users(server)["anastasia"]["id"] == ana["id"]
    assert of_group(server, "all") == {"anastasia", "cleo"}

    # A page holds 500 entries here, and the directory hands out no more in one answer.
    size = 2_000 if os.environ.get("OUTFITTER_PROOF_SIZE") == "full" else 600
    crowd = [f"crowd{number:04}" for number in range(size)]
    openldap.add_users(*crowd)
    openldap.add_group("crowd", *(f"uid={name}" for name in crowd))
    status = sync(server)
    assert status["users"] == size + 2
    assert groups(server)["crowd"]["user_quantity"] == size

    # A filter that fits nobody looks like a mistake, and changes nothing until somebody insists.
    set_directory(server, {**body, "user_filter": "(mail=nobody)"})
    code, status = outfitter(server, "directory", "sync")
    assert code == 1 and status["error_code"] == "too_many_removals", status
    assert status["users"] == size + 2
    assert sync(server, "--allow-removals")["users"] == 0
    assert groups(server)["crowd"]["user_quantity"] == 0

    # When the directory is given up its groups stay, and are ours to change.
    assert outfitter(server, "directory", "remove")[0] == 0
    assert outfitter(server, "directory", "status")[0] != 0
    answer = server.request("DELETE", f"/v2/{{project_id}}/groups/{groups(server)['crowd']['id']}")
    assert answer.status_code == 204, answer.text


def test_users_of_the_directory_log_in_to_the_portal_with_their_password_there(server, openldap):
    openldap.add_users("ana", userPassword="the-word-of-ana")
    openldap.add_users("ben", userPassword="the-word-of-ben")

    def enter(user: str, password: str) -> requests.Response:
        return requests.post(
            f"{server.endpoints['endpoint']}/api/v1/portal/session",
            headers={"X-Outfitter-Console": "1"},
            json={"user_name": user, "password": password},
            timeout=60,
        )

    assert enter("ana", "the-word-of-ana").status_code == 400, "no project has a directory yet"
    body = openldap.settings(kind="LDAP", domain=DOMAIN, sync_interval_seconds=3600)
    set_directory(server, body)
    sync(server)
    server.register_desktop("ANA-DESK", [])
    attach(server, "ANA-DESK", "ana")
    for name in ("ana", "ANA", f"ana@{DOMAIN}", "CORP\\ana"):
        answer = enter(name, "the-word-of-ana")
        assert answer.status_code == 201, (name, answer.text)
    assert [desktop["name"] for desktop in answer.json()["desktops"]] == ["ANA-DESK"]
    assert not answer.json()["is_of_desktop"]
    # Another's word, a name that stands for several or for nobody, and one that the directory alone knows.
    for name, password in (("ana", "the-word-of-ben"), ("*", "the-word-of-ana"), ("nobody", "x"), (f"ana@other.{DOMAIN}", "the-word-of-ana")):
        refused = enter(name, password)
        assert refused.status_code == 401 and "set-cookie" not in refused.headers, (name, refused.text)
    openldap.add_users("cleo", userPassword="the-word-of-cleo")
    assert enter("cleo", "the-word-of-cleo").status_code == 401
    # A new account of the old name and of the same password is somebody else.
    openldap.change("dn: uid=ben,o=corp\nchangetype: delete\n\n")
    openldap.add_users("ben", userPassword="the-word-of-ben")
    assert enter("ben", "the-word-of-ben").status_code == 401
    openldap.stop()
    assert enter("ana", "the-word-of-ana").status_code == 503


def test_what_is_in_the_way_of_a_directory_has_a_name(server, openldap, tmp_path):
    openldap.add_users("ana")
    good = openldap.settings(kind="LDAP", domain=DOMAIN, sync_interval_seconds=3600)

    def tested(**members) -> str | None:
        set_directory(server, {**good, **members})
        answer = server.request("POST", f"{DIRECTORY}/test")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["ok"] == ("error_code" not in found)
        assert found["ok"] or (found["words"] and found["hint"])
        assert openldap.password not in answer.text
        return found.get("error_code")

    assert tested() is None
    stranger = Authority(tmp_path / "stranger")
    assert tested(ca_pem=stranger.pem.read_text()) == "tls"
    # The certificate names the address, not this name for it.
    assert tested(url=f"ldap://localhost:{openldap.port}") == "tls"
    assert tested(bind_password="wrong") == "bind_refused"
    assert tested(base_dn="ou=nowhere,o=corp") == "base_missing"
    assert tested(url="ldap://127.0.0.1:9") == "unreachable"
    # A server of another kind has no TLS to offer there.
    assert tested(url=server.endpoints["endpoint"].replace("http://", "ldaps://")) in ("tls", "unreachable")

    for member, wrong in {
        "url": "http://127.0.0.1",
        "ca_pem": "hello",
        "base_dn": "nowhere",
        "user_filter": "mail=*",
        "domain": "local.com",
        "sync_interval_seconds": 1,
        "bind_password": "",
    }.items():
        answer = server.request("PUT", DIRECTORY, json={**good, member: wrong})
        assert (answer.status_code, answer.json()["error_code"]) == (400, "WKS.00211102"), answer.text
        assert member in answer.json()["error_msg"], answer.text

    # The stored password goes nowhere but where it was meant to go.
    set_directory(server, good)
    without = {key: value for key, value in good.items() if key != "bind_password"}
    set_directory(server, {**without, "sync_interval_seconds": 600})
    assert tested() is None
    answer = server.request("PUT", DIRECTORY, json={**without, "url": "ldap://127.0.0.1:9"})
    assert answer.status_code == 400 and "bind_password" in answer.json()["error_msg"], answer.text
