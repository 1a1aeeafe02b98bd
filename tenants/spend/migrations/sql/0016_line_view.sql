-- The roll-ups, and what the present tenant's events have not yet added to them: seconds' worth,
-- looked for in the months that are asked for. Every figure is as fresh as the ledger. It is read
-- with the reader's own rights, behind row-level security.
CREATE OR REPLACE VIEW spend_line WITH (security_invoker = true) AS
SELECT * FROM spend_rollup
UNION ALL
SELECT NULL, t.organization_id, p.period, t.day, t.workspace_id, t.key_id, t.model_id,
       t.mistral_model, t.category, t.source, t.is_estimated, t.is_unpriced, t.events, t.requests,
       t.prompt_tokens, t.completion_tokens, t.cached_tokens, t.pages, t.annotated_pages,
       t.audio_seconds, t.characters, t.connector_calls, t.training_tokens, t.storage_months, t.cost
FROM spend_periods() p (period), LATERAL spend_rollup_lines(
    (SELECT m.transaction_id FROM spend_rollupmark m), 9223372036854775807,
    NULLIF(current_setting('aim.organization', true), '')::uuid, p.period
) t;
