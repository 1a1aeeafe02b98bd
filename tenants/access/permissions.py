"""What a caller may do: every endpoint names the scopes it takes; what names none is closed.

A token has the scopes it was issued with. A person's session has the capabilities of the member's
roles, which are the same words (``tenants.organizations.roles``), in the organization that the
request names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from tenants.access import tenancy
from tenants.access.authentication import Principal, Visitor, principal_of
from tenants.common.problems import Forbidden

if TYPE_CHECKING:  # REST framework's views import this module by its settings
    from rest_framework.views import APIView


_WITH_BODY = ("POST", "PUT", "PATCH")


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
        request.auth = admit(
            principal_of(request),
            scopes,
            lambda: _named(request, view),
            is_personal=getattr(handler, "is_personal", False),
            is_dangerous=getattr(handler, "is_dangerous", False),
        )
        return True


def admit(
    principal: Principal,
    scopes: Collection[str],
    named: Callable[[], Mapping[str, object]],
    *,
    is_personal: bool = False,
    is_dangerous: bool = False,
) -> Principal:
    """Let a principal in, bound to the organization that the request names, or refuse it.

    Args:
        principal: who asks.
        scopes: all of them are needed.
        named: tells the ids that the request names; asked for people only.
        is_personal: about the person, in whatever organization.
        is_dangerous: a person has to have proved within minutes who it is.

    Raises:
        NotFound: nothing named is the person's.
        Forbidden: as the functions below.
    """
    if is_personal:
        require_person(principal)
        return principal
    if principal.visitor is not None:
        require_terms(principal)
        principal = tenancy.bound(principal, named())
    if principal.organization_id is not None:
        tenancy.note(principal.organization_id)
    require(principal, *scopes)
    if is_dangerous:
        require_sudo(principal)
    return principal


def require(principal: Principal, *scopes: str) -> None:
    """Refuse a token that lacks one of these scopes, and a member whose roles do not allow it.

    Raises:
        Forbidden: ``scope_missing`` or ``role_missing``.
    """
    if missing := sorted(set(scopes) - principal.scopes):
        if principal.visitor is not None:
            detail = _("Your role does not allow this. Ask an administrator of the organization.")
            raise Forbidden("role_missing", detail, scopes=missing)
        detail = _("This needs a token with the scope %(scopes)s.")
        raise Forbidden("scope_missing", detail % {"scopes": ", ".join(missing)}, scopes=missing)


def require_platform(principal: Principal) -> None:
    """Refuse whoever acts inside one organization only.

    Raises:
        Forbidden: ``platform_only``.
    """
    if not principal.is_platform:
        raise Forbidden("platform_only", _("Only a platform token can do this."))


def require_person(principal: Principal) -> Visitor:
    """Refuse tokens: this is about the person who is signed in.

    Raises:
        Forbidden: ``person_only``.
    """
    if principal.visitor is None:
        raise Forbidden("person_only", _("Only a person who is signed in can do this."))
    return principal.visitor


def require_terms(principal: Principal) -> Visitor:
    """Refuse tokens, and people who have not accepted the terms in force.

    Raises:
        Forbidden: ``person_only`` or ``terms_not_accepted``.
    """
    visitor = require_person(principal)
    if not visitor.has_terms:
        detail = _("The terms have changed. Accept the version in force first.")
        raise Forbidden("terms_not_accepted", detail)
    return visitor


def require_sudo(principal: Principal) -> None:
    """Ask a person to prove again who it is; a token has nothing to prove.

    Raises:
        Forbidden: ``reauthentication_required``.
    """
    if principal.visitor is not None and not principal.visitor.is_sudo:
        detail = _("Confirm that it is you, with password, passkey or code, and try again.")
        raise Forbidden("reauthentication_required", detail)


def _named(request: Request, view: APIView) -> Mapping[str, object]:
    """Gather the ids a request names: those of its address, or else of its query and body."""
    if view.kwargs:
        return dict(view.kwargs)
    body = request.data if request.method in _WITH_BODY else {}
    return tenancy.read_ids(body) | tenancy.read_ids(request.query_params)
