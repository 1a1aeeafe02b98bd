"""Prometheus and the doctor learn how far behind telling is, and what checks of keys find."""

from django.db import migrations

from tenants.common.row_security import DefinerFunction


class Migration(migrations.Migration):

    dependencies = [
        ('keys', '0008_verdict_history'),
        ('notices', '0003_owner_is_told'),
        ('support', '0003_platform_and_ledger'),
    ]

    operations = [
        DefinerFunction(
            "support_lags()",
            """
            CREATE FUNCTION support_lags()
            RETURNS TABLE (name text, amount bigint, oldest_at timestamptz)
            LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT 'webhooks_due', count(*), min(due_at) FROM notices_delivery
                WHERE due_at <= now()
                UNION ALL
                SELECT 'mails_due', count(*), min(due_at) FROM notices_notice
                WHERE due_at <= now()
                UNION ALL
                -- Ids begin with the millisecond they were made in.
                SELECT 'verdicts_' || code, count(v.id), NULL
                FROM unnest(ARRAY[
                    'ok', 'key_malformed', 'key_unknown', 'billing_inactive', 'subscription_required',
                    'spending_limit_reached', 'rate_limited', 'mistral_unavailable',
                    'wrong_workspace', 'expired_locally', 'undecryptable'
                ]) AS code
                LEFT JOIN keys_keyverdict v ON v.verdict_code = code AND v.id >= (
                    lpad(to_hex((extract(epoch FROM now() - interval '1 hour') * 1000)::bigint),
                         12, '0') || '00000000000000000000')::uuid
                GROUP BY code
            $$
            """,
        ),
    ]
