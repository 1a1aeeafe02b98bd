"""The sentences that REST framework and Django say for us about wrong members and passwords.

They are theirs in English; listed here they are collected with our own, so that the Italian ones
are ours too, complete and in one voice. Nothing else belongs here: our own sentences stand where
they are said.
"""

from django.utils.translation import gettext_noop as _
from django.utils.translation import ngettext_lazy

#: Of the fields that tenants.api uses; tests/api/test_languages.py finds one that is not here.
OF_FIELDS = (
    _("A valid integer is required."),
    _("A valid number is required."),
    _("Date has wrong format. Use one of these formats instead: {format}."),
    _("Datetime has wrong format. Use one of these formats instead: {format}."),
    _("Datetime value out of range."),
    _("Ensure this field has at least {min_length} characters."),
    _("Ensure this field has no more than {max_length} characters."),
    _("Ensure this field has no more than {max_length} elements."),
    _("Ensure this field has at least {min_length} elements."),
    _("This dictionary may not be empty."),
    _("Ensure this value is greater than or equal to {min_value}."),
    _("Ensure this value is less than or equal to {max_value}."),
    _("Enter a valid email address."),
    _("Expected a date but got a datetime."),
    _("Expected a datetime but got a date."),
    _("Integer value too large to convert to float"),
    _('Invalid datetime for the timezone "{timezone}".'),
    _("Invalid data. Expected a dictionary, but got {datatype}."),
    _("Must be a valid UUID."),
    _("Must be a valid boolean."),
    _("Not a valid string."),
    _("Null characters are not allowed."),
    _("String value too large."),
    _("Surrogate characters are not allowed: U+{code_point:X}."),
    _("This field is required."),
    _("This field may not be blank."),
    _("This field may not be null."),
    _("This list may not be empty."),
)
#: Of refusals of whole requests.
OF_REQUESTS = (
    _("Authentication credentials were not provided."),
    _("Incorrect authentication credentials."),
    _("Malformed request."),
    _('Method "{method}" not allowed.'),
    _("Request was throttled."),
)
#: Of passwords that Django's validators refuse, where it has no Italian.
OF_PASSWORDS = (
    ngettext_lazy(
        "This password is too short. It must contain at least %d character.",
        "This password is too short. It must contain at least %d characters.",
    ),
)
