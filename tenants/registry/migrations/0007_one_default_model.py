from django.db import migrations, models

# The newest default of an organization stays one. AIsuru hears of the others when they are next
# published; until then they show as drifted.
NEWEST_STAYS = """
UPDATE registry_registeredmodel AS older SET use_as_default = false
WHERE use_as_default AND retired_at IS NULL AND EXISTS (
    SELECT FROM registry_registeredmodel AS newer
    WHERE newer.organization_id = older.organization_id AND newer.id > older.id
      AND newer.use_as_default AND newer.retired_at IS NULL
)
"""


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0006_what_else_a_workspace_chooses'),
    ]

    operations = [
        migrations.RunSQL(NEWEST_STAYS, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name='registeredmodel',
            constraint=models.UniqueConstraint(condition=models.Q(('retired_at', None), ('use_as_default', True)), fields=('organization',), name='model_default_uniq'),
        ),
    ]
