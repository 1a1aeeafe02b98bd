"""Who needs attention is told by id and by band: how many, and where a session could be opened."""

from importlib import import_module

from django.db import migrations

from tenants.common.row_security import DefinerFunction, WithdrawnFunction

BEFORE = {
    operation.signature: operation.sql
    for operation in import_module(
        "tenants.support.migrations.0003_platform_and_ledger"
    ).Migration.operations
    if isinstance(operation, DefinerFunction)
}


class Migration(migrations.Migration):

    dependencies = [
        ('support', '0004_lags'),
    ]

    operations = [
        *(
            WithdrawnFunction(signature, BEFORE[signature])
            for signature in ("support_over_80(integer)", "support_expiring(integer, integer)")
        ),
        DefinerFunction(
            "support_near_limit(integer)",
            """
            CREATE FUNCTION support_near_limit(most integer)
            RETURNS TABLE (band integer, organizations bigint, ids uuid[]) LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT near.band, count(*), (array_agg(near.id ORDER BY near.id))[:most]
                FROM (
                    SELECT o.id, least(
                        100, 10 * floor(10 * (b.settled + b.held) / b.limit_amount)
                    )::integer AS band
                    FROM spend_balance b
                    JOIN organizations_organization o ON o.id = b.organization_id
                    WHERE b.period = date_trunc('month', now())::date
                      AND b.subject_kind = 'organization' AND b.limit_amount > 0
                      AND b.settled + b.held >= 0.8 * b.limit_amount AND o.status = 'active'
                ) near
                GROUP BY 1 ORDER BY 1 DESC
            $$
            """,
        ),
        DefinerFunction(
            "support_near_end(integer[], integer)",
            """
            CREATE FUNCTION support_near_end(bands integer[], most integer)
            RETURNS TABLE (band integer, organizations bigint, keys bigint, ids uuid[])
            LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT near.band, count(*), sum(near.keys)::bigint,
                       (array_agg(near.id ORDER BY near.id))[:most]
                FROM (
                    SELECT o.id, count(*) AS keys, (
                        SELECT min(b) FROM unnest(bands) b
                        WHERE min(k.expires_on) <= current_date + b
                    ) AS band
                    FROM keys_mistralkey k
                    JOIN organizations_organization o ON o.id = k.organization_id
                    WHERE k.expires_on BETWEEN current_date
                                       AND current_date + (SELECT max(b) FROM unnest(bands) b)
                      AND k.revoked_at IS NULL AND o.status = 'active'
                    GROUP BY o.id
                ) near
                GROUP BY 1 ORDER BY 1
            $$
            """,
        ),
    ]
