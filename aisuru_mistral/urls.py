"""Every door that Django serves; the gateway's is opened in asgi.py."""

from django.contrib.staticfiles.views import serve
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView

from aisuru_mistral import health
from tenants.access.errors import read_only

_DOCS_ASSETS = "drf_spectacular_sidecar/swagger-ui-dist/"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", read_only(RedirectView.as_view(pattern_name="docs")), name="home"),
    path("api/v1/", include("tenants.api.urls")),
    path("_allauth/browser/v1/", include("tenants.access.account_urls")),
    path("admin/", include("tenants.support.urls")),
    # Scripts, styles and fonts of the support desk, as of the docs: from the wheel.
    re_path(
        r"^static/unfold/(?P<name>(?:[\w-]+/)*[\w.-]+)$",
        lambda request, name: serve(request, f"unfold/{name}", insecure=True),
    ),
    # Scripts and styles of the rendered docs, straight from the wheel that carries them.
    path(
        f"static/{_DOCS_ASSETS}<slug:name>.<str:kind>",
        lambda request, name, kind: serve(request, f"{_DOCS_ASSETS}{name}.{kind}", insecure=True),
    ),
    path("health/live", health.live, name="live"),
    path("health/ready", health.ready, name="ready"),
    path("metrics", health.metrics, name="metrics"),
]

handler400 = "tenants.access.errors.bad_request"
handler403 = "tenants.access.errors.permission_denied"
handler404 = "tenants.access.errors.page_not_found"
handler500 = "tenants.access.errors.server_error"
