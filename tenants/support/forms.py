"""What the support staff type: forms in unfold's looks; nothing secret is ever shown again."""

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
        label=_("Role"), choices=StaffRole.choices, widget=UnfoldAdminSelectWidget()
    )
