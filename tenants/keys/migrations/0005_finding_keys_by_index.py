from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("keys", "0004_finding_keys")]

    operations = [
        AddIndexConcurrently(
            "mistralkey",
            models.Index(fields=["organization", "status", "-id"], name="key_status_idx"),
        ),
        AddIndexConcurrently(
            "mistralkey",
            models.Index(
                condition=models.Q(("expires_on__isnull", False), ("revoked_at", None)),
                fields=["expires_on"],
                name="key_expiring_idx",
            ),
        ),
        migrations.RunSQL(
            """
            CREATE INDEX CONCURRENTLY key_sought_idx ON keys_mistralkey
            USING gin (organization_id, sought gin_trgm_ops)
            """,
            "DROP INDEX key_sought_idx",
        ),
    ]
