"""Single calls may be forgotten after months; their sums stay, and a rebuild leaves them alone."""

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

import tenants.common.models
from tenants.common.row_security import DefinerFunction, TenantTable

SQL = Path(__file__).parent / "sql"


def sql(name):
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


FORGET, DROP = (f"CREATE FUNCTION{one}" for one in sql("0011_forget").split("CREATE FUNCTION")[1:])
FORMER_REBUILD = sql("0003_rebuild").partition("-- A server restored")[0].replace(
    "CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1
)


class Migration(migrations.Migration):

    dependencies = [
        ('organizations', '0006_members'),
        ('spend', '0010_rate_limits'),
    ]

    operations = [
        migrations.CreateModel(
            name='Retention',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('months', models.PositiveSmallIntegerField(null=True)),
                ('forgotten_before', models.DateField(editable=False, null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization',), name='retention_uniq'), models.CheckConstraint(condition=models.Q(('months', None), ('months__gte', 13), _connector='OR'), name='retention_a_year_at_least')],
            },
        ),
        TenantTable("spend_retention", referenced=False),
        migrations.RunSQL(sql("0011_rebuild"), FORMER_REBUILD),
        DefinerFunction("spend_forget(date)", FORGET),
        DefinerFunction("spend_drop_partitions()", DROP),
    ]
