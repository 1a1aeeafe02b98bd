from django.contrib.postgres.operations import BtreeGinExtension, TrigramExtension
from django.db import migrations

from tenants.common.row_security import DefinerFunction

# What people type to find a key: name and last four, without accents and in small letters. It needs
# no extension, and the database keeps it, so that no verb can forget to.
FOLDED = (
    "lower(regexp_replace(normalize(name || E'\\n' || last4, NFKD),"
    " E'[\\u0300-\\u036f]', '', 'g'))"
)


class Migration(migrations.Migration):
    dependencies = [("keys", "0003_lanes")]

    operations = [
        TrigramExtension(),
        BtreeGinExtension(),
        migrations.RunSQL(
            f"ALTER TABLE keys_mistralkey ADD sought text GENERATED ALWAYS AS ({FOLDED}) STORED",
            "ALTER TABLE keys_mistralkey DROP sought",
        ),
        # The condition of row-level security is checked before any operator that could leak what
        # it compares, and LIKE is one: behind the wall no index helps it. So the search is a
        # function of the owner's that asks the wall's own question itself, and tells ids only.
        # Planned anew each time: a rare word and one that every key has ask for different plans.
        DefinerFunction(
            "keys_search(uuid, text, text[], date, uuid, integer)",
            f"""
            CREATE FUNCTION keys_search(
                in_workspace uuid, words text, statuses text[], until date, before uuid,
                most integer
            )
            RETURNS SETOF uuid LANGUAGE plpgsql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
            DECLARE
                pattern text := (
                    SELECT '%' || regexp_replace(found.sought, '([\\\\%_])', '\\\\\\1', 'g') || '%'
                    FROM (SELECT {FOLDED} FROM (VALUES (words, '')) AS v (name, last4))
                        AS found (sought)
                );
            BEGIN
                RETURN QUERY EXECUTE
                    'SELECT id FROM keys_mistralkey
                     WHERE organization_id = $1 AND sought LIKE $2'
                    || CASE WHEN in_workspace IS NULL THEN '' ELSE ' AND workspace_id = $3' END
                    || CASE WHEN statuses IS NULL THEN ' AND revoked_at IS NULL'
                            ELSE ' AND status = ANY ($4)' END
                    || CASE WHEN until IS NULL THEN '' ELSE ' AND expires_on <= $5' END
                    || CASE WHEN before IS NULL THEN '' ELSE ' AND id < $6' END
                    || ' ORDER BY id DESC LIMIT $7'
                USING nullif(current_setting('aim.organization', true), '')::uuid,
                      replace(pattern, E'\\n', ''), in_workspace, statuses, until, before, most;
            END
            $$
            """,
        ),
        # Which keys have a date that is near, whosesoever they are: for notices. Ids only.
        DefinerFunction(
            "keys_expiring(integer)",
            """
            CREATE FUNCTION keys_expiring(days integer)
            RETURNS TABLE (organization_id uuid, key_id uuid) LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT k.organization_id, k.id FROM keys_mistralkey k
                WHERE k.revoked_at IS NULL
                  AND k.expires_on BETWEEN current_date - 1 AND current_date + days + 1
                ORDER BY k.organization_id, k.id
            $$
            """,
        ),
        # When keys served a call, as the ledger tells it. What is a minute fresh is not written
        # again, whoever tells it.
        DefinerFunction(
            "keys_note_use(uuid[], timestamptz[])",
            """
            CREATE FUNCTION keys_note_use(keys uuid[], instants timestamptz[])
            RETURNS integer LANGUAGE sql VOLATILE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                WITH used AS (
                    SELECT k.id, told.at
                    FROM keys_mistralkey k
                    JOIN unnest(keys, instants) AS told (id, at) USING (id)
                    WHERE k.last_used_at IS NULL OR k.last_used_at <= told.at - interval '1 minute'
                    ORDER BY k.id FOR NO KEY UPDATE OF k
                ), written AS (
                    UPDATE keys_mistralkey k SET last_used_at = used.at
                    FROM used WHERE k.id = used.id RETURNING 1
                )
                SELECT count(*)::integer FROM written
            $$
            """,
        ),
    ]

