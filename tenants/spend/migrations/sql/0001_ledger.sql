-- The ledger's own helpers; the application may not call them.

-- The instant inside a UUIDv7: a call's occurred_at is a function of its id and nothing else.
CREATE FUNCTION spend_started_at(call uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT to_timestamp(
        ('x' || lpad(replace(left(call::text, 13), '-', ''), 16, '0'))::bit(64)::bigint / 1000.0
    )
$$;

-- Makes what is missing of a batch's balances, then locks them all in one fixed order. Every writer
-- of balances goes through here, holds nothing of theirs before, and thus cannot deadlock.
CREATE FUNCTION spend_lock_balances(calls jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
DECLARE
    organizations uuid[];
    kinds text[];
    subjects uuid[];
    periods date[];
    currencies text[];
BEGIN
    SELECT array_agg(s.organization_id), array_agg(s.kind), array_agg(s.subject),
           array_agg(s.period), array_agg(s.currency)
    INTO organizations, kinds, subjects, periods, currencies
    FROM (
        SELECT DISTINCT c.organization_id, s.kind, s.subject, c.period, c.currency
        FROM jsonb_to_recordset(calls) AS c (
                 organization_id uuid, workspace_id uuid, model_id uuid, period date, currency text
             ),
             LATERAL (VALUES ('organization', c.organization_id), ('workspace', c.workspace_id),
                             ('model', c.model_id)) AS s (kind, subject)
        WHERE s.subject IS NOT NULL
    ) s;

    INSERT INTO spend_balance (organization_id, subject_kind, subject_id, period, currency)
    SELECT n.organization_id, n.kind, n.subject, n.period, n.currency
    FROM unnest(organizations, kinds, subjects, periods, currencies)
             AS n (organization_id, kind, subject, period, currency)
    WHERE NOT EXISTS (
        SELECT FROM spend_balance b
        WHERE b.organization_id = n.organization_id AND b.subject_kind = n.kind
          AND b.subject_id = n.subject AND b.period = n.period
    )
    ORDER BY 1, 2, 3, 4
    ON CONFLICT DO NOTHING;

    PERFORM FROM spend_balance b
    JOIN unnest(organizations, kinds, subjects, periods) AS n (organization_id, kind, subject, period)
      ON b.organization_id = n.organization_id AND b.subject_kind = n.kind
     AND b.subject_id = n.subject AND b.period = n.period
    ORDER BY b.organization_id, b.subject_kind, b.subject_id, b.period
    FOR NO KEY UPDATE OF b;
END
$$;
