-- Sorts a batch that does not fit as a whole: `calm` calls touch only balances with room for all
-- that the batch asks of them, `crowded` ones must be judged one by one. Locks the balances.
CREATE OR REPLACE FUNCTION spend_sort(calls json, OUT calm json, OUT crowded json[])
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM FROM spend_balance b
    WHERE (b.organization_id, b.subject_kind, b.subject_id, b.period) IN (
        SELECT c.organization_id, s.kind, s.subject, c.period
        FROM json_to_recordset(calls) AS c (
                 organization_id uuid, workspace_id uuid, model_id uuid, key_id uuid, period date
             ),
             LATERAL spend_subjects(c.organization_id, c.workspace_id, c.model_id, c.key_id) s
    )
    ORDER BY b.organization_id, b.subject_kind, b.subject_id, b.period
    FOR NO KEY UPDATE OF b;

    WITH call AS MATERIALIZED (
        SELECT e.at, e.whole, c.*, EXISTS (SELECT FROM spend_hold h WHERE h.id = c.id) AS is_held
        FROM json_array_elements(calls) WITH ORDINALITY AS e (whole, at),
             LATERAL json_to_record(e.whole) AS c (
                 id uuid, organization_id uuid, workspace_id uuid, model_id uuid, key_id uuid,
                 period date, currency text, amount numeric
             )
    ), touch AS MATERIALIZED (
        SELECT c.*, s.kind, s.subject
        FROM call c,
             LATERAL spend_subjects(c.organization_id, c.workspace_id, c.model_id, c.key_id) s
        WHERE NOT c.is_held
    ), tight AS (
        SELECT t.organization_id, t.kind, t.subject, t.period
        FROM touch t JOIN spend_balance b
          ON b.organization_id = t.organization_id AND b.subject_kind = t.kind
         AND b.subject_id = t.subject AND b.period = t.period
        GROUP BY 1, 2, 3, 4, b.settled, b.held, b.limit_amount, b.shadow_limit
        HAVING bool_or(t.currency <> b.currency)
            OR NOT spend_fits(sum(coalesce(t.amount, 0)), bool_or(t.amount IS NULL),
                              b.settled + b.held, b.limit_amount)
            OR NOT spend_fits(sum(coalesce(t.amount, 0)), bool_or(t.amount IS NULL),
                              b.settled + b.held, b.shadow_limit)
    ), stuck AS (
        SELECT DISTINCT t.at
        FROM touch t JOIN tight USING (organization_id, kind, subject, period)
    )
    SELECT json_agg(c.whole ORDER BY c.at) FILTER (WHERE s.at IS NULL),
           array_agg(c.whole ORDER BY c.at) FILTER (WHERE s.at IS NOT NULL)
    INTO calm, crowded
    FROM call c LEFT JOIN stuck s USING (at);
END
$$;
