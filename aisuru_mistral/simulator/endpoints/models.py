"""GET /v1/models and /v1/models/{id}.

Refuses models of other organizations as if they did not exist.
"""

import time

from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.wire import Reply, json_reply


def list_models(call: Call) -> Reply:
    """Every model that the organization sees, each alias a row of its own."""
    rows = call.state.catalogue.rows(call.key.organization, int(time.time()))
    return json_reply(200, {"object": "list", "data": list(rows)})


def retrieve_model(call: Call) -> Reply:
    """One model under the name it was asked by."""
    catalogue = call.state.catalogue
    model = catalogue.find(call.key.organization, call.tail)
    if model is not None:
        return json_reply(200, catalogue.row(model, call.tail, int(time.time())))
    name = "model_retired" if catalogue.is_retired(call.tail) else "model_not_found"
    return call.refuse(name, model=call.tail)


ROUTES = (
    Route("GET", "/v1/models", list_models, "models"),
    Route("GET", "/v1/models/", retrieve_model, "models"),
)
