-- Posts what calls used as events, releases their holds, and moves both through the balances.
-- Returns one row per call that was posted before: 'duplicate', or 'corrected' when that was only
-- recovery's estimate and the difference has been posted now.
-- `settlements` is an array of objects whose members are the columns of spend_usageevent.
CREATE FUNCTION spend_settle(settlements jsonb)
RETURNS TABLE (call_id uuid, state text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    released uuid[];
    amounts numeric[];
    posted uuid[];
BEGIN
    -- Holds first, balances after: the order that recovery takes too.
    WITH gone AS (
        DELETE FROM spend_hold h USING jsonb_to_recordset(settlements) AS s (id uuid)
        WHERE h.id = s.id
        RETURNING h.id, coalesce(h.amount, 0) AS amount
    )
    SELECT coalesce(array_agg(g.id), '{}'), coalesce(array_agg(g.amount), '{}')
    INTO released, amounts FROM gone g;

    PERFORM spend_lock_balances(settlements);

    WITH facts AS MATERIALIZED (
        SELECT s.*, coalesce(h.amount, 0) AS amount, spend_started_at(s.id) AS started_at
        FROM jsonb_populate_recordset(NULL::spend_usageevent, settlements) s
        LEFT JOIN unnest(released, amounts) AS h (id, amount) ON h.id = s.id
    ), fresh AS (
        INSERT INTO spend_usageevent (
            id, organization_id, workspace_id, key_id, model_id, occurred_at, period,
            source, category, endpoint, requested_model, answered_model,
            prompt_tokens, completion_tokens, cached_tokens, pages, annotated_pages, audio_seconds,
            characters, requests, currency, cost, excess, factor, price_ids, estimate,
            outcome, http_status, duration_ms, message_id, request_id, correlation_id
        )
        SELECT id, organization_id, workspace_id, key_id, model_id, started_at, period,
            'gateway', category, endpoint, requested_model, answered_model,
            prompt_tokens, completion_tokens, cached_tokens, pages, annotated_pages, audio_seconds,
            characters, requests, currency, cost, greatest(0, coalesce(cost, 0) - amount),
            factor, price_ids, estimate,
            outcome, http_status, duration_ms, message_id, request_id, correlation_id
        FROM facts
        ON CONFLICT (organization_id, occurred_at, id) DO NOTHING
        RETURNING id, cost, excess
    ), moved AS (
        UPDATE spend_balance b
        SET settled = b.settled + d.cost, held = b.held - d.amount, excess = b.excess + d.excess
        FROM (
            SELECT f.organization_id, s.kind, s.subject, f.period, coalesce(sum(n.cost), 0) AS cost,
                   coalesce(sum(n.excess), 0) AS excess, sum(f.amount) AS amount
            FROM facts f LEFT JOIN fresh n ON n.id = f.id,
                 LATERAL (VALUES ('organization', f.organization_id),
                                 ('workspace', f.workspace_id),
                                 ('model', f.model_id)) AS s (kind, subject)
            GROUP BY 1, 2, 3, 4
        ) d
        WHERE b.organization_id = d.organization_id AND b.subject_kind = d.kind
          AND b.subject_id = d.subject AND b.period = d.period
    )
    SELECT coalesce(array_agg(n.id), '{}') INTO posted FROM fresh n;

    IF cardinality(posted) < jsonb_array_length(settlements) THEN
        RETURN QUERY SELECT * FROM spend_correct(settlements, posted);
    END IF;
END
$$;
