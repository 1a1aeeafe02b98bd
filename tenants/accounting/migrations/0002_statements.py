"""Frozen monthly statements: written once, by privilege."""

import django.db.models.deletion
import tenants.common.models
from django.db import migrations, models

from tenants.common.row_security import TenantTable


class Migration(migrations.Migration):

    dependencies = [
        ('accounting', '0001_initial'),
        ('organizations', '0002_announcements'),
    ]

    operations = [
        migrations.CreateModel(
            name='Statement',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('period', models.DateField()),
                ('timezone', models.CharField(max_length=64)),
                ('currency', models.CharField(max_length=3)),
                ('total', models.DecimalField(decimal_places=9, max_digits=28)),
                ('adjustments_total', models.DecimalField(decimal_places=9, max_digits=28)),
                ('closed_at', models.DateTimeField()),
                ('json', models.BinaryField()),
                ('json_sha256', models.CharField(max_length=64)),
                ('csv', models.BinaryField()),
                ('csv_sha256', models.CharField(max_length=64)),
                ('pdf', models.BinaryField()),
                ('pdf_sha256', models.CharField(max_length=64)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'ordering': ['-period'],
                'constraints': [models.UniqueConstraint(fields=('organization', 'period'), name='statement_month_uniq')],
            },
        ),
        TenantTable("accounting_statement", grants="SELECT, INSERT", referenced=False),
    ]
