"""No column holds bytes that nobody has said anything about."""

from django.apps import apps
from django.db.models import BinaryField

from tenants.organizations.sealed_columns import OPEN, SEALED


def test_every_column_of_bytes_is_in_the_register_of_sealed_columns():
    found = {
        f"{model._meta.app_label}.{model.__name__}.{field.name}"
        for model in apps.get_models()
        if model.__module__.startswith("tenants.")
        for field in model._meta.local_concrete_fields
        if isinstance(field, BinaryField)
    }
    assert found == set(SEALED) | set(OPEN)
    assert not set(SEALED) & set(OPEN)
