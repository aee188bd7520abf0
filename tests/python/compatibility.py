"""Which operations the contract has, and which of them `api/clients.toml` says a client was run against.

A file of tests about one client keeps a server to that client alone, and ends with `assert_listed`: what the server
answered with success is what the list says, no more and no less. docs/compatibility.md is made from the list. What is
not built yet may be listed already: the tests call it from the day it leaves the list of deviations.
"""

from __future__ import annotations

import json
import tomllib

from outfitter import ROOT, Server

CONTRACT = json.loads((ROOT / "api/contract/openapi.json").read_text())
METHODS = {"get", "post", "put", "patch", "delete"}


def operations() -> dict[tuple[str, str], str]:
    """The id of each operation of the contract, by method and path."""
    return {
        (method.upper(), path): operation["operationId"]
        for path, methods in CONTRACT["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    }


def not_built() -> set[str]:
    """The operations that the reviewed list of deviations calls missing."""
    deviations = tomllib.loads((ROOT / "api/deviations.toml").read_text())
    return {missing["operation"] for missing in deviations.get("missing", [])}


def succeeded(server: Server) -> set[str]:
    """The operations of the contract that the server answered with success."""
    of_contract = set(operations().values())
    return {
        operation for operation, status in server.answers() if operation in of_contract and 200 <= status < 400
    }


def assert_listed(client: str, version: str, server: Server) -> None:
    """The list has this client in this version, with exactly the operations that this server answered."""
    listed = tomllib.loads((ROOT / "api/clients.toml").read_text())["client"]
    (entry,) = [entry for entry in listed if entry["name"] == client]
    assert entry.get("version") == version, f"{client} is {version}: say so in api/clients.toml"
    ran = succeeded(server)
    said = set(entry["operations"]) - not_built()
    assert ran == said, (
        f"{client}: run but not listed in api/clients.toml: {sorted(ran - said)}; listed but not run: {sorted(said - ran)}"
    )
