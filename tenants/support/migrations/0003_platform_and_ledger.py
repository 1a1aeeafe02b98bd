"""Look-ups in the whole ledger, what the platform's pages ask, and the indexes for both.

The ledger's own indexes begin with the organization. These do not, and cost a call next to nothing:
BRINs are written when a range of pages is full, and the other has the calls that went wrong only.
"""

from importlib import import_module

from django.db import migrations

from tenants.common.partitioned_indexes import PartitionedIndex
from tenants.common.row_security import DefinerFunction

#: name → what it is of; each is made on every partition of the ledger without blocking writers.
OF_THE_LEDGER = {
    "support_event_trace_idx": "USING brin (correlation_id text_bloom_ops(n_distinct_per_range=1500,"
    " false_positive_rate=0.002), request_id text_bloom_ops(n_distinct_per_range=1500,"
    " false_positive_rate=0.002)) WITH (pages_per_range = 32, autosummarize = on)",
    "support_event_instant_idx": "USING brin (occurred_at)"
    " WITH (pages_per_range = 32, autosummarize = on)",
    "support_event_spoilt_idx": "(organization_id, occurred_at DESC, id DESC)"
    " WHERE outcome <> 'completed'",
}
PLAIN = {
    "support_token_hint_idx": 'access_organizationtoken ("right"(hint, 4))',
    "support_model_token_hint_idx": 'registry_modeltoken ("right"(hint, 4))',
    "support_model_name_idx": "registry_registeredmodel (lower(name))",
    "support_model_external_idx": "registry_registeredmodel (external_id) WHERE external_id <> ''",
    "support_model_tuned_idx": "registry_registeredmodel (mistral_model)"
    " WHERE mistral_model LIKE 'ft:%'",
    "support_invitation_email_idx": "organizations_invitation (email)",
    "support_organization_email_idx": "organizations_organization (lower(owner_email))",
    "support_verdict_trace_idx": "keys_keyverdict ((evidence ->> 'correlation_id'))",
    "support_replacement_last4_idx": "keys_keyreplacement (last4)",
    "support_balance_limited_idx": "spend_balance (period)"
    " WHERE subject_kind = 'organization' AND limit_amount > 0",
    "support_hold_organization_idx": "spend_hold (organization_id, id)",
}

LOOK_UP = import_module("tenants.support.migrations.0001_initial").Migration.operations[0].sql
BEFORE = LOOK_UP.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)


def between(text, begins, ends, instead):
    """Put something in the place of what stands between two lines, both of which stay."""
    head, _, rest = text.partition(begins)
    _gone, _, tail = rest.partition(ends)
    return f"{head}{begins}{instead}{ends}{tail}"


#: The same as before, but the ledger is asked by its own indexes, and all of it.
AFTER = between(
    between(
        BEFORE,
        "SELECT jsonb_agg(h) INTO hits FROM (\n                            SELECT o.id, 'call' AS what",
        "LIMIT most\n                        ) h;",
        " FROM support_call(named, at) AS c (organization_id)"
        " JOIN organizations_organization o ON o.id = c.organization_id ",
    ),
    "IF kind IN ('id', 'trace') AND hits = '[]' THEN",
    "END IF;",
    """
                    SELECT coalesce(jsonb_agg(h), '[]') INTO hits FROM (
                        SELECT t.organization_id AS id, t.matched AS what
                        FROM support_trace(term, most) t
                    ) h;
                """,
)


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('access', '0001_initial'),
        ('assistance', '0002_corrections_and_filters'),
        ('keys', '0008_verdict_history'),
        ('spend', '0014_limit_extensions'),
        ('support', '0002_indexes_of_the_look_up'),
    ]

    operations = [
        *(
            PartitionedIndex(name, "spend_usageevent", what)
            for name, what in OF_THE_LEDGER.items()
        ),
        *(
            migrations.RunSQL(
                f"CREATE INDEX CONCURRENTLY {name} ON {what}", f"DROP INDEX {name}"
            )
            for name, what in PLAIN.items()
        ),
        # Whose a call or a check is, by what Mistral or the gateway called it.
        DefinerFunction(
            "support_trace(text, integer)",
            """
            CREATE FUNCTION support_trace(term text, most integer)
            RETURNS TABLE (organization_id uuid, name text, slug text, status text, matched text)
            LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off
            AS $$
                SELECT o.id, o.name::text, o.slug::text, o.status::text,
                       string_agg(DISTINCT hit.what, ', ')
                FROM (
                    SELECT e.organization_id, 'call at Mistral' AS what FROM spend_usageevent e
                    WHERE e.correlation_id = term
                    UNION ALL
                    SELECT e.organization_id, 'call' FROM spend_usageevent e
                    WHERE e.request_id = term
                    UNION ALL
                    SELECT k.organization_id, 'check of a key' FROM keys_mistralkey k
                    WHERE k.evidence ->> 'correlation_id' = term
                    UNION ALL
                    SELECT v.organization_id, 'check of a key' FROM keys_keyverdict v
                    WHERE v.evidence ->> 'correlation_id' = term
                ) hit
                JOIN organizations_organization o ON o.id = hit.organization_id
                WHERE o.status <> 'erased'
                GROUP BY o.id ORDER BY o.name, o.id LIMIT most
            $$
            """,
        ),
        DefinerFunction(
            "support_call(uuid, timestamptz)",
            """
            CREATE FUNCTION support_call(call uuid, at timestamptz) RETURNS SETOF uuid
            LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off
            AS $$
                SELECT e.organization_id FROM spend_usageevent e
                WHERE e.occurred_at BETWEEN at - interval '1 ms' AND at + interval '1 ms'
                  AND e.id = call
            $$
            """,
        ),
        migrations.RunSQL(AFTER, BEFORE),
        # How Mistral answered of late, over all organizations: counts, of the newest calls at most.
        DefinerFunction(
            "support_answers(interval, integer)",
            """
            CREATE FUNCTION support_answers(span interval, most integer)
            RETURNS TABLE (class text, amount bigint, last_at timestamptz) LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off
            AS $$
                SELECT CASE
                    WHEN outcome = 'completed' THEN 'answered'
                    WHEN outcome = 'disconnected' THEN 'caller'
                    WHEN outcome IN ('not_sent', 'unknown') THEN 'gateway'
                    WHEN http_status IN (401, 403) THEN 'key'
                    WHEN http_status = 402 THEN 'payment'
                    WHEN http_status = 429 THEN 'quota'
                    WHEN http_status = 503 THEN 'capacity'
                    WHEN http_status >= 500 THEN 'outage'
                    WHEN http_status IS NULL THEN 'unreachable'
                    ELSE 'request'
                END, count(*), max(occurred_at)
                FROM (
                    SELECT outcome, http_status, occurred_at FROM spend_usageevent
                    WHERE occurred_at > now() - span AND source = 'gateway' LIMIT most
                ) newest
                GROUP BY 1
            $$
            """,
        ),
        # Names only, and how near: whoever wants to know more opens a session.
        DefinerFunction(
            "support_over_80(integer)",
            """
            CREATE FUNCTION support_over_80(most integer)
            RETURNS TABLE (organization_id uuid, name text, percent integer) LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT o.id, o.name::text, (100 * (b.settled + b.held) / b.limit_amount)::integer
                FROM spend_balance b
                JOIN organizations_organization o ON o.id = b.organization_id
                WHERE b.period = date_trunc('month', now())::date
                  AND b.subject_kind = 'organization' AND b.limit_amount > 0
                  AND b.settled + b.held >= 0.8 * b.limit_amount AND o.status = 'active'
                ORDER BY 3 DESC, 1 LIMIT most
            $$
            """,
        ),
        DefinerFunction(
            "support_expiring(integer, integer)",
            """
            CREATE FUNCTION support_expiring(days integer, most integer)
            RETURNS TABLE (organization_id uuid, name text, keys bigint, first_on date)
            LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT o.id, o.name::text, count(*), min(k.expires_on)
                FROM keys_mistralkey k
                JOIN organizations_organization o ON o.id = k.organization_id
                WHERE k.expires_on BETWEEN current_date AND current_date + days
                  AND k.revoked_at IS NULL AND o.status = 'active'
                GROUP BY o.id ORDER BY 4, 1 LIMIT most
            $$
            """,
        ),
    ]
