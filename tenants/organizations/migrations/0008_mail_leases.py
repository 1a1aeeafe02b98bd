"""A worker that mails an invitation holds it; announcements may be referred to by deliveries."""

from django.db import migrations, models

UNMAILED = """
CREATE OR REPLACE FUNCTION organizations_unmailed_invitations()
RETURNS TABLE (organization_id uuid, invitation_id uuid) LANGUAGE sql STABLE
SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT i.organization_id, i.id FROM organizations_invitation i
    WHERE i.mailed_at IS NULL AND i.closed_at IS NULL AND i.expires_at > now()
      AND i.created_at < now() - interval '30 seconds' %s
    ORDER BY i.id LIMIT 100
$$
"""
HELD = "AND (i.held_until IS NULL OR i.held_until <= now())"


class Migration(migrations.Migration):

    dependencies = [
        ('organizations', '0007_audit_chain'),
    ]

    operations = [
        migrations.AddField(
            model_name='invitation',
            name='held_until',
            field=models.DateTimeField(null=True),
        ),
        migrations.RunSQL(UNMAILED % HELD, UNMAILED % ""),
        migrations.RunSQL(
            "CREATE UNIQUE INDEX organizations_announcement_tenant_uniq"
            " ON organizations_announcement (organization_id, id)",
            "DROP INDEX organizations_announcement_tenant_uniq",
        ),
        # What was announced before there was anybody to tell is not told late.
        migrations.RunSQL(
            "UPDATE organizations_announcement SET published_at = now()"
            " WHERE published_at IS NULL",
            migrations.RunSQL.noop,
        ),
    ]
