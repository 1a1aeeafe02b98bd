-- Balances of keys, from what has been settled and is held already.
LOCK TABLE spend_hold, spend_usageevent IN SHARE MODE;
INSERT INTO spend_balance (
    organization_id, subject_kind, subject_id, period, currency, settled, held, excess
)
SELECT organization_id, 'key', key_id, period, min(currency), sum(settled), sum(held), sum(excess)
FROM (
    SELECT organization_id, key_id, period, currency, coalesce(cost, 0) AS settled, 0 AS held,
           excess
    FROM spend_usageevent
    UNION ALL
    SELECT organization_id, key_id, period, currency, 0, coalesce(amount, 0), 0 FROM spend_hold
) known
WHERE key_id IS NOT NULL
GROUP BY organization_id, key_id, period;
