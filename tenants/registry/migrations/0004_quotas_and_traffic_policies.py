import django.db.models.deletion
import tenants.common.models
from django.db import migrations, models

from tenants.common.row_security import TenantTable


class Migration(migrations.Migration):

    dependencies = [
        ('organizations', '0002_announcements'),
        ('registry', '0003_provider_resources'),
    ]

    operations = [
        migrations.CreateModel(
            name='QuotaRecord',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('quota_code', models.CharField(max_length=64)),
                ('mistral_model', models.CharField(max_length=200)),
                ('windows', models.JSONField(default=list)),
                ('used', models.JSONField(default=dict)),
                ('calls_of_message', models.FloatField(default=0)),
                ('observed_at', models.DateTimeField()),
                ('closed_until', models.DateTimeField(null=True)),
                ('outside_plan_until', models.DateTimeField(null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization', 'quota_code', 'mistral_model'), name='quota_record_uniq')],
            },
        ),
        migrations.CreateModel(
            name='TrafficPolicy',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('failover', models.BooleanField(default=False)),
                ('capacity_retries', models.PositiveSmallIntegerField(default=1)),
                ('longest_wait', models.PositiveSmallIntegerField(default=30)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('workspace', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.workspace')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('capacity_retries__lte', 3), ('longest_wait__lte', 120)), name='traffic_policy_bounds')],
            },
        ),
        TenantTable(
            "registry_quotarecord", grants="SELECT, INSERT, UPDATE, DELETE", referenced=False
        ),
        TenantTable(
            "registry_trafficpolicy",
            parents={"workspace_id": "organizations_workspace"},
            grants="SELECT, INSERT, UPDATE",
            referenced=False,
        ),
    ]
