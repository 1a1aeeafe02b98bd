from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

from tenants.common.row_security import DefinerFunction


class Migration(migrations.Migration):

    atomic = False  # indexes on big tables are made without stopping who writes

    dependencies = [
        ('keys', '0005_finding_keys_by_index'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='mistralkey',
            index=models.Index(fields=['fingerprint'], name='key_fingerprint_idx'),
        ),
        AddIndexConcurrently(
            model_name='keyreplacement',
            index=models.Index(fields=['fingerprint'], name='replacement_fingerprint_idx'),
        ),
        # The tripwire: whose keys these fingerprints are, deleted ones too. It tells ids, and only
        # to who has the fingerprint already.
        DefinerFunction(
            "keys_known(bytea[])",
            """
            CREATE FUNCTION keys_known(suspects bytea[])
            RETURNS TABLE (fingerprint bytea, organization_id uuid, key_id uuid)
            LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT k.fingerprint, k.organization_id, k.id
                FROM keys_mistralkey AS k WHERE k.fingerprint = ANY (suspects)
                UNION
                SELECT r.fingerprint, r.organization_id, r.key_id
                FROM keys_keyreplacement AS r WHERE r.fingerprint = ANY (suspects)
            $$
            """,
        ),
    ]
