"""Roll-ups are made anew for one tenant, and for nobody where there is none."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).parent / "sql"
FORMER = (SQL / "0003_rebuild_door.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):

    dependencies = [
        ('spend', '0017_token_stamps'),
    ]

    operations = [
        migrations.RunSQL(
            (SQL / "0018_rebuild_door.sql").read_text(encoding="utf-8"),
            FORMER.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1),
        ),
    ]
