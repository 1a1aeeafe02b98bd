"""Events that nothing was held for, known for ever by a digest; and what was told of limits."""

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

import tenants.common.models
from tenants.common.row_security import DefinerFunction, TenantTable


def sql(name):
    return (Path(__file__).parent / "sql" / f"0006_{name}.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    dependencies = [
        ('spend', '0005_limits_on_keys'),
    ]

    operations = [
        migrations.CreateModel(
            name='PostedEvent',
            fields=[
                ('pk', models.CompositePrimaryKey('organization', 'digest', blank=True, editable=False, primary_key=True, serialize=False)),
                ('digest', models.UUIDField()),
                ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='organizations.organization')),
            ],
        ),
        migrations.CreateModel(
            name='Correction',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('event_id', models.UUIDField()),
                ('occurred_at', models.DateTimeField()),
                ('reason', models.CharField(max_length=500)),
                ('reference', models.CharField(max_length=200)),
                ('posted_by', models.CharField(max_length=254)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization', 'reference'), name='correction_reference_uniq')],
                'indexes': [models.Index(fields=['organization', 'event_id'], name='correction_event_idx')],
            },
        ),
        migrations.CreateModel(
            name='ThresholdAlert',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('period', models.DateField()),
                ('threshold', models.PositiveSmallIntegerField()),
                ('limit', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='alerts', to='spend.limit')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization', 'limit', 'period', 'threshold'), name='threshold_alert_once_uniq')],
            },
        ),
        TenantTable("spend_postedevent", grants="SELECT", referenced=False),
        TenantTable("spend_correction", grants="SELECT, INSERT", referenced=False),
        TenantTable("spend_thresholdalert", grants="SELECT, INSERT, DELETE", referenced=False, parents={"limit_id": "spend_limit"}),
        DefinerFunction("spend_post(json)", sql("post")),
        DefinerFunction("spend_alerts_due()", sql("alerts_due")),
    ]
