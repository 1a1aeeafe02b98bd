"""Letters about spend: thresholds, limits, statements."""

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from tenants.keys.models import MistralKey
from tenants.notices.telling import Told, page
from tenants.people.mail import Button, Letter
from tenants.registry.models import RegisteredModel
from tenants.spend.calls import LimitMode, SubjectKind


def threshold_reached(told: Told) -> Letter:
    """Say how much of a limit is spent."""
    words = _words(told) | {"percent": told.data["threshold"]}
    return _letter(
        told,
        _("%(percent)s%% of the spending limit of %(whose)s is spent") % words,
        _("In %(month)s %(spent)s of %(limit)s were spent.") % words,
        _("At the limit, calls are refused until the month is over, or the limit is raised.")
        if told.data.get("mode") == LimitMode.ENFORCE
        else _("Nothing is refused at this limit: it only watches."),
    )


def limit_reached(told: Told) -> Letter:
    """Say that a limit is reached, and what that stops."""
    words = _words(told)
    if told.data.get("mode") != LimitMode.ENFORCE:
        consequence = _("Nothing is refused at this limit: it only watches.")
    else:
        consequence = _(
            "Calls that would go beyond it are refused until %(resets)s. Raise the limit to let"
            " them through earlier."
        )
    return _letter(
        told,
        _("The spending limit of %(whose)s is reached") % words,
        _("In %(month)s %(spent)s of %(limit)s were spent.") % words,
        consequence % (words | {"resets": told.instant("resets_at")}),
    )


def limit_extended(told: Told) -> Letter:
    """Say that a limit allows more for a while, and who let it."""
    words = _changed(told)
    return _about_limit(
        told,
        _("The spending limit of %(whose)s is %(limit)s until %(until)s") % words,
        _("%(who)s extended it. Usually it is %(usual)s, and it goes back to that by itself.")
        % words,
    )


def limit_restored(told: Told) -> Letter:
    """Say that an extension is over."""
    words = _changed(told)
    return _about_limit(
        told,
        _("The spending limit of %(whose)s is %(limit)s again") % words,
        _("Its extension was until %(until)s.") % words,
    )


def statement_closed(told: Told) -> Letter:
    """Say that a month's statement is ready."""
    words = {
        "month": told.month(),
        "total": told.money("total"),
        "organization": told.organization.name,
    }
    return Letter(
        _("The statement of %(month)s is ready: %(total)s") % words,
        (
            _("The month is closed for %(organization)s. Its figures do not change any more.")
            % words,
            _("What is found later is stated as an adjustment in a later month."),
        ),
        Button(
            _("Open the statements"),
            page("console-statements", organization_id=told.organization.pk),
        ),
        told.facts(),
        told.small(),
        get_language() or "",
    )


def _letter(told: Told, subject: str, *paragraphs: str) -> Letter:
    workspace_id = told.announcement.workspace_id
    return Letter(
        subject,
        paragraphs,
        Button(
            _("Open the spend"),
            page("console-workspace-spend", workspace_id=workspace_id)
            if workspace_id
            else page("console-spend", organization_id=told.organization.pk),
        ),
        told.facts(
            (_("Spent"), told.money("spent")),
            (_("Reserved"), told.money("held")),
            (_("Limit"), told.money("limit")),
        ),
        told.small(),
        get_language() or "",
    )


def _about_limit(told: Told, subject: str, paragraph: str) -> Letter:
    return Letter(
        subject,
        (paragraph,),
        Button(_("Open the spend"), page("console-spend", organization_id=told.organization.pk)),
        told.facts((_("Limit"), told.money("limit"))),
        told.small(),
        get_language() or "",
    )


def _changed(told: Told) -> dict[str, object]:
    return {
        "whose": _whose(told),
        "limit": told.money("limit"),
        "usual": told.money("usual_limit"),
        "until": told.instant("until"),
        "who": told.data.get("extended_by", ""),
    }


def _words(told: Told) -> dict[str, object]:
    return {
        "whose": _whose(told),
        "month": told.month(),
        "spent": told.money("spent"),
        "limit": told.money("limit"),
    }


def _whose(told: Told) -> str:
    """Name what the limit is on."""
    kind, subject_id = told.data["subject_kind"], told.id("subject_id")
    name: str | None = None
    if kind == SubjectKind.MODEL:
        names = RegisteredModel.objects.values_list("name", flat=True)
        name = names.filter(pk=subject_id).first()
    elif kind == SubjectKind.KEY:
        key = MistralKey.objects.filter(pk=subject_id).first()
        name = f"{key.name} (…{key.last4})".strip() if key else None
    elif kind == SubjectKind.WORKSPACE:
        name = told.workspace
    return name or told.organization.name
