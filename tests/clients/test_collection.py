"""A collection for Postman and its kin: every operation is in it, with a body of valid JSON."""

import json
import re
from io import StringIO

from django.core.management import call_command

from tenants.api.documentation import generated


def test_every_operation_is_a_request_with_its_body_and_its_open_places():
    written = StringIO()
    call_command("postman_collection", stdout=written)
    collection = json.loads(written.getvalue())
    requests = [one["request"] for folder in collection["item"] for one in folder["item"]]
    schema = generated()
    operations = {
        (method.upper(), path) for path, methods in schema["paths"].items() for method in methods
    }
    made = {
        (one["method"], re.sub(r":(\w+)", r"{\1}", one["url"]["raw"].replace("{{api}}", "/api/v1")))
        for one in requests
    }
    assert made == operations
    for request in requests:
        if "body" in request:
            assert isinstance(json.loads(request["body"]["raw"]), dict)
    assert collection["auth"]["bearer"][0]["value"] == "{{token}}"
