"""Requests as the Terraform provider's client, golangsdk, makes them; read in the source of both.

The provider itself is not run: these are its requests, replayed with a signer of our own.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
from datetime import UTC, datetime
from urllib.parse import quote, unquote, urlsplit

from outfitter import Server

USER_AGENT = "terraform-provider-iac golangsdk/2.0.0"
# What the provider takes for success; anything else is an error to it.
ACCEPTED = {"GET": {200}, "POST": {200, 201, 202}, "PATCH": {200, 202, 204}, "DELETE": {200, 202, 204}}
PAGE = 100


class Refused(Exception):
    """An answer that the provider would report as an error."""

    def __init__(self, call: str, status: int, body: bytes):
        super().__init__(f"{call}: {status} {body!r}")
        self.status = status
        self.code = json.loads(body).get("error_code")


class Provider:
    """The provider after its set-up, by access key or by password."""

    def __init__(self, server: Server, *, by: str):
        self.server = server
        self.host = urlsplit(server.endpoints["endpoint"]).netloc
        self.token = self.domain_id = None
        self.project_id = ""
        region = server.bootstrap["region"]
        if by == "password":
            self._log_in(region)
        else:
            (project,) = self.call("GET", f"/v3/projects?name={region}")["projects"]
            self.project_id = project["id"]
            (domain,) = self.call("GET", "/v3/auth/domains")["domains"]
            self.domain_id = domain["id"]
            assert self.call("GET", "/v3/auth/catalog")["catalog"]

    def _log_in(self, region: str) -> None:
        given = self.server.bootstrap
        user = {
            "name": given["user_name"],
            "password": given["password"],
            "domain": {"name": given["domain_name"]},
        }
        body = {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"name": region}},
            }
        }
        status, headers, answer = self._send("POST", "/v3/auth/tokens", self._headers(), json.dumps(body).encode())
        assert status == 201, answer
        self.token = headers["X-Subject-Token"]
        self.project_id = json.loads(answer)["token"]["project"]["id"]

    def call(self, method: str, target: str, body: dict | None = None, *, content_type: bool = True):
        """Sends one request; answers its body where there is one."""
        target = target.replace("{project_id}", self.project_id)
        content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = self._headers()
        if body is None and not content_type:
            del headers["Content-Type"]
        if self.token:
            headers["X-Auth-Token"] = self.token
        else:
            target = self._sign(method, target, headers, content)
        # After signing, so not part of what is signed.
        if self.project_id:
            headers["X-Project-Id"] = self.project_id
        if self.domain_id:
            headers["X-Domain-Id"] = self.domain_id
        status, _, answer = self._send(method, target, headers, content)
        if status not in ACCEPTED[method]:
            raise Refused(f"{method} {target}", status, answer)
        return json.loads(answer) if answer else None

    def pages(self, target: str) -> list[dict]:
        """Every item, as the provider lists: until a page is short; the offset counts items."""
        found: list[dict] = []
        while True:
            items = self.call("GET", f"{target}&offset={len(found)}")["items"]
            found += items
            if len(items) < PAGE:
                return found

    @staticmethod
    def _headers() -> dict[str, str]:
        return {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": USER_AGENT}

    def _sign(self, method: str, target: str, headers: dict[str, str], content: bytes) -> str:
        """Adds the signature; answers the target with its query as the signer re-encodes it."""
        path, _, query = target.partition("?")

        def encoded(text: str) -> str:
            return quote(unquote(text), safe="-_.~")

        uri = "/".join(encoded(part) for part in path.split("/"))
        pairs = sorted(tuple(encoded(part) for part in pair.partition("=")[::2]) for pair in query.split("&") if pair)
        canonical_query = "&".join(f"{name}={value}" for name, value in pairs)
        headers["X-Sdk-Date"] = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        signed = sorted(headers, key=str.lower)
        canonical = "\n".join(
            [
                method,
                uri if uri.endswith("/") else f"{uri}/",
                canonical_query,
                *(f"{name.lower()}:{headers[name].strip()}" for name in signed),
                "",
                ";".join(name.lower() for name in signed),
                hashlib.sha256(content).hexdigest(),
            ]
        )
        assert "host" not in canonical.split("\n")[-2].split(";")
        text = "\n".join(["SDK-HMAC-SHA256", headers["X-Sdk-Date"], hashlib.sha256(canonical.encode()).hexdigest()])
        given = self.server.bootstrap
        signature = hmac.new(given["secret_key"].encode(), text.encode(), hashlib.sha256).hexdigest()
        headers["Authorization"] = (
            f"SDK-HMAC-SHA256 Access={given['access_key']}, "
            f"SignedHeaders={';'.join(name.lower() for name in signed)}, Signature={signature}"
        )
        return f"{path}?{canonical_query}" if canonical_query else path

    def _send(self, method: str, target: str, headers: dict[str, str], content: bytes):
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            # Byte for byte: the query of a token's request stays as it was pasted together, UTF-8 and all.
            connection._encode_request = lambda request: request.encode()
            connection._validate_path = lambda url: None
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if content or method in ("POST", "PATCH"):
                connection.putheader("Content-Length", str(len(content)))
            connection.endheaders(content or None)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()
