"""Making and dropping partitions waits for its locks for a second and a half.

Autovacuum gives way to whoever has waited for ``deadlock_timeout``, a second unless it is set: a
wait of a second ended in the same moment, and a partition under autovacuum was left for later.
"""

from django.db import migrations

_FUNCTIONS = ("spend_make_partitions(integer)", "spend_drop_partitions()")


class Migration(migrations.Migration):

    dependencies = [
        ('spend', '0018_rebuild_of_a_tenant'),
    ]

    operations = [
        migrations.RunSQL(
            f"ALTER FUNCTION {function} SET lock_timeout = '1500ms'",
            f"ALTER FUNCTION {function} SET lock_timeout = '1s'",
        )
        for function in _FUNCTIONS
    ]
