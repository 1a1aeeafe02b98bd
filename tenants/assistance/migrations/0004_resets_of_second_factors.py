from importlib import import_module

import django.db.models.deletion
import tenants.common.models
from django.conf import settings
from django.db import migrations, models

from tenants.common.row_security import DefinerFunction, TenantTable, WithdrawnFunction

BEFORE = {
    operation.signature: operation.sql
    for operation in import_module(
        "tenants.assistance.migrations.0002_corrections_and_filters"
    ).Migration.operations
    if isinstance(operation, DefinerFunction)
}
FORGET = BEFORE["assistance_forget()"].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)


class Migration(migrations.Migration):

    dependencies = [
        ('assistance', '0003_workers'),
        ('organizations', '0009_master_keys_of_second_factors'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='FactorReset',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('asked_by_name', models.CharField(max_length=254)),
                ('ready_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('status', models.CharField(choices=[('waiting', 'Waiting'), ('done', 'Done'), ('refused', 'Refused')], default='waiting', max_length=8)),
                ('decided_by_name', models.CharField(blank=True, max_length=254)),
                ('decided_at', models.DateTimeField(null=True)),
                ('asked_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('status', 'waiting')), fields=['expires_at'], name='factor_reset_waiting_idx')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('status', 'done'), _negated=True), models.Q(('decided_by__isnull', False), models.Q(('decided_by', models.F('asked_by')), _negated=True)), _connector='OR'), name='factor_reset_four_eyes'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'done'), _negated=True), ('decided_at__gte', models.F('ready_at')), _connector='OR'), name='factor_reset_waits')],
            },
        ),
        # What was asked for stays as it was: only the decision is written.
        TenantTable(
            "assistance_factorreset",
            grants="SELECT, INSERT, UPDATE (status, decided_by_id, decided_by_name, decided_at)",
            referenced=False,
        ),
        migrations.RunSQL(
            FORGET.replace(
                "DELETE FROM assistance_correctionrequest",
                "DELETE FROM assistance_factorreset WHERE organization_id = tenant;"
                "\n                DELETE FROM assistance_correctionrequest",
            ),
            FORGET,
        ),
        # Whoever may confirm is told where something waits, by id: whose it is, a session tells.
        WithdrawnFunction(
            "assistance_waiting_corrections()", BEFORE["assistance_waiting_corrections()"]
        ),
        DefinerFunction(
            "assistance_waiting()",
            """
            CREATE FUNCTION assistance_waiting()
            RETURNS TABLE (
                organization_id uuid, what text, asked_by text, asked_at timestamptz,
                ready_at timestamptz, expires_at timestamptz
            ) LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT w.organization_id, w.what, w.asked_by_name::text, w.created_at, w.ready_at,
                       w.expires_at
                FROM (
                    SELECT c.organization_id, 'correction' AS what, c.asked_by_name, c.created_at,
                           c.created_at AS ready_at, c.expires_at
                    FROM assistance_correctionrequest c WHERE c.status = 'waiting'
                    UNION ALL
                    SELECT f.organization_id, 'second factor', f.asked_by_name, f.created_at,
                           f.ready_at, f.expires_at
                    FROM assistance_factorreset f WHERE f.status = 'waiting'
                ) w
                JOIN organizations_organization o ON o.id = w.organization_id
                WHERE w.expires_at > now() AND o.status <> 'erased'
                ORDER BY w.expires_at LIMIT 100
            $$
            """,
        ),
    ]
