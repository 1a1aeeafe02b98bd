"""Holds are placed in one statement instead of one for each balance."""

from pathlib import Path

from django.db import migrations

_FOLDER = Path(__file__).parent / "sql"


def before():
    """The function as the first migration made it."""
    text = (_FOLDER / "0001_open.sql").read_text(encoding="utf-8")
    body = text.partition("CREATE FUNCTION spend_place")[2].partition("$$;")[0]
    return f"CREATE OR REPLACE FUNCTION spend_place{body}$$;"


class Migration(migrations.Migration):

    dependencies = [
        ('spend', '0001_initial'),
    ]

    operations = [
        migrations.RunSQL((_FOLDER / "0002_place.sql").read_text(encoding="utf-8"), before()),
    ]
