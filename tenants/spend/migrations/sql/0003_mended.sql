-- Whether a transaction before this one has put exact figures beside an estimate.
CREATE FUNCTION spend_is_mended(event spend_usageevent, before bigint) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (
        SELECT FROM spend_usageevent c
        WHERE c.organization_id = event.organization_id AND c.occurred_at = event.occurred_at
          AND c.corrects = event.id AND c.estimate = '' AND c.transaction_id < before
    )
$$;

-- Whether a transaction before this one has put a price beside a call that had none.
CREATE FUNCTION spend_is_priced(event spend_usageevent, before bigint) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (
        SELECT FROM spend_usageevent c
        WHERE c.organization_id = event.organization_id AND c.occurred_at = event.occurred_at
          AND c.corrects = event.id AND c.cost IS NOT NULL AND c.transaction_id < before
    )
$$;
