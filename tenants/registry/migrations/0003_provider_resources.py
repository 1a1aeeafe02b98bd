"""Things at Mistral that were made through model tokens, each in its workspace."""

import django.db.models.deletion
from django.db import migrations, models

import tenants.common.models
from tenants.common.row_security import TenantTable


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0002_snapshot_behind_an_alias'),
        ('organizations', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='ProviderResource',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('token_id', models.UUIDField()),
                ('kind', models.CharField(choices=[('file', 'File'), ('batch_job', 'Batch Job'), ('conversation', 'Conversation'), ('agent', 'Agent')], max_length=16)),
                ('mistral_id', models.CharField(max_length=200)),
                ('facts', models.JSONField(default=dict)),
                ('deleted_at', models.DateTimeField(blank=True, null=True)),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='registry.registeredmodel')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.workspace')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['organization', 'workspace', 'kind', '-id'], name='provider_resource_idx')],
                'constraints': [models.UniqueConstraint(fields=('organization', 'kind', 'mistral_id'), name='provider_resource_uniq')],
            },
        ),
        TenantTable(
            "registry_providerresource",
            parents={
                "workspace_id": "organizations_workspace",
                "model_id": "registry_registeredmodel",
            },
            grants="SELECT, INSERT, UPDATE",
            referenced=False,
        ),
    ]
