"""Webhooks that chose what the staff does go on hearing all of it: a part has a kind of its own."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('notices', '0003_owner_is_told'),
    ]

    operations = [
        migrations.RunSQL(
            """
            UPDATE notices_webhookendpoint SET kinds = array_append(kinds, 'support.helped')
            WHERE 'support.acted' = ANY (kinds) AND 'support.helped' <> ALL (kinds)
            """,
            """
            UPDATE notices_webhookendpoint SET kinds = array_remove(kinds, 'support.helped')
            WHERE 'support.helped' = ANY (kinds)
            """,
        ),
    ]
