"""Retires all models of an organization that is being erased, inside its scope."""

from django.db.models.functions import Now

from tenants.registry.models import AisuruConnection, ModelToken, Publication, RegisteredModel


def retire_all() -> int:
    """Stop every model and forget what it is called; tell how many tokens were revoked."""
    RegisteredModel.objects.filter(retired_at=None).update(retired_at=Now())
    RegisteredModel.objects.update(name="erased", description="", external_id="", created_by="")
    return ModelToken.objects.filter(revoked_at=None).update(revoked_at=Now())


def forget_aisuru() -> int:
    """Shred the login at AIsuru, and forget what is published there; tell how many were shredded.

    What is there stays there: nobody can reach it from here any more.
    """
    shredded, _by_model = AisuruConnection.objects.all().delete()
    Publication.objects.all().delete()
    return shredded
