-- Posts what calls used as events, releases their holds, and moves both through the balances.
-- Returns one row per call that was posted before: 'duplicate', or 'corrected' when that was only
-- recovery's estimate and the difference has been posted now.
-- `settlements` is an array of objects whose members are the columns of spend_usageevent. Where
-- several events share one hold, they tell their excess themselves; else it is what each has cost
-- beyond its own.
CREATE OR REPLACE FUNCTION spend_settle(settlements json)
RETURNS TABLE (call_id uuid, state text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
-- Plans are kept for the session, and spend_hold is nearly empty when it was just swept: never learn
-- to read it from end to end.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    many integer := json_array_length(settlements);
    released integer;
    posted uuid[];
    organizations uuid[];
    kinds text[];
    subjects uuid[];
    periods date[];
    costs numeric[];
    excesses numeric[];
    amounts numeric[];
BEGIN
    -- Holds, then events, then balances in their order: as when calls are opened and recovered.
    WITH fact AS MATERIALIZED (
        SELECT * FROM json_populate_recordset(NULL::spend_usageevent, settlements)
    ), gone AS (
        DELETE FROM spend_hold h USING fact f
        WHERE h.id = f.id AND h.organization_id = f.organization_id
        RETURNING h.id, h.organization_id, h.workspace_id, h.model_id, h.key_id, h.period,
                  coalesce(h.amount, 0) AS amount
    ), fresh AS (
        INSERT INTO spend_usageevent (
            id, organization_id, workspace_id, key_id, model_id, occurred_at, period,
            source, category, endpoint, requested_model, answered_model,
            prompt_tokens, completion_tokens, cached_tokens, pages, annotated_pages, audio_seconds,
            characters, connector_calls, training_tokens, storage_months,
            requests, currency, cost, excess, factor, price_ids, estimate,
            outcome, http_status, duration_ms, message_id, request_id, correlation_id
        )
        SELECT f.id, f.organization_id, f.workspace_id, f.key_id, f.model_id,
            spend_started_at(f.id), f.period, 'gateway', category, endpoint, requested_model, answered_model,
            prompt_tokens, completion_tokens, cached_tokens, pages, annotated_pages, audio_seconds,
            characters, connector_calls, training_tokens, storage_months,
            requests, currency, cost, coalesce(f.excess, greatest(0, cost - coalesce(g.amount, 0))),
            factor, price_ids, estimate,
            outcome, http_status, duration_ms, message_id, request_id, correlation_id
        FROM fact f LEFT JOIN gone g ON g.id = f.id
        ON CONFLICT (organization_id, occurred_at, id) DO NOTHING
        RETURNING id, organization_id, workspace_id, model_id, key_id, period,
                  coalesce(cost, 0) AS cost, excess
    ), change AS (
        SELECT m.organization_id, s.kind, s.subject, m.period, sum(m.cost) AS cost,
               sum(m.excess) AS excess, sum(m.amount) AS amount
        FROM (
            SELECT organization_id, workspace_id, model_id, key_id, period, cost, excess,
                   0 AS amount
            FROM fresh
            UNION ALL
            SELECT organization_id, workspace_id, model_id, key_id, period, 0, 0, amount FROM gone
        ) m,
             LATERAL spend_subjects(m.organization_id, m.workspace_id, m.model_id, m.key_id) s
        GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    )
    SELECT array_agg(c.organization_id), array_agg(c.kind), array_agg(c.subject),
           array_agg(c.period), array_agg(c.cost), array_agg(c.excess), array_agg(c.amount),
           (SELECT count(*) FROM gone), (SELECT coalesce(array_agg(n.id), '{}') FROM fresh n)
    INTO organizations, kinds, subjects, periods, costs, excesses, amounts, released, posted
    FROM change c;

    IF released < many THEN  -- posted before, or its hold was lost with a crashed PostgreSQL
        PERFORM spend_ensure_balances(settlements);
        -- Also those that spend_correct moves, before any is locked out of its turn.
        PERFORM FROM spend_balance b
        WHERE (b.organization_id, b.subject_kind, b.subject_id, b.period) IN (
            SELECT c.organization_id, s.kind, s.subject, c.period
            FROM json_to_recordset(settlements) AS c (
                     organization_id uuid, workspace_id uuid, model_id uuid, key_id uuid,
                     period date
                 ),
                 LATERAL spend_subjects(c.organization_id, c.workspace_id, c.model_id, c.key_id) s
        )
        ORDER BY b.organization_id, b.subject_kind, b.subject_id, b.period
        FOR NO KEY UPDATE OF b;
    END IF;
    FOR at IN 1 .. coalesce(cardinality(subjects), 0) LOOP
        UPDATE spend_balance b
        SET settled = b.settled + costs[at], held = b.held - amounts[at],
            excess = b.excess + excesses[at]
        WHERE b.organization_id = organizations[at] AND b.subject_kind = kinds[at]
          AND b.subject_id = subjects[at] AND b.period = periods[at];
    END LOOP;
    IF cardinality(posted) < many THEN
        RETURN QUERY SELECT * FROM spend_correct(settlements, posted);
    END IF;
END
$$;
