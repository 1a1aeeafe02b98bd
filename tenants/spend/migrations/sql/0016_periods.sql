-- The budget months in which the present tenant has any event: each moves the organization's
-- balance of its month in the transaction that writes it. Whoever is confined to workspaces does
-- not see that balance, and sees here no more than its month.
CREATE FUNCTION spend_periods() RETURNS SETOF date
LANGUAGE sql STABLE SECURITY DEFINER ROWS 20 SET search_path = public, pg_temp
AS $$
    SELECT b.period FROM spend_balance b
    WHERE b.organization_id = NULLIF(current_setting('aim.organization', true), '')::uuid
      AND b.subject_kind = 'organization' AND b.subject_id = b.organization_id
$$;
