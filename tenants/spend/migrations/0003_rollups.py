"""Roll-ups by local day, kept up from the ledger by whichever transaction wrote it."""

from pathlib import Path

import django.contrib.postgres.indexes
import django.db.models.deletion
from django.db import migrations, models

from tenants.common.row_security import DefinerFunction, ReferenceTable, TenantTable

QUANTITIES = (
    'requests', 'prompt_tokens', 'completion_tokens', 'cached_tokens', 'pages', 'annotated_pages',
    'audio_seconds', 'characters', 'connector_calls', 'training_tokens', 'storage_months',
)


def sql(name):
    return (Path(__file__).parent / "sql" / f"0003_{name}.sql").read_text(encoding="utf-8")


def line_fields():
    return [
        ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='organizations.organization')),
        ('period', models.DateField()),
        ('day', models.DateField()),
        ('workspace_id', models.UUIDField()),
        ('key_id', models.UUIDField(null=True)),
        ('model_id', models.UUIDField(null=True)),
        ('mistral_model', models.CharField(max_length=200)),
        ('category', models.CharField(max_length=16)),
        ('source', models.CharField(max_length=20)),
        ('is_estimated', models.BooleanField()),
        ('is_unpriced', models.BooleanField()),
        ('events', models.BigIntegerField()),
        *((name, models.BigIntegerField()) for name in QUANTITIES),
        ('cost', models.DecimalField(decimal_places=9, max_digits=28)),
    ]


class Migration(migrations.Migration):

    dependencies = [
        ('organizations', '0004_former_time_zones'),
        ('spend', '0002_place_in_one_statement'),
    ]

    operations = [
        # A null costs no byte: few calls have any of these.
        migrations.AddField('usageevent', 'connector_calls', models.IntegerField(null=True)),
        migrations.AddField('usageevent', 'training_tokens', models.BigIntegerField(null=True)),
        migrations.AddField('usageevent', 'storage_months', models.IntegerField(null=True)),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE spend_usageevent"
                    " ADD COLUMN transaction_id bigint NOT NULL DEFAULT txid_current()",
                    "ALTER TABLE spend_usageevent DROP COLUMN transaction_id",
                )
            ],
            state_operations=[
                migrations.AddField('usageevent', 'transaction_id', models.BigIntegerField(db_default=models.Func(function='txid_current', output_field=models.BigIntegerField()))),
            ],
        ),
        migrations.AddIndex(
            'usageevent',
            django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=['transaction_id'], name='usage_event_transaction_idx', pages_per_range=32),
        ),
        migrations.CreateModel(
            name='Rollup',
            fields=[('id', models.BigAutoField(primary_key=True, serialize=False)), *line_fields()],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization', 'period', 'day', 'workspace_id', 'key_id', 'model_id', 'mistral_model', 'category', 'source', 'is_estimated', 'is_unpriced'), name='rollup_line_uniq', nulls_distinct=False)],
            },
        ),
        migrations.CreateModel(
            name='RollupMark',
            fields=[
                ('id', models.SmallIntegerField(primary_key=True, serialize=False)),
                ('transaction_id', models.BigIntegerField()),
                ('rolled_at', models.DateTimeField()),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='rollup_mark_single')],
            },
        ),
        migrations.CreateModel(
            name='SpendLine',
            fields=[('id', models.BigIntegerField(primary_key=True, serialize=False)), *line_fields()],
            options={'db_table': 'spend_line', 'managed': False},
        ),
        migrations.RunSQL(
            "INSERT INTO spend_rollupmark (id, transaction_id, rolled_at) VALUES (1, 0, now())",
            migrations.RunSQL.noop,
        ),
        TenantTable("spend_rollup", grants="SELECT", referenced=False),
        ReferenceTable("spend_rollupmark"),
        migrations.RunSQL(
            sql("mended"),
            "DROP FUNCTION spend_is_priced(spend_usageevent, bigint);"
            "DROP FUNCTION spend_is_mended(spend_usageevent, bigint)",
        ),
        migrations.RunSQL(sql("lines"), "DROP FUNCTION spend_rollup_lines(bigint, bigint, uuid)"),
        migrations.RunSQL(
            sql("rebuild"),
            "DROP FUNCTION spend_restart_rollups(); DROP FUNCTION spend_rebuild_one(uuid, bigint)",
        ),
        DefinerFunction("spend_roll()", sql("roll")),
        DefinerFunction("spend_rebuild()", sql("rebuild_door")),
        migrations.RunSQL(sql("line_view"), "DROP VIEW spend_line"),
    ]
