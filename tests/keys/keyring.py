"""Steps that the tests of keys share."""

import hashlib
from datetime import timedelta

from django.utils import timezone

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.keys import services
from tenants.keys.models import MistralKey
from tenants.keys.validation import validate
from tests.factories import ACTOR


def name_of(plain: str) -> str:
    """Under what name the simulator knows a made-up key; it tells nothing of the key."""
    return "made up " + hashlib.sha256(plain.encode()).hexdigest()[:12]


def registered(workspace, plain, **facts):
    """Register a key through the service."""
    return services.register_key(actor=ACTOR, workspace=workspace, plain=Secret(plain), **facts).key


def checked(key):
    """Run the worker on a key that is due, and read it anew."""
    validate(key.organization_id, key.id)
    return fresh(key)


def fresh(key):
    """Read a key anew."""
    with scope.tenant(key.organization_id):
        return MistralKey.objects.get(pk=key.pk)


def seen(key):
    """Ids of the models that a key may call."""
    with scope.tenant(key.organization_id):
        rows = key.seen_models.filter(availability="available")
        return set(rows.values_list("mistral_id", flat=True))


def set_back(key, **fields):
    """Move instants of a key into the past by so many seconds: the only way to pass time here."""
    now = timezone.now()
    with scope.tenant(key.organization_id):
        MistralKey.objects.filter(pk=key.pk).update(
            **{name: now - timedelta(seconds=seconds) for name, seconds in fields.items()}
        )
    return fresh(key)


def seconds_until(instant):
    """How far away an instant is."""
    return (instant - timezone.now()).total_seconds()
