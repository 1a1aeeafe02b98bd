"""What only a person can say: that a step at Mistral is done, or that it is not needed."""

from django.db import models

from tenants.common.models import TenantRow


class Confirmation(TenantRow):
    """A person's word that a step is done, or left out; taking it back deletes it."""

    step = models.CharField(max_length=32)
    confirmed_by = models.CharField(max_length=254)
    is_skipped = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "step"], name="confirmation_uniq")
        ]

    def __str__(self) -> str:
        return self.step
