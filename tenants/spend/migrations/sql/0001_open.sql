-- Judges a batch of calls, in order, against every limit that matches, and holds the accepted ones.
-- Returns one row per refused call; a call that is held already is accepted again and held once.
-- `calls` is an array of objects whose members are the columns of spend_hold.
CREATE FUNCTION spend_open(writer uuid, calls jsonb)
RETURNS TABLE (
    call_id uuid, reason text, refused_kind text, refused_id uuid,
    limit_at numeric, spent numeric, on_hold numeric, in_currency text
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    known uuid[];
    crowded boolean;
    call jsonb;
    blank spend_hold;
BEGIN
    -- The intent has to survive the process that sends the call, not a crash of PostgreSQL.
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM spend_lock_balances(calls);

    SELECT coalesce(array_agg(h.id), '{}') INTO known
    FROM jsonb_to_recordset(calls) AS c (id uuid) JOIN spend_hold h ON h.id = c.id;

    -- Does the batch fit as a whole? It nearly always does.
    SELECT coalesce(bool_or(
        b.currency <> d.currency
        OR l.monthly_spend IS NOT NULL
           AND (d.unpriced OR d.amount > 0 AND b.settled + b.held + d.amount > l.monthly_spend)
    ), false) INTO crowded
    FROM (
        SELECT c.organization_id, s.kind, s.subject, c.period, c.currency,
               coalesce(sum(c.amount), 0) AS amount, bool_or(c.amount IS NULL) AS unpriced
        FROM jsonb_to_recordset(calls) AS c (
                 id uuid, organization_id uuid, workspace_id uuid, model_id uuid, period date,
                 currency text, amount numeric
             ),
             LATERAL (VALUES ('organization', c.organization_id), ('workspace', c.workspace_id),
                             ('model', c.model_id)) AS s (kind, subject)
        WHERE c.id <> ALL (known)
        GROUP BY 1, 2, 3, 4, 5
    ) d
    JOIN spend_balance b
      ON b.organization_id = d.organization_id AND b.subject_kind = d.kind
     AND b.subject_id = d.subject AND b.period = d.period
    LEFT JOIN spend_limit l
      ON l.organization_id = d.organization_id AND l.subject_kind = d.kind
     AND l.subject_id = d.subject;

    IF crowded AND jsonb_array_length(calls) > 1 THEN
        FOR call IN SELECT e.value FROM jsonb_array_elements(calls) WITH ORDINALITY AS e (value, at)
                    ORDER BY e.at
        LOOP
            RETURN QUERY SELECT * FROM spend_open(writer, jsonb_build_array(call));
        END LOOP;
        RETURN;
    END IF;

    IF crowded THEN
        RETURN QUERY
        SELECT c.id,
               CASE WHEN b.currency <> c.currency THEN 'currency_mismatch'
                    WHEN c.amount IS NULL THEN 'price_unknown'
                    ELSE 'spending_limit_reached' END,
               s.kind, s.subject, l.monthly_spend::numeric, b.settled, b.held, b.currency::text
        FROM jsonb_to_recordset(calls) AS c (
                 id uuid, organization_id uuid, workspace_id uuid, model_id uuid, period date,
                 currency text, amount numeric
             ),
             LATERAL (VALUES (1, 'organization', c.organization_id),
                             (2, 'workspace', c.workspace_id),
                             (3, 'model', c.model_id)) AS s (at, kind, subject)
        JOIN spend_balance b
          ON b.organization_id = c.organization_id AND b.subject_kind = s.kind
         AND b.subject_id = s.subject AND b.period = c.period
        LEFT JOIN spend_limit l
          ON l.organization_id = c.organization_id AND l.subject_kind = s.kind
         AND l.subject_id = s.subject AND l.mode = 'enforce'
        WHERE b.currency <> c.currency
           OR l.monthly_spend IS NOT NULL
              AND (c.amount IS NULL
                   OR c.amount > 0 AND b.settled + b.held + c.amount > l.monthly_spend)
        ORDER BY s.at LIMIT 1;
        IF FOUND THEN
            RETURN;
        END IF;
        -- Only limits in shadow mode are in the way: count what they would have refused.
        UPDATE spend_balance b
        SET shadow_calls = b.shadow_calls + 1,
            shadow_amount = b.shadow_amount + coalesce(c.amount, 0)
        FROM jsonb_to_recordset(calls) AS c (
                 organization_id uuid, workspace_id uuid, model_id uuid, period date, amount numeric
             ),
             LATERAL (VALUES ('organization', c.organization_id), ('workspace', c.workspace_id),
                             ('model', c.model_id)) AS s (kind, subject),
             spend_limit l
        WHERE b.organization_id = c.organization_id AND b.subject_kind = s.kind
          AND b.subject_id = s.subject AND b.period = c.period
          AND l.organization_id = c.organization_id AND l.subject_kind = s.kind
          AND l.subject_id = s.subject AND l.mode = 'shadow'
          AND (c.amount IS NULL
               OR c.amount > 0 AND b.settled + b.held + c.amount > l.monthly_spend);
    END IF;

    blank.writer_id := writer;
    WITH placed AS (
        INSERT INTO spend_hold
        SELECT h.* FROM jsonb_populate_recordset(blank, calls) h
        WHERE h.id <> ALL (known)
        ON CONFLICT (id) DO NOTHING
        RETURNING organization_id, workspace_id, model_id, period, amount
    )
    UPDATE spend_balance b
    SET held = b.held + d.amount,
        limit_amount = l.monthly_spend,
        carried = CASE
            WHEN l.monthly_spend IS NOT DISTINCT FROM b.limit_amount THEN b.carried
            ELSE greatest(0, b.settled + b.held - b.excess - l.monthly_spend) END
    FROM (
        SELECT p.organization_id, s.kind, s.subject, p.period, coalesce(sum(p.amount), 0) AS amount
        FROM placed p,
             LATERAL (VALUES ('organization', p.organization_id), ('workspace', p.workspace_id),
                             ('model', p.model_id)) AS s (kind, subject)
        GROUP BY 1, 2, 3, 4
    ) d
    LEFT JOIN spend_limit l
      ON l.organization_id = d.organization_id AND l.subject_kind = d.kind
     AND l.subject_id = d.subject AND l.mode = 'enforce'
    WHERE b.organization_id = d.organization_id AND b.subject_kind = d.kind
      AND b.subject_id = d.subject AND b.period = d.period;
END
$$;
