-- Makes a limit of the present tenant count for what is spent and held already, in the transaction
-- that sets it: waits for calls being opened, and is seen by the next one. The month before is the
-- present one again when the tenant moves to a zone that is still in it. Balances are locked in
-- their order, as by everybody who needs several.
CREATE OR REPLACE FUNCTION spend_apply_limit(kind text, subject uuid, month date, in_currency text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    tenant uuid := NULLIF(current_setting('aim.organization', true), '')::uuid;
    enforced numeric;
    watched numeric;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('spend_limit ' || tenant, 0));
    INSERT INTO spend_balance (organization_id, subject_kind, subject_id, period, currency)
    VALUES (tenant, kind, subject, month, in_currency)
    ON CONFLICT DO NOTHING;

    SELECT max(l.monthly_spend) FILTER (WHERE l.mode = 'enforce'),
           max(l.monthly_spend) FILTER (WHERE l.mode = 'shadow')
    INTO enforced, watched
    FROM spend_limit l
    WHERE l.organization_id = tenant AND l.subject_kind = kind AND l.subject_id = subject;

    PERFORM FROM spend_balance b
    WHERE b.organization_id = tenant AND b.subject_kind = kind AND b.subject_id = subject
      AND b.period >= month - interval '1 month'
    ORDER BY b.organization_id, b.subject_kind, b.subject_id, b.period
    FOR NO KEY UPDATE OF b;

    UPDATE spend_balance b
    SET limit_amount = enforced, shadow_limit = watched,
        carried = greatest(0, b.settled + b.held - b.excess - enforced)
    WHERE b.organization_id = tenant AND b.subject_kind = kind AND b.subject_id = subject
      AND b.period >= month - interval '1 month';
END
$$;
