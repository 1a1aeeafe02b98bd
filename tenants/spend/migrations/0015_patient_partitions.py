"""Making and dropping partitions waits for its locks for a second, and not in everybody's way.

A partition is dropped under the strongest lock on the ledger. Behind a long report it would wait,
and all calls behind it. It gives up instead; the task tries again.
"""

from django.db import migrations

_FUNCTIONS = ("spend_make_partitions(integer)", "spend_drop_partitions()")


class Migration(migrations.Migration):

    dependencies = [
        ('spend', '0014_limit_extensions'),
    ]

    operations = [
        migrations.RunSQL(
            f"ALTER FUNCTION {function} SET lock_timeout = '1s'",
            f"ALTER FUNCTION {function} RESET lock_timeout",
        )
        for function in _FUNCTIONS
    ]
