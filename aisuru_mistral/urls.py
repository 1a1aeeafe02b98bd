"""Every door that Django serves; the gateway's is opened in asgi.py."""

from django.urls import URLPattern, URLResolver, include, path

from aisuru_mistral import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("tenants.console.urls")),
    path("", include("tenants.console.account_urls")),
    path("api/v1/", include("tenants.api.urls")),
    path("_allauth/browser/v1/", include("tenants.access.account_urls")),
    path("admin/", include("tenants.support.urls")),
    path("health/live", health.live, name="live"),
    path("health/ready", health.ready, name="ready"),
    path("metrics", health.metrics, name="metrics"),
]

handler400 = "tenants.console.refusals.bad_request"
handler403 = "tenants.console.refusals.permission_denied"
handler404 = "tenants.console.refusals.page_not_found"
handler429 = "tenants.console.refusals.too_many_requests"  # allauth asks for it
handler500 = "tenants.console.refusals.server_error"
