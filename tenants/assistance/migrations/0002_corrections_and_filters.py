import django.db.models.deletion
import tenants.common.models
from django.conf import settings
from django.db import migrations, models

from tenants.common.row_security import (
    DefinerFunction,
    ReferenceTable,
    TenantTable,
    WorkspaceWall,
)


class Migration(migrations.Migration):

    dependencies = [
        ('assistance', '0001_initial'),
        ('organizations', '0008_mail_leases'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='CorrectionRequest',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('period', models.DateField()),
                ('category', models.CharField(max_length=16)),
                ('mistral_model', models.CharField(blank=True, max_length=200)),
                ('amount', models.DecimalField(decimal_places=9, max_digits=20)),
                ('currency', models.CharField(max_length=3)),
                ('corrects', models.UUIDField(null=True)),
                ('reason', models.CharField(max_length=500)),
                ('asked_by_name', models.CharField(max_length=254)),
                ('needs_second', models.BooleanField()),
                ('expires_at', models.DateTimeField()),
                ('status', models.CharField(choices=[('waiting', 'Waiting'), ('posted', 'Posted'), ('refused', 'Refused')], default='waiting', max_length=8)),
                ('decided_by_name', models.CharField(blank=True, max_length=254)),
                ('decided_at', models.DateTimeField(null=True)),
                ('asked_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.workspace')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('status', 'waiting')), fields=['expires_at'], name='correction_waiting_idx')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('status', 'posted'), _negated=True), ('needs_second', False), models.Q(('decided_by__isnull', False), models.Q(('decided_by', models.F('asked_by')), _negated=True)), _connector='OR'), name='correction_four_eyes')],
            },
        ),
        migrations.CreateModel(
            name='SavedFilter',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('page', models.CharField(max_length=32)),
                ('name', models.CharField(max_length=60)),
                ('choice', models.JSONField()),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(fields=('person', 'page', 'name'), name='saved_filter_uniq')],
            },
        ),
        # What was asked for stays as it was: only the decision is written.
        TenantTable(
            "assistance_correctionrequest",
            parents={"workspace_id": "organizations_workspace"},
            grants="SELECT, INSERT, UPDATE (status, decided_by_id, decided_by_name, decided_at)",
            referenced=False,
        ),
        WorkspaceWall("assistance_correctionrequest"),
        ReferenceTable("assistance_savedfilter", grants="SELECT, INSERT, UPDATE, DELETE"),
        # Whoever may confirm is told where something waits, outside of any organization; not what.
        DefinerFunction(
            "assistance_waiting_corrections()",
            """
            CREATE FUNCTION assistance_waiting_corrections()
            RETURNS TABLE (
                organization_id uuid, name text, asked_by text, asked_at timestamptz,
                expires_at timestamptz
            ) LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT o.id, o.name::text, c.asked_by_name::text, c.created_at, c.expires_at
                FROM assistance_correctionrequest c
                JOIN organizations_organization o ON o.id = c.organization_id
                WHERE c.status = 'waiting' AND c.expires_at > now() AND o.status <> 'erased'
                ORDER BY c.expires_at LIMIT 100
            $$
            """,
        ),
        # The application may end sessions and no more, so what erasing clears is cleared by this,
        # and only in an organization that is erased.
        DefinerFunction(
            "assistance_forget()",
            """
            CREATE FUNCTION assistance_forget() RETURNS void LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
            DECLARE
                tenant uuid := NULLIF(current_setting('aim.organization', true), '')::uuid;
            BEGIN
                IF NOT EXISTS (
                    SELECT FROM organizations_organization o
                    WHERE o.id = tenant AND o.status = 'erased'
                ) THEN
                    RAISE EXCEPTION 'only an erased organization is forgotten';
                END IF;
                UPDATE assistance_supportgrant
                SET granted_by = 'erased', reason = '',
                    withdrawn_at = coalesce(withdrawn_at, now())
                WHERE organization_id = tenant;
                UPDATE assistance_supportsession
                SET granted_by = CASE WHEN granted_by = '' THEN '' ELSE 'erased' END,
                    reason = 'erased', ticket = '',
                    ended_at = coalesce(ended_at, least(ends_at, now()))
                WHERE organization_id = tenant;
                DELETE FROM assistance_correctionrequest WHERE organization_id = tenant;
            END
            $$
            """,
        ),
    ]
