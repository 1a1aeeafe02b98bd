"""``manage.py postman_collection > collection.json``: the API for Postman, Bruno and Insomnia."""

import json
from typing import Any

from django.core.management.base import BaseCommand

from tenants.api.collection import collection_of
from tenants.api.documentation import generated


class Command(BaseCommand):
    """Write the collection to standard output; it needs no database."""

    help = "Write the management API as a Postman collection, which Bruno and Insomnia import."
    requires_system_checks = ()

    def handle(self, **_options: Any) -> None:
        """Make it from the code, as the schema is."""
        collection = collection_of(generated())
        self.stdout.write(json.dumps(collection, indent=1, ensure_ascii=False))
