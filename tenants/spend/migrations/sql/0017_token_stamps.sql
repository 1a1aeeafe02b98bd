-- One number for each live model token: it changes when a row does that its calls depend on. A token
-- that is revoked or over has none. Asked about with the quota and the models that are known of it:
-- should these change, the key's or the model's row does.
CREATE FUNCTION spend_token_stamps(digests bytea[], quotas text[], models text[])
RETURNS TABLE (token_digest bytea, stamp bigint)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 20 SET search_path = public, pg_temp
AS $$
    SELECT asked.digest, hashtextextended(format(
        '%s/%s/%s/%s/%s/%s/%s/%s/%s/%s/%s/%s',
        t.xmin, o.xmin, m.xmin, w.xmin, k.xmin,
        (SELECT d.xmin FROM organizations_datakey d
         WHERE d.organization_id = k.organization_id AND d.version = k.data_key_version),
        (SELECT s.xmin FROM keys_seenmodel s
         WHERE s.organization_id = k.organization_id AND s.key_id = k.id
           AND s.mistral_id = m.mistral_model),
        (SELECT q.xmin FROM registry_quotarecord q
         WHERE q.organization_id = t.organization_id
           AND q.quota_code = asked.quota AND q.mistral_model = asked.model),
        (SELECT p.xmin FROM registry_trafficpolicy p
         WHERE p.organization_id = t.organization_id AND p.workspace_id = w.id),
        (SELECT p.xmin FROM spend_workspacepolicy p
         WHERE p.organization_id = t.organization_id AND p.workspace_id = w.id),
        (SELECT l.xmin FROM spend_learnedoutput l
         WHERE l.organization_id = t.organization_id AND l.mistral_model = asked.model),
        (SELECT string_agg(format('%s:%s', l.id, l.xmin), ',' ORDER BY l.id) FROM spend_limit l
         WHERE l.organization_id = t.organization_id
           AND (l.subject_kind, l.subject_id) IN (
               ('organization', o.id), ('workspace', w.id), ('key', k.id), ('model', m.id)
           ))
    ), 0)
    FROM unnest(digests, quotas, models) AS asked (digest, quota, model)
    JOIN registry_modeltoken t ON t.digest = asked.digest
    JOIN registry_registeredmodel m ON m.id = t.model_id
    JOIN organizations_organization o ON o.id = t.organization_id
    JOIN organizations_workspace w ON w.id = m.workspace_id
    JOIN keys_mistralkey k ON k.id = m.key_id
    WHERE t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
$$;
