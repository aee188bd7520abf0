"""What schemathesis is given beside its configuration, in its own process.

In the place of its check `positive_data_acceptance` stands one that is told which rules are not in the schemas: those
of `schemathesis-reviewed.toml`. Any other refusal of a request that fits the document fails as before.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

REVIEWED = tomllib.loads(Path(__file__).with_name("schemathesis-reviewed.toml").read_text())["rule"]


def is_reviewed(operation: str, text: str) -> bool:
    return any(
        re.search(rule["refusal"], text) and operation in rule.get("operations", [operation]) for rule in REVIEWED
    )


@schemathesis.check
def fitting_request_is_accepted_or_breaks_a_reviewed_rule(ctx, response, case) -> bool | None:
    operation = case.operation.definition.raw["operationId"]
    if response.status_code in (400, 429) and is_reviewed(operation, response.text):
        return None
    return positive_data_acceptance(ctx, response, case)


@schemathesis.hook
def before_call(ctx, case, kwargs) -> None:
    """Ids of real objects are put in after a list was made: in a request that is to fit, an id must not repeat."""
    if case.meta is None or not case.meta.generation.mode.is_positive or not isinstance(case.body, dict):
        return
    for name, value in case.body.items():
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            case.body[name] = list(dict.fromkeys(value))
