"""API keys: list, register sealed, follow the check, rename, replace, delete."""

from typing import Any
from uuid import UUID

from django import forms
from django.db.models import F
from django.db.models.functions import Lower
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access.models import TokenScope
from tenants.common import scope
from tenants.common.problems import Conflict, Problem
from tenants.console import following, sealing
from tenants.console.door import Page, Visit, page
from tenants.console.forms import ChangeForm, Day, Name
from tenants.console.sealing import SealedForm
from tenants.console.sorting import CREATED, Column, sorted_page
from tenants.keys import services, verdicts
from tenants.keys.announcing import BLOCKING
from tenants.keys.intake import Purpose
from tenants.keys.models import KeyProbe, KeyStatus, MistralKey, ProbeStatus, SeenModel
from tenants.keys.searching import Search
from tenants.keys.services import Registration
from tenants.organizations.models import Workspace
from tenants.registry import key_use
from tenants.spend import limits
from tenants.spend.limits import EffectiveLimit
from tenants.spend.probes import quote_probe, request_probe

ROWS = 25
_PROBES = 5
_ACTIVE = tuple(
    status for status in KeyStatus if status not in {KeyStatus.EXPIRED, KeyStatus.REVOKED}
)
_BROKEN = tuple(
    status
    for status in KeyStatus
    if status not in {KeyStatus.PENDING, KeyStatus.VALID, KeyStatus.REVOKED}
)
#: The tabs of the list, and the states that each shows.
_SHOWN = {
    "active": _ACTIVE,
    "broken": _BROKEN,
    "expired": (KeyStatus.EXPIRED,),
    "revoked": (KeyStatus.REVOKED,),
}
#: Sorted by an index each: a workspace may have a hundred thousand keys.
_COLUMNS = CREATED | {
    "name": Column(Lower("name")),
    "expires": Column(F("expires_on"), is_nullable=True),
}
_GRACES = (
    ("0", gettext_lazy("At once")),
    ("3600", gettext_lazy("As soon as Mistral accepts it, at most in an hour")),
    ("86400", gettext_lazy("As soon as Mistral accepts it, at most in a day")),
)


class RegisterForm(SealedForm):
    """A key to register."""

    name = Name(
        max_length=120,
        required=False,
        label=gettext_lazy("Name"),
        help_text=gettext_lazy("For you and your colleagues, like “Website” or “Production”."),
    )
    expires_on = Day(
        required=False,
        label=gettext_lazy("Expires on"),
        help_text=gettext_lazy(
            "The day that you chose at Mistral, so that we can remind you in time."
        ),
    )


class ReplaceForm(SealedForm):
    """Another secret behind the same key."""

    expires_on = Day(required=False, label=gettext_lazy("Expires on"))
    grace_seconds = forms.TypedChoiceField(
        choices=_GRACES, coerce=int, label=gettext_lazy("When it takes over")
    )


class EditForm(ChangeForm):
    """What may change of a key."""

    name = Name(max_length=120, required=False, label=gettext_lazy("Name"))
    expires_on = Day(required=False, label=gettext_lazy("Expires on"))

    def __init__(self, *args: Any, key: MistralKey) -> None:
        super().__init__(*args, now={name: getattr(key, name) for name in self.base_fields})


class Keys(Page):
    """``/workspaces/<id>/keys``."""

    @page(TokenScope.KEYS_READ)
    def get(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """List them: a tab by state, a search by name or last four, pages by cursor."""
        asked = visit.request.GET
        if "waiting" in asked:
            return _news(visit)
        tab = asked.get("show", "active")
        statuses = _SHOWN.get(tab, _ACTIVE)
        words = asked.get("search", "").strip()[:120]
        rows, find = key_use.listed(visit.workspace, statuses), None
        if words:
            find = Search(words, workspace_id, statuses).find
        with scope.tenant(visit.organization.pk):
            found = sorted_page(rows, _COLUMNS, asked, limit=ROWS, find=find)
        return visit.show(
            "keys/list",
            keys=[(key, verdicts.of(key)) for key in found.rows],
            next=found.next,
            order=found.order,
            is_unsorted=found.is_refused,
            tab=tab if tab in _SHOWN else "active",
            words=words,
            waiting=following.waiting(found.rows),
            may_write=visit.may(TokenScope.KEYS_WRITE),
        )


class Register(Page):
    """``/workspaces/<id>/keys/new``."""

    @page(TokenScope.KEYS_WRITE)
    def get(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """Show the form."""
        return visit.show(
            "keys/new", form=RegisterForm(), **sealing.around(Purpose.REGISTER, workspace_id)
        )

    @page(TokenScope.KEYS_WRITE)
    def post(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """Register what came in sealed; the check is under way when the next page shows."""
        form = RegisterForm(visit.request.POST)
        if form.is_valid():
            facts = visit.screened(form)
            del facts["sealed_key"]
            try:
                opened = form.opened(Purpose.REGISTER, workspace_id)
                registration = services.register_key(
                    actor=visit.actor,
                    workspace=visit.find(Workspace, workspace_id),
                    plain=opened.plain,
                    envelope=opened.envelope,
                    **facts,
                )
            except Problem as problem:
                form.refuse(problem)
            else:
                _tell(visit, registration)
                return visit.go("console-key", key_id=registration.key.pk)
        return visit.show(
            "keys/new",
            422,
            form=sealing.emptied(form),
            **sealing.around(Purpose.REGISTER, workspace_id),
        )


class OneKey(Page):
    """``/keys/<id>``."""

    @page(TokenScope.KEYS_READ)
    def get(self, visit: Visit, key_id: UUID) -> HttpResponse:
        """Show one with its verdict; while a check is under way, the page looks again by itself."""
        visit.find(MistralKey, key_id)
        with scope.tenant(visit.organization.pk):
            key: Any = key_use.keys().get(pk=key_id)
            users = key_use.users_of(key)
            probes = list(KeyProbe.objects.filter(key=key)[:_PROBES])
            seen = list(SeenModel.objects.filter(key=key).order_by("name", "mistral_id")[:200])
        waiting = getattr(key, "replacement", None)
        pending = [one for one in (key, waiting) if one and one.status == KeyStatus.PENDING]
        may_probe = visit.may(TokenScope.KEYS_WRITE, TokenScope.KEYS_USE)
        return visit.show(
            "keys/one",
            probes=[(probe, verdicts.of_probe(probe)) for probe in probes],
            is_trying=any(probe.status == ProbeStatus.PENDING for probe in probes),
            probe_quote=quote_probe(key) if may_probe else None,
            key=key,
            verdict=verdicts.of(key),
            waiting=waiting,
            waiting_words=verdicts.of_waiting(waiting) if waiting else "",
            waiting_is_refused=waiting is not None and waiting.status in BLOCKING,
            users=users,
            seen=seen,
            is_waiting=bool(pending),
            is_first=any(verdicts.of(one) is None for one in pending),
            may_write=visit.may(TokenScope.KEYS_WRITE) and key.revoked_at is None,
            may_make=visit.may(TokenScope.MODELS_WRITE, TokenScope.KEYS_USE),
            limit=_limit_of(visit, key),
            may_see_limit=visit.may(TokenScope.LIMITS_READ),
            may_limit=visit.may(TokenScope.LIMITS_WRITE) and key.revoked_at is None,
        )


class Edit(Page):
    """``/keys/<id>/edit``: name and expiry date."""

    @page(TokenScope.KEYS_WRITE)
    def get(self, visit: Visit, key_id: UUID) -> HttpResponse:
        """Show the form."""
        key = visit.find(MistralKey, key_id)
        return visit.show("keys/edit", key=key, form=EditForm(key=key))

    @page(TokenScope.KEYS_WRITE)
    def post(self, visit: Visit, key_id: UUID) -> HttpResponse:
        """Change them."""
        key = visit.find(MistralKey, key_id)
        form = EditForm(visit.request.POST, key=key)
        if form.is_valid():
            try:
                services.update_key(actor=visit.actor, key=key, changes=visit.screened(form))
            except Problem as problem:
                form.refuse(problem)
            else:
                now = EditForm(key=visit.find(MistralKey, key_id))
                visit.tell(_("The key was changed."), form.way_back(visit.request.path, now))
                return visit.go("console-key", key_id=key_id)
        return visit.show("keys/edit", form.refused, key=key, form=form)


class Check(Page):
    """``/keys/<id>/check``."""

    @page(TokenScope.KEYS_WRITE)
    def post(self, visit: Visit, key_id: UUID) -> HttpResponse:
        """Have it checked again."""
        services.request_validation(actor=visit.actor, key=visit.find(MistralKey, key_id))
        visit.tell(_("The key is being checked again. The result shows here within seconds."))
        return visit.go("console-key", key_id=key_id)


class Probe(Page):
    """``/keys/<id>/probe``: a paid trial, because somebody asked for it."""

    @page(TokenScope.KEYS_WRITE)
    def post(self, visit: Visit, key_id: UUID) -> HttpResponse:
        """Have one token paid for with the key."""
        visit.require(TokenScope.KEYS_USE)
        try:
            request_probe(actor=visit.actor, key=visit.find(MistralKey, key_id))
        except Conflict as refusal:
            visit.warn(refusal.detail)
        else:
            visit.tell(_("The key is being tried out. The result shows here within seconds."))
        return visit.go("console-key", key_id=key_id)


class Replace(Page):
    """``/keys/<id>/replace``."""

    @page(TokenScope.KEYS_WRITE)
    def get(self, visit: Visit, key_id: UUID) -> HttpResponse:
        """Show the form."""
        return self._shown(visit, visit.find(MistralKey, key_id), ReplaceForm())

    @page(TokenScope.KEYS_WRITE)
    def post(self, visit: Visit, key_id: UUID) -> HttpResponse:
        """Put another secret behind the same key; its models follow."""
        key = visit.find(MistralKey, key_id)
        form = ReplaceForm(visit.request.POST)
        if form.is_valid():
            facts = dict(form.cleaned_data)
            del facts["sealed_key"]
            try:
                opened = form.opened(Purpose.REPLACE, key.workspace_id, key.pk)
                registration = services.replace_secret(
                    actor=visit.actor,
                    key=key,
                    plain=opened.plain,
                    envelope=opened.envelope,
                    **facts,
                )
            except Problem as problem:
                form.refuse(problem)
            else:
                _tell(visit, registration)
                return visit.go("console-key", key_id=key_id)
        return self._shown(visit, key, sealing.emptied(form), 422)

    @staticmethod
    def _shown(visit: Visit, key: MistralKey, form: ReplaceForm, status: int = 200) -> HttpResponse:
        with scope.tenant(key.organization_id):
            users = key_use.users_of(key)
        around = sealing.around(Purpose.REPLACE, key.workspace_id, key.pk)
        return visit.show("keys/replace", status, key=key, form=form, users=users, **around)


class Delete(Page):
    """``/keys/<id>/delete``: confirmed by naming what stops."""

    @page(TokenScope.KEYS_WRITE)
    def get(self, visit: Visit, key_id: UUID) -> HttpResponse:
        """Show what uses it; one that is deleted already is shown as it is."""
        key = visit.find(MistralKey, key_id)
        if key.revoked_at is not None:
            visit.warn(_("This key is deleted already, and its secret destroyed."))
            return visit.go("console-key", key_id=key_id)
        with scope.tenant(key.organization_id):
            users = key_use.users_of(key)
        return visit.show("keys/delete", key=key, users=users)

    @page(TokenScope.KEYS_WRITE)
    def post(self, visit: Visit, key_id: UUID) -> HttpResponse:
        """Shred it; with models on it only if that was confirmed."""
        key = visit.find(MistralKey, key_id)
        force = visit.request.POST.get("force") == "yes"
        try:
            services.delete_key(actor=visit.actor, key=key, force=force)
        except Conflict as refusal:
            with scope.tenant(key.organization_id):
                users = key_use.users_of(key)
            return visit.show("keys/delete", 409, key=key, users=users, refusal=refusal.code)
        visit.tell(_("The key was deleted and its secret destroyed."))
        return visit.go("console-keys", workspace_id=key.workspace_id)


def _limit_of(visit: Visit, key: MistralKey) -> EffectiveLimit | None:
    """Find the key's own limit, with where the month stands; None without a monthly one."""
    if not visit.may(TokenScope.LIMITS_READ):
        return None
    found = limits.effective_limits(organization=visit.organization, key=key)
    own = (one for one in found if one.subject_id == key.pk and one.monthly_spend is not None)
    return next(own, None)


def _news(visit: Visit) -> HttpResponse:
    """Answer what has become of keys that a list waits for: the rows of those that have changed."""
    ids, asked = following.asked_for(visit.request.GET, ROWS)
    with scope.tenant(visit.organization.pk):
        rows = list(key_use.keys().filter(pk__in=ids, workspace=visit.workspace))
    decided = [key for key in rows if key.status != KeyStatus.PENDING]
    return visit.show(
        "keys/news",
        keys=[(key, verdicts.of(key)) for key in decided],
        waiting=following.waiting(rows, asked),
    )


def _tell(visit: Visit, registration: Registration) -> None:
    if not registration.created:
        visit.tell(_("This key is here already, so nothing was changed."))
    for caution in registration.cautions:
        visit.warn(caution.detail)
