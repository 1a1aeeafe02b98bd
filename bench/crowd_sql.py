"""What ``bench.crowd`` has PostgreSQL do: statements, in the order in which they are run."""

PARTITIONS = """
DO $$
DECLARE starts timestamptz; part text;
BEGIN
    FOR back IN 1 .. %(months)s LOOP
        starts := (date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => back))
                  AT TIME ZONE 'UTC';
        part := 'spend_usageevent_' || to_char(starts AT TIME ZONE 'UTC', 'YYYY_MM');
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        EXECUTE format('CREATE TABLE %%I (LIKE spend_usageevent INCLUDING ALL)', part);
        EXECUTE format('ALTER TABLE %%I ENABLE ROW LEVEL SECURITY', part);
        EXECUTE format('ALTER TABLE spend_usageevent ATTACH PARTITION %%I
                        FOR VALUES FROM (%%L) TO (%%L)',
                       part, starts, (starts AT TIME ZONE 'UTC' + interval '1 month')
                                     AT TIME ZONE 'UTC');
    END LOOP;
END $$
"""
ORGANIZATIONS = """
CREATE TEMP TABLE crowd_organization AS
SELECT 0::bigint AS place, %(ours)s::uuid AS id
UNION ALL
SELECT n, uuidv7(make_interval(secs => n - %(organizations)s))
FROM generate_series(1, %(organizations)s - 1) n;
ALTER TABLE crowd_organization ADD PRIMARY KEY (place);
INSERT INTO organizations_organization (
    id, created_at, name, slug, aisuru_tenant, status, owner_email, locale, timezone, currency
)
SELECT id, now() - interval '300 days',
       (ARRAY['Rossi', 'Bianchi', 'Verdi', 'Ferrari', 'Esposito', 'Russo', 'Colombo'])[1 + n %% 7]
           || (ARRAY[' Srl', ' & Figli', ' SpA', ' Servizi', ' Meccanica'])[1 + n %% 5] || ' ' || n,
       'crowd-' || n, '', 'active', 'owner' || n || '@crowd.example', 'it', 'Europe/Rome', 'EUR'
FROM crowd_organization c, LATERAL (SELECT c.place) made (n) WHERE n > 0;
UPDATE organizations_organization SET created_at = now() - interval '300 days'
WHERE id = %(ours)s;
"""
WORKSPACES = """
CREATE TEMP TABLE crowd_workspace AS
SELECT o.place AS owner, o.id AS organization_id, w AS place,
       uuidv7(make_interval(secs => w - 1000)) AS id
FROM crowd_organization o,
     LATERAL generate_series(
         1, CASE o.place WHEN 0 THEN %(ours_workspaces)s ELSE %(others_workspaces)s END
     ) n, LATERAL (SELECT n - 1) made (w);
ALTER TABLE crowd_workspace ADD PRIMARY KEY (owner, place);
INSERT INTO organizations_workspace (
    id, created_at, organization_id, name, icon, description, is_default,
    mistral_workspace_id, mistral_workspace_name
)
SELECT id, now() - interval '299 days', organization_id,
       (ARRAY['Vendite', 'Assistenza', 'Produzione', 'Ricerca', 'Acquisti'])[1 + place %% 5]
           || ' ' || place,
       '', '', owner > 0 AND place = 0, '', ''
FROM crowd_workspace;
"""
PEOPLE = """
CREATE TEMP TABLE crowd_member AS
SELECT o.place AS owner, o.id AS organization_id, m AS place, uuidv7() AS person_id, uuidv7() AS id
FROM crowd_organization o,
     LATERAL generate_series(
         1, CASE o.place WHEN 0 THEN %(ours_members)s ELSE %(others_members)s END
     ) n, LATERAL (SELECT n - 1) made (m);
INSERT INTO people_person (
    id, created_at, password, email, name, locale, is_active, is_staff, founding
)
SELECT person_id, now() - interval '290 days', '!',
       'p' || owner || '.' || place || '@crowd.example',
       (ARRAY['Anna', 'Bruno', 'Carla', 'Dario', 'Elena'])[1 + place %% 5] || ' '
           || (ARRAY['Conti', 'Gallo', 'Riva'])[1 + place %% 3] || ' ' || owner || '-' || place,
       'it', true, false, ''
FROM crowd_member;
INSERT INTO account_emailaddress (user_id, email, verified, "primary")
SELECT person_id, 'p' || owner || '.' || place || '@crowd.example', true, true FROM crowd_member;
INSERT INTO organizations_member (id, created_at, organization_id, person_id, role)
SELECT id, now() - interval '290 days', organization_id, person_id,
       CASE place WHEN 0 THEN 'admin' WHEN 1 THEN 'billing' ELSE 'member' END
FROM crowd_member;
INSERT INTO organizations_workspacemember (
    id, created_at, organization_id, workspace_id, member_id, role
)
SELECT uuidv7(), now(), m.organization_id, w.id, m.id, 'member'
FROM crowd_member m
JOIN crowd_workspace w
  ON w.owner = m.owner AND w.place = m.place %% CASE m.owner WHEN 0 THEN %(ours_workspaces)s
                                                            ELSE %(others_workspaces)s END
WHERE m.place > 1;
"""
KEYS = """
CREATE TEMP TABLE crowd_key AS
SELECT n AS place, o.owner, w.organization_id, w.id AS workspace_id,
       uuidv7(make_interval(secs => (n - %(keys)s) / 1000.0)) AS id
FROM generate_series(0::bigint, %(keys)s - 1) n,
     LATERAL (
         SELECT CASE WHEN n %% 10 = 0 THEN 0 ELSE 1 + n %% (%(organizations)s - 1) END
     ) o (owner)
JOIN crowd_workspace w ON w.owner = o.owner
WHERE w.place = (n / 10) %% CASE o.owner WHEN 0 THEN %(ours_workspaces)s
                                              ELSE %(others_workspaces)s END;
ALTER TABLE crowd_key ADD PRIMARY KEY (place);
INSERT INTO keys_mistralkey (
    id, created_at, organization_id, workspace_id, name, last4, fingerprint, sealed,
    secret_version, secret_at, data_key_version, status, created_by, verdict_code, evidence,
    models_seen, doubts, attempts, checked_at, expires_on, identity
)
SELECT id, now() - interval '200 days', organization_id, workspace_id,
       (ARRAY['Produzione', 'Perché no', 'Assistenza', 'Città', 'Vendite'])[1 + place %% 5]
           || ' ' || substr(md5(place::text), 1, 8),
       substr(md5((place * 7)::text), 1, 4), sha256(('k' || place)::bytea), 'none', 1,
       now() - interval '200 days', 1,
       CASE WHEN place %% %(model_every)s = 0 THEN 'valid' WHEN place %% 211 = 1 THEN 'invalid'
            WHEN place %% 307 = 2 THEN 'expired' ELSE 'valid' END,
       'bench',
       CASE WHEN place %% %(model_every)s = 0 THEN 'ok' WHEN place %% 211 = 1 THEN 'key_unknown'
            WHEN place %% 307 = 2 THEN 'expired_locally' ELSE 'ok' END,
       '{"http_status": 200}', 1, 0, 0, now() - (place %% 60) * interval '1 minute',
       CASE WHEN place %% 89 = 3 THEN current_date + (place %% 60)::int END,
       '{"organization": "Bench", "workspace": "Default", "key_name": "k"}'
FROM crowd_key;
"""
MODELS = """
CREATE TEMP TABLE crowd_model AS
SELECT row_number() OVER (PARTITION BY owner = 0 ORDER BY place) - 1 AS place, owner,
       organization_id, workspace_id, id AS key_id,
       uuidv7(make_interval(secs => (place - %(keys)s) / 500.0)) AS id,
       (ARRAY['mistral-small-2603', 'mistral-medium-3-5', 'mistral-large-2512'])[1 + place %% 3]
           AS mistral_model
FROM crowd_key WHERE place %% %(model_every)s = 0;
CREATE INDEX ON crowd_model ((owner = 0), place);
INSERT INTO registry_registeredmodel (
    id, created_at, organization_id, workspace_id, key_id, name, description, mistral_model,
    snapshot, purposes, defaults, external_id, visible_to_tenant, use_as_default, created_by
)
SELECT id, now() - interval '190 days', organization_id, workspace_id, key_id,
       'Assistente ' || place || '-' || owner, 'Risponde ai clienti', mistral_model, mistral_model,
       '{question_answering}', '{}', '', true, false, 'bench'
FROM crowd_model;
INSERT INTO registry_modeltoken (id, created_at, organization_id, model_id, digest, hint)
SELECT uuidv7(), now(), organization_id, id, sha256(('t' || id)::bytea), 'aim_mdl_…'
FROM crowd_model;
INSERT INTO keys_seenmodel (
    id, created_at, organization_id, key_id, mistral_id, name, aliases, kind, root, capabilities,
    replacement
)
SELECT uuidv7(), now(), organization_id, key_id, seen, seen, '{}', 'base', '',
       '{"completion_chat": true}', ''
FROM crowd_model,
     unnest(ARRAY['mistral-small-2603', 'mistral-medium-3-5', 'mistral-large-2512']) seen;
"""
EVENTS = """
INSERT INTO spend_usageevent (
    id, organization_id, workspace_id, key_id, model_id, occurred_at, period, source, category,
    endpoint, requested_model, answered_model, prompt_tokens, completion_tokens, cached_tokens,
    pages, annotated_pages, audio_seconds, characters, requests, duration_ms, http_status, currency,
    cost, excess, factor, price_ids, estimate, outcome, message_id, request_id, correlation_id
)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000a'
           || lpad(to_hex(n), 15, '0'))::uuid,
       m.organization_id, m.workspace_id, m.key_id, m.id, at,
       date_trunc('month', at AT TIME ZONE 'Europe/Rome')::date, 'gateway',
       CASE WHEN n %% 14 = 3 THEN 'ocr' ELSE 'completion' END,
       CASE WHEN n %% 14 = 3 THEN '/v1/ocr' ELSE '/v1/chat/completions' END,
       'mistral-small-latest', m.mistral_model, 1000, 100, 64, 0, 0, 0, 0, 1, 900,
       CASE WHEN n %% 101 = 5 THEN 503 ELSE 200 END, 'EUR',
       0.000123, 0, 1, '{1,2}', '', CASE WHEN n %% 101 = 5 THEN 'failed' ELSE 'completed' END,
       CASE WHEN n %% 10 = 0 THEN '' ELSE 'message-' || n / 3 END, '', md5(n::text)
FROM (
    SELECT n, %(until)s::timestamptz
              - %(span)s::interval * (1 - n / %(events)s::float8) AS at
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
) made
JOIN crowd_model m
  ON (m.owner = 0) = (n %% 2 = 0)
 AND m.place = (n / 2) %% CASE WHEN n %% 2 = 0 THEN %(models_ours)s ELSE %(models_others)s END
"""
BALANCES = """
INSERT INTO spend_limit (
    id, created_at, organization_id, subject_kind, subject_id, monthly_spend, mode,
    alert_thresholds, updated_at
)
SELECT uuidv7(), now(), id, 'organization', id, 1000000, 'enforce', '{50,80,100}', now()
FROM crowd_organization WHERE place > 0;
INSERT INTO spend_balance (
    organization_id, subject_kind, subject_id, period, currency, settled, limit_amount
)
SELECT organization_id, s.kind, s.id, period, 'EUR', sum(cost),
       CASE WHEN s.kind = 'organization' THEN 1000000 END
FROM spend_rollup r,
     LATERAL (VALUES ('organization', organization_id), ('workspace', workspace_id),
                     ('key', key_id), ('model', model_id)) s (kind, id)
WHERE s.id IS NOT NULL
GROUP BY 1, 2, 3, 4
ON CONFLICT (organization_id, subject_kind, subject_id, period)
DO UPDATE SET settled = excluded.settled;
"""
AUDIT = """
INSERT INTO organizations_auditevent (
    id, created_at, organization_id, actor_kind, actor_id, actor_name, verb, target_kind, target_id,
    changed, request_id
)
SELECT uuidv7(), now(), o.id, 'person', 'bench', 'Anna Conti',
       (ARRAY['key.registered', 'model.created', 'limit.set', 'member.invited'])[1 + n %% 4],
       'key', uuidv7(), '{}', ''
FROM crowd_organization o, generate_series(1, %(many)s) n
WHERE o.place >= %(first)s AND o.place <= %(last)s
"""
TOLD = """
INSERT INTO notices_webhookendpoint (
    id, created_at, organization_id, url, description, kinds, is_enabled, disabled_reason, failures,
    created_by
)
VALUES (
    uuidv7(), now(), %(ours)s, 'https://hooks.example/aisuru', '', '{}', true, '', 0, 'bench'
);
WITH told AS (
    INSERT INTO organizations_announcement (
        id, created_at, organization_id, kind, data, published_at
    )
    SELECT uuidv7(make_interval(secs => n - %(told)s)), now(), %(ours)s, 'key.validated', '{}',
           now()
    FROM generate_series(1, %(told)s) n RETURNING id
)
INSERT INTO notices_delivery (
    id, created_at, organization_id, endpoint_id, announcement_id, kind, status, attempts, log,
    error, response, delivered_at, status_code
)
SELECT uuidv7(), now(), %(ours)s, w.id, told.id, 'key.validated', 'delivered', 1, '[]', '', '',
       now(), 204
FROM told, notices_webhookendpoint w
WHERE w.organization_id = %(ours)s;
"""
SPAN = """
SELECT now() - interval '1 minute',
       now() - date_trunc('month', now()) + make_interval(days => %(days)s)
"""
