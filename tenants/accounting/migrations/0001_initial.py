"""The Admin API key, runs of the sync, and what was observed."""

import django.db.models.deletion
import django.utils.timezone
import tenants.common.models
from django.db import migrations, models

from tenants.common.row_security import DefinerFunction, TenantTable


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('organizations', '0002_announcements'),
    ]

    operations = [
        migrations.CreateModel(
            name='SyncRun',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('is_dry', models.BooleanField()),
                ('status', models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('waiting', 'Waiting'), ('done', 'Done'), ('failed', 'Failed')], default='queued', max_length=16)),
                ('requested_by', models.CharField(max_length=254)),
                ('step', models.CharField(blank=True, max_length=80)),
                ('page', models.PositiveIntegerField(default=1)),
                ('counts', models.JSONField(default=dict)),
                ('omitted', models.JSONField(default=dict)),
                ('differences', models.JSONField(default=list)),
                ('applied', models.JSONField(default=dict)),
                ('failure', models.CharField(blank=True, max_length=40)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now, null=True)),
                ('claim', models.UUIDField(null=True)),
                ('held_until', models.DateTimeField(null=True)),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Observed',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('kind', models.CharField(choices=[('role', 'Role'), ('workspace', 'Workspace'), ('member', 'Member'), ('key', 'Key'), ('spend_limit', 'Spend Limit'), ('rate_limit', 'Rate Limit'), ('usage', 'Usage')], max_length=16)),
                ('external_id', models.CharField(max_length=200)),
                ('data', models.JSONField()),
                ('ours', models.UUIDField(null=True)),
                ('seen_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('missing_since', models.DateTimeField(null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('last_run', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounting.syncrun')),
            ],
        ),
        migrations.CreateModel(
            name='AdminKey',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('last4', models.CharField(max_length=4)),
                ('sealed', models.BinaryField()),
                ('secret_version', models.PositiveIntegerField(default=1)),
                ('data_key_version', models.PositiveIntegerField()),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('valid', 'Valid'), ('refused', 'Refused'), ('undecryptable', 'Undecryptable')], default='pending', max_length=16)),
                ('header', models.CharField(blank=True, max_length=16)),
                ('checked_at', models.DateTimeField(null=True)),
                ('secret_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('created_by', models.CharField(max_length=254)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization',), name='admin_key_uniq')],
            },
        ),
        migrations.AddIndex(
            model_name='syncrun',
            index=models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='sync_run_due_idx'),
        ),
        migrations.AddConstraint(
            model_name='syncrun',
            constraint=models.UniqueConstraint(condition=models.Q(('due_at__isnull', False)), fields=('organization',), name='sync_run_one_at_a_time'),
        ),
        migrations.AddConstraint(
            model_name='syncrun',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('due_at', None), ('status__in', ['done', 'failed'])), models.Q(('due_at__isnull', False), ('status__in', ['queued', 'running', 'waiting'])), _connector='OR'), name='sync_run_due_until_over'),
        ),
        migrations.AddConstraint(
            model_name='observed',
            constraint=models.UniqueConstraint(fields=('organization', 'kind', 'external_id'), name='observed_uniq'),
        ),
        migrations.AddConstraint(
            model_name='observed',
            constraint=models.UniqueConstraint(condition=models.Q(('ours__isnull', False)), fields=('organization', 'kind', 'ours'), name='observed_ours_uniq'),
        ),
        TenantTable("accounting_adminkey", referenced=False),
        TenantTable("accounting_syncrun"),
        TenantTable(
            "accounting_observed",
            parents={"last_run_id": "accounting_syncrun"},
            referenced=False,
        ),
        # The sweep: what is due, whosesoever it is. It tells ids and holds them for the queue.
        DefinerFunction(
            "accounting_take_due(integer, double precision)",
            """
            CREATE FUNCTION accounting_take_due(batch integer, seconds double precision)
            RETURNS TABLE (work text, organization_id uuid, row_id uuid) LANGUAGE sql VOLATILE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                UPDATE accounting_syncrun AS taken
                SET claim = NULL, held_until = now() + make_interval(secs => seconds)
                FROM (
                    SELECT id FROM accounting_syncrun
                    WHERE due_at <= now() AND (held_until IS NULL OR held_until <= now())
                    ORDER BY due_at LIMIT batch FOR NO KEY UPDATE SKIP LOCKED
                ) AS due
                WHERE taken.id = due.id
                RETURNING 'sync', taken.organization_id, taken.id
            $$
            """,
        ),
    ]
