"""The desk's frame: unfold's admin site with our own navigation, and no model registered.

Nothing is edited by field here: pages show, and verbs act. So there is no change form, no history
of changes, no export and no autocomplete that could show what should not be shown.
"""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _
from unfold.sites import UnfoldAdminSite

from tenants.assistance import visiting
from tenants.assistance.staff import Staff
from tenants.assistance.visiting import OpenSession


class SupportSite(UnfoldAdminSite):  # type: ignore[misc]  # it comes without types
    """What surrounds every page."""

    site_url = None

    def frame(self, request: HttpRequest, staff: Staff | None) -> dict[str, Any]:
        """Give what the templates of unfold take, and the sessions that are open."""
        sessions = visiting.open_sessions(staff.person) if staff else []
        context: dict[str, Any] = self.each_context(request)
        return context | {
            "has_permission": staff is not None,
            "available_apps": [],
            "site_favicons": [
                {"rel": "icon", "type": "image/svg+xml", "href": static("console/icon.svg")}
            ],
            "staff": staff,
            "sessions": sessions,
            "account_links": [{"title": staff.role.label, "link": reverse("admin:index")}]
            if staff
            else [],
            "sidebar_navigation": _navigation(request, staff, sessions) if staff else [],
        }

    def has_permission(self, request: HttpRequest) -> bool:
        """Leave who gets in to the door."""
        return False


def links(staff: Staff) -> list[tuple[str, str, str]]:
    """List the pages outside of organizations that a role has: title, icon, address."""
    every = [
        ("lookup:use", _("Look up"), "search", "admin:index"),
        ("platform:read", _("Platform"), "monitoring", "admin:platform"),
        ("platform:read", _("Who needs attention"), "notifications_active", "admin:attention"),
        ("platform:read", _("Price book"), "sell", "admin:prices"),
        ("platform:read", _("Keyring"), "key", "admin:keyring"),
        ("log:read", _("What staff did"), "history", "admin:log"),
        ("staff:manage", _("Staff"), "group", "admin:staff"),
    ]
    return [
        (title, icon, reverse(name)) for needed, title, icon, name in every if staff.may(needed)
    ]


def _navigation(
    request: HttpRequest, staff: Staff, sessions: list[OpenSession]
) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = [
        {"items": [_item(request, title, icon, link) for title, icon, link in links(staff)]}
    ]
    for session in sessions:
        ids = [session.organization_id]
        places = [
            (_("Overview"), "home_work", "admin:organization"),
            (_("Keys"), "key", "admin:keys"),
            (_("Models"), "smart_toy", "admin:models"),
            (_("Calls"), "swap_calls", "admin:calls"),
            (_("Spend and limits"), "payments", "admin:spend"),
            (_("People and tokens"), "group", "admin:people"),
            (_("Webhooks and AIsuru"), "outbound", "admin:outside"),
            (_("Audit log"), "history", "admin:audit"),
        ]
        groups.append(
            {
                "title": session.organization_name,
                "separator": True,
                "items": [
                    _item(request, title, icon, reverse(name, args=ids))
                    for title, icon, name in places
                ],
            }
        )
    return groups


def _item(request: HttpRequest, title: str, icon: str, link: str) -> dict[str, Any]:
    return {
        "title": title,
        "icon": icon,
        "link": link,
        "active": request.path == link,
        "has_permission": True,
    }


site = SupportSite(name="admin")
