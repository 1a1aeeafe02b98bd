"""Remember in which zone an organization's days were, before it changed its zone."""

import django.db.models.deletion
from django.db import migrations, models

import tenants.common.models
from tenants.common.row_security import TenantTable


class Migration(migrations.Migration):

    dependencies = [
        ('organizations', '0003_mistral_workspace_of_a_workspace'),
    ]

    operations = [
        migrations.CreateModel(
            name='FormerTimeZone',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('timezone', models.CharField(max_length=64)),
                ('until', models.DateTimeField()),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization', 'until'), name='former_time_zone_uniq')],
            },
        ),
        TenantTable("organizations_formertimezone", grants="SELECT, INSERT", referenced=False),
    ]
