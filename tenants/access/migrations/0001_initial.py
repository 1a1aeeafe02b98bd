import django.contrib.postgres.fields
import django.db.models.deletion
import tenants.common.models
from django.db import migrations, models

from tenants.common.row_security import (
    DefinerFunction,
    PlatformTable,
    ReferenceTable,
    TenantTable,
)


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('organizations', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='PlatformToken',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('name', models.CharField(max_length=120)),
                ('digest', models.BinaryField(max_length=32, unique=True)),
                ('hint', models.CharField(max_length=24)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=32), default=list)),
                ('created_by', models.CharField(max_length=254)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='PlatformRequest',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('token_id', models.UUIDField()),
                ('key', models.CharField(max_length=255)),
                ('fingerprint', models.BinaryField(max_length=32)),
                ('request_id', models.CharField(max_length=64)),
                ('claim', models.UUIDField()),
                ('claimed_until', models.DateTimeField()),
                ('status', models.PositiveSmallIntegerField(null=True)),
                ('content_type', models.CharField(blank=True, max_length=64)),
                ('location', models.CharField(blank=True, max_length=255)),
                ('body', models.BinaryField(null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('token_id', 'key'), name='platform_request_uniq')],
            },
        ),
        migrations.CreateModel(
            name='OrganizationToken',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('name', models.CharField(max_length=120)),
                ('digest', models.BinaryField(max_length=32, unique=True)),
                ('hint', models.CharField(max_length=24)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=32), default=list)),
                ('created_by', models.CharField(max_length=254)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['organization', '-id'], name='org_token_list_idx')],
            },
        ),
        migrations.CreateModel(
            name='TenantRequest',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('token_id', models.UUIDField()),
                ('key', models.CharField(max_length=255)),
                ('fingerprint', models.BinaryField(max_length=32)),
                ('request_id', models.CharField(max_length=64)),
                ('claim', models.UUIDField()),
                ('claimed_until', models.DateTimeField()),
                ('status', models.PositiveSmallIntegerField(null=True)),
                ('content_type', models.CharField(blank=True, max_length=64)),
                ('location', models.CharField(blank=True, max_length=255)),
                ('body', models.BinaryField(null=True)),
                ('data_key_version', models.PositiveIntegerField(default=1)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization', 'token_id', 'key'), name='tenant_request_uniq')],
            },
        ),
        ReferenceTable("access_platformtoken", grants="SELECT, INSERT, UPDATE"),
        TenantTable("access_organizationtoken", grants="SELECT, INSERT, UPDATE"),
        PlatformTable("access_platformrequest", grants="SELECT, INSERT, UPDATE, DELETE"),
        TenantTable("access_tenantrequest"),
        DefinerFunction(
            "access_find_token(bytea)",
            """
            CREATE FUNCTION access_find_token(token_digest bytea)
            RETURNS uuid LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT t.organization_id FROM access_organizationtoken t
                JOIN organizations_organization o ON o.id = t.organization_id
                WHERE t.digest = token_digest AND o.status <> 'erased'
            $$
            """,
        ),
        # The directory of organizations shows each one's default workspace: ids, nothing else, and
        # to a caller in platform scope only.
        DefinerFunction(
            "access_default_workspaces(uuid[])",
            """
            CREATE FUNCTION access_default_workspaces(organization_ids uuid[])
            RETURNS TABLE (organization_id uuid, workspace_id uuid) LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT w.organization_id, w.id FROM organizations_workspace w
                WHERE w.organization_id = ANY (organization_ids) AND w.is_default
                  AND current_setting('aim.platform', true) = 'on'
            $$
            """,
        ),
        # Answers are kept for a day, in every organization alike; the sweep can delete no younger.
        DefinerFunction(
            "access_sweep_requests()",
            """
            CREATE FUNCTION access_sweep_requests()
            RETURNS bigint LANGUAGE sql VOLATILE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                WITH platform AS (
                    DELETE FROM access_platformrequest
                    WHERE created_at < now() - interval '24 hours' RETURNING 1
                ), tenant AS (
                    DELETE FROM access_tenantrequest
                    WHERE created_at < now() - interval '24 hours' RETURNING 1
                )
                SELECT (SELECT count(*) FROM platform) + (SELECT count(*) FROM tenant)
            $$
            """,
        ),
        # Whether a request whose answer was lost got as far as its commit: every verb writes its
        # audit row in its own transaction. Ids are UUIDv7, so only the newest rows are read.
        DefinerFunction(
            "access_was_done(text, text, uuid)",
            """
            CREATE FUNCTION access_was_done(actor text, request text, since uuid)
            RETURNS boolean LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT EXISTS (
                    SELECT 1 FROM organizations_auditevent
                    WHERE id >= since AND request_id = request AND actor_id = actor
                )
            $$
            """,
        ),
        # The readiness check compares what is applied with what the code brings.
        ReferenceTable("django_migrations"),
    ]
