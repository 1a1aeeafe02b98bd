"""Makes tokens that call a model; only their digests are kept. Inside the tenant's scope."""

from datetime import datetime

from tenants.common import tokens
from tenants.common.secrets import Secret
from tenants.registry.models import ModelToken, RegisteredModel


def issue(
    model: RegisteredModel, *, is_published: bool = False, expires_at: datetime | None = None
) -> tuple[ModelToken, Secret[str]]:
    """Make a token of a model; its plaintext exists nowhere but in what is returned.

    Args:
        model: which.
        is_published: it goes to AIsuru, and is shown to nobody.
        expires_at: when it stops by itself; None for never.
    """
    plain = tokens.mint(tokens.TokenKind.MODEL)
    row = ModelToken.objects.create(
        organization_id=model.organization_id,
        model=model,
        digest=tokens.digest(plain.reveal()),
        hint=tokens.hint(plain),
        is_published=is_published,
        expires_at=expires_at,
    )
    return row, plain
