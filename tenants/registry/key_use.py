"""Reads keys together with what is built on them: how many models use each, and its last trial."""

from collections.abc import Sequence
from datetime import date

from django.db.models import Count, OuterRef, Prefetch, QuerySet, Subquery
from django.db.models.functions import Coalesce

from tenants.keys.models import KeyProbe, KeyStatus, MistralKey
from tenants.organizations.models import Workspace
from tenants.registry.models import RegisteredModel


def keys() -> QuerySet[MistralKey]:
    """Read keys, each with ``in_use_by`` (a number), ``newest_probe`` (a list) and replacement.

    For use inside an organization's scope.
    """
    users = (
        RegisteredModel.objects.filter(key=OuterRef("pk"), retired_at=None)
        .order_by()
        .values("key")
        .annotate(number=Count("pk"))
    )
    newest = KeyProbe.objects.order_by("key_id", "-pk").distinct("key_id")
    rows = MistralKey.objects.select_related("replacement").prefetch_related(
        Prefetch("probes", newest, to_attr="newest_probe")
    )
    return rows.annotate(in_use_by=Coalesce(Subquery(users.values("number")), 0))


def listed(
    workspace: Workspace | None, statuses: Sequence[KeyStatus | str], until: date | None = None
) -> QuerySet[MistralKey]:
    """Read the keys of a workspace, or of all, that a list is asked for.

    Args:
        workspace: None for all.
        statuses: any of these; none of them: all but revoked ones.
        until: only keys whose own date is this day or earlier.
    """
    rows = keys()
    if workspace is not None:
        rows = rows.filter(workspace=workspace)
    rows = rows.filter(status__in=statuses) if statuses else rows.filter(revoked_at=None)
    return rows.filter(expires_on__lte=until) if until else rows


def users_of(key: MistralKey) -> list[RegisteredModel]:
    """List the models that use a key, by name, inside its scope."""
    return list(RegisteredModel.objects.filter(key=key, retired_at=None).order_by("name"))
