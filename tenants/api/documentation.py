"""The schema, its rendered form, and the description of each problem; open to everybody.

Nothing here asks another host for anything: the pages bring their own scripts and styles.
"""

import re
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.csp import CSP
from django.utils.decorators import method_decorator
from django.views.decorators.csp import csp_override
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from tenants.access.errors import answer, not_found, read_only

_ROW = re.compile(r"\| `(?P<code>[a-z_]+)` \|.*\|")
_HEADING = "| code | status | what happened | what to do |\n| --- | --- | --- | --- |\n"


@cache
def generated() -> Any:
    """Make the schema from the code, once per process."""
    return SchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]


class _OnceGenerator(SchemaGenerator):
    """Makes the schema once per process: it depends on the code only."""

    def get_schema(self, request: Any = None, public: bool = False) -> Any:  # noqa: FBT001, FBT002 - its signature
        return generated()


class Schema(SpectacularAPIView):
    """``/schema``: OpenAPI 3.1, as YAML or JSON by Accept."""

    authentication_classes = ()
    generator_class = _OnceGenerator


_POLICY: dict[str, Any] = {
    **settings.SECURE_CSP,
    "style-src": [CSP.SELF, CSP.UNSAFE_INLINE],
}


@method_decorator(csp_override(_POLICY), "dispatch")
class Docs(SpectacularSwaggerSplitView):
    """``/docs``: the schema for people. Swagger UI writes styles into its page, and no scripts."""

    authentication_classes = ()


@read_only
def problem(_request: HttpRequest, code: str) -> HttpResponse:
    """Describe one problem, as docs/problems.md does."""
    row = _rows().get(code)
    if row is None:
        return answer(not_found())
    return HttpResponse(_HEADING + row + "\n", content_type="text/markdown; charset=utf-8")


@cache
def _rows() -> dict[str, str]:
    try:
        text = (settings.BASE_DIR / "docs" / "problems.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    return {found["code"]: found[0] for found in _ROW.finditer(text)}
