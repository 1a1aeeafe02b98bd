"""Sentences of unfold's own templates, so that our catalogue has them: unfold brings no Italian.

Where Django's admin has one of them, ours goes first (its "Log out" is "Annulla l'accesso").
"""

from django.utils.translation import gettext_lazy as _

SENTENCES = (
    _("Available shortcuts"),
    _("Changelist shortcuts"),
    _("Command tool shortcuts"),
    _("Create new record"),
    _("Global shortcuts"),
    _("Log out"),
    _("Navigate"),
    _("No results found"),
    _("Nothing matched your search"),
    _("Open command tool"),
    _("Open selection"),
    _("Open selection in new tab"),
    _("Open shortcuts list"),
    _("Recent searches"),
    _("Search apps and models..."),
    _("Select"),
    _("This page yielded into no results."),
    _("Toggle dark/light mode"),
    _("Toggle filter"),
    _("Toggle sidebar"),
    _("Type to search"),
)
