"""The tail of the roll-ups is read once where nothing in it corrects, estimates or lacks a price."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).parent / "sql"
FORMER = (SQL / "0003_lines.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    dependencies = [
        ('spend', '0012_prices_by_base'),
    ]

    operations = [
        migrations.RunSQL(
            (SQL / "0013_lines.sql").read_text(encoding="utf-8"),
            FORMER.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1),
        ),
    ]
