-- As 0003_rebuild_door.sql, but outside a tenant's scope it refuses: it summed everybody's events,
-- also those of months that are forgotten, whose lines nothing brings back.
CREATE OR REPLACE FUNCTION spend_rebuild(OUT events bigint, OUT lines bigint, OUT changed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    tenant uuid := NULLIF(current_setting('aim.organization', true), '')::uuid;
    before bigint;
BEGIN
    IF tenant IS NULL THEN
        RAISE insufficient_privilege USING MESSAGE = 'a rebuild of no organization';
    END IF;
    SELECT m.transaction_id INTO before FROM spend_rollupmark m FOR UPDATE;
    SELECT r.* INTO events, lines, changed FROM spend_rebuild_one(tenant, before) r;
END
$$;
