"""A limit counts for the month before, too: it is the present one again where a zone lies behind."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).parent / "sql"


def sql(name):
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    dependencies = [
        ('spend', '0019_outlast_autovacuum'),
    ]

    operations = [
        migrations.RunSQL(
            sql("0020_limit"),
            sql("0001_limit").replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1),
        ),
    ]
