"""Balances and limits of keys, what else a call may use, and when a limit last refused a call."""

from pathlib import Path

from django.db import migrations, models

SQL = Path(__file__).parent / "sql"
KINDS = ['organization', 'workspace', 'model']
KNOWN_WORDS = 'limit_known_words'


def sql(name, number=5):
    return (SQL / f"{number:04}_{name}.sql").read_text(encoding="utf-8")


def before(name):
    """Functions as they were: of the same names and signatures, they take the place of the new."""
    return sql(name, 1).replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


def known_words(kinds):
    return models.CheckConstraint(
        condition=models.Q(('mode__in', ['enforce', 'shadow']), ('subject_kind__in', kinds)),
        name=KNOWN_WORDS,
    )


class Migration(migrations.Migration):

    dependencies = [
        ('spend', '0004_keys_used'),
    ]

    operations = [
        migrations.AddField('balance', 'refused_at', models.DateTimeField(null=True)),
        migrations.RunSQL(
            migrations.RunSQL.noop, "DELETE FROM spend_limit WHERE subject_kind = 'key'"
        ),
        migrations.RemoveConstraint('limit', KNOWN_WORDS),
        migrations.AddConstraint('limit', known_words([*KINDS, 'key'])),
        migrations.RunSQL(
            sql("key_balances"), "DELETE FROM spend_balance WHERE subject_kind = 'key'"
        ),
        migrations.RunSQL(
            "DROP FUNCTION spend_subjects(uuid, uuid, uuid)", before("ledger")
        ),
        migrations.RunSQL(
            sql("subjects"), "DROP FUNCTION spend_subjects(uuid, uuid, uuid, uuid)"
        ),
        migrations.RunSQL(sql("sort"), before("open")),
        migrations.RunSQL(sql("place"), sql("place", 2)),
        migrations.RunSQL(sql("open_door"), before("open_door")),
        migrations.RunSQL(sql("settle"), before("settle")),
        migrations.RunSQL(sql("correct"), before("correct")),
        migrations.RunSQL(sql("recover"), before("recover")),
    ]
