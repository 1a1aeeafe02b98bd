"""Which names a request may call the service by."""

from django.http import HttpRequest, HttpResponsePermanentRedirect
from django.middleware.common import CommonMiddleware

from aisuru_mistral.health import has_metrics_token


class Hosts(CommonMiddleware):
    """Refuse names that are not ours, but from what watches us: it comes by an address.

    Prometheus asks a container or a pod by a name or an address that only the network knows. A
    browser on this machine may be led here under a stranger's name, and reads no figures by that.
    """

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        """Let probes through, and whoever has the token of the figures."""
        if request.path.startswith("/health/"):
            return None
        if request.path == "/metrics" and has_metrics_token(request):
            return None
        return super().process_request(request)
