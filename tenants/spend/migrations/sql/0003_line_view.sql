-- The roll-ups, and what the present tenant's events have not yet added to them: seconds' worth.
-- Every figure is as fresh as the ledger. It is read with the reader's own rights, behind row-level
-- security.
CREATE VIEW spend_line WITH (security_invoker = true) AS
SELECT * FROM spend_rollup
UNION ALL
SELECT NULL, t.*
FROM spend_rollup_lines(
    (SELECT m.transaction_id FROM spend_rollupmark m), 9223372036854775807,
    NULLIF(current_setting('aim.organization', true), '')::uuid
) t;
GRANT SELECT ON spend_line TO aim_app;
