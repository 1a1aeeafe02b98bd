"""What every endpoint shares: one declaration says scopes, what comes in, what goes out.

``endpoint`` turns a plain handler into a method of an ``ApiView``. From its declaration come the
permission check, strict parsing, idempotency for POST, the answer's shape and the documentation, so
none of them can be forgotten or differ from the others.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial, wraps
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse
from django.utils.translation import gettext as _
from drf_spectacular.drainage import set_override
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tenants.access import idempotency, streaming, tenancy, throttling
from tenants.access.authentication import Principal, principal_of
from tenants.access.models import TokenScope
from tenants.access.pagination import DEFAULT_LIMIT, MAX_LIMIT
from tenants.access.permissions import HasScopes
from tenants.api import conditions
from tenants.api.checking import asked_of, checked, query_of
from tenants.api.deprecation import Deprecated
from tenants.api.schema import describe
from tenants.common import scope
from tenants.keys import tripwire
from tenants.mistral.masking import mask_key_shaped
from tenants.organizations.audit import Actor

_LONGEST_NAME = 64
_MOST_UNKNOWN = 10
_BODIES = frozenset({"post", "put", "patch"})
_OK = 200


class In(serializers.Serializer[Any]):
    """What may come in; a member that is not named is refused, not ignored.

    Where nothing is changed in part, null stands for an optional member that is left out.

    Attributes:
        announced: members of the public contract that this version does not take yet. They are
            refused like any other, but nobody has to look for a slip of the pen.
    """

    announced: frozenset[str] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Call it in the schema what it is about."""
        super().__init_subclass__(**kwargs)
        set_override(cls, "component_name", cls.__name__.removesuffix("In"))

    def to_internal_value(self, data: Any) -> Any:
        """Check the members, and that there are no others."""
        unknown = [name for name in data if name not in self.fields] if _is_object(data) else []
        errors: dict[str, Any] = {
            # A key that was pasted in the wrong place comes back neither here nor in a log.
            mask_key_shaped(str(name))[:_LONGEST_NAME]: [self._refusal_of(name)]
            for name in unknown[:_MOST_UNKNOWN]
        }
        if _is_object(data) and not getattr(self.root, "partial", False):
            data = {name: value for name, value in data.items() if not self._is_absent(name, value)}
        try:
            value = super().to_internal_value(data)
        except ValidationError as error:
            raise ValidationError({**_as_dict(error.detail), **errors}) from None
        if errors:
            raise ValidationError(errors)
        return value

    def _is_absent(self, name: str, value: Any) -> bool:
        field = self.fields.get(name)
        return value is None and field is not None and not (field.required or field.allow_null)

    def _refusal_of(self, name: str) -> ErrorDetail:
        if name in self.announced:
            return ErrorDetail(_("This member is not available yet. Leave it out."), "not_yet")
        return ErrorDetail(_("There is no such member."), "unknown_field")


class Out(serializers.Serializer[Any]):
    """What goes out."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Call it in the schema what it is."""
        super().__init_subclass__(**kwargs)
        set_override(cls, "component_name", cls.__name__.removesuffix("Out"))


class Nothing(In):
    """No member at all."""


class PageQuery(In):
    """Which page of a list."""

    limit = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT)
    cursor = serializers.CharField(
        max_length=200, required=False, help_text="`next` of the page before."
    )


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as its handler sees it.

    Attributes:
        request: REST framework's, for the few who need headers.
        principal: who sends it.
        data: the checked members of the body, or of the query where there is no body.
        query: the checked members of the query; of a DELETE's body, too.
    """

    request: Request
    principal: Principal
    data: dict[str, Any]
    query: dict[str, Any]

    @property
    def actor(self) -> Actor:
        """Who acts."""
        return self.principal.actor

    @property
    def page(self) -> dict[str, Any]:
        """Which page is asked for."""
        return {"limit": self.data["limit"], "cursor": self.data.get("cursor")}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers.

    Attributes:
        content: what the declared shape of ``status`` is made from.
        status: one of those declared.
        location: address of what was made.
        is_shaped: the content is already what the renderer takes.
        stream: the bytes of the answer instead, as they come; each step works for itself.
        file_name: what a browser saves a stream as.
    """

    content: Any = None
    status: int = 200
    location: str = ""
    is_shaped: bool = False
    stream: Iterator[bytes] | None = None
    file_name: str = ""


type Handler = Callable[..., Reply]


class ApiView(APIView):
    """A view whose methods are made by ``endpoint``."""

    permission_classes = (HasScopes,)
    http_method_names = ("get", "head", "post", "put", "patch", "delete")

    _admission: throttling.Admission | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Count the request before anything is looked up for it.

        Raises:
            TooMany: ``too_many_requests``.
        """
        self.perform_authentication(request)
        handler = getattr(self, (request.method or "").lower(), None)
        strictly = getattr(handler, "strictly", "")
        self._admission = throttling.count(principal_of(request), strictly=strictly)
        self._admission.require()
        super().initial(request, *args, **kwargs)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer within a confinement of its own."""
        with scope.confinement():
            answered: Any = super().dispatch(request, *args, **kwargs)
        finished: HttpResponse = answered
        return finished

    def finalize_response(  # type: ignore[override]  # problems are plain responses
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Keep the management API out of caches, and say how much is left of the rates."""
        finished: HttpResponse = super().finalize_response(request, response, *args, **kwargs)
        finished["Cache-Control"] = "no-store"
        if self._admission is not None:
            self._admission.tell(finished)
        called = getattr(self, (request.method or "").lower(), None)
        if deprecated := getattr(called, "deprecated", None):
            deprecated.tell(finished)
        return finished

    def finished(self, work: Callable[[], HttpResponse]) -> HttpResponse:
        """Answer whatever happens, rendered to the last byte."""
        try:
            response = work()
        except Exception as error:  # noqa: BLE001 - REST framework's own boundary, once earlier
            response = self.handle_exception(error)
        response = self.finalize_response(self.request, response)
        if isinstance(response, SimpleTemplateResponse):
            response.render()
        return response


def endpoint(
    operation_id: str,
    *scopes: TokenScope,
    summary: str,
    gives: Mapping[int, type[Out] | None],
    takes: type[In] | None = None,
    query: type[In] | None = None,
    refuses: tuple[int, ...] = (),
    example: Mapping[str, Any] | None = None,
    media_types: tuple[str, ...] = ("application/json",),
    is_personal: bool = False,
    is_dangerous: bool = False,
    strictly: str = "",
    deprecated: Deprecated | None = None,
    is_action: bool = False,
) -> Callable[[Handler], Callable[..., HttpResponse]]:
    """Make a handler ``(view, call, **ids) -> Reply`` a method of an ``ApiView``.

    Args:
        operation_id: its name in the schema.
        scopes: all of them are needed.
        summary: one line for readers of the schema; the handler's docstring says more.
        gives: the shape of the answer by status; None for no content.
        takes: what the body may hold; no body when absent.
        query: what the address may ask; a DELETE's body may ask it, too.
        refuses: further statuses that the schema names.
        example: a body.
        media_types: of a success.
        is_personal: about the person who is signed in, in whatever organization; no token gets in.
        is_dangerous: a person has to prove again who it is, if that was minutes ago.
        strictly: the name of a stricter rate, for all but platform tokens (``API_RATES``).
        deprecated: that it has to go, and when.
        is_action: a POST that acts on the resource at the address above, whose ``ETag`` is meant
            by ``If-Match``.
    """

    def decorate(handler: Handler) -> Callable[..., HttpResponse]:
        method = handler.__name__
        reads_body = method in _BODIES
        has_condition = is_action or method in conditions.CHANGING

        @wraps(handler)
        def view_method(view: ApiView, request: Request, **ids: UUID) -> HttpResponse:
            principal = principal_of(request)
            address, resource = conditions.resource_of(view, request, is_action=is_action)

            def whose() -> UUID | None:
                return _owner(principal, ids or tenancy.read_ids(request.data))

            def work() -> HttpResponse:
                shape = query or Nothing
                if method == "delete":
                    asked = data = asked_of(shape, request)
                else:
                    asked = data = checked(shape, query_of(request))
                if reads_body:
                    sent = conditions.without_shown(resource, takes, request.data, method)
                    data = checked(takes or Nothing, sent, partial=method == "patch")
                    data = tripwire.screen_members(data, whose=whose)
                reply = handler(view, Call(request, principal, data, asked), **ids)
                if reply.stream is not None:
                    whole: Any = streaming.response(
                        request._request,  # noqa: SLF001 - it knows who serves it
                        reply.stream,
                        media_type=media_types[0],
                        file_name=reply.file_name,
                    )
                    streamed: HttpResponse = whole
                    return streamed
                given = gives[reply.status]
                is_tagged = conditions.is_tagged(resource, reply.status, given)
                return _response(reply, given, is_tagged=is_tagged)

            def work_if_unchanged() -> HttpResponse:
                tag = partial(conditions.current_tag, resource, request, ids)
                with conditions.unchanged(request, address, tag):
                    return work()

            is_asked = has_condition and (method != "post" or conditions.HEADER in request.headers)
            act = work_if_unchanged if is_asked else work
            if method != "post":
                return act()
            return idempotency.once(request, whose(), lambda: view.finished(act))

        decorated: Any = describe(
            operation_id=operation_id,
            summary=summary,
            detail=handler.__doc__ or "",
            tag=handler.__module__.rpartition(".")[2],
            method=method,
            scopes=scopes,
            takes=takes,
            query=query,
            gives=gives,
            refuses=refuses,
            example=example,
            media_types=media_types,
            is_personal=is_personal,
            is_dangerous=is_dangerous,
            deprecated=deprecated,
            has_condition=has_condition,
        )(view_method)
        decorated.read = _reader(handler, query, gives) if method == "get" else None
        decorated.shape = gives.get(_OK)
        decorated.scopes = frozenset(scopes)  # what HasScopes reads
        decorated.is_personal = is_personal
        decorated.is_dangerous = is_dangerous
        decorated.strictly = strictly
        decorated.deprecated = deprecated
        made: Callable[..., HttpResponse] = decorated
        return made

    return decorate


@cache
def page_of(row: type[Out]) -> type[Out]:
    """Make the shape of a page of such rows: ``{"results": […], "next": cursor or null}``."""
    name = row.__name__.removesuffix("Out") + "Page"
    return type(
        name,
        (Out,),
        {
            "__doc__": "A page of a list, newest first.",
            "results": row(many=True, source="rows"),
            "next": serializers.CharField(
                allow_null=True, help_text="`cursor` of the next page; null after the last."
            ),
        },
    )


def _owner(principal: Principal, named: Mapping[str, UUID]) -> UUID | None:
    """Tell where the answer of a POST is kept: a person's own acts belong to no organization."""
    if principal.visitor is not None:
        return principal.organization_id
    return tenancy.locate_named(principal, named)


def _response(reply: Reply, shape: type[Out] | None, *, is_tagged: bool) -> HttpResponse:
    data = _shown(reply, shape)
    headers = {"Location": reply.location} if reply.location else {}
    if is_tagged:
        headers["ETag"] = f'"{conditions.tag_of(data)}"'
    return Response(data, status=reply.status, headers=headers)


def _shown(reply: Reply, shape: type[Out] | None) -> Any:
    return shape(reply.content).data if shape and not reply.is_shaped else reply.content


type _Read = Callable[[ApiView, Request, Mapping[str, UUID]], Any]


def _reader(
    handler: Handler, query: type[In] | None, gives: Mapping[int, type[Out] | None]
) -> _Read | None:
    """Make what reads a resource without being asked to; None for a list, which has no tag."""
    if query is not None and issubclass(query, PageQuery):
        return None

    def read(view: ApiView, request: Request, ids: Mapping[str, UUID]) -> Any:
        asked = checked(query or Nothing, {})
        reply = handler(view, Call(request, principal_of(request), asked, asked), **ids)
        return _shown(reply, gives[reply.status])

    return read


def _is_object(data: Any) -> bool:
    return isinstance(data, Mapping)


def _as_dict(detail: Any) -> dict[str, Any]:
    return dict(detail) if isinstance(detail, Mapping) else {"non_field_errors": detail}
