"""GET /v1/users/me: whose key this is; refuses the header form that the key is set to refuse.

Which form Mistral takes is not settled (its OpenAPI file says x-api-key, its SDK sends either), so
keys differ.
"""

from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.wire import Reply, json_reply


def identify(call: Call) -> Reply:
    """The person, workspace, organization and key behind the request."""
    key = call.key
    if key.identity_auth == "none":
        return call.refuse("no_route")
    if key.identity_auth != "any" and call.request.auth not in {key.identity_auth, "both"}:
        return call.refuse("unauthorized")
    user = key.user
    identity = {
        "id": user.id,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "workspace": {"id": key.workspace.id, "name": key.workspace.name},
        "organization": {"id": key.organization.id, "name": key.organization.name},
        "api_key": {"id": key.id, "name": key.key_name},
    }
    return json_reply(200, identity)


ROUTES = (Route("GET", "/v1/users/me", identify, "identity", forms=("bearer", "x-api-key")),)
