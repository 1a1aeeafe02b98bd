"""Gateways ask whether anything has changed for their tokens, instead of reading all of it again."""

from pathlib import Path

from django.db import migrations

from tenants.common.row_security import DefinerFunction

SQL = Path(__file__).parent / "sql"


class Migration(migrations.Migration):

    dependencies = [
        ('spend', '0016_tail_by_month'),
        ('keys', '0009_lists_by_index_alone'),
        ('organizations', '0001_initial'),
        ('registry', '0008_endpoints_that_nobody_knows_yet'),
    ]

    operations = [
        DefinerFunction(
            "spend_token_stamps(bytea[], text[], text[])",
            (SQL / "0017_token_stamps.sql").read_text(encoding="utf-8"),
        ),
    ]
