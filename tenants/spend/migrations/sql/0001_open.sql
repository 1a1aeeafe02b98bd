-- `calls` is an array of objects whose members are the columns of spend_hold.

-- Whether an amount (null: nobody knows) may be added to what a balance has already.
CREATE FUNCTION spend_fits(amount numeric, unpriced boolean, taken numeric, allowed numeric)
RETURNS boolean LANGUAGE sql IMMUTABLE
AS $$
    SELECT allowed IS NULL OR NOT unpriced AND (amount = 0 OR taken + amount <= allowed)
$$;

-- Holds a whole batch, or nothing of it. Balances are updated, hence locked, in one fixed order.
CREATE FUNCTION spend_place(writer uuid, calls json, heed_shadow boolean) RETURNS boolean
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
DECLARE
    blank spend_hold;
    organizations uuid[];
    kinds text[];
    subjects uuid[];
    periods date[];
    currencies text[];
    amounts numeric[];
    unpriced boolean[];
BEGIN
    blank.writer_id := writer;
    WITH placed AS (
        INSERT INTO spend_hold SELECT h.* FROM json_populate_recordset(blank, calls) h
        ON CONFLICT (id) DO NOTHING
        RETURNING organization_id, workspace_id, model_id, period, currency, amount
    ), demand AS (
        SELECT p.organization_id, s.kind, s.subject, p.period, p.currency,
               sum(coalesce(p.amount, 0)) AS amount, bool_or(p.amount IS NULL) AS unpriced
        FROM placed p,
             LATERAL spend_subjects(p.organization_id, p.workspace_id, p.model_id) s
        GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4
    )
    SELECT array_agg(d.organization_id), array_agg(d.kind), array_agg(d.subject),
           array_agg(d.period), array_agg(d.currency), array_agg(d.amount), array_agg(d.unpriced)
    INTO organizations, kinds, subjects, periods, currencies, amounts, unpriced
    FROM demand d;

    FOR at IN 1 .. coalesce(cardinality(subjects), 0) LOOP
        UPDATE spend_balance b SET held = b.held + amounts[at]
        WHERE b.organization_id = organizations[at] AND b.subject_kind = kinds[at]
          AND b.subject_id = subjects[at] AND b.period = periods[at]
          AND b.currency = currencies[at]
          AND spend_fits(amounts[at], unpriced[at], b.settled + b.held, b.limit_amount)
          AND (NOT heed_shadow
               OR spend_fits(amounts[at], unpriced[at], b.settled + b.held, b.shadow_limit));
        IF NOT FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'AIM01';
        END IF;
    END LOOP;
    RETURN true;
EXCEPTION WHEN SQLSTATE 'AIM01' THEN
    RETURN false;
END
$$;

-- Sorts a batch that does not fit as a whole: `calm` calls touch only balances with room for all
-- that the batch asks of them, `crowded` ones must be judged one by one. Locks the balances.
CREATE FUNCTION spend_sort(calls json, OUT calm json, OUT crowded json[])
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM FROM spend_balance b
    WHERE (b.organization_id, b.subject_kind, b.subject_id, b.period) IN (
        SELECT c.organization_id, s.kind, s.subject, c.period
        FROM json_to_recordset(calls) AS c (
                 organization_id uuid, workspace_id uuid, model_id uuid, period date
             ),
             LATERAL spend_subjects(c.organization_id, c.workspace_id, c.model_id) s
    )
    ORDER BY b.organization_id, b.subject_kind, b.subject_id, b.period
    FOR NO KEY UPDATE OF b;

    WITH call AS MATERIALIZED (
        SELECT e.at, e.whole, c.*, EXISTS (SELECT FROM spend_hold h WHERE h.id = c.id) AS is_held
        FROM json_array_elements(calls) WITH ORDINALITY AS e (whole, at),
             LATERAL json_to_record(e.whole) AS c (
                 id uuid, organization_id uuid, workspace_id uuid, model_id uuid, period date,
                 currency text, amount numeric
             )
    ), touch AS MATERIALIZED (
        SELECT c.*, s.kind, s.subject
        FROM call c, LATERAL spend_subjects(c.organization_id, c.workspace_id, c.model_id) s
        WHERE NOT c.is_held
    ), tight AS (
        SELECT t.organization_id, t.kind, t.subject, t.period
        FROM touch t JOIN spend_balance b
          ON b.organization_id = t.organization_id AND b.subject_kind = t.kind
         AND b.subject_id = t.subject AND b.period = t.period
        GROUP BY 1, 2, 3, 4, b.settled, b.held, b.limit_amount, b.shadow_limit
        HAVING bool_or(t.currency <> b.currency)
            OR NOT spend_fits(sum(coalesce(t.amount, 0)), bool_or(t.amount IS NULL),
                              b.settled + b.held, b.limit_amount)
            OR NOT spend_fits(sum(coalesce(t.amount, 0)), bool_or(t.amount IS NULL),
                              b.settled + b.held, b.shadow_limit)
    ), stuck AS (
        SELECT DISTINCT t.at
        FROM touch t JOIN tight USING (organization_id, kind, subject, period)
    )
    SELECT json_agg(c.whole ORDER BY c.at) FILTER (WHERE s.at IS NULL),
           array_agg(c.whole ORDER BY c.at) FILTER (WHERE s.at IS NOT NULL)
    INTO calm, crowded
    FROM call c LEFT JOIN stuck s USING (at);
END
$$;
