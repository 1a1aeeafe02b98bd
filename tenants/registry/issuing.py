"""Makes tokens that call a model; only their digests are kept. Inside the tenant's scope."""

from tenants.common import tokens
from tenants.common.secrets import Secret
from tenants.registry.models import ModelToken, RegisteredModel


def issue(model: RegisteredModel, *, is_published: bool = False) -> tuple[ModelToken, Secret[str]]:
    """Make a token of a model; its plaintext exists nowhere but in what is returned.

    Args:
        model: which.
        is_published: it goes to AIsuru, and is shown to nobody.
    """
    plain = tokens.mint(tokens.TokenKind.MODEL)
    row = ModelToken.objects.create(
        organization_id=model.organization_id,
        model=model,
        digest=tokens.digest(plain.reveal()),
        hint=tokens.hint(plain),
        is_published=is_published,
    )
    return row, plain
