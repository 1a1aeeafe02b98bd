"""What is not rolled up yet is looked for in the months that are asked for, by indexes that are kept."""

from pathlib import Path

from django.db import migrations

from tenants.common.row_security import DefinerFunction

SQL = Path(__file__).parent / "sql"


def sql(name):
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


OLD_LINES = sql("0013_lines").replace("CREATE OR REPLACE FUNCTION", "CREATE FUNCTION", 1)
OLD_VIEW = sql("0003_line_view")
FORMER, PRESENT = (f"spend_rollup_lines(bigint, bigint, uuid{more})" for more in ("", ", date"))


class Migration(migrations.Migration):

    dependencies = [
        ('spend', '0015_patient_partitions'),
    ]

    operations = [
        DefinerFunction("spend_periods()", sql("0016_periods")),
        migrations.RunSQL(
            [sql("0016_lines"), sql("0016_line_view"), f"DROP FUNCTION {FORMER}"],
            ["DROP VIEW spend_line", f"DROP FUNCTION {PRESENT}", OLD_LINES, OLD_VIEW],
        ),
        DefinerFunction("spend_sum_up_pages()", sql("0016_sum_up")),
    ]
