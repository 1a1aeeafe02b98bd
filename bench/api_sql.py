"""What ``bench.api`` has PostgreSQL do, so that every list of one organization is long."""

AUDITED_AT_ONCE = 1_000
_ID = "uuidv7(make_interval(secs => (n - %(many)s) / 1000.0))"
_ROWS = "FROM generate_series(1, %(many)s) n"

ORGANIZATIONS = """
INSERT INTO organizations_organization (
    id, created_at, name, slug, aisuru_tenant, status, owner_email, locale, timezone, currency
)
SELECT <id>, now(), 'Rossi ' || n, 'rossi-' || n, '', 'active', 'o@bench.example', 'it',
       'Europe/Rome', 'EUR'
<rows>
"""
# Each of them has its default workspace, as those that are made by the service.
FIRST_WORKSPACES = """
INSERT INTO organizations_workspace (
    id, created_at, organization_id, name, icon, description, is_default, mistral_workspace_id,
    mistral_workspace_name
)
SELECT uuidv7(), now(), o.id, o.name, '', '', true, '', '' FROM organizations_organization o
WHERE NOT EXISTS (SELECT FROM organizations_workspace w WHERE w.organization_id = o.id)
"""
WORKSPACES = """
INSERT INTO organizations_workspace (
    id, created_at, organization_id, name, icon, description, is_default, mistral_workspace_id,
    mistral_workspace_name
)
SELECT <id>, now(), %(organization)s, 'Progetto ' || n, '', '', false, '', '' <rows>
"""
PEOPLE = """
WITH made AS (
    INSERT INTO people_person (
        id, created_at, password, email, name, locale, is_active, is_staff, founding
    )
    SELECT <id>, now(), '!', 'p' || n || '@bench.example', 'Anna ' || n, 'it', true, false, ''
    <rows> RETURNING id
)
INSERT INTO organizations_member (id, created_at, organization_id, person_id, role)
SELECT id, now(), %(organization)s, id, 'member' FROM made
"""
INVITATIONS = """
INSERT INTO organizations_invitation (
    id, created_at, organization_id, email, role, workspaces, digest, invited_by, locale,
    generation, expires_at, closed_as, closed_at
)
SELECT <id>, now(), %(organization)s, 'i' || n || '@bench.example', 'member', '[]',
       sha256(('i' || n)::bytea), 'bench', 'it', 1, now(), 'revoked', now()
<rows>
"""
KEYS = """
INSERT INTO keys_mistralkey (
    id, created_at, organization_id, workspace_id, name, last4, fingerprint, sealed,
    secret_version, secret_at, data_key_version, status, created_by, verdict_code, evidence,
    models_seen, doubts, attempts, checked_at
)
SELECT <id>, now(), %(organization)s, %(workspace)s, 'Produzione ' || n,
       substr(md5(n::text), 1, 4), sha256(n::text::bytea), 'none', 1, now(), 1, 'valid', 'bench',
       'ok', '{"http_status": 200}', 0, 0, 0, now()
<rows>
"""
# As elsewhere, too: if all keys of the table lay in one workspace, PostgreSQL would plan for that.
KEYS_ELSEWHERE = """
INSERT INTO keys_mistralkey (
    id, created_at, organization_id, workspace_id, name, last4, fingerprint, sealed,
    secret_version, secret_at, data_key_version, status, created_by, verdict_code, evidence,
    models_seen, doubts, attempts, checked_at
)
SELECT uuidv7(), now(), organization_id, id, '', 'g6Yx', sha256(id::text::bytea), 'none', 1, now(),
       1, 'valid', 'bench', 'ok', '{"http_status": 200}', 0, 0, 0, now()
FROM organizations_workspace WHERE id <> %(workspace)s
"""
MODELS = """
INSERT INTO registry_registeredmodel (
    id, created_at, organization_id, workspace_id, key_id, name, description, mistral_model,
    snapshot, purposes, defaults, external_id, visible_to_tenant, use_as_default, created_by
)
SELECT <id>, now(), %(organization)s, %(workspace)s, k.id, 'Assistente ' || n, '',
       'mistral-small-2603', 'mistral-small-2603', '{question_answering}', '{}', '', true,
       false, 'bench'
FROM (
    SELECT id, row_number() OVER (ORDER BY id) AS n FROM keys_mistralkey
    WHERE workspace_id = %(workspace)s LIMIT %(many)s
) k
"""
TOKENS = """
INSERT INTO access_organizationtoken (
    id, created_at, organization_id, name, digest, hint, scopes, allowed_networks, created_by
)
SELECT <id>, now(), %(organization)s, 'script ' || n, sha256(('t' || n)::bytea), 'aim_org_…',
       '{keys:read}', '{}', 'bench'
<rows>
"""
TOLD = """
INSERT INTO notices_webhookendpoint (
    id, created_at, organization_id, url, description, kinds, is_enabled, disabled_reason, failures,
    created_by
)
VALUES (
    uuidv7(), now(), %(organization)s, 'https://hooks.example/aisuru', '', '{}', true, '', 0,
    'bench'
);
WITH told AS (
    INSERT INTO organizations_announcement (
        id, created_at, organization_id, kind, data, published_at
    )
    SELECT <id>, now(), %(organization)s, 'key.validated', '{}', now() <rows> RETURNING id
)
INSERT INTO notices_delivery (
    id, created_at, organization_id, endpoint_id, announcement_id, kind, status, attempts, log,
    error, response, delivered_at, status_code
)
SELECT told.id, now(), %(organization)s, w.id, told.id, 'key.validated', 'delivered', 1, '[]', '',
       '', now(), 204
FROM told, notices_webhookendpoint w
"""
CALLS = """
INSERT INTO spend_usageevent (
    id, organization_id, workspace_id, key_id, model_id, occurred_at, period, source, category,
    endpoint, requested_model, answered_model, prompt_tokens, completion_tokens, cached_tokens,
    pages, annotated_pages, audio_seconds, characters, requests, duration_ms, http_status, currency,
    cost, excess, factor, price_ids, estimate, outcome, message_id, request_id, correlation_id
)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000a'
           || lpad(to_hex(n), 15, '0'))::uuid,
       %(organization)s, %(workspace)s, %(key)s, %(model)s, at,
       date_trunc('month', at AT TIME ZONE 'Europe/Rome')::date, 'gateway', 'completion',
       '/v1/chat/completions', 'mistral-small-latest', 'mistral-small-2603', 1000, 100, 64, 0, 0, 0,
       0, 1, 900, 200, 'EUR', 0.000123, 0, 1, '{1,2}', '', 'completed', '', '', ''
FROM generate_series(1, %(many)s) n,
     LATERAL (SELECT now() - make_interval(secs => (%(many)s - n) / 10.0)) made (at)
"""
AUDIT = """
INSERT INTO organizations_auditevent (
    id, created_at, organization_id, actor_kind, actor_id, actor_name, verb, target_kind, target_id,
    changed, request_id
)
SELECT uuidv7(), now(), %(organization)s, 'person', 'bench', 'Anna', 'key.registered', 'key',
       uuidv7(), '{}', ''
FROM generate_series(1, 1000) n
"""
SEED = tuple(
    statement.replace("<id>", _ID).replace("<rows>", _ROWS)
    for statement in (
        ORGANIZATIONS,
        FIRST_WORKSPACES,
        WORKSPACES,
        PEOPLE,
        INVITATIONS,
        KEYS,
        KEYS_ELSEWHERE,
        MODELS,
        TOKENS,
        TOLD,
        CALLS,
    )
)
