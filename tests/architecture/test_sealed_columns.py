"""No column holds bytes that nobody has said anything about."""

from django.apps import apps
from django.db.models import BinaryField, Model, QuerySet

from tenants.organizations.sealed_columns import BY_DATA_KEY, BY_MASTER_KEY, OPEN


def test_every_column_of_bytes_is_in_the_register_of_sealed_columns():
    found = {
        f"{model._meta.app_label}.{model.__name__}.{field.name}"
        for model in apps.get_models()
        if model.__module__.startswith("tenants.")
        for field in model._meta.local_concrete_fields
        if isinstance(field, BinaryField)
    }
    found |= {"mfa.Authenticator.data"}  # of django-allauth's, whose secrets we seal
    assert found == set(BY_DATA_KEY) | set(BY_MASTER_KEY) | set(OPEN)
    assert len(found) == len(BY_DATA_KEY) + len(BY_MASTER_KEY) + len(OPEN)


def test_what_the_register_says_of_sealed_columns_is_true_of_their_tables():
    for column, bound in BY_DATA_KEY.items():
        rows: QuerySet[Model] = QuerySet(apps.get_model(column.rpartition(".")[0]))
        named = {bound.row, bound.version, bound.workspace or bound.row, "data_key_version"}
        str(rows.values(*named).query)  # raises on a field that is not there
