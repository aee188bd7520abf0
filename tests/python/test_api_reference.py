"""The reference page at /docs/api: served with the right types, driven in a real browser, and its samples hold."""

from __future__ import annotations

import json
import shutil
import subprocess

import requests

from outfitter import ROOT

REFERENCE = ROOT / "reference"
LIMIT_SECS = 120


def node(script: str, *arguments: str, stdin: str) -> object:
    """What a script of the page's folder prints as JSON."""
    run = subprocess.run(
        ["node", str(REFERENCE / "test" / script), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECS,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_the_page_and_its_files_come_with_their_types_and_a_strict_policy(server):
    page = requests.get(f"{server.bootstrap['endpoint']}/docs/api")
    assert page.status_code == 200 and page.url.endswith("/docs/api/")
    assert '<main id="reference">' in page.text, "the page was not built: run scripts/build"
    for name, media_type in [
        ("index.html", "text/html; charset=utf-8"),
        ("page.js", "text/javascript; charset=utf-8"),
        ("samples.js", "text/javascript; charset=utf-8"),
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("swagger-ui.css", "text/css; charset=utf-8"),
        ("page.css", "text/css; charset=utf-8"),
        ("swagger-ui-LICENSE.txt", "text/plain; charset=utf-8"),
    ]:
        answer = requests.get(f"{server.bootstrap['endpoint']}/docs/api/{name}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type), name
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self';" in policy and "default-src 'none'" in policy
    assert requests.get(f"{server.bootstrap['endpoint']}/docs/api/nothing.js").status_code == 404


def test_a_browser_logs_in_reads_and_writes_through_the_page(server):
    chromium = shutil.which("chromium")
    assert chromium, "chromium is missing: run scripts/need chromium"
    seen = node("browser.mjs", server.bootstrap["endpoint"], chromium, stdin=json.dumps(server.bootstrap))
    assert seen["errors"] == [], "nothing of the page may break or be refused by the policy"
    assert seen["foreign"] == [], "the page asks no other host"
    assert seen["operations"] > 90
    assert "password is wrong" in seen["refused"]
    assert server.bootstrap["project_id"] in seen["state"]
    assert seen["reading"]["status"].startswith("200")
    assert "Browser" in seen["reading"]["body"]
    assert f"{server.bootstrap['project_id']}/app-center/app-catalogs'" in seen["curl"]
    assert "$OUTFITTER_TOKEN" in seen["curl"], "a sample carries no token"
    assert seen["writing"]["status"].startswith("200")
    assert seen["stored"] == 0, "the token is kept nowhere but in the page's memory"

    # What the page shows as Python runs as it stands: the rule is there already, so the server says 409.
    run = run_sample(seen["python"], server)
    assert run.returncode != 0 and "WKS.00211109" in run.stderr, run


def run_sample(sample: str, server) -> subprocess.CompletedProcess:
    environment = {
        "OUTFITTER_ACCESS_KEY": server.bootstrap["access_key"],
        "OUTFITTER_SECRET_KEY": server.bootstrap["secret_key"],
        "OUTFITTER_PROJECT_ID": server.bootstrap["project_id"],
    }
    python = str(ROOT / ".tools/venv/bin/python")
    return subprocess.run([python, "-c", sample], env=environment, capture_output=True, text=True, timeout=LIMIT_SECS)


def test_each_operation_of_the_contract_is_spelt_as_the_sdk_spells_it(monkeypatch):
    for name in ("ACCESS_KEY", "SECRET_KEY", "PROJECT_ID"):
        monkeypatch.setenv(f"OUTFITTER_{name}", "x")
    document = (ROOT / "api/openapi.json").read_text()
    samples = node("samples.mjs", "http://127.0.0.1:8080", stdin=document)
    of_sdk = [sample for sample in samples if "huaweicloudsdk" in sample["python"]]
    assert {sample["operation"] for sample in of_sdk} == {
        sample["operation"] for sample in samples if sample["path"].startswith(("/v1/", "/v2/"))
    }
    assert len(of_sdk) >= 68
    for sample in samples:
        compile(sample["python"], sample["operation"], "exec")
        assert sample["curl"].startswith("curl ")
    for sample in of_sdk:
        *lines, call = sample["python"].splitlines()
        names: dict = {}
        exec("\n".join(lines), names)
        method = call.removeprefix("print(client.").split("(")[0]
        assert hasattr(names["client"], method), f"the SDK has no {method}"
        for name in vars(names["request"]):
            plain = name.lstrip("_")
            assert plain == "discriminator" or plain in names["request"].openapi_types, f"{method} knows no {plain}"
