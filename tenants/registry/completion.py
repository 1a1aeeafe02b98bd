"""The ``CompletionConfig`` by which AIsuru reaches a registered model through our gateway."""

from django.conf import settings

from tenants.aisuru.completion_config import CompletionConfig, Flavour, Purpose
from tenants.common.secrets import Secret
from tenants.registry.models import RegisteredModel


def completion_config(
    model: RegisteredModel,
    *,
    token: Secret[str] | None = None,
    flavour: Flavour = Flavour.MISTRAL,
) -> dict[str, object]:
    """Write the JSON that AIsuru takes.

    With a token (on creation and rotation only) it holds the token's plaintext, and must be neither
    kept nor logged. The Mistral key is never in it.
    """
    return CompletionConfig(
        flavour=flavour,
        name=model.name,
        model=model.mistral_model,
        gateway_url=settings.PUBLIC_URL,
        purposes=[Purpose(purpose) for purpose in model.purposes],
        token=token,
        description=model.description,
        context_size=model.context_size,
        timeout=model.timeout,
        visible_to_tenant=model.visible_to_tenant,
        use_as_default=model.use_as_default,
    ).as_json()
