"""OpenStack's own clients, unmodified: the library keystoneauth1, and the `openstack` command.

Each has a server of its own, so that the list of clients can say what either called.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from keystoneauth1 import exceptions, session, token_endpoint
from keystoneauth1.identity import generic, v3

from compatibility import assert_listed
from outfitter import Server

COMMAND = Path(sys.executable).with_name("openstack")


def password(server: Server, **replaced) -> dict[str, str]:
    """How a person logs in to the first project."""
    domain = server.bootstrap["domain_name"]
    return {
        "auth_url": server.endpoints["iam_endpoint"],
        "username": server.bootstrap["user_name"],
        "password": server.bootstrap["password"],
        "user_domain_name": domain,
        "project_name": server.bootstrap["region"],
        "project_domain_name": domain,
        **replaced,
    }


# --- keystoneauth1


@pytest.mark.parametrize("plugin", [v3.Password, generic.Password])
@pytest.mark.parametrize("scope", ["project name", "project id", "account", "none"])
def test_keystoneauth_logs_in_and_finds_the_service(client_server, plugin, scope):
    arguments = password(client_server)
    if scope != "project name":
        del arguments["project_name"], arguments["project_domain_name"]
    if scope == "project id":
        arguments["project_id"] = client_server.bootstrap["project_id"]
    if scope == "account":
        arguments["domain_name"] = client_server.bootstrap["domain_name"]
    log_in = plugin(**arguments)
    keystone = session.Session(auth=log_in)
    access = log_in.get_access(keystone)
    assert access.username == client_server.bootstrap["user_name"]
    assert access.expires > access.issued
    if scope.startswith("project"):
        assert access.project_id == client_server.bootstrap["project_id"]
        assert access.role_names
    else:
        assert access.project_id is None
    assert keystone.get_endpoint(service_type="workspace") == client_server.endpoints["endpoint"]
    assert keystone.get_endpoint(service_type="identity", region_name=client_server.bootstrap["region"])


def test_keystoneauth_finds_its_way_from_the_bare_host(client_server):
    log_in = generic.Password(**password(client_server, auth_url=client_server.endpoints["endpoint"]))
    keystone = session.Session(auth=log_in)
    assert log_in.get_access(keystone).project_id == client_server.bootstrap["project_id"]


def test_keystoneauth_asks_with_a_token_alone(client_server):
    token = session.Session(auth=v3.Password(**password(client_server))).get_token()
    keystone = session.Session(auth=token_endpoint.Token(client_server.endpoints["iam_endpoint"], token))
    (project,) = keystone.get("/projects", endpoint_filter={"service_type": "identity"}).json()["projects"]
    assert project["id"] == client_server.bootstrap["project_id"]
    services = keystone.get("/auth/catalog", endpoint_filter={"service_type": "identity"}).json()["catalog"]
    assert {"identity", "workspace"} <= {service["type"] for service in services}
    apps = f"{client_server.endpoints['endpoint']}/v1/{project['id']}/app-center/apps"
    made = keystone.get(apps, headers={"Accept": "application/json"}).json()
    assert made == {"count": 0, "items": []}


def test_keystoneauth_is_told_of_a_wrong_password(client_server):
    log_in = v3.Password(**password(client_server, password="not-the-password"))
    with pytest.raises(exceptions.Unauthorized) as refused:
        session.Session(auth=log_in).get_token()
    assert "The username or password is wrong." in str(refused.value)


def test_the_list_of_clients_says_what_keystoneauth_called(client_server):
    assert_listed("keystoneauth1", version("keystoneauth1"), client_server)


# --- the openstack command


def openstack(folder: Path, settings: dict[str, str], *commands: str) -> list:
    """What the command prints as JSON for each of the commands; one process runs them all, from its standard input."""
    names = {"auth_url", "username", "password", "user_domain_name", "project_name", "project_domain_name"}
    names |= {"auth_type", "endpoint", "token"}
    assert settings.keys() <= names
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    environment = {**clean, **{f"OS_{name.upper()}": value for name, value in settings.items()}}
    done = subprocess.run(
        [str(COMMAND)],
        input="".join(f"{command} -f json\n" for command in commands),
        cwd=folder,
        env={**environment, "HOME": str(folder), "OS_IDENTITY_API_VERSION": "3"},
        text=True,
        capture_output=True,
        timeout=180,
    )
    # At its prompt it ends with 1 whatever the commands did; what goes wrong is told on standard error.
    assert done.stderr == "", done.stdout + done.stderr
    rest, answers = done.stdout.lstrip(), []
    while rest:
        answer, end = json.JSONDecoder().raw_decode(rest)
        answers.append(answer)
        rest = rest[end:].lstrip()
    assert len(answers) == len(commands), done.stdout + done.stderr
    return answers


@pytest.fixture(scope="module")
def command_server(tmp_path_factory):
    server = Server.start(tmp_path_factory.mktemp("openstack"))
    yield server
    server.stop()


def test_the_openstack_command_logs_in_and_looks_around(command_server, tmp_path):
    project_id = command_server.bootstrap["project_id"]
    region = command_server.bootstrap["region"]
    issued, catalog, projects, by_name, by_id = openstack(
        tmp_path,
        password(command_server),
        "token issue",
        "catalog list",
        "project list",
        f"project show {region}",
        f"project show {project_id}",
    )
    assert (issued["project_id"], bool(issued["id"])) == (project_id, True)
    urls = {service["Type"]: service["Endpoints"][0]["url"] for service in catalog}
    assert urls["workspace"] == command_server.endpoints["endpoint"]
    assert projects == [{"ID": project_id, "Name": region}]
    assert by_name == by_id
    assert (by_id["id"], by_id["name"], by_id["enabled"]) == (project_id, region, True)

    with_token = {
        "auth_type": "admin_token",
        "endpoint": command_server.endpoints["iam_endpoint"],
        "token": issued["id"],
    }
    projects, shown = openstack(tmp_path, with_token, "project list", f"project show {region}")
    assert (projects[0]["ID"], shown) == (project_id, by_id)


def test_the_list_of_clients_says_what_the_openstack_command_called(command_server):
    assert_listed("openstack command", version("python-openstackclient"), command_server)
