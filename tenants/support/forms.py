"""What the support staff type: forms in unfold's looks; nothing secret is ever shown again."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from tenants.assistance.services import LONGEST_SESSION
from tenants.assistance.staff import StaffRole

#: What one types into first. The page is hidden until Alpine runs, so ``autofocus`` finds nothing.
_FIRST = {"x-init": "setTimeout(() => $el.focus(), 50)"}
_MONTH = r"^\d{4}-\d{2}$"
#: Django's own words repeat what was sent.
_NO_CHOICE = {"invalid_choice": _("This is no choice of the menu.")}
_HOURS = LONGEST_SESSION.days * 24 + LONGEST_SESSION.seconds // 3600


class SignInForm(forms.Form):
    """Address and password."""

    email = forms.CharField(
        label=_("E-mail"),
        max_length=254,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "username", **_FIRST}),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=128,
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}),
    )


def as_code(form: Any) -> Any:
    """Give allauth's form of one code our words and looks."""
    field = form.fields["code"]
    field.label = _("Code")
    field.widget = UnfoldAdminTextInputWidget(
        attrs={"autocomplete": "one-time-code", "inputmode": "numeric", **_FIRST}
    )
    return form


class LookUpForm(forms.Form):
    """Anything that might belong to an organization."""

    term = forms.CharField(
        label=_("Organization, tenant, e-mail, last four, token, id of a call or of anything else"),
        max_length=254,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", **_FIRST}),
    )


class OpenForm(forms.Form):
    """Why, for how long and how deep."""

    reason = forms.CharField(
        label=_("Reason (the organization reads it)"),
        max_length=500,
        widget=UnfoldAdminTextInputWidget(attrs={**_FIRST}),
    )
    ticket = forms.CharField(
        label=_("Ticket"), max_length=64, required=False, widget=UnfoldAdminTextInputWidget()
    )
    hours = forms.IntegerField(
        label=_("Hours"),
        min_value=1,
        max_value=_HOURS,
        initial=1,
        widget=UnfoldAdminIntegerFieldWidget(),
    )
    elevated = forms.BooleanField(
        label=_("Act, not only look"), required=False, widget=UnfoldBooleanSwitchWidget()
    )
    break_open = forms.BooleanField(
        label=_("Break open: nobody has let us in, and the organization is told at once"),
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
    )

    def __init__(self, *args: Any, may_elevate: bool, may_break: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not may_elevate:
            del self.fields["elevated"]
        if not may_break:
            del self.fields["break_open"]


class RoleForm(forms.Form):
    """Who gets which role."""

    email = forms.CharField(label=_("E-mail"), max_length=254, widget=UnfoldAdminTextInputWidget())
    role = forms.ChoiceField(
        label=_("Role"),
        choices=StaffRole.choices,
        error_messages=_NO_CHOICE,
        widget=UnfoldAdminSelectWidget(),
    )


class FilterForm(forms.Form):
    """The menus above a list."""

    def __init__(
        self,
        *args: Any,
        menus: Sequence[tuple[str, str, Sequence[tuple[str, Any]]]],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        for name, label, choices in menus:
            self.fields[name] = forms.ChoiceField(
                label=label,
                choices=[("", _("all")), *choices],
                required=False,
                widget=UnfoldAdminSelectWidget(),
            )


class SaveFilterForm(forms.Form):
    """A name for the filters that are chosen; those come along, hidden."""

    name = forms.CharField(label=_("Name"), max_length=60, widget=UnfoldAdminTextInputWidget())

    def __init__(self, *args: Any, hidden: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs | {"auto_id": "keep_%s"})
        for name, value in (hidden or {}).items():
            self.fields[name] = forms.CharField(
                initial=value, required=False, widget=forms.HiddenInput()
            )


class MonthForm(forms.Form):
    """Which month is shown."""

    month = forms.RegexField(
        label=_("Month"), regex=_MONTH, widget=UnfoldAdminTextInputWidget(attrs={"type": "month"})
    )


class ExtendForm(forms.Form):
    """How much a limit allows, and until which day."""

    limit = forms.ChoiceField(label=_("Limit"), widget=UnfoldAdminSelectWidget())
    monthly_spend = forms.DecimalField(
        label=_("A month, until then"),
        max_digits=20,
        decimal_places=9,
        min_value=0,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
    )
    until = forms.DateField(
        label=_("Until the end of"), widget=UnfoldAdminTextInputWidget(attrs={"type": "date"})
    )

    def __init__(
        self, *args: Any, limits: Sequence[tuple[str, str]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs | {"auto_id": "extend_%s"})
        if limits is None:
            self.fields["limit"] = forms.UUIDField()
        else:
            self.fields["limit"].choices = limits  # type: ignore[attr-defined]  # a ChoiceField


class CorrectionForm(forms.Form):
    """What the ledger lacks or has too much of."""

    month = forms.RegexField(
        label=_("Month"), regex=_MONTH, widget=UnfoldAdminTextInputWidget(attrs={"type": "month"})
    )
    amount = forms.DecimalField(
        label=_("Amount (negative gives back)"),
        max_digits=20,
        decimal_places=9,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
    )
    workspace = forms.ChoiceField(label=_("Workspace"), widget=UnfoldAdminSelectWidget())
    corrects = forms.UUIDField(
        label=_("Call that it mends, if it mends one"),
        required=False,
        widget=UnfoldAdminTextInputWidget(),
    )
    reason = forms.CharField(
        label=_("Reason (the organization reads it)"),
        max_length=500,
        widget=UnfoldAdminTextInputWidget(),
    )

    def __init__(
        self, *args: Any, workspaces: Sequence[tuple[str, str]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs | {"auto_id": "correct_%s"})
        if workspaces is None:
            self.fields["workspace"] = forms.UUIDField()
        else:
            self.fields["workspace"].choices = workspaces  # type: ignore[attr-defined]  # as above


class ReconciliationForm(forms.Form):
    """Which month is compared, and with whose figures."""

    month = forms.RegexField(
        label=_("Month"), regex=_MONTH, widget=UnfoldAdminTextInputWidget(attrs={"type": "month"})
    )
    source = forms.ChoiceField(
        label=_("Figures of"),
        choices=[
            ("mistral_admin_api", _("Mistral's Admin API")),
            ("aisuru", "AIsuru"),
            ("manual", _("the customer's invoice: one sum")),
        ],
        error_messages=_NO_CHOICE,
        widget=UnfoldAdminSelectWidget(),
    )
    amount = forms.DecimalField(
        label=_("Sum of the invoice"),
        max_digits=20,
        decimal_places=9,
        min_value=0,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs | {"auto_id": "compare_%s"})
