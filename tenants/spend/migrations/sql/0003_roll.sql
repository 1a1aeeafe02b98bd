-- Adds what was written since the last time to the roll-ups; returns how many events that was, or
-- null when somebody else is at it. Every event counts once: roll-ups and mark move in one
-- transaction, up to the oldest transaction that may still write.
CREATE FUNCTION spend_roll() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    since bigint;
    before bigint;
    rolled bigint;
BEGIN
    SELECT m.transaction_id INTO since FROM spend_rollupmark m FOR UPDATE SKIP LOCKED;
    IF since IS NULL THEN
        RETURN NULL;
    END IF;
    before := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
    IF before < since THEN  -- the rows are older than the server: it was restored from a dump
        RETURN spend_restart_rollups();
    END IF;

    WITH line AS MATERIALIZED (
        SELECT * FROM spend_rollup_lines(since, before, NULL)
    ), added AS (
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
            events = r.events + excluded.events, requests = r.requests + excluded.requests,
            prompt_tokens = r.prompt_tokens + excluded.prompt_tokens,
            completion_tokens = r.completion_tokens + excluded.completion_tokens,
            cached_tokens = r.cached_tokens + excluded.cached_tokens,
            pages = r.pages + excluded.pages,
            annotated_pages = r.annotated_pages + excluded.annotated_pages,
            audio_seconds = r.audio_seconds + excluded.audio_seconds,
            characters = r.characters + excluded.characters,
            connector_calls = r.connector_calls + excluded.connector_calls,
            training_tokens = r.training_tokens + excluded.training_tokens,
            storage_months = r.storage_months + excluded.storage_months,
            cost = r.cost + excluded.cost
    )
    SELECT coalesce(sum(l.events), 0) INTO rolled FROM line l;
    UPDATE spend_rollupmark SET transaction_id = before, rolled_at = now();
    RETURN rolled;
END
$$;
