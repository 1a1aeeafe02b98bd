-- As 0005_recover.sql, but the hold of a batch job is nobody's orphan until the job is metered: it
-- was opened by a process that is long gone when Mistral is done.
CREATE OR REPLACE FUNCTION spend_recover(grace interval, longest_call interval, most integer)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    dead uuid[];
    orphans jsonb;
BEGIN
    SELECT coalesce(array_agg(w.writer_id), '{}') INTO dead
    FROM (SELECT DISTINCT writer_id FROM spend_hold) w
    WHERE pg_try_advisory_xact_lock(hashtextextended(w.writer_id::text, 0));

    WITH orphan AS (
        SELECT h.* FROM spend_hold h
        WHERE ((h.writer_id = ANY (dead) AND spend_started_at(h.id) < now() - grace)
               OR spend_started_at(h.id) < now() - longest_call)
          AND NOT EXISTS (
              SELECT FROM spend_batchjob b WHERE b.call_id = h.id AND b.metered_at IS NULL
          )
        ORDER BY h.id LIMIT most
        FOR UPDATE SKIP LOCKED
    )
    SELECT jsonb_agg(to_jsonb(o) || jsonb_build_object(
        -- Nothing is held for a call that may be made although its price is unknown.
        'cost', CASE WHEN o.price_ids <> '{}' OR o.amount > 0 THEN o.amount
                     WHEN greatest(o.prompt_tokens, o.completion_tokens, o.pages, o.annotated_pages,
                                   o.audio_seconds, o.characters) = 0 THEN o.amount END,
        'requests', 1, 'outcome', 'unknown', 'answered_model', '',
        'correlation_id', '',
        'estimate', CASE WHEN o.writer_id = ANY (dead) THEN 'process_died' ELSE 'never_settled' END
    )) INTO orphans
    FROM orphan o;

    IF orphans IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM spend_settle(orphans::json);
    RETURN jsonb_array_length(orphans);
END
$$;
