"""Batch jobs made through the gateway, which are metered when Mistral is done with them."""

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

import tenants.common.models
from tenants.common.row_security import DefinerFunction, TenantTable

_FOLDER = Path(__file__).parent / "sql"
_BEFORE = (_FOLDER / "0005_recover.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    dependencies = [
        ('spend', '0006_posting_and_alerts'),
        ('organizations', '0001_initial'),
        ('registry', '0003_provider_resources'),
    ]

    operations = [
        migrations.CreateModel(
            name='BatchJob',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('call_id', models.UUIDField(unique=True)),
                ('token_id', models.UUIDField()),
                ('mistral_id', models.CharField(max_length=200)),
                ('endpoint', models.CharField(max_length=64)),
                ('requested_model', models.CharField(max_length=200)),
                ('period', models.DateField()),
                ('currency', models.CharField(max_length=3)),
                ('message_id', models.CharField(blank=True, max_length=200)),
                ('is_regional', models.BooleanField(default=False)),
                ('status', models.CharField(blank=True, max_length=32)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('next_check_at', models.DateTimeField(blank=True, null=True)),
                ('claim', models.UUIDField(blank=True, null=True)),
                ('held_until', models.DateTimeField(blank=True, null=True)),
                ('gives_up_at', models.DateTimeField()),
                ('metered_at', models.DateTimeField(blank=True, null=True)),
                ('key', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='keys.mistralkey')),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='registry.registeredmodel')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.workspace')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('next_check_at__isnull', False)), fields=['next_check_at'], name='batch_job_due_idx')],
            },
        ),
        TenantTable(
            "spend_batchjob",
            parents={
                "workspace_id": "organizations_workspace",
                "key_id": "keys_mistralkey",
                "model_id": "registry_registeredmodel",
            },
            grants="SELECT, INSERT, UPDATE",
            referenced=False,
        ),
        DefinerFunction(
            "spend_take_due_batches(integer, double precision)",
            """
            CREATE FUNCTION spend_take_due_batches(batch integer, seconds double precision)
            RETURNS TABLE (organization_id uuid, job_id uuid) LANGUAGE sql VOLATILE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                UPDATE spend_batchjob AS taken
                SET claim = NULL, held_until = now() + make_interval(secs => seconds)
                FROM (
                    SELECT id FROM spend_batchjob
                    WHERE next_check_at <= now() AND (held_until IS NULL OR held_until <= now())
                    ORDER BY next_check_at LIMIT batch FOR NO KEY UPDATE SKIP LOCKED
                ) AS due
                WHERE taken.id = due.id
                RETURNING taken.organization_id, taken.id
            $$
            """,
        ),
        migrations.RunSQL(
            (_FOLDER / "0007_recover.sql").read_text(encoding="utf-8"),
            _BEFORE,
        ),
    ]
