"""Lookups of our own."""

from django.db.models import F

from tenants.common import scope
from tenants.common.lookups import Among
from tenants.organizations.models import Workspace
from tests import factories


def test_among_finds_as_in_does_with_one_parameter():
    organization = factories.organization()
    made = [factories.workspace(organization) for _ in range(3)]
    ids = {made[0].pk, made[2].pk, organization.pk}
    with scope.tenant(organization.pk):
        rows = Workspace.objects.filter(Among(F("pk"), ids), archived_at=None)
        assert set(rows) == {made[0], made[2]}
        _statement, parameters = rows.query.sql_with_params()
        assert len(parameters) == 1
        assert not Workspace.objects.filter(Among(F("pk"), [])).exists()
