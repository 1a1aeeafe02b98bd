-- Makes one tenant's roll-ups anew from its events, as far as events are rolled up at all; tells
-- how many events and lines there are and how many lines were not as they had to be. Of months
-- whose events are gone the roll-ups are all there is: they stay.
CREATE OR REPLACE FUNCTION spend_rebuild_one(
    tenant uuid, before bigint, OUT events bigint, OUT lines bigint, OUT changed bigint
)
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
DECLARE
    horizon date := coalesce(
        (SELECT r.forgotten_before FROM spend_retention r WHERE r.organization_id = tenant),
        '-infinity');
BEGIN
    WITH line AS MATERIALIZED (
        SELECT l.* FROM spend_rollup_lines(0, before, tenant) l WHERE l.period >= horizon
    ), gone AS (
        DELETE FROM spend_rollup r
        WHERE r.organization_id = tenant
          AND r.period >= (SELECT min(l.period) FROM line l)
          AND NOT EXISTS (
              SELECT FROM line l
              WHERE l.period = r.period AND l.day = r.day AND l.workspace_id = r.workspace_id
                AND coalesce(l.key_id, tenant) = coalesce(r.key_id, tenant)
                AND coalesce(l.model_id, tenant) = coalesce(r.model_id, tenant)
                AND l.mistral_model = r.mistral_model AND l.category = r.category
                AND l.source = r.source AND l.is_estimated = r.is_estimated
                AND l.is_unpriced = r.is_unpriced
          )
        RETURNING r.events <> 0 OR r.cost <> 0 AS counted
    ), put AS (
        INSERT INTO spend_rollup AS r (
            organization_id, period, day, workspace_id, key_id, model_id, mistral_model, category,
            source, is_estimated, is_unpriced, events, requests, prompt_tokens, completion_tokens,
            cached_tokens, pages, annotated_pages, audio_seconds, characters, connector_calls,
            training_tokens, storage_months, cost
        )
        SELECT * FROM line
        ON CONFLICT (organization_id, period, day, workspace_id, key_id, model_id, mistral_model,
                     category, source, is_estimated, is_unpriced)
        DO UPDATE SET
            events = excluded.events, requests = excluded.requests,
            prompt_tokens = excluded.prompt_tokens,
            completion_tokens = excluded.completion_tokens,
            cached_tokens = excluded.cached_tokens, pages = excluded.pages,
            annotated_pages = excluded.annotated_pages, audio_seconds = excluded.audio_seconds,
            characters = excluded.characters, connector_calls = excluded.connector_calls,
            training_tokens = excluded.training_tokens,
            storage_months = excluded.storage_months, cost = excluded.cost
        WHERE (r.events, r.requests, r.prompt_tokens, r.completion_tokens, r.cached_tokens, r.pages,
               r.annotated_pages, r.audio_seconds, r.characters, r.connector_calls,
               r.training_tokens, r.storage_months, r.cost)
           <> (excluded.events, excluded.requests, excluded.prompt_tokens,
               excluded.completion_tokens, excluded.cached_tokens, excluded.pages,
               excluded.annotated_pages, excluded.audio_seconds, excluded.characters,
               excluded.connector_calls, excluded.training_tokens, excluded.storage_months,
               excluded.cost)
        RETURNING true AS counted
    )
    SELECT (SELECT coalesce(sum(l.events), 0) FROM line l), (SELECT count(*) FROM line),
           (SELECT count(*) FROM put) + (SELECT count(*) FROM gone WHERE counted)
    INTO events, lines, changed;
END
$$;
