-- Makes the present tenant's roll-ups anew; roll-ups of others wait meanwhile.
CREATE FUNCTION spend_rebuild(OUT events bigint, OUT lines bigint, OUT changed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    tenant uuid := NULLIF(current_setting('aim.organization', true), '')::uuid;
    before bigint;
BEGIN
    SELECT m.transaction_id INTO before FROM spend_rollupmark m FOR UPDATE;
    SELECT r.* INTO events, lines, changed FROM spend_rebuild_one(tenant, before) r;
END
$$;
