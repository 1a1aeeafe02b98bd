-- For settled calls that have an event already: where that is recovery's estimate and this is not,
-- posts the difference as one correction, whose id is derived from the call's so that it can be
-- posted once. The rest are duplicates. The balances are locked by the caller.
CREATE OR REPLACE FUNCTION spend_correct(settlements json, posted uuid[])
RETURNS TABLE (call_id uuid, state text)
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
DECLARE
    corrected uuid[];
BEGIN
    WITH late AS MATERIALIZED (
        SELECT s.*, spend_started_at(s.id) AS started_at, e.cost AS old_cost,
               e.prompt_tokens AS old_prompt, e.completion_tokens AS old_completion,
               e.cached_tokens AS old_cached, e.pages AS old_pages,
               e.annotated_pages AS old_annotated, e.audio_seconds AS old_seconds,
               e.characters AS old_characters, e.requests AS old_requests,
               e.connector_calls AS old_connectors
        FROM json_populate_recordset(NULL::spend_usageevent, settlements) s
        JOIN spend_usageevent e
          ON e.organization_id = s.organization_id
         AND e.occurred_at = spend_started_at(s.id) AND e.id = s.id
        WHERE s.id <> ALL (posted)
          AND e.estimate IN ('process_died', 'never_settled')
          AND s.estimate NOT IN ('process_died', 'never_settled')
    ), fresh AS (
        INSERT INTO spend_usageevent (
            id, organization_id, workspace_id, key_id, model_id, occurred_at, period,
            source, category, endpoint, requested_model, answered_model,
            prompt_tokens, completion_tokens, cached_tokens, pages, annotated_pages, audio_seconds,
            characters, connector_calls, requests, currency, cost, excess, factor, price_ids,
            estimate, outcome, http_status, duration_ms, message_id, request_id, correlation_id,
            corrects
        )
        SELECT
            (left(id::text, 15) || substr(md5('correction of ' || id), 16, 3) || '-8'
             || substr(md5('correction of ' || id), 20, 3) || '-'
             || right(md5('correction of ' || id), 12))::uuid,
            organization_id, workspace_id, key_id, model_id, started_at, period,
            'correction', category, endpoint, requested_model, answered_model,
            prompt_tokens - old_prompt, completion_tokens - old_completion,
            cached_tokens - old_cached, pages - old_pages, annotated_pages - old_annotated,
            audio_seconds - old_seconds, characters - old_characters,
            connector_calls - coalesce(old_connectors, 0), requests - old_requests,
            currency, cost - coalesce(old_cost, 0), greatest(0, cost - coalesce(old_cost, 0)),
            factor, price_ids, estimate,
            outcome, http_status, duration_ms, message_id, request_id, correlation_id, id
        FROM late
        ON CONFLICT (organization_id, occurred_at, id) DO NOTHING
        RETURNING organization_id, workspace_id, model_id, key_id, period, cost, excess, corrects
    ), moved AS (
        UPDATE spend_balance b
        SET settled = b.settled + d.cost, excess = b.excess + d.excess
        FROM (
            SELECT f.organization_id, s.kind, s.subject, f.period,
                   coalesce(sum(f.cost), 0) AS cost, coalesce(sum(f.excess), 0) AS excess
            FROM fresh f,
                 LATERAL spend_subjects(f.organization_id, f.workspace_id, f.model_id, f.key_id) s
            GROUP BY 1, 2, 3, 4
        ) d
        WHERE b.organization_id = d.organization_id AND b.subject_kind = d.kind
          AND b.subject_id = d.subject AND b.period = d.period
    )
    SELECT coalesce(array_agg(f.corrects), '{}') INTO corrected FROM fresh f;

    RETURN QUERY
    SELECT s.id, CASE WHEN s.id = ANY (corrected) THEN 'corrected' ELSE 'duplicate' END
    FROM json_to_recordset(settlements) AS s (id uuid)
    WHERE s.id <> ALL (posted);
END
$$;
