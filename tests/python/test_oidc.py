"""Logging in through a login provider that nobody here wrote: npm's oidc-provider, driven as a browser would, in plain HTTP.

One server, one provider. Each test has a user of its own at the provider, so that they do not disturb each other.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit, urlunsplit

import pytest
import requests

from outfitter import ROOT, Server, wait_for

CLIENT = {"client_id": "outfitter", "client_secret": "a-secret-of-the-tests"}
GUARD = {"X-Outfitter-Console": "1"}


@dataclass
class Provider:
    process: subprocess.Popen
    issuer: str
    accounts: dict = field(default_factory=dict)

    @classmethod
    def start(cls) -> Provider:
        process = subprocess.Popen(
            ["node", str(ROOT / "tests/node/oidc_provider.js")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        issuer = process.stdout.readline().strip()
        assert issuer, "the provider did not start"
        return cls(process, issuer)

    def tell(self, what: str, body: dict) -> None:
        requests.post(f"{self.issuer}/test/{what}", json=body, timeout=10).raise_for_status()

    def knows(self, name: str, **claims) -> None:
        self.accounts[name] = claims
        self.tell("accounts", self.accounts)

    def turn_clock(self, offset_secs: int) -> None:
        self.tell("clock", {"offset_secs": offset_secs})

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Scene:
    server: Server
    provider: Provider
    groups: dict[str, str]
    token: str = ""

    @property
    def endpoint(self) -> str:
        return self.server.endpoints["endpoint"]

    @property
    def callback(self) -> str:
        return f"{self.endpoint}/login/oidc/callback"

    def call(self, method: str, path: str, body: dict | None = None) -> requests.Response:
        """A call of the account's administrator, beyond projects."""
        headers = {"X-Auth-Token": self.token}
        return requests.request(method, self.endpoint + path, headers=headers, json=body, timeout=30)

    def administrator(self, method: str, path: str, body: dict | None = None) -> dict:
        """The body of such a call that succeeds."""
        answer = self.call(method, path, body)
        assert answer.ok, f"{answer.status_code} {answer.text}"
        return answer.json() if answer.content else {}

    def user(self, name: str) -> dict:
        path = f"/api/v1/{self.server.project_id}/iam/users?limit=100"
        return next(user for user in self.administrator("GET", path)["items"] if user["name"] == name)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("oidc")
    provider = Provider.start()
    server = None
    try:
        (folder / "secret").write_text(CLIENT["client_secret"] + "\n")
        (folder / "outfitter.toml").write_text(
            f"[oidc]\nissuer = '{provider.issuer}'\nclient_id = '{CLIENT['client_id']}'\n"
            f"client_secret_file = '{folder}/secret'\nname = 'Example login'\n"
        )
        server = Server.start(folder, options=["--config", str(folder / "outfitter.toml")])
        made = Scene(server, provider, {})
        provider.tell("client", {**CLIENT, "redirect_uri": made.callback})
        given = server.bootstrap
        login = {"name": given["user_name"], "password": given["password"], "domain": {"name": given["domain_name"]}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": login}}}}
        answer = requests.post(f"{made.endpoint}/v3/auth/tokens", json=body, timeout=30)
        made.token = answer.headers["X-Subject-Token"]
        # Two groups here, one policy each, which a group of the provider stands for.
        for name, role in (("operators", "app-operator"), ("readers", "read-only")):
            group = made.administrator("POST", "/api/v1/iam/groups", {"name": name})
            made.groups[name] = group["id"]
            made.administrator("PATCH", f"/api/v1/iam/groups/{group['id']}", {"provider_groups": [f"it-{name}"]})
            made.administrator("POST", "/api/v1/iam/attachments", {"policy": role, "group_id": group["id"]})
        yield made
    finally:
        if server:
            server.stop()
        provider.stop()


class Browser(requests.Session):
    """Cookies and redirects of a browser; the pages of the provider are filled in as a person would."""

    def begin(self, scene: Scene, next_page: str | None = None) -> str:
        """The provider's address that the server sends the browser to."""
        query = {"next": next_page} if next_page else None
        answer = self.get(f"{scene.endpoint}/login/oidc", params=query, allow_redirects=False, timeout=30)
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    def at_provider(self, scene: Scene, url: str, name: str) -> str:
        """Logs in and consents; the address that the provider sends the browser back to."""
        form: dict[str, str] = {}
        for _ in range(20):
            if url.startswith(scene.callback):
                return url
            answer = self.request("POST" if form else "GET", url, data=form or None, allow_redirects=False, timeout=30)
            form = {}
            if answer.is_redirect:
                url = urljoin(url, answer.headers["Location"])
                continue
            assert answer.status_code == 200, f"{url}: {answer.status_code} {answer.text}"
            action = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
            assert action, answer.text
            url = urljoin(url, unescape(action[1]))
            form = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', answer.text))
            if 'name="login"' in answer.text:
                form |= {"login": name, "password": "any"}
        raise AssertionError(f"the provider does not come to an end at {url}")

    def back(self, url: str) -> requests.Response:
        return self.get(url, allow_redirects=False, timeout=30)

    def log_in(self, scene: Scene, name: str, next_page: str | None = None) -> requests.Response:
        return self.back(self.at_provider(scene, self.begin(scene, next_page), name))

    def session(self, scene: Scene) -> requests.Response:
        return self.get(f"{scene.endpoint}/api/v1/session", timeout=30)

    def may(self, scene: Scene, method: str, path: str, body: dict | None = None) -> int:
        url = scene.endpoint + path.replace("{project_id}", scene.server.project_id)
        return self.request(method, url, json=body, headers=GUARD, timeout=30).status_code


READ = ("GET", "/v1/{project_id}/app-center/apps")
WRITE = ("POST", "/v1/{project_id}/app-center/apps/actions/batch-disable", {"items": ["5f0c7b43-8ea7-4a8f-9dd0-1d6a8a2b9a10"]})


def changed(url: str, **members: str | None) -> str:
    """The address with members of its query replaced, or taken out where they are None."""
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | members
    return urlunsplit(parts._replace(query=urlencode({name: value for name, value in query.items() if value is not None})))


def assert_refused(answer: requests.Response, status: int, text: str, browser: Browser, scene: Scene) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("text/html")
    assert text.lower() in unescape(answer.text).lower(), answer.text
    assert "outfitter_session" not in browser.cookies
    assert browser.session(scene).status_code == 401


def test_groups_of_the_provider_give_rights_and_take_them_away(scene):
    scene.provider.knows("ana", groups=["it-operators", "it-readers", "staff"])
    ways = requests.get(f"{scene.endpoint}/api/v1/login-methods", timeout=30).json()
    assert ways == {"password": True, "provider": {"name": "Example login", "path": "/login/oidc"}}
    shown = scene.administrator("GET", "/api/v1/login-provider")
    assert shown["redirect_uri"] == scene.callback
    assert shown["provider"]["has_client_secret"] and CLIENT["client_secret"] not in str(shown)
    found = scene.administrator("POST", "/api/v1/login-provider/test")
    assert found["ok"] and found["signing_keys"] >= 1 and found["authorization_endpoint"].startswith("http"), found
    browser = Browser()
    answer = browser.log_in(scene, "ana", "/console/local-1/apps")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/local-1/apps"), answer.text
    assert "outfitter_login" not in browser.cookies
    shown = browser.session(scene).json()
    assert (shown["user_name"], len(shown["projects"])) == ("ana", 1)
    assert (browser.may(scene, *READ), browser.may(scene, *WRITE)) == (200, 404)
    assert scene.user("ana")["external"] is True
    members = scene.administrator("GET", "/api/v1/iam/groups")["items"]
    assert {group["name"]: [member["user_name"] for member in group["members"]] for group in members} == {
        "operators": ["ana"],
        "readers": ["ana"],
    }

    # Another browser, fewer groups: the rights are gone in both.
    scene.provider.knows("ana", groups=["it-readers"])
    assert Browser().log_in(scene, "ana").status_code == 303
    assert (browser.may(scene, *READ), browser.may(scene, *WRITE)) == (200, 403)

    # The log says who came, from where, and what that changed.
    logins = scene.administrator("GET", "/api/v1/audit?limit=100&actor=ana&kind=change")["items"]
    assert {entry["operation"] for entry in logins} == {"CreateProviderSession"}
    newest = logins[0]
    assert (newest["actor"]["name"], newest["actor"]["credential"]) == ("ana", "login_provider")
    assert newest["address"] == "127.0.0.1" and newest["request_id"]
    assert newest["detail"]["request"]["groups"] == ["it-readers"]
    [change] = newest["detail"]["changes"]
    assert set(change["before"]["policies"]) > set(change["after"]["policies"]), change

    # No group at all: no session, and nothing is left of the others.
    scene.provider.knows("ana", groups=["staff"])
    last = Browser()
    assert_refused(last.log_in(scene, "ana"), 403, "no group of ana has rights here", last, scene)
    assert browser.may(scene, *READ) == 403
    refused = wait_for(lambda: scene.administrator("GET", "/api/v1/audit?actor=ana&kind=refusal&action=outfitter:operations:CreateProviderSession")["items"], "the refusal in the log")
    assert (refused[0]["operation"], refused[0]["status"]) == ("CreateProviderSession", 403)


def test_who_is_in_no_group_of_ours_is_not_even_made(scene):
    scene.provider.knows("stranger", groups=["staff"])
    browser = Browser()
    assert_refused(browser.log_in(scene, "stranger"), 403, "no group of stranger has rights here", browser, scene)
    names = {user["name"] for user in scene.administrator("GET", f"/api/v1/{scene.server.project_id}/iam/users?limit=100")["items"]}
    assert "stranger" not in names


def test_an_equal_name_takes_nobody_over(scene):
    scene.provider.knows("mallory", preferred_username="Administrator", groups=["it-readers"])
    browser = Browser()
    assert browser.log_in(scene, "mallory").status_code == 303
    shown = browser.session(scene).json()
    administrator = scene.user("administrator")
    assert shown["user_name"] == "Administrator-2"
    assert shown["user_id"] != administrator["id"] and administrator["external"] is False
    assert browser.may(scene, *WRITE) == 403
    # At the next login it is the same user, whatever the provider calls it by then.
    scene.provider.knows("mallory", preferred_username="renamed", groups=["it-readers"])
    again = Browser()
    again.log_in(scene, "mallory")
    assert again.session(scene).json()["user_id"] == shown["user_id"]


def test_a_user_of_the_provider_has_no_password_and_no_keys_and_stays_disabled(scene):
    scene.provider.knows("ben", groups=["it-readers"])
    browser = Browser()
    assert browser.log_in(scene, "ben").status_code == 303
    user = f"/api/v1/{scene.server.project_id}/iam/users/{scene.user('ben')['id']}"
    for method, path, body in (
        ("POST", f"{user}/access-keys", None),
        ("PATCH", user, {"password": "a password of some length"}),
    ):
        answer = scene.call(method, path, body)
        assert answer.status_code == 409, answer.text
    own = {"original_password": "", "password": "a password of some length"}
    assert browser.may(scene, "PUT", "/api/v1/iam/password", own) == 409
    by_password = {"user_name": "ben", "password": "anything at all"}
    answer = requests.post(f"{scene.endpoint}/api/v1/session", json=by_password, headers=GUARD, timeout=30)
    assert answer.status_code == 401

    scene.administrator("PATCH", user, {"enabled": False})
    assert browser.session(scene).status_code in (401, 403)
    other = Browser()
    assert_refused(other.log_in(scene, "ben"), 403, "the user ben is disabled here", other, scene)
    assert scene.user("ben")["enabled"] is False


def test_a_login_counts_once_and_in_the_browser_it_began_in(scene):
    scene.provider.knows("cem", groups=["it-readers"])
    browser = Browser()
    back = browser.at_provider(scene, browser.begin(scene), "cem")
    cookie = browser.cookies.get_dict()["outfitter_login"]
    stranger = Browser()
    assert_refused(stranger.back(back), 400, "did not begin in this browser", stranger, scene)
    # Not the browser's state, which a page of somebody else may have made up.
    forged = Browser()
    forged.cookies.set("outfitter_login", cookie)
    assert_refused(forged.back(changed(back, state="x" * 43)), 400, "did not begin in this browser", forged, scene)
    damaged = Browser()
    damaged.cookies.set("outfitter_login", cookie[:-2])
    assert_refused(damaged.back(back), 400, "did not begin in this browser", damaged, scene)

    assert browser.back(back).status_code == 303
    # Address and cookie together, stolen after the fact.
    thief = Browser()
    thief.cookies.set("outfitter_login", cookie)
    assert_refused(thief.back(back), 400, "has been used already", thief, scene)
    # A code that was used, with a login of the thief's own.
    thief = Browser()
    own = parse_qs(urlsplit(thief.begin(scene)).query)["state"][0]
    assert_refused(thief.back(changed(back, state=own)), 502, "the login provider refuses the code: invalid_grant", thief, scene)


def test_another_nonce_or_verifier_or_issuer_counts_for_nothing(scene):
    scene.provider.knows("dora", groups=["it-readers"])
    browser = Browser()
    back = browser.at_provider(scene, changed(browser.begin(scene), nonce="of-another-login"), "dora")
    assert_refused(browser.back(back), 502, "cannot be believed", browser, scene)
    browser = Browser()
    challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    back = browser.at_provider(scene, changed(browser.begin(scene), code_challenge=challenge), "dora")
    assert_refused(browser.back(back), 502, "refuses the code: invalid_grant", browser, scene)
    # The provider wants PKCE and is not given any: it says so, and nothing comes of it.
    browser = Browser()
    url = changed(browser.begin(scene), code_challenge=None, code_challenge_method=None)
    back = browser.at_provider(scene, url, "dora")
    assert_refused(browser.back(back), 403, "the login provider refused: invalid_request", browser, scene)
    browser = Browser()
    back = browser.at_provider(scene, browser.begin(scene), "dora")
    assert_refused(browser.back(changed(back, iss="https://evil.example")), 502, "another login provider", browser, scene)


def test_an_id_token_that_has_expired_is_not_believed(scene):
    scene.provider.knows("eva", groups=["it-readers"])
    browser = Browser()
    back = browser.at_provider(scene, browser.begin(scene), "eva")
    scene.provider.turn_clock(-2 * 60 * 60)
    try:
        assert_refused(browser.back(back), 502, "cannot be believed", browser, scene)
    finally:
        scene.provider.turn_clock(0)
    assert "Expired" in (scene.server.folder / "server.log").read_text()


def test_a_login_does_not_end_at_another_host(scene):
    scene.provider.knows("finn", groups=["it-readers"])
    answer = Browser().log_in(scene, "finn", "https://evil.example/console/")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/")


def test_no_secret_is_logged(scene):
    log = (scene.server.folder / "server.log").read_text()
    assert CLIENT["client_secret"] not in log
    assert "it-readers" not in log


def test_a_provider_that_is_down_stops_nobody_with_a_password(scene):
    """The last of this file: the provider does not come back."""
    scene.provider.knows("gil", groups=["it-readers"])
    browser = Browser()
    back = browser.at_provider(scene, browser.begin(scene), "gil")
    scene.provider.stop()
    found = scene.administrator("POST", "/api/v1/login-provider/test")
    assert not found["ok"] and found["words"] and found["hint"], found
    answer = browser.back(back)
    assert_refused(answer, 503, "the login provider does not answer", browser, scene)
    assert answer.headers["Retry-After"]
    # A server that starts without it is there all the same, and says so to who wants to log in.
    scene.server.restart()
    fresh = Browser()
    answer = fresh.get(f"{scene.endpoint}/login/oidc", allow_redirects=False, timeout=30)
    assert_refused(answer, 503, "the login provider does not answer", fresh, scene)
    given = scene.server.bootstrap
    body = {"user_name": given["user_name"], "password": given["password"]}
    by_password = wait_for(
        lambda: fresh.post(f"{scene.endpoint}/api/v1/session", json=body, headers=GUARD, timeout=30), "the server"
    )
    assert by_password.status_code == 201
