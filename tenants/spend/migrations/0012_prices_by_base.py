"""A fine-tuned model may cost what its base does, from an instant on, if somebody says so."""

import django.db.models.deletion
from django.db import migrations, models

import tenants.common.models
from tenants.common.row_security import TenantTable


class Migration(migrations.Migration):

    dependencies = [
        ('organizations', '0006_members'),
        ('spend', '0011_retention'),
    ]

    operations = [
        migrations.CreateModel(
            name='BasePricing',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('mistral_model', models.CharField(max_length=200)),
                ('base', models.CharField(blank=True, max_length=200)),
                ('effective_from', models.DateTimeField()),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization', 'mistral_model', 'effective_from'), name='base_pricing_uniq'), models.CheckConstraint(condition=models.Q(('mistral_model__startswith', 'ft:')), name='base_pricing_of_fine_tuned')],
            },
        ),
        TenantTable("spend_basepricing", grants="SELECT, INSERT", referenced=False),
    ]
