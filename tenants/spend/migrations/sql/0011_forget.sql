-- Removes the present tenant's events of budget months before `before`, and tells how many. What
-- is not in the roll-ups yet stays, and so does every month that reports, reconciliation and the
-- learning of the last days read: nothing younger than two whole months goes, whatever is asked.
CREATE FUNCTION spend_forget(before date) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    tenant uuid := NULLIF(current_setting('aim.organization', true), '')::uuid;
    rolled bigint := (SELECT m.transaction_id FROM spend_rollupmark m);
    horizon date := least(before, (date_trunc('month', now()) - interval '2 months')::date);
    total bigint;
BEGIN
    -- Before anything goes: a rebuild must never again sum what is left of such a month.
    UPDATE spend_retention r SET forgotten_before = greatest(r.forgotten_before, horizon)
    WHERE r.organization_id = tenant;
    DELETE FROM spend_usageevent e
    WHERE e.organization_id = tenant AND e.period < horizon
      AND e.occurred_at < horizon + interval '2 days' AND e.transaction_id < rolled;
    GET DIAGNOSTICS total = ROW_COUNT;
    RETURN total;
END
$$;

-- Drops the monthly partitions whose every event is forgotten: those that ended two months ago or
-- earlier and have no row. Returns their names.
CREATE FUNCTION spend_drop_partitions() RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    name text;
    is_used boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('spend_make_partitions', 0));
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'spend_usageevent'::regclass AND c.relname ~ '^spend_usageevent_\d{4}_\d{2}$'
          AND to_date(right(c.relname, 7), 'YYYY_MM') < date_trunc('month', now()) - interval '2 months'
        ORDER BY 1
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', name) INTO is_used;
        CONTINUE WHEN is_used;
        -- Late events of such a month find the default partition: nothing can be lost between.
        EXECUTE format('DROP TABLE %I', name);
        RETURN NEXT name;
    END LOOP;
END
$$;
