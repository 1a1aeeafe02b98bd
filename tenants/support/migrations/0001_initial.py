from django.db import migrations

from tenants.common.row_security import DefinerFunction

# Both tell nothing of a tenant but that it is there: ids, names and counts.


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('access', '0001_initial'),
        ('assistance', '0001_initial'),
        ('keys', '0007_paid_trials'),
        ('organizations', '0006_members'),
        ('registry', '0001_initial'),
        ('spend', '0007_batch_jobs'),
    ]

    operations = [
        DefinerFunction(
            "support_look_up(text, text, text, bytea, integer)",
            """
            CREATE FUNCTION support_look_up(
                kind text, term text, pattern text, secret bytea, most integer
            )
            RETURNS TABLE (
                organization_id uuid, name text, slug text, status text, matched text
            ) LANGUAGE plpgsql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
            #variable_conflict use_column
            DECLARE
                hits jsonb := '[]';
                named uuid;
                at timestamptz;
            BEGIN
                IF kind = 'email' THEN
                    SELECT jsonb_agg(h) INTO hits FROM (
                        SELECT o.id, 'owner' AS what FROM organizations_organization o
                        WHERE lower(o.owner_email) = term
                        UNION
                        SELECT m.organization_id, 'member' FROM people_person p
                        JOIN organizations_member m ON m.person_id = p.id WHERE p.email = term
                        UNION
                        SELECT m.organization_id, 'member' FROM account_emailaddress a
                        JOIN organizations_member m ON m.person_id = a.user_id
                        WHERE a.email = term
                        UNION
                        SELECT i.organization_id, 'invitation' FROM organizations_invitation i
                        WHERE i.email = term
                        LIMIT most
                    ) h;
                ELSIF kind = 'token' THEN
                    SELECT jsonb_agg(h) INTO hits FROM (
                        SELECT t.organization_id AS id, 'token' AS what
                        FROM access_organizationtoken t
                        WHERE t.digest = secret OR right(t.hint, 4) = term
                        UNION
                        SELECT t.organization_id, 'model token' FROM registry_modeltoken t
                        WHERE t.digest = secret OR right(t.hint, 4) = term
                        UNION
                        SELECT i.organization_id, 'invitation' FROM organizations_invitation i
                        WHERE i.digest = secret
                        LIMIT most
                    ) h;
                ELSIF kind = 'id' THEN
                    named := term::uuid;
                    -- A call's id is a UUIDv7 that says when it was made.
                    IF substr(term, 15, 1) = '7' THEN at := spend_started_at(named); END IF;
                    SELECT jsonb_agg(h) INTO hits FROM (
                        SELECT o.id, 'organization' AS what FROM organizations_organization o
                        WHERE o.id = named
                        UNION
                        SELECT w.organization_id, 'workspace' FROM organizations_workspace w
                        WHERE w.id = named
                        UNION
                        SELECT k.organization_id, 'key' FROM keys_mistralkey k WHERE k.id = named
                        UNION
                        SELECT m.organization_id, 'model' FROM registry_registeredmodel m
                        WHERE m.id = named
                        UNION
                        SELECT t.organization_id, 'token' FROM access_organizationtoken t
                        WHERE t.id = named
                        UNION
                        SELECT b.organization_id, 'hold' FROM spend_hold b WHERE b.id = named
                        LIMIT most
                    ) h;
                    -- The ledger is asked last: each organization's by the index of its own.
                    IF hits IS NULL AND at IS NOT NULL THEN
                        SELECT jsonb_agg(h) INTO hits FROM (
                            SELECT o.id, 'call' AS what FROM organizations_organization o
                            WHERE EXISTS (
                                SELECT 1 FROM spend_usageevent e
                                WHERE e.organization_id = o.id AND e.occurred_at = at
                                  AND e.id = named
                                OFFSET 0
                            )
                            LIMIT most
                        ) h;
                    END IF;
                ELSIF kind = 'last_four' THEN
                    SELECT jsonb_agg(h) INTO hits FROM (
                        SELECT k.organization_id AS id, 'key' AS what FROM keys_mistralkey k
                        WHERE k.last4 = term
                        UNION
                        SELECT r.organization_id, 'key' FROM keys_keyreplacement r
                        WHERE r.last4 = term
                        LIMIT most
                    ) h;
                END IF;
                hits := coalesce(hits, '[]');
                IF kind IN ('id', 'trace') AND hits = '[]' THEN
                    -- Mistral's own id of an answer: no index has it, so three days are looked at.
                    SELECT coalesce(jsonb_agg(h), '[]') INTO hits FROM (
                        SELECT o.id, 'call at Mistral' AS what
                        FROM organizations_organization o
                        WHERE EXISTS (
                            SELECT 1 FROM spend_usageevent e
                            WHERE e.organization_id = o.id
                              AND e.occurred_at > now() - interval '3 days'
                              AND (e.correlation_id = term OR e.request_id = term)
                            OFFSET 0
                        )
                        UNION
                        SELECT k.organization_id, 'check of a key' FROM keys_mistralkey k
                        WHERE k.evidence ->> 'correlation_id' = term
                        LIMIT most
                    ) h;
                END IF;
                IF kind IN ('text', 'trace', 'last_four') THEN
                    SELECT hits || coalesce(jsonb_agg(h), '[]') INTO hits FROM (
                        SELECT o.id, 'organization' AS what FROM organizations_organization o
                        WHERE o.slug = lower(term) OR lower(o.aisuru_tenant) = lower(term)
                           OR o.name ILIKE pattern
                        UNION
                        SELECT m.organization_id, 'model' FROM registry_registeredmodel m
                        WHERE m.external_id = term OR lower(m.name) = lower(term)
                           OR (term LIKE 'ft:%' AND m.mistral_model = term)
                        LIMIT most
                    ) h;
                END IF;
                RETURN QUERY
                SELECT o.id, o.name::text, o.slug::text, o.status::text,
                       string_agg(DISTINCT hit ->> 'what', ', ')
                FROM jsonb_array_elements(hits) hit
                JOIN organizations_organization o ON o.id = (hit ->> 'id')::uuid
                WHERE o.status <> 'erased'
                GROUP BY o.id ORDER BY o.name, o.id LIMIT most;
            END
            $$
            """,
        ),
        DefinerFunction(
            "support_figures()",
            """
            CREATE FUNCTION support_figures()
            RETURNS TABLE (name text, amount bigint, oldest_at timestamptz, is_estimate boolean)
            LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT 'organizations_' || s, (
                    SELECT count(*) FROM organizations_organization o WHERE o.status = s
                ), NULL::timestamptz, false
                FROM unnest(ARRAY['active', 'suspended', 'erased']) s
                UNION ALL
                SELECT 'people', (SELECT count(*) FROM people_person WHERE NOT is_staff), NULL, false
                UNION ALL
                -- Big tables are not counted: the planner's own estimate will do.
                SELECT what, (
                    SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint FROM pg_class c
                    WHERE c.oid IN (
                        SELECT relid FROM pg_partition_tree(relation) WHERE isleaf
                    )
                ), NULL, true
                FROM (VALUES
                    ('keys', 'keys_mistralkey'::regclass),
                    ('models', 'registry_registeredmodel'::regclass),
                    ('calls', 'spend_usageevent'::regclass)
                ) AS big (what, relation)
                UNION ALL
                SELECT 'keys_due', count(*), min(next_check_at), false FROM keys_mistralkey
                WHERE next_check_at <= now()
                UNION ALL
                SELECT 'keys_expiring', count(*), NULL, false FROM keys_mistralkey
                WHERE expires_on BETWEEN current_date AND current_date + 14 AND revoked_at IS NULL
                UNION ALL
                SELECT 'limits_over_80', count(*), NULL, false FROM spend_balance
                WHERE period = date_trunc('month', now())::date
                  AND subject_kind = 'organization' AND limit_amount > 0
                  AND settled + held >= 0.8 * limit_amount
                UNION ALL
                SELECT 'holds', count(*), spend_started_at(min(id::text)::uuid), false
                FROM spend_hold
                UNION ALL
                SELECT 'announcements', count(*), min(created_at), false
                FROM organizations_announcement WHERE published_at IS NULL
                UNION ALL
                SELECT 'invitations_unmailed', count(*), min(created_at), false
                FROM organizations_invitation
                WHERE mailed_at IS NULL AND closed_at IS NULL AND expires_at > now()
                UNION ALL
                SELECT 'support_sessions', count(*), min(created_at), false
                FROM assistance_supportsession WHERE ended_at IS NULL AND ends_at > now()
            $$
            """,
        ),
    ]
