"""Mistral keys over HTTP: register, list, read, change, replace, check, delete. Never shown."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.models import TokenScope
from tenants.access.pagination import page
from tenants.access.permissions import require
from tenants.api import fields, subjects
from tenants.api.endpoint import ApiView, Call, In, PageQuery, Reply, endpoint, page_of
from tenants.api.intake import SecretIn, secret_of
from tenants.api.key_shapes import KeyOut, RegisteredKeyOut, SeenModelOut
from tenants.api.subjects import WorkspaceQuery
from tenants.common import grace, scope
from tenants.keys import services
from tenants.keys.intake import Purpose
from tenants.keys.models import KeyStatus, MistralKey, SeenModel
from tenants.keys.searching import Search
from tenants.keys.services import Registration
from tenants.organizations.models import Workspace
from tenants.registry import key_use
from tenants.spend.probes import request_probe

_EXAMPLE_KEY = "the key as Mistral showed it"


class KeyIn(SecretIn):
    """A key to register."""

    name = fields.Text(max_length=120, required=False, allow_blank=True)
    expires_on = fields.Day(required=False, allow_null=True)


class KeyChange(In):
    """What may change; the secret is no member of a key: see versions."""

    name = fields.Text(max_length=120, allow_blank=True)
    expires_on = fields.Day(allow_null=True)


class KeyVersionIn(SecretIn):
    """A new secret behind the same key."""

    expires_on = fields.Day(required=False, allow_null=True)
    grace_seconds = fields.Whole(min_value=0, max_value=grace.MAX_SECONDS, required=False)


class KeysQuery(PageQuery):
    """Which keys of a workspace."""

    search = serializers.CharField(
        max_length=120,
        required=False,
        help_text="Part of the name or of the last four characters; accents do not matter.",
    )
    status = fields.OneOf(
        choices=KeyStatus.choices, required=False, help_text="Without it, all but revoked ones."
    )
    expires_by = fields.Day(
        required=False, help_text="Only keys whose own date is this day or earlier."
    )


class EveryKeyQuery(KeysQuery, WorkspaceQuery):
    """Which keys of an organization."""


class CheckIn(In):
    """How to check a key."""

    probe = fields.Flag(
        default=False,
        help_text="Also have one token answered, which Mistral bills; needs `keys:use`.",
    )
    model = fields.Text(
        max_length=200, required=False, help_text="Which model the trial calls; else the cheapest."
    )


class DeleteKeyQuery(In):
    """How to delete a key."""

    force = serializers.BooleanField(
        default=False, help_text="Delete it although models use it; they are blocked from then on."
    )


class Keys(ApiView):
    """``/workspaces/{workspace_id}/keys``."""

    @endpoint(
        "list_keys",
        TokenScope.KEYS_READ,
        summary="List the keys of a workspace",
        query=KeysQuery,
        gives={200: page_of(KeyOut)},
    )
    def get(self, call: Call, workspace_id: UUID) -> Reply:
        """Revoked keys are listed only when asked for."""
        workspace = tenancy.find(call.principal, Workspace, workspace_id)
        return _listed(call, workspace.organization_id, workspace)

    @endpoint(
        "register_key",
        TokenScope.KEYS_WRITE,
        summary="Register a Mistral key",
        takes=KeyIn,
        gives={202: RegisteredKeyOut, 200: RegisteredKeyOut},
        refuses=(409, 503),
        example={"name": "Produzione", "key": _EXAMPLE_KEY},
        strictly="intake",
    )
    def post(self, call: Call, workspace_id: UUID) -> Reply:
        """A worker asks Mistral about it; a key that the workspace has already gives 200."""
        workspace = tenancy.find(call.principal, Workspace, workspace_id)
        facts = secret_of(call.data, Purpose.REGISTER, workspace_id)
        registration = services.register_key(actor=call.actor, workspace=workspace, **facts)
        address = reverse("key", kwargs={"key_id": registration.key.pk})
        return Reply(_sent(registration), 202 if registration.created else 200, address)


class EveryKey(ApiView):
    """``/keys``."""

    @endpoint(
        "list_all_keys",
        TokenScope.KEYS_READ,
        summary="List the keys of an organization",
        query=EveryKeyQuery,
        gives={200: page_of(KeyOut)},
    )
    def get(self, call: Call) -> Reply:
        """Of all its workspaces, archived ones included; revoked keys only when asked for."""
        subject = subjects.find(call)
        return _listed(call, subject.organization.pk, subject.workspace)


class OneKey(ApiView):
    """``/keys/{key_id}``."""

    @endpoint("get_key", TokenScope.KEYS_READ, summary="Read a key", gives={200: KeyOut})
    def get(self, call: Call, key_id: UUID) -> Reply:
        """The secret is never shown."""
        return Reply(_shown(tenancy.find(call.principal, MistralKey, key_id)))

    @endpoint(
        "update_key",
        TokenScope.KEYS_WRITE,
        summary="Change a key's name or expiry date",
        takes=KeyChange,
        gives={200: KeyOut},
        refuses=(409,),
        example={"name": "Produzione"},
    )
    def patch(self, call: Call, key_id: UUID) -> Reply:
        """Only the members sent are changed; another date has the key checked again."""
        key = tenancy.find(call.principal, MistralKey, key_id)
        return Reply(_shown(services.update_key(actor=call.actor, key=key, changes=call.data)))

    @endpoint(
        "delete_key",
        TokenScope.KEYS_WRITE,
        summary="Delete a key",
        query=DeleteKeyQuery,
        gives={204: None},
        refuses=(409,),
    )
    def delete(self, call: Call, key_id: UUID) -> Reply:
        """The secret is shredded; the key stays in history as `revoked`."""
        key = tenancy.find(call.principal, MistralKey, key_id)
        services.delete_key(actor=call.actor, key=key, force=call.data["force"])
        return Reply(None, 204)


class ValidateKey(ApiView):
    """``/keys/{key_id}/validate``."""

    @endpoint(
        "validate_key",
        TokenScope.KEYS_WRITE,
        summary="Check a key again",
        takes=CheckIn,
        gives={202: KeyOut},
        refuses=(409,),
        example={"probe": True},
        strictly="intake",
        is_action=True,
    )
    def post(self, call: Call, key_id: UUID) -> Reply:
        """A worker asks Mistral what the key sees, which costs nothing there.

        With `probe` it also makes one call of one token, to see whether calls are paid for. Its
        most is told at once as `probe.quote`, its cost when it is done; limits hold for it, and
        `/spend` shows it in the category `probe`. While one is pending, no other is made.
        """
        key = tenancy.find(call.principal, MistralKey, key_id)
        if call.data["probe"]:
            require(call.principal, TokenScope.KEYS_USE)
            request_probe(actor=call.actor, key=key, mistral_model=call.data.get("model"))
        return Reply(_shown(services.request_validation(actor=call.actor, key=key)), 202)


class KeyVersions(ApiView):
    """``/keys/{key_id}/versions``."""

    @endpoint(
        "replace_key_secret",
        TokenScope.KEYS_WRITE,
        summary="Replace the secret behind a key",
        takes=KeyVersionIn,
        gives={202: RegisteredKeyOut, 200: RegisteredKeyOut},
        refuses=(409, 503),
        example={"key": _EXAMPLE_KEY},
        strictly="intake",
        is_action=True,
    )
    def post(self, call: Call, key_id: UUID) -> Reply:
        """Put another secret behind the same id, so that its models follow with their next call.

        Without `grace_seconds` this happens at once. With it, the present secret serves until
        Mistral has accepted the new one, at most that long; `replacement` tells how far it is. The
        present secret again gives 200 and takes a waiting one back.
        """
        key = tenancy.find(call.principal, MistralKey, key_id)
        facts = secret_of(call.data, Purpose.REPLACE, key.workspace_id, key.pk)
        registration = services.replace_secret(actor=call.actor, key=key, **facts)
        return Reply(_sent(registration), 202 if registration.created else 200)


class KeyModels(ApiView):
    """``/keys/{key_id}/models``."""

    @endpoint(
        "list_key_models",
        TokenScope.KEYS_READ,
        summary="List the models that a key sees",
        query=PageQuery,
        gives={200: page_of(SeenModelOut)},
    )
    def get(self, call: Call, key_id: UUID) -> Reply:
        """As of its last accepted check; fine-tuned models and aliases included."""
        key = tenancy.find(call.principal, MistralKey, key_id)
        with scope.tenant(key.organization_id):
            return Reply(page(SeenModel.objects.filter(key=key), **call.page))


def _listed(call: Call, organization_id: UUID, workspace: Workspace | None) -> Reply:
    """List keys of an organization, of one workspace or of all."""
    asked = call.data
    status, until = asked.get("status"), asked.get("expires_by")
    rows, find = key_use.listed(workspace, [status] if status else [], until), None
    if words := asked.get("search"):
        place = None if workspace is None else workspace.pk
        find = Search(words, place, [status] if status else None, until).find
    with scope.tenant(organization_id):
        return Reply(page(rows, **call.page, find=find))


def _shown(key: MistralKey) -> MistralKey:
    with scope.tenant(key.organization_id):
        return key_use.keys().get(pk=key.pk)


def _sent(registration: Registration) -> Any:
    shown: Any = _shown(registration.key)
    shown.warnings = registration.cautions
    return shown
