import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.text
import tenants.common.models
from django.db import migrations, models

from tenants.common.row_security import DefinerFunction, TenantTable


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('keys', '0001_initial'),
        ('organizations', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='RegisteredModel',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('name', models.CharField(max_length=120)),
                ('description', models.CharField(blank=True, max_length=500)),
                ('mistral_model', models.CharField(max_length=200)),
                ('context_size', models.PositiveIntegerField(blank=True, null=True)),
                ('timeout', models.PositiveIntegerField(blank=True, null=True)),
                ('purposes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('question_answering', 'Question Answering'), ('import_export', 'Import Export'), ('deep_thought', 'Deep Thought')], max_length=32))),
                ('defaults', models.JSONField(default=dict)),
                ('external_id', models.CharField(blank=True, max_length=200)),
                ('visible_to_tenant', models.BooleanField(default=True)),
                ('use_as_default', models.BooleanField(default=False)),
                ('created_by', models.CharField(max_length=254)),
                ('retired_at', models.DateTimeField(blank=True, null=True)),
                ('key', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='registered_models', to='keys.mistralkey')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.workspace')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='ModelToken',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('digest', models.BinaryField(max_length=32, unique=True)),
                ('hint', models.CharField(max_length=24)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tokens', to='registry.registeredmodel')),
            ],
        ),
        migrations.AddIndex(
            model_name='registeredmodel',
            index=models.Index(fields=['organization', 'workspace', '-id'], name='model_list_idx'),
        ),
        migrations.AddIndex(
            model_name='registeredmodel',
            index=models.Index(fields=['organization', 'key'], name='model_key_idx'),
        ),
        migrations.AddConstraint(
            model_name='registeredmodel',
            constraint=models.UniqueConstraint(models.F('organization'), django.db.models.functions.text.Lower('name'), condition=models.Q(('retired_at', None)), name='model_name_uniq'),
        ),
        migrations.AddIndex(
            model_name='modeltoken',
            index=models.Index(fields=['organization', 'model'], name='model_token_idx'),
        ),
        TenantTable(
            "registry_registeredmodel",
            parents={
                "workspace_id": "organizations_workspace",
                "key_id": "keys_mistralkey",
            },
            grants="SELECT, INSERT, UPDATE",
            locatable=True,
        ),
        TenantTable(
            "registry_modeltoken",
            parents={"model_id": "registry_registeredmodel"},
            grants="SELECT, INSERT, UPDATE",
        ),
        DefinerFunction(
            "registry_find_token(bytea)",
            """
            CREATE FUNCTION registry_find_token(token_digest bytea)
            RETURNS uuid LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS 'SELECT organization_id FROM registry_modeltoken WHERE digest = token_digest'
            """,
        ),
    ]
