"""moto's server, which judges by session policies too.

moto (5.2.5) keeps the policy that AssumeRole was given and forgets it when it judges a request: a session could do all
that its role may. Here a request of a session also has to pass that policy, as it has to at AWS (IAM, "Session policies").
"""

from __future__ import annotations

import sys

from moto.iam import access_control
from moto.iam.access_control import AssumedRoleAccessKey, IAMPolicy, IAMRequestBase, PermissionResult
from moto.server import main
from moto.sts.models import sts_backends

by_role = IAMRequestBase.check_action_permitted


def by_role_and_session(self: IAMRequestBase, resource: str) -> None:
    by_role(self, resource)
    key = self._access_key
    if not isinstance(key, AssumedRoleAccessKey):
        return
    (session,) = [
        session
        for session in sts_backends[key.account_id][key.partition].assumed_roles
        if session.access_key_id == key._access_key_id
    ]
    if session.policy and IAMPolicy(session.policy).is_action_permitted(self._action, resource) != PermissionResult.PERMITTED:
        self._raise_access_denied()


access_control.IAMRequestBase.check_action_permitted = by_role_and_session

if __name__ == "__main__":
    main(sys.argv[1:])
