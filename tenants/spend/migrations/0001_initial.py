"""Prices, limits, balances, holds, partitioned events, and the functions that alone may write them."""

from decimal import Decimal
from pathlib import Path

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
from django.db import migrations, models

import tenants.common.models
from tenants.common.row_security import DefinerFunction, ReferenceTable, TenantTable


def sql(name):
    return (Path(__file__).parent / "sql" / f"0001_{name}.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('organizations', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Price',
            fields=[
                ('id', models.AutoField(primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('mistral_model', models.CharField(max_length=200)),
                ('meter', models.CharField(max_length=16)),
                ('currency', models.CharField(max_length=3)),
                ('amount', models.DecimalField(decimal_places=10, max_digits=20)),
                ('per', models.PositiveIntegerField()),
                ('free', models.BooleanField(default=False)),
                ('is_converted', models.BooleanField(default=False)),
                ('effective_from', models.DateTimeField()),
                ('source', models.CharField(max_length=200)),
                ('checksum', models.CharField(max_length=64)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('mistral_model', 'meter', 'currency', 'effective_from'), name='price_uniq'), models.CheckConstraint(condition=models.Q(('amount__gte', 0), ('per__gte', 1), models.Q(('free', False), ('amount', 0), _connector='OR')), name='price_sane')],
            },
        ),
        migrations.CreateModel(
            name='Balance',
            fields=[
                ('pk', models.CompositePrimaryKey('organization', 'subject_kind', 'subject_id', 'period', blank=True, editable=False, primary_key=True, serialize=False)),
                ('subject_kind', models.CharField(max_length=12)),
                ('subject_id', models.UUIDField()),
                ('period', models.DateField()),
                ('currency', models.CharField(max_length=3)),
                ('settled', models.DecimalField(db_default=Decimal('0'), decimal_places=9, max_digits=20)),
                ('held', models.DecimalField(db_default=Decimal('0'), decimal_places=9, max_digits=20)),
                ('excess', models.DecimalField(db_default=Decimal('0'), decimal_places=9, max_digits=20)),
                ('carried', models.DecimalField(db_default=Decimal('0'), decimal_places=9, max_digits=20)),
                ('limit_amount', models.DecimalField(decimal_places=9, max_digits=20, null=True)),
                ('shadow_limit', models.DecimalField(decimal_places=9, max_digits=20, null=True)),
                ('shadow_calls', models.PositiveIntegerField(db_default=0)),
                ('shadow_spend', models.DecimalField(db_default=Decimal('0'), decimal_places=9, max_digits=20)),
                ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('carried__gte', 0), ('excess__gte', 0), ('held__gte', 0), ('settled__gte', 0)), name='balance_signs'), models.CheckConstraint(condition=models.Q(('limit_amount', None), ('limit_amount__gte', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('settled'), '+', models.F('held')), '-', models.F('excess')), '-', models.F('carried'))), _connector='OR'), name='balance_within_limit')],
            },
        ),
        migrations.CreateModel(
            name='Hold',
            fields=[
                ('workspace_id', models.UUIDField()),
                ('period', models.DateField()),
                ('prompt_tokens', models.IntegerField()),
                ('completion_tokens', models.IntegerField()),
                ('cached_tokens', models.IntegerField()),
                ('pages', models.IntegerField()),
                ('annotated_pages', models.IntegerField()),
                ('audio_seconds', models.IntegerField()),
                ('characters', models.IntegerField()),
                ('currency', models.CharField(max_length=3)),
                ('category', models.CharField(max_length=16)),
                ('endpoint', models.CharField(max_length=64)),
                ('requested_model', models.CharField(max_length=200)),
                ('factor', models.DecimalField(decimal_places=4, max_digits=8)),
                ('price_ids', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField())),
                ('message_id', models.CharField(max_length=200)),
                ('request_id', models.CharField(max_length=64)),
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('writer_id', models.UUIDField()),
                ('key_id', models.UUIDField()),
                ('model_id', models.UUIDField()),
                ('amount', models.DecimalField(decimal_places=9, max_digits=20, null=True)),
                ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('amount', None), ('amount__gte', 0), _connector='OR'), name='hold_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='Limit',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('subject_kind', models.CharField(max_length=12)),
                ('subject_id', models.UUIDField()),
                ('monthly_spend', models.DecimalField(decimal_places=9, max_digits=20, null=True)),
                ('mode', models.CharField(default='enforce', max_length=8)),
                ('alert_thresholds', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(), default=list)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization', 'subject_kind', 'subject_id'), name='limit_subject_uniq'), models.CheckConstraint(condition=models.Q(('monthly_spend', None), ('monthly_spend__gte', 0), _connector='OR'), name='limit_not_negative'), models.CheckConstraint(condition=models.Q(('mode__in', ['enforce', 'shadow']), ('subject_kind__in', ['organization', 'workspace', 'model'])), name='limit_known_words'), models.CheckConstraint(condition=models.Q(models.Q(('subject_kind', 'organization'), _negated=True), ('subject_id', models.F('organization')), _connector='OR'), name='limit_own_organization')],
            },
        ),
        # Django cannot say PARTITION BY; a test compares the columns with the model.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(sql("usage_event"), "DROP TABLE spend_usageevent")
            ],
            state_operations=[
                migrations.CreateModel(
                    name='UsageEvent',
                    fields=[
                        ('workspace_id', models.UUIDField()),
                        ('period', models.DateField()),
                        ('prompt_tokens', models.IntegerField()),
                        ('completion_tokens', models.IntegerField()),
                        ('cached_tokens', models.IntegerField()),
                        ('pages', models.IntegerField()),
                        ('annotated_pages', models.IntegerField()),
                        ('audio_seconds', models.IntegerField()),
                        ('characters', models.IntegerField()),
                        ('currency', models.CharField(max_length=3)),
                        ('category', models.CharField(max_length=16)),
                        ('endpoint', models.CharField(max_length=64)),
                        ('requested_model', models.CharField(max_length=200)),
                        ('factor', models.DecimalField(decimal_places=4, max_digits=8)),
                        ('price_ids', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField())),
                        ('message_id', models.CharField(max_length=200)),
                        ('request_id', models.CharField(max_length=64)),
                        ('pk', models.CompositePrimaryKey('organization', 'occurred_at', 'id', blank=True, editable=False, primary_key=True, serialize=False)),
                        ('id', models.UUIDField()),
                        ('occurred_at', models.DateTimeField()),
                        ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                        ('key_id', models.UUIDField(null=True)),
                        ('model_id', models.UUIDField(null=True)),
                        ('requests', models.IntegerField()),
                        ('duration_ms', models.IntegerField(null=True)),
                        ('http_status', models.SmallIntegerField(null=True)),
                        ('source', models.CharField(max_length=20)),
                        ('outcome', models.CharField(max_length=16)),
                        ('answered_model', models.CharField(max_length=200)),
                        ('cost', models.DecimalField(decimal_places=9, max_digits=20, null=True)),
                        ('excess', models.DecimalField(decimal_places=9, max_digits=20)),
                        ('estimate', models.CharField(max_length=20)),
                        ('correlation_id', models.CharField(max_length=64)),
                        ('corrects', models.UUIDField(null=True)),
                        ('organization', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='organizations.organization')),
                    ],
                    options={
                        'ordering': ['-occurred_at', '-id'],
                        'indexes': [models.Index(condition=models.Q(('message_id', ''), _negated=True), fields=['organization', 'message_id'], name='usage_event_message_idx')],
                    },
                ),
            ],
        ),
        migrations.RunSQL(sql("storage"), migrations.RunSQL.noop),
        ReferenceTable("spend_price", grants="SELECT, INSERT"),
        TenantTable("spend_limit", grants="SELECT, INSERT, UPDATE"),
        TenantTable("spend_balance", grants="SELECT", referenced=False),
        TenantTable("spend_hold", grants="SELECT", referenced=False),
        TenantTable("spend_usageevent", grants="SELECT", referenced=False),
        migrations.RunSQL(
            sql("ledger"),
            "DROP FUNCTION spend_ensure_balances(json);"
            "DROP FUNCTION spend_subjects(uuid, uuid, uuid);"
            "DROP FUNCTION spend_started_at(uuid)",
        ),
        migrations.RunSQL(
            sql("open"),
            "DROP FUNCTION spend_sort(json);"
            "DROP FUNCTION spend_place(uuid, json, boolean);"
            "DROP FUNCTION spend_fits(numeric, boolean, numeric, numeric)",
        ),
        migrations.RunSQL(sql("correct"), "DROP FUNCTION spend_correct(json, uuid[])"),
        DefinerFunction("spend_open(uuid, json)", sql("open_door")),
        DefinerFunction("spend_settle(json)", sql("settle")),
        DefinerFunction("spend_recover(interval, interval, integer)", sql("recover")),
        DefinerFunction("spend_apply_limit(text, uuid, date, text)", sql("limit")),
        DefinerFunction("spend_make_partitions(integer)", sql("partitions")),
        migrations.RunSQL("SELECT spend_make_partitions(3)", migrations.RunSQL.noop),
    ]
