"""What a token may do: every endpoint names the scopes it takes; what names none is closed."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from tenants.access.authentication import Principal, principal_of
from tenants.common.problems import Forbidden

if TYPE_CHECKING:  # REST framework's views import this module by its settings
    from rest_framework.views import APIView


class DenyAll(BasePermission):
    """The default: a view that says nothing about permission lets nobody in."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Refuse."""
        return False


class HasScopes(BasePermission):
    """Lets a token in that has every scope the handler declares as its attribute ``scopes``."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Compare; an unknown method goes on to its 405, an undeclared handler is closed.

        Raises:
            Forbidden: ``scope_missing``, with the scopes that are needed.
        """
        method = (request.method or "").lower()
        handler = getattr(view, method, None) if method in view.http_method_names else None
        if handler is None:
            return True
        scopes: Collection[str] | None = getattr(handler, "scopes", None)
        if scopes is None:
            return False
        require(principal_of(request), *scopes)
        return True


def require(principal: Principal, *scopes: str) -> None:
    """Refuse a token that lacks one of these scopes.

    Raises:
        Forbidden: ``scope_missing``.
    """
    if missing := sorted(set(scopes) - principal.scopes):
        detail = _("This needs a token with the scope %(scopes)s.")
        raise Forbidden("scope_missing", detail % {"scopes": ", ".join(missing)}, scopes=missing)


def require_platform(principal: Principal) -> None:
    """Refuse whoever acts inside one organization only.

    Raises:
        Forbidden: ``platform_only``.
    """
    if principal.organization_id is not None:
        raise Forbidden("platform_only", _("Only a platform token can do this."))
