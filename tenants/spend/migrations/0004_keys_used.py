from django.db import migrations, models

from tenants.common.row_security import DefinerFunction


class Migration(migrations.Migration):
    dependencies = [("spend", "0003_rollups")]

    operations = [
        # Of no tenant, and granted to nobody: the function below is its only door.
        migrations.CreateModel(
            name="Watermark",
            fields=[
                ("name", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
            ],
        ),
        # Which keys served a call since this was asked last, whosesoever they are. Calls that go on
        # are counted by their holds, so that two minutes are margin enough for those that are
        # settled late. The clock is the database's.
        DefinerFunction(
            "spend_keys_used(interval)",
            """
            CREATE FUNCTION spend_keys_used(most interval)
            RETURNS TABLE (key_id uuid, used_at timestamptz) LANGUAGE plpgsql VOLATILE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
            DECLARE
                since timestamptz;
            BEGIN
                INSERT INTO spend_watermark (name, at) VALUES ('keys_used', now() - most)
                ON CONFLICT (name) DO NOTHING;
                SELECT greatest(at, now() - most) INTO since
                FROM spend_watermark WHERE name = 'keys_used' FOR UPDATE;
                UPDATE spend_watermark SET at = now() - interval '2 minutes'
                WHERE name = 'keys_used';
                RETURN QUERY
                SELECT u.key_id, least(max(u.at), now())
                FROM (
                    SELECT e.key_id, e.at
                    FROM organizations_organization o, LATERAL (
                        SELECT v.key_id, max(v.occurred_at) AS at
                        FROM spend_usageevent v
                        WHERE v.organization_id = o.id AND v.occurred_at > since
                          AND v.requests > 0
                        GROUP BY 1
                    ) e
                    UNION ALL
                    SELECT h.key_id, spend_started_at(h.id) FROM spend_hold h
                ) u
                WHERE u.key_id IS NOT NULL
                GROUP BY 1;
            END
            $$
            """,
        ),
    ]
