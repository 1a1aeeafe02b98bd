"""The controls of forms look exactly as Django's own templates would write them."""

from django import forms
from django.forms.renderers import DjangoTemplates
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy, override

from tenants.console.controls import Controls

NASTY = """<b>"Rossi" & 'figli'</b>"""
CHOICES = [
    ("", gettext_lazy("anybody")),
    ("it", NASTY),
    (NASTY, "Italiano"),
    (12_345, 12_345),
    (mark_safe("<i>"), mark_safe("<i>Corsivo</i>")),
    (NASTY, [("one", "Uno"), ("two", NASTY)]),
]
INPUTS = [
    forms.TextInput,
    forms.NumberInput,
    forms.EmailInput,
    forms.URLInput,
    forms.SearchInput,
    forms.TelInput,
    forms.ColorInput,
    forms.HiddenInput,
    forms.PasswordInput,
    forms.DateInput,
    forms.DateTimeInput,
    forms.TimeInput,
    forms.FileInput,
    forms.CheckboxInput,
    forms.Textarea,
]
LISTS = [forms.Select, forms.SelectMultiple, forms.RadioSelect, forms.CheckboxSelectMultiple]
ATTRIBUTES = {
    "id": "id_x",
    "class": "input",
    "required": True,
    "disabled": False,
    "data-x": NASTY,
    "rows": 3,
    "aria-describedby": gettext_lazy("anybody"),
}


def test_inputs_are_written_as_by_templates():
    for kind in INPUTS:
        for value in (None, "", NASTY, mark_safe("<i>"), 12_345, "è\n2", True):
            for attributes in ({}, ATTRIBUTES):
                widget = kind(attrs={"placeholder": NASTY})
                assert same(widget, value, attributes), (kind, value)


def test_lists_are_written_as_by_templates():
    for kind in LISTS:
        for value in (None, "", "it", NASTY, "12345", ["it", "two"]):
            for attributes in ({}, ATTRIBUTES):
                for one in ([], CHOICES):
                    assert same(kind(choices=one), value, attributes), (kind, value)


def test_an_option_alone_is_written_as_by_templates():
    for kind in (forms.RadioSelect, forms.CheckboxSelectMultiple):
        of_templates, of_ours = (
            form_of(kind, renderer)["x"] for renderer in (DjangoTemplates(), Controls())
        )
        assert [one.tag() for one in of_ours] == [one.tag() for one in of_templates]
        assert str(of_ours[1]) == str(of_templates[1])


def form_of(kind, renderer):
    class OneField(forms.Form):
        x = forms.ChoiceField(choices=CHOICES[:4], widget=kind)

    return OneField({"x": "it"}, renderer=renderer)


def same(widget, value, attributes):
    with override("it"):
        ours, theirs = (
            widget.render("x", value, attributes, renderer)
            for renderer in (Controls(), DjangoTemplates())
        )
    return ours == theirs
