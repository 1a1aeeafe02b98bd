"""Confirmed reconciliations post through the ledger's own door; theirs goes."""

from pathlib import Path

from django.db import migrations

from tenants.common.row_security import WithdrawnFunction

POST = (Path(__file__).parent / "sql" / "0003_post.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("accounting", "0003_reconciliations")]

    operations = [WithdrawnFunction("accounting_post(json)", POST)]
