"""Forms that make one thing each: sent again, by a reload or a second click, they make no other.

Such a form holds an id of its own (``{% form_id %}``). What is refused may be sent again.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http.response import HttpResponseBase
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access import sent
from tenants.console.door import Visit

FIELD = "form_id"
#: What there is, where a form was sent already, by the page that shows it.
_THERE: Mapping[str, Promise] = {
    "console-members": gettext_lazy(
        "This form was sent already: whoever was invited is among the open invitations."
    ),
    "console-hooks": gettext_lazy(
        "This form was sent already: the webhook is there. Its secret was shown once; make a new"
        " one if it was not copied."
    ),
    "console-hook": gettext_lazy(
        "This form was sent already: the new secret signs. It was shown once; make another one if"
        " it was not copied."
    ),
    "console-tokens": gettext_lazy(
        "This form was sent already: the token is there. It was shown once; revoke it and issue"
        " another one if it was not copied."
    ),
    "console-models": gettext_lazy(
        "This form was sent already: the model is there. Its token was shown once; make a new one"
        " on its page if it was not copied."
    ),
    "console-model": gettext_lazy(
        "This form was sent already: the new token works. It was shown once; make another one if"
        " it was not copied."
    ),
}

type _Handler = Callable[..., HttpResponseBase]


def once(where: str) -> Callable[[_Handler], _Handler]:
    """Have a handler carry out each form once; afterwards its sender is led to what there is.

    A form without an id is carried out, as a request without ``Idempotency-Key`` is.

    Args:
        where: the page that shows what was made; the address has its ids.
    """

    def decorate(handler: _Handler) -> _Handler:
        @wraps(handler)
        def only_once(view: Any, visit: Visit, **ids: Any) -> HttpResponseBase:
            text = visit.request.POST.get(FIELD)
            if text is None:
                return handler(view, visit, **ids)
            form_id = sent.read(text)
            if form_id is None:
                visit.warn(_("The form was open for too long, so nothing was made. Open it again."))
                return visit.go(where, **ids)
            whose: dict[str, Any] = {
                "organization_id": visit.organization.pk,
                "person_id": visit.visitor.person.pk,
                "form_id": form_id,
            }
            if not sent.claim(**whose):
                visit.warn(str(_THERE[where]))
                return visit.go(where, **ids)
            try:
                answer = handler(view, visit, **ids)
            except BaseException:
                sent.release(**whose)
                raise
            if answer.status_code >= HTTPStatus.BAD_REQUEST:
                sent.release(**whose)
            return answer

        return only_once

    return decorate
