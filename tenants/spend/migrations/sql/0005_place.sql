-- Holds a whole batch, or nothing of it, in one statement: to start three updates of one row each
-- costs more than all the rest. Balances are updated, hence locked, in the order of their primary
-- key: the demand is sorted by it, and is what the loop over them is driven by.
CREATE OR REPLACE FUNCTION spend_place(writer uuid, calls json, heed_shadow boolean) RETURNS boolean
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
DECLARE
    blank spend_hold;
    wanted integer;
    fitting integer;
BEGIN
    blank.writer_id := writer;
    WITH placed AS (
        INSERT INTO spend_hold SELECT h.* FROM json_populate_recordset(blank, calls) h
        ON CONFLICT (id) DO NOTHING
        RETURNING organization_id, workspace_id, model_id, key_id, period, currency, amount
    ), demand AS MATERIALIZED (
        SELECT p.organization_id, s.kind, s.subject, p.period, p.currency,
               sum(coalesce(p.amount, 0)) AS amount, bool_or(p.amount IS NULL) AS unpriced
        FROM placed p,
             LATERAL spend_subjects(p.organization_id, p.workspace_id, p.model_id, p.key_id) s
        GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4
    ), moved AS (
        UPDATE spend_balance b SET held = b.held + d.amount
        FROM demand d
        WHERE b.organization_id = d.organization_id AND b.subject_kind = d.kind
          AND b.subject_id = d.subject AND b.period = d.period
          AND b.currency = d.currency
          AND spend_fits(d.amount, d.unpriced, b.settled + b.held, b.limit_amount)
          AND (NOT heed_shadow
               OR spend_fits(d.amount, d.unpriced, b.settled + b.held, b.shadow_limit))
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM demand), (SELECT count(*) FROM moved) INTO wanted, fitting;
    IF fitting < wanted THEN
        RAISE EXCEPTION USING ERRCODE = 'AIM01';
    END IF;
    RETURN true;
EXCEPTION WHEN SQLSTATE 'AIM01' THEN
    RETURN false;
END
$$;
