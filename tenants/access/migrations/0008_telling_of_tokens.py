from django.db import migrations, models

from tenants.common.row_security import DefinerFunction


class Migration(migrations.Migration):
    """The use of a token from before a rotation is told apart, and that a token ends soon."""

    dependencies = [
        ('access', '0007_reworded_walls'),
    ]

    operations = [
        migrations.AddField(
            model_name='organizationtoken',
            name='former_last_used_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='platformtoken',
            name='former_last_used_at',
            field=models.DateTimeField(null=True),
        ),
        # Which tokens end within so many days, whosesoever they are: for notices. Ids only.
        DefinerFunction(
            "access_tokens_expiring(integer)",
            """
            CREATE FUNCTION access_tokens_expiring(days integer)
            RETURNS TABLE (organization_id uuid, token_id uuid) LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT t.organization_id, t.id FROM access_organizationtoken t
                JOIN organizations_organization o ON o.id = t.organization_id
                WHERE t.revoked_at IS NULL AND o.status = 'active'
                  AND t.expires_at > now() AND t.expires_at <= now() + make_interval(days => days)
                ORDER BY t.organization_id, t.id
            $$
            """,
        ),
    ]
