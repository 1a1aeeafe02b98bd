"""A batch job's hold stands until the job is metered, for days if need be: it is not left over."""

from importlib import import_module

from django.db import migrations

from tenants.common.row_security import DefinerFunction

SIGNATURE = "support_figures()"
[FORMER] = [
    operation.sql.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)
    for operation in import_module("tenants.support.migrations.0001_initial").Migration.operations
    if isinstance(operation, DefinerFunction) and operation.signature == SIGNATURE
]
ALL = "FROM spend_hold\n"
LEFT_OVER = """FROM spend_hold h WHERE NOT EXISTS (
                    SELECT FROM spend_batchjob j WHERE j.call_id = h.id AND j.metered_at IS NULL
                )
"""


class Migration(migrations.Migration):

    dependencies = [
        ('support', '0006_calls_by_outcome'),
        ('spend', '0019_outlast_autovacuum'),
    ]

    operations = [
        migrations.RunSQL(FORMER.replace(ALL, LEFT_OVER, 1), FORMER),
    ]
