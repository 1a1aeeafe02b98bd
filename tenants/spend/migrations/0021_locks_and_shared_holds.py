"""Balances are locked in their order, and events that share one hold tell their own excess.

The first so that nobody waits in a circle; the second so that a batch job's are not all excess.
"""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).parent / "sql"


def sql(name):
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    dependencies = [
        ('spend', '0020_limits_of_last_month'),
    ]

    operations = [
        migrations.RunSQL(sql("0021_limit"), sql("0020_limit")),
        migrations.RunSQL(sql("0021_settle"), sql("0005_settle")),
    ]
