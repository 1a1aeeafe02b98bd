"""Prices of one organization, what workspaces choose, and how long answers usually are."""

import django.db.models.deletion
from django.db import migrations, models

import tenants.common.models
from tenants.common.row_security import APPLICATION_ROLE, TenantTable


class Migration(migrations.Migration):

    dependencies = [
        ('spend', '0007_batch_jobs'),
    ]

    operations = [
        migrations.CreateModel(
            name='OrganizationPrice',
            fields=[
                ('id', models.IntegerField(db_default=models.Func(models.Value('spend_price_id_seq'), function='nextval'), primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('mistral_model', models.CharField(max_length=200)),
                ('meter', models.CharField(max_length=16)),
                ('currency', models.CharField(max_length=3)),
                ('amount', models.DecimalField(decimal_places=10, max_digits=20)),
                ('per', models.PositiveIntegerField()),
                ('effective_from', models.DateTimeField()),
                ('source', models.CharField(max_length=200)),
                ('checksum', models.CharField(max_length=64)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization', 'mistral_model', 'meter', 'currency', 'effective_from'), name='organization_price_uniq'), models.CheckConstraint(condition=models.Q(('amount__gte', 0), ('per__gte', 1)), name='organization_price_sane')],
            },
        ),
        migrations.CreateModel(
            name='WorkspacePolicy',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('unpriced', models.CharField(default='refuse', max_length=8)),
                ('default_output_tokens', models.PositiveIntegerField(null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.workspace')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization', 'workspace'), name='workspace_policy_uniq'), models.CheckConstraint(condition=models.Q(('unpriced__in', ['refuse', 'allow'])), name='workspace_policy_known')],
            },
        ),
        migrations.CreateModel(
            name='LearnedOutput',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('mistral_model', models.CharField(max_length=200)),
                ('tokens', models.PositiveIntegerField()),
                ('calls', models.PositiveIntegerField()),
                ('learned_at', models.DateTimeField()),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization', 'mistral_model'), name='learned_output_uniq')],
            },
        ),
        TenantTable("spend_learnedoutput", grants="SELECT, INSERT, UPDATE", referenced=False),
        TenantTable("spend_organizationprice", grants="SELECT, INSERT", referenced=False),
        migrations.RunSQL(
            f"GRANT USAGE ON SEQUENCE spend_price_id_seq TO {APPLICATION_ROLE}",
            f"REVOKE USAGE ON SEQUENCE spend_price_id_seq FROM {APPLICATION_ROLE}",
        ),
        TenantTable("spend_workspacepolicy", grants="SELECT, INSERT, UPDATE", referenced=False, parents={"workspace_id": "organizations_workspace"}),
    ]
