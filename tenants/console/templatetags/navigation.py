"""Lists of links that stand on every page, each written in one go."""

from collections.abc import Iterable

from django import template
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe

from tenants.console.addresses import address_of
from tenants.console.frame import Way
from tenants.organizations.models import Workspace

register = template.Library()

_PAGE, _WORKSPACE = mark_safe(' aria-current="page"'), mark_safe(' aria-current="true"')


@register.simple_tag
def links(ways: Iterable[Way]) -> SafeString:
    """List pages; the one that is looked at is marked."""
    return format_html_join(
        "",
        '<li><a href="{}"{}>{}</a></li>',
        ((way.address, _PAGE if way.is_here else "", way.label) for way in ways),
    )


@register.simple_tag
def places(workspaces: Iterable[Workspace], here: Workspace | None) -> SafeString:
    """List workspaces; the one that the page is about is marked."""
    return format_html_join(
        "",
        '<li><a href="{}"{}>{} {}</a></li>',
        (
            (
                address_of("console-workspace", "workspace_id", one.pk),
                _WORKSPACE if one == here else "",
                one.icon,
                one.name,
            )
            for one in workspaces
        ),
    )
