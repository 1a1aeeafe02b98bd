"""Endpoints take turns: a long queue of one does not keep the others waiting."""

from django.db import migrations

TAKE = """
CREATE OR REPLACE FUNCTION notices_take_deliveries(
    who uuid, batch integer, share integer, most integer, seconds double precision
)
RETURNS TABLE (organization_id uuid, delivery_id uuid) LANGUAGE sql VOLATILE
SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH held AS (
        SELECT h.endpoint_id, count(*) AS under_way FROM notices_delivery h
        WHERE h.held_until > now() GROUP BY h.endpoint_id
    ), due AS (
        SELECT d.id, d.due_at, e.failures, coalesce(held.under_way, 0) AS under_way,
               row_number() OVER (PARTITION BY d.endpoint_id ORDER BY d.due_at, d.id)
                   AS place
        FROM notices_delivery d
        JOIN notices_webhookendpoint e ON e.id = d.endpoint_id
        JOIN organizations_organization o ON o.id = d.organization_id
        LEFT JOIN held ON held.endpoint_id = d.endpoint_id
        WHERE d.due_at <= now() AND (d.held_until IS NULL OR d.held_until <= now())
          AND e.is_enabled AND (e.rests_until IS NULL OR e.rests_until <= now())
          AND o.status <> 'erased'
    ), chosen AS (
        SELECT due.id FROM due
        WHERE due.place + due.under_way
              <= CASE WHEN due.failures > 0 THEN 1 ELSE share END
        ORDER BY %s
        LIMIT greatest(
            least(batch, most - (SELECT coalesce(sum(under_way), 0) FROM held)), 0
        )
    )
    UPDATE notices_delivery AS taken
    SET claim = who, held_until = now() + make_interval(secs => seconds)
    FROM chosen
    WHERE taken.id = chosen.id AND taken.due_at <= now()
      AND (taken.held_until IS NULL OR taken.held_until <= now())
    RETURNING taken.organization_id, taken.id
$$
"""


class Migration(migrations.Migration):

    dependencies = [
        ('notices', '0001_initial'),
    ]

    operations = [
        migrations.RunSQL(
            TAKE % "due.place + due.under_way, due.due_at",
            TAKE % "due.due_at",
        ),
    ]
