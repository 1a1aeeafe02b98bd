import django.db.models.deletion
import tenants.common.models
from django.db import migrations, models

from tenants.common.row_security import DefinerFunction, TenantTable


class Migration(migrations.Migration):
    """Models in AIsuru, and the login by which they get there."""

    dependencies = [
        ('organizations', '0006_members'),
        ('registry', '0004_quotas_and_traffic_policies'),
    ]

    operations = [
        migrations.AddField(
            model_name='modeltoken',
            name='is_published',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.CreateModel(
            name='AisuruConnection',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('tenant', models.CharField(blank=True, max_length=253)),
                ('sealed', models.BinaryField()),
                ('secret_version', models.PositiveIntegerField()),
                ('data_key_version', models.PositiveIntegerField()),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('valid', 'Valid'), ('refused', 'Refused'), ('undecryptable', 'Undecryptable')], default='pending', max_length=16)),
                ('checked_at', models.DateTimeField(null=True)),
                ('secret_at', models.DateTimeField()),
                ('created_by', models.CharField(max_length=254)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization',), name='aisuru_connection_uniq')],
            },
        ),
        migrations.CreateModel(
            name='Publication',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('flavour', models.CharField(max_length=16)),
                ('is_wanted', models.BooleanField(default=True)),
                ('may_create', models.BooleanField(default=True)),
                ('may_adopt', models.BooleanField(default=False)),
                ('wanted', models.PositiveIntegerField(default=1)),
                ('done', models.PositiveIntegerField(default=0)),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('published', 'Published'), ('changed', 'Changed'), ('deleted', 'Deleted'), ('failed', 'Failed'), ('withdrawn', 'Withdrawn')], default='pending', max_length=16)),
                ('config_id', models.CharField(blank=True, max_length=500)),
                ('pushed', models.JSONField(default=dict)),
                ('drift', models.JSONField(default=list)),
                ('failure', models.CharField(blank=True, max_length=40)),
                ('result_code', models.IntegerField(null=True)),
                ('requested_by', models.CharField(max_length=254)),
                ('published_at', models.DateTimeField(null=True)),
                ('checked_at', models.DateTimeField(null=True)),
                ('creating', models.CharField(blank=True, max_length=120)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('due_at', models.DateTimeField(null=True)),
                ('claim', models.UUIDField(null=True)),
                ('held_until', models.DateTimeField(null=True)),
                ('model', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='publication', to='registry.registeredmodel')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.workspace')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='publication_due_idx')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('config_id', ''), _negated=True), fields=('organization', 'config_id'), name='publication_config_uniq')],
            },
        ),
        TenantTable("registry_aisuruconnection", referenced=False),
        TenantTable(
            "registry_publication",
            parents={
                "workspace_id": "organizations_workspace",
                "model_id": "registry_registeredmodel",
            },
            referenced=False,
        ),
        # The sweep: what is due, whosesoever it is. It tells ids and holds them for the queue.
        DefinerFunction(
            "registry_take_due(integer, double precision)",
            """
            CREATE FUNCTION registry_take_due(batch integer, seconds double precision)
            RETURNS TABLE (organization_id uuid, publication_id uuid) LANGUAGE sql VOLATILE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                UPDATE registry_publication AS taken
                SET claim = NULL, held_until = now() + make_interval(secs => seconds)
                FROM (
                    SELECT id FROM registry_publication
                    WHERE due_at <= now() AND (held_until IS NULL OR held_until <= now())
                    ORDER BY due_at LIMIT batch FOR NO KEY UPDATE SKIP LOCKED
                ) AS due
                WHERE taken.id = due.id
                RETURNING taken.organization_id, taken.id
            $$
            """,
        ),
    ]
