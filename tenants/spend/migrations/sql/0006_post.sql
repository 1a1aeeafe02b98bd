-- Posts events of the present tenant that no hold was made for: calls that others report, and
-- corrections. `entries` is an array of objects with the columns of spend_usageevent and a `digest`
-- by which each is known for ever, in whatever month. Returns the digests that were new.
--
-- Such events have happened: a limit cannot refuse them. Where they take a balance beyond its limit
-- the part beyond is excess, and the next call that would cost something is refused.
CREATE FUNCTION spend_post(entries json) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET jit = off
AS $$
DECLARE
    tenant uuid := NULLIF(current_setting('aim.organization', true), '')::uuid;
    news uuid[];
    kinds text[];
    subjects uuid[];
    periods date[];
    costs numeric[];
BEGIN
    IF EXISTS (
        SELECT FROM json_to_recordset(entries) AS e (organization_id uuid)
        WHERE e.organization_id IS DISTINCT FROM tenant
    ) THEN
        RAISE insufficient_privilege USING MESSAGE = 'an entry of another organization';
    END IF;
    PERFORM spend_ensure_balances(entries);

    WITH entry AS MATERIALIZED (
        SELECT f.*, (e.whole ->> 'digest')::uuid AS digest
        FROM json_array_elements(entries) AS e (whole),
             LATERAL json_populate_record(NULL::spend_usageevent, e.whole) f
    ), once AS (
        INSERT INTO spend_postedevent (organization_id, digest)
        SELECT DISTINCT organization_id, digest FROM entry ORDER BY digest
        ON CONFLICT DO NOTHING
        RETURNING digest
    ), fresh AS (
        INSERT INTO spend_usageevent (
            id, organization_id, workspace_id, key_id, model_id, occurred_at, period,
            source, category, endpoint, requested_model, answered_model,
            prompt_tokens, completion_tokens, cached_tokens, pages, annotated_pages, audio_seconds,
            characters, connector_calls, training_tokens, storage_months,
            requests, currency, cost, excess, factor, price_ids, estimate,
            outcome, message_id, request_id, correlation_id, corrects
        )
        SELECT id, organization_id, workspace_id, key_id, model_id, occurred_at, period,
            source, category, endpoint, requested_model, answered_model,
            prompt_tokens, completion_tokens, cached_tokens, pages, annotated_pages, audio_seconds,
            characters, connector_calls, training_tokens, storage_months,
            requests, currency, cost, 0, factor, price_ids, estimate,
            outcome, message_id, request_id, correlation_id, corrects
        FROM entry JOIN once USING (digest)
        RETURNING organization_id, workspace_id, model_id, key_id, period, coalesce(cost, 0) AS cost
    ), change AS (
        SELECT s.kind, s.subject, f.period, sum(f.cost) AS cost
        FROM fresh f,
             LATERAL spend_subjects(f.organization_id, f.workspace_id, f.model_id, f.key_id) s
        GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    )
    SELECT array_agg(c.kind), array_agg(c.subject), array_agg(c.period), array_agg(c.cost),
           (SELECT coalesce(array_agg(o.digest), '{}') FROM once o)
    INTO kinds, subjects, periods, costs, news
    FROM change c;

    FOR at IN 1 .. coalesce(cardinality(subjects), 0) LOOP
        UPDATE spend_balance b
        SET settled = b.settled + costs[at],
            excess = CASE WHEN costs[at] < 0 THEN greatest(0, b.excess + costs[at])
                ELSE b.excess + greatest(0, coalesce(
                    b.settled + b.held + costs[at] - b.excess - b.carried - b.limit_amount, 0))
                END
        WHERE b.organization_id = tenant AND b.subject_kind = kinds[at]
          AND b.subject_id = subjects[at] AND b.period = periods[at];
    END LOOP;
    RETURN QUERY SELECT unnest(news);
END
$$;
