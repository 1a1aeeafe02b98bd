"""Limits that allow more until a day; holds of one organization are recovered by themselves."""

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

import tenants.common.models
from tenants.common.row_security import DefinerFunction, TenantTable


RECOVER = (Path(__file__).parent / "sql" / "0007_recover.sql").read_text(encoding="utf-8")
OF_ONE = (
    RECOVER.replace(
        "CREATE OR REPLACE FUNCTION spend_recover(",
        "CREATE FUNCTION spend_recover_of(tenant uuid, ",
    )
    .replace(
        "DISTINCT writer_id FROM spend_hold)",
        "DISTINCT writer_id FROM spend_hold WHERE organization_id = tenant)",
    )
    .replace("WHERE ((h.writer_id", "WHERE h.organization_id = tenant AND ((h.writer_id")
)


class Migration(migrations.Migration):

    dependencies = [
        ('organizations', '0008_mail_leases'),
        ('spend', '0013_short_tails'),
    ]

    operations = [
        migrations.CreateModel(
            name='LimitExtension',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('former', models.DecimalField(decimal_places=9, max_digits=20)),
                ('amount', models.DecimalField(decimal_places=9, max_digits=20)),
                ('ends_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('extended_by', models.CharField(max_length=254)),
                ('limit', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='spend.limit')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('ended_at', None)), fields=['ends_at'], name='limit_extension_due_idx')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('organization', 'limit'), name='limit_extension_one_uniq'), models.CheckConstraint(condition=models.Q(('amount__gt', models.F('former'))), name='limit_extension_extends')],
            },
        ),
        TenantTable(
            "spend_limitextension",
            parents={"limit_id": "spend_limit"},
            grants="SELECT, INSERT, UPDATE (ended_at)",
            referenced=False,
        ),
        DefinerFunction(
            "spend_extensions_due()",
            """
            CREATE FUNCTION spend_extensions_due() RETURNS SETOF uuid
            LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                SELECT DISTINCT organization_id FROM spend_limitextension
                WHERE ended_at IS NULL AND ends_at <= now()
            $$
            """,
        ),
        DefinerFunction("spend_recover_of(uuid, interval, interval, integer)", OF_ONE),
    ]
