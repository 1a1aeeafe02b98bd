-- Judges a batch of calls, in order, against every limit that matches, and holds the accepted ones.
-- Returns one row per refused call; a call that is held already is accepted again and held once.
CREATE OR REPLACE FUNCTION spend_open(writer uuid, calls json)
RETURNS TABLE (
    call_id uuid, reason text, refused_kind text, refused_id uuid,
    limit_at numeric, spent numeric, on_hold numeric, in_currency text
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
-- See spend_settle.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    calm json;
    crowded json[];
    call json;
BEGIN
    -- The intent has to survive the process that sends the call, not a crash of PostgreSQL.
    PERFORM set_config('synchronous_commit', 'off', true);
    IF spend_place(writer, calls, true) THEN
        RETURN;
    END IF;

    PERFORM spend_ensure_balances(calls);
    SELECT s.calm, coalesce(s.crowded, '{}') INTO calm, crowded FROM spend_sort(calls) s;
    IF calm IS NOT NULL AND NOT spend_place(writer, calm, true) THEN
        RAISE EXCEPTION 'a batch that fits was refused';
    END IF;

    FOREACH call IN ARRAY crowded LOOP
        RETURN QUERY
        SELECT c.id,
               CASE WHEN b.currency <> c.currency THEN 'currency_mismatch'
                    WHEN c.amount IS NULL THEN 'price_unknown'
                    ELSE 'spending_limit_reached' END,
               s.kind, s.subject, b.limit_amount, b.settled, b.held, b.currency::text
        FROM json_to_record(call) AS c (
                 id uuid, organization_id uuid, workspace_id uuid, model_id uuid, key_id uuid,
                 period date, currency text, amount numeric
             ),
             LATERAL spend_subjects(c.organization_id, c.workspace_id, c.model_id, c.key_id)
                 WITH ORDINALITY AS s (kind, subject, at)
        JOIN spend_balance b ON b.subject_kind = s.kind AND b.subject_id = s.subject
        WHERE b.organization_id = c.organization_id AND b.period = c.period
          AND (b.currency <> c.currency
               OR NOT spend_fits(coalesce(c.amount, 0), c.amount IS NULL,
                                 b.settled + b.held, b.limit_amount))
        ORDER BY s.at LIMIT 1;
        IF FOUND THEN
            -- Told to people (see spend_alerts_due); once a minute is enough for that.
            UPDATE spend_balance b SET refused_at = now()
            FROM json_to_record(call) AS c (
                     organization_id uuid, workspace_id uuid, model_id uuid, key_id uuid,
                     period date, amount numeric
                 ),
                 LATERAL spend_subjects(c.organization_id, c.workspace_id, c.model_id, c.key_id) s
            WHERE b.organization_id = c.organization_id AND b.subject_kind = s.kind
              AND b.subject_id = s.subject AND b.period = c.period AND c.amount IS NOT NULL
              AND NOT spend_fits(c.amount, false, b.settled + b.held, b.limit_amount)
              AND coalesce(b.refused_at < now() - interval '1 minute', true);
            CONTINUE;
        END IF;

        UPDATE spend_balance b
        SET shadow_calls = b.shadow_calls + 1,
            shadow_spend = b.shadow_spend + coalesce(c.amount, 0)
        FROM json_to_record(call) AS c (
                 organization_id uuid, workspace_id uuid, model_id uuid, key_id uuid, period date,
                 amount numeric
             ),
             LATERAL spend_subjects(c.organization_id, c.workspace_id, c.model_id, c.key_id) s
        WHERE b.organization_id = c.organization_id AND b.subject_kind = s.kind
          AND b.subject_id = s.subject AND b.period = c.period
          AND NOT spend_fits(coalesce(c.amount, 0), c.amount IS NULL,
                             b.settled + b.held, b.shadow_limit);
        IF NOT spend_place(writer, json_build_array(call), false) THEN
            RAISE EXCEPTION 'a call that fits was refused';
        END IF;
    END LOOP;
END
$$;
