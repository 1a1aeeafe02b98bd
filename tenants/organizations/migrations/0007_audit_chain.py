"""Audit events are chained by the database itself, and nobody changes them any more."""

import django.db.models.deletion
from django.db import migrations, models

from tenants.common.row_security import DefinerFunction, TenantTable

# The words that are hashed, in tenants.organizations.audit_chain too: netstrings, UTF-8.
_LINK = """
CREATE FUNCTION organizations_link_audit(e organizations_auditevent)
RETURNS void LANGUAGE plpgsql VOLATILE
SET search_path = public, pg_temp
AS $$
DECLARE
    head organizations_audithead;
    made text;
BEGIN
    INSERT INTO organizations_audithead (organization_id, sequence, hash, moved_at)
    VALUES (e.organization_id, 0, '', clock_timestamp()) ON CONFLICT DO NOTHING;
    -- Whoever comes second waits here until the first has committed.
    SELECT * INTO STRICT head FROM organizations_audithead
    WHERE organization_id = e.organization_id FOR UPDATE;
    SELECT encode(sha256(convert_to(
               string_agg(octet_length(part)::text || ':' || part || ',', '' ORDER BY place),
               'UTF8')), 'hex')
    INTO made
    FROM unnest(ARRAY[
        'aim.audit.1', head.hash, e.organization_id::text, (head.sequence + 1)::text, e.id::text,
        to_char(e.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        e.actor_kind, e.actor_id, e.actor_name, e.verb, e.target_kind, e.target_id::text,
        e.request_id
    ]::text[] || e.changed::text[]) WITH ORDINALITY AS parts (part, place);
    INSERT INTO organizations_auditlink (organization_id, sequence, event_id, hash)
    VALUES (e.organization_id, head.sequence + 1, e.id, made);
    UPDATE organizations_audithead
    SET sequence = head.sequence + 1, hash = made, moved_at = clock_timestamp()
    WHERE organization_id = e.organization_id;
END
$$;
REVOKE ALL ON FUNCTION organizations_link_audit(organizations_auditevent) FROM PUBLIC;

CREATE FUNCTION organizations_chain_audit()
RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp
AS $$ BEGIN PERFORM organizations_link_audit(NEW); RETURN NULL; END $$;

CREATE FUNCTION organizations_refuse_audit_change()
RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN
    RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;

-- What happened before there was a chain, in the order of its time.
DO $$
DECLARE e organizations_auditevent;
BEGIN
    FOR e IN SELECT * FROM organizations_auditevent ORDER BY id LOOP
        PERFORM organizations_link_audit(e);
    END LOOP;
END
$$;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;

-- At commit, so that the lock on the head is held no longer than a commit takes.
CREATE CONSTRAINT TRIGGER audit_chain AFTER INSERT ON organizations_auditevent
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION organizations_chain_audit();

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON organizations_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION organizations_refuse_audit_change();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON organizations_auditlink
    FOR EACH STATEMENT EXECUTE FUNCTION organizations_refuse_audit_change();
CREATE TRIGGER audit_append_only BEFORE DELETE OR TRUNCATE ON organizations_audithead
    FOR EACH STATEMENT EXECUTE FUNCTION organizations_refuse_audit_change();
CREATE TRIGGER audit_forward_only BEFORE UPDATE ON organizations_audithead
    FOR EACH ROW WHEN (
        NEW.sequence <> OLD.sequence + 1 OR NEW.organization_id <> OLD.organization_id
    ) EXECUTE FUNCTION organizations_refuse_audit_change();
ALTER TABLE organizations_auditevent ENABLE ALWAYS TRIGGER audit_append_only;
ALTER TABLE organizations_auditlink ENABLE ALWAYS TRIGGER audit_append_only;
ALTER TABLE organizations_audithead ENABLE ALWAYS TRIGGER audit_append_only;
ALTER TABLE organizations_audithead ENABLE ALWAYS TRIGGER audit_forward_only;
"""
_UNLINK = """
DROP TRIGGER audit_forward_only ON organizations_audithead;
DROP TRIGGER audit_append_only ON organizations_audithead;
DROP TRIGGER audit_append_only ON organizations_auditlink;
DROP TRIGGER audit_append_only ON organizations_auditevent;
DROP TRIGGER audit_chain ON organizations_auditevent;
DROP FUNCTION organizations_refuse_audit_change();
DROP FUNCTION organizations_chain_audit();
DROP FUNCTION organizations_link_audit(organizations_auditevent);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('organizations', '0006_members'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditHead',
            fields=[
                ('organization', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='+', serialize=False, to='organizations.organization')),
                ('sequence', models.BigIntegerField()),
                ('hash', models.CharField(max_length=64)),
                ('moved_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='AuditLink',
            fields=[
                ('pk', models.CompositePrimaryKey('organization', 'sequence', blank=True, editable=False, primary_key=True, serialize=False)),
                ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('sequence', models.BigIntegerField()),
                ('event_id', models.UUIDField(unique=True)),
                ('hash', models.CharField(max_length=64)),
            ],
        ),
        migrations.RemoveIndex(
            model_name='auditevent',
            name='audit_target_idx',
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['organization', 'target_id', '-id'], name='audit_target_idx'),
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['organization', 'actor_id', '-id'], name='audit_actor_idx'),
        ),
        migrations.AddIndex(
            model_name='auditevent',
            index=models.Index(fields=['organization', 'verb', '-id'], name='audit_verb_idx'),
        ),
        TenantTable("organizations_auditlink", grants="SELECT", referenced=False),
        TenantTable("organizations_audithead", grants="SELECT", referenced=False),
        migrations.RunSQL(_LINK, _UNLINK),
        # Digests and counts, for the anchors that are kept outside of the database.
        DefinerFunction(
            "organizations_audit_heads(timestamptz)",
            """
            CREATE FUNCTION organizations_audit_heads(since timestamptz)
            RETURNS TABLE (organization_id uuid, sequence bigint, hash text)
            LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT h.organization_id, h.sequence, h.hash::text FROM organizations_audithead h
                WHERE h.moved_at >= since ORDER BY h.organization_id
            $$
            """,
        ),
    ]
