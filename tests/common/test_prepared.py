"""Prepared queries: every value in its place, and Django's own errors."""

from datetime import date
from uuid import UUID

import pytest
from django.db import DataError, connection
from django.db.models import Value

from tenants.common import scope
from tenants.common.prepared import Prepared
from tenants.organizations.models import Workspace
from tests import factories


def test_values_of_one_kind_go_to_their_places_whatever_their_order_and_number():
    organization = factories.organization()
    workspace = factories.workspace(organization)
    query = Prepared(
        lambda name, id_, organization_id: (
            Workspace.objects.filter(organization_id=organization_id, id=id_)
            .exclude(name=name)
            .annotate(fixed=Value("fixed"), name_again=Value(name))
            .values_list("id", "name", "fixed", "name_again")
        ),
        *(str, UUID, UUID),
    )
    with scope.tenant(organization.id):
        found = query.ask("other", workspace.id, organization.id)
        assert found == [(workspace.id, workspace.name, "fixed", "other")]
        assert query.ask(workspace.name, workspace.id, organization.id) == []
        assert query.ask("other", organization.id, workspace.id) == []


def test_a_value_that_the_query_does_not_use_is_a_mistake():
    query = Prepared(lambda _name: Workspace.objects.values_list("id"), str)
    with pytest.raises(ValueError, match="each value"):
        query.ask("unused")


def test_errors_are_those_of_django():
    query = Prepared(lambda name: Workspace.objects.filter(name=name).values_list("id"), str)
    connection.ensure_connection()
    with pytest.raises(DataError):
        query.ask("no\0text")


def test_whole_rows_and_days():
    organization = factories.organization()
    workspace = factories.workspace(organization)
    query = Prepared(
        lambda organization_id, day: Workspace.objects.filter(
            organization_id=organization_id, created_at__date__gte=day
        ).values_list(),
        *(UUID, date),
    )
    with scope.tenant(organization.id):
        found = query.find(Workspace, organization.id, date(2020, 1, 1))
        assert workspace in found
        assert {(one.name, one.created_at) for one in found} == set(
            Workspace.objects.values_list("name", "created_at")
        )
        assert query.find(Workspace, organization.id, date(9999, 1, 1)) == []
