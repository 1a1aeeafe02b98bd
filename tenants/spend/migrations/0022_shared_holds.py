"""Events that share one hold tell what they cost beyond it: a batch job's are not all excess."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).parent / "sql"


def sql(name):
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    dependencies = [
        ('spend', '0021_locks_in_order'),
    ]

    operations = [
        migrations.RunSQL(sql("0022_settle"), sql("0021_settle")),
    ]
