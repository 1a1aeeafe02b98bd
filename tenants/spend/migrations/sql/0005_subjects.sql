-- Who pays for a call: every subject whose balance it moves, as refusals name them.
CREATE FUNCTION spend_subjects(organization uuid, workspace uuid, model uuid, key uuid)
RETURNS TABLE (kind text, subject uuid)
LANGUAGE sql IMMUTABLE ROWS 4
AS $$
    SELECT s.kind, s.subject
    FROM (VALUES ('organization', organization), ('workspace', workspace), ('model', model),
                 ('key', key)) AS s (kind, subject)
    WHERE s.subject IS NOT NULL
$$;

-- Makes the balances that a batch lacks, each with the limit of its subject. A limit being set
-- waits for this transaction or is waited for, so that no balance begins with a stale limit. Must
-- run before any balance is locked.
CREATE OR REPLACE FUNCTION spend_ensure_balances(calls json) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('spend_limit ' || o.organization_id, 0))
    FROM (
        SELECT DISTINCT c.organization_id FROM json_to_recordset(calls) AS c (organization_id uuid)
        ORDER BY 1
    ) o;

    INSERT INTO spend_balance (
        organization_id, subject_kind, subject_id, period, currency, limit_amount, shadow_limit
    )
    SELECT DISTINCT ON (c.organization_id, s.kind, s.subject, c.period)
           c.organization_id, s.kind, s.subject, c.period, c.currency,
           CASE WHEN l.mode = 'enforce' THEN l.monthly_spend END,
           CASE WHEN l.mode = 'shadow' THEN l.monthly_spend END
    FROM json_to_recordset(calls) AS c (
             organization_id uuid, workspace_id uuid, model_id uuid, key_id uuid, period date,
             currency text
         )
    CROSS JOIN LATERAL spend_subjects(c.organization_id, c.workspace_id, c.model_id, c.key_id) s
    LEFT JOIN spend_limit l
      ON l.organization_id = c.organization_id AND l.subject_kind = s.kind
     AND l.subject_id = s.subject
    ORDER BY 1, 2, 3, 4
    ON CONFLICT DO NOTHING;
END
$$;
