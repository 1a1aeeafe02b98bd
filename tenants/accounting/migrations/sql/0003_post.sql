-- Posts what a confirmed reconciliation says as correction events of the present tenant and moves
-- the balances along; what is posted already is left alone. `corrections` is an array of objects:
-- id, workspace_id, occurred_at, period, category, model, cost, message_id, and the quantities.
-- More than was known is excess: Mistral has billed it, whatever the limit was. Returns what was
-- posted.
CREATE FUNCTION accounting_post(corrections json) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    tenant uuid := NULLIF(current_setting('aim.organization', true), '')::uuid;
    money text := (SELECT o.currency FROM organizations_organization o WHERE o.id = tenant);
BEGIN
    PERFORM spend_ensure_balances((
        SELECT json_agg(json_build_object(
            'organization_id', tenant, 'workspace_id', c.workspace_id, 'model_id', NULL,
            'period', c.period, 'currency', money))
        FROM json_to_recordset(corrections) AS c (workspace_id uuid, period date)
    ));

    RETURN QUERY
    WITH posted AS (
        INSERT INTO spend_usageevent (
            id, organization_id, workspace_id, occurred_at, period, source, category, endpoint,
            requested_model, answered_model, prompt_tokens, completion_tokens, cached_tokens, pages,
            annotated_pages, audio_seconds, characters, requests, currency, cost, excess, factor,
            price_ids, estimate, outcome, message_id, request_id, correlation_id
        )
        SELECT c.id, tenant, w.id, c.occurred_at, c.period, 'correction', c.category,
               'reconciliation', c.model, c.model, c.prompt_tokens, c.completion_tokens,
               c.cached_tokens, c.pages, c.annotated_pages, c.audio_seconds, c.characters, 0, money,
               c.cost, greatest(0, c.cost), 1, '{}', '', 'completed', c.message_id, '', ''
        FROM json_to_recordset(corrections) AS c (
                 id uuid, workspace_id uuid, occurred_at timestamptz, period date, category text,
                 model text, cost numeric, message_id text, prompt_tokens integer,
                 completion_tokens integer, cached_tokens integer, pages integer,
                 annotated_pages integer, audio_seconds integer, characters integer
             )
        JOIN organizations_workspace w ON w.organization_id = tenant AND w.id = c.workspace_id
        ON CONFLICT (organization_id, occurred_at, id) DO NOTHING
        RETURNING spend_usageevent.id, spend_usageevent.workspace_id, spend_usageevent.period,
                  spend_usageevent.cost, spend_usageevent.excess
    ), wanted AS (
        SELECT s.kind, s.subject, p.period, sum(p.cost) AS cost, sum(p.excess) AS excess
        FROM posted p,
             LATERAL (VALUES ('organization', tenant), ('workspace', p.workspace_id))
                 AS s (kind, subject)
        GROUP BY 1, 2, 3
    ), locked AS MATERIALIZED (
        SELECT b.subject_kind, b.subject_id, b.period
        FROM spend_balance b
        JOIN wanted w ON b.subject_kind = w.kind AND b.subject_id = w.subject
         AND b.period = w.period
        WHERE b.organization_id = tenant
        ORDER BY b.organization_id, b.subject_kind, b.subject_id, b.period
        FOR NO KEY UPDATE OF b
    ), moved AS (
        UPDATE spend_balance b
        SET settled = b.settled + w.cost, excess = b.excess + w.excess
        FROM wanted w, locked l
        WHERE b.organization_id = tenant AND b.subject_kind = w.kind AND b.subject_id = w.subject
          AND b.period = w.period AND l.subject_kind = b.subject_kind
          AND l.subject_id = b.subject_id AND l.period = b.period
    )
    SELECT p.id FROM posted p;
END
$$;
