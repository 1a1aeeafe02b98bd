import django.db.models.functions.text
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('keys', '0009_lists_by_index_alone'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='mistralkey',
            index=models.Index(models.F('organization'), models.F('workspace'), django.db.models.functions.text.Lower('name'), models.F('id'), name='key_by_name_idx'),
        ),
        AddIndexConcurrently(
            model_name='mistralkey',
            index=models.Index(fields=['organization', 'workspace', 'expires_on', 'id'], name='key_by_expiry_idx'),
        ),
    ]
