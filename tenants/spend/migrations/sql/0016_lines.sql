-- As it was, but that it can be asked for the events of one budget month alone: then the partitions
-- around it are all that PostgreSQL plans for and looks into, however long the ledger is. Two days
-- of room hold every zone, as they do where calls are listed. An empty tail is seen at once.
CREATE FUNCTION spend_rollup_lines(
    since bigint, before bigint, tenant uuid, month date DEFAULT NULL
)
RETURNS TABLE (
    organization_id uuid, period date, day date, workspace_id uuid, key_id uuid, model_id uuid,
    mistral_model text, category text, source text, is_estimated boolean, is_unpriced boolean,
    events bigint, requests bigint, prompt_tokens bigint, completion_tokens bigint,
    cached_tokens bigint, pages bigint, annotated_pages bigint, audio_seconds bigint,
    characters bigint, connector_calls bigint, training_tokens bigint, storage_months bigint,
    cost numeric
)
LANGUAGE plpgsql STABLE ROWS 50 SET search_path = public, pg_temp SET jit = off
AS $$
DECLARE
    chosen text := CASE WHEN tenant IS NULL THEN ''
                        ELSE format(' AND e.organization_id = %L', tenant) END
        || CASE WHEN month IS NULL THEN ''
                ELSE format(' AND e.period = %L AND e.occurred_at >= %L AND e.occurred_at < %L',
                            month, (month - 2) || ' 00:00+00',
                            (month + interval '1 month 2 days')::date || ' 00:00+00') END;
    of_zone text := CASE WHEN tenant IS NULL THEN ''
                         ELSE format(' WHERE o.id = %L', tenant) END;
    is_plain boolean := false;
    line text;
BEGIN
    IF since > 0 THEN  -- a rebuild reads everything: looking beforehand would read it twice
        EXECUTE format($query$
            SELECT bool_and(e.corrects IS NULL AND e.estimate = '' AND e.cost IS NOT NULL)
            FROM spend_usageevent e
            WHERE e.transaction_id >= %1$s AND e.transaction_id < %2$s %3$s
        $query$, since, before, chosen) INTO is_plain;
        IF is_plain IS NULL THEN
            RETURN;
        END IF;
    END IF;
    IF is_plain THEN
        line := format($query$
            SELECT e.*, 1 AS sign, false AS is_estimated, false AS is_unpriced
            FROM spend_usageevent e
            WHERE e.transaction_id >= %1$s AND e.transaction_id < %2$s %3$s
        $query$, since, before, chosen);
    ELSE
        line := format($query$
            SELECT e.*, 1 AS sign,
                   e.estimate <> '' AND NOT spend_is_mended(e, %2$s) AS is_estimated,
                   e.cost IS NULL AND NOT spend_is_priced(e, %2$s) AS is_unpriced
            FROM spend_usageevent e
            WHERE e.transaction_id >= %1$s AND e.transaction_id < %2$s %3$s
            UNION ALL
            SELECT o.*, moved.*
            FROM (
                SELECT DISTINCT e.organization_id, e.occurred_at, e.corrects
                FROM spend_usageevent e
                WHERE e.transaction_id >= %1$s AND e.transaction_id < %2$s %3$s
                  AND e.corrects IS NOT NULL
            ) c
            JOIN spend_usageevent o
              ON o.organization_id = c.organization_id AND o.occurred_at = c.occurred_at
             AND o.id = c.corrects AND o.transaction_id < %1$s
            CROSS JOIN LATERAL (
                VALUES (-1, o.estimate <> '' AND NOT spend_is_mended(o, %1$s),
                        o.cost IS NULL AND NOT spend_is_priced(o, %1$s)),
                       (1, o.estimate <> '' AND NOT spend_is_mended(o, %2$s),
                        o.cost IS NULL AND NOT spend_is_priced(o, %2$s))
            ) AS moved (sign, is_estimated, is_unpriced)
            WHERE o.estimate <> '' OR o.cost IS NULL
        $query$, since, before, chosen);
    END IF;
    RETURN QUERY EXECUTE format($query$
        WITH line AS (
            %1$s
        ), zone AS (
            SELECT f.organization_id, f.timezone::text AS name, f.until AS ends,
                   lag(f.until, 1, '-infinity')
                       OVER (PARTITION BY f.organization_id ORDER BY f.until) AS starts
            FROM organizations_formertimezone f
            UNION ALL
            SELECT o.id, o.timezone::text, 'infinity', coalesce(
                       (SELECT max(f.until) FROM organizations_formertimezone f
                        WHERE f.organization_id = o.id), '-infinity')
            FROM organizations_organization o %2$s
        )
        SELECT l.organization_id, l.period,
               greatest(l.period, least((l.period + interval '1 month' - interval '1 day')::date,
                                        (l.occurred_at AT TIME ZONE z.name)::date)),
               l.workspace_id, l.key_id, l.model_id,
               coalesce(nullif(l.answered_model, ''), l.requested_model)::text,
               l.category::text, l.source::text, l.is_estimated, l.is_unpriced,
               sum(l.sign), sum(l.sign * l.requests), sum(l.sign * l.prompt_tokens::bigint)::bigint,
               sum(l.sign * l.completion_tokens::bigint)::bigint,
               sum(l.sign * l.cached_tokens::bigint)::bigint,
               sum(l.sign * l.pages), sum(l.sign * l.annotated_pages),
               sum(l.sign * l.audio_seconds::bigint)::bigint,
               sum(l.sign * l.characters::bigint)::bigint,
               coalesce(sum(l.sign * l.connector_calls), 0),
               coalesce(sum(l.sign * l.training_tokens), 0)::bigint,
               coalesce(sum(l.sign * l.storage_months), 0),
               coalesce(sum(l.sign * l.cost), 0)
        FROM line l
        JOIN zone z ON z.organization_id = l.organization_id
         AND l.occurred_at >= z.starts AND l.occurred_at < z.ends
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
    $query$, line, of_zone);
END
$$;
