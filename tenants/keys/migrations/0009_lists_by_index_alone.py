from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('keys', '0008_verdict_history'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='mistralkey',
            index=models.Index(fields=['organization', '-id', 'workspace'], name='key_newest_idx'),
        ),
        AddIndexConcurrently(
            model_name='mistralkey',
            index=models.Index(fields=['organization', 'status', '-id', 'workspace'], name='key_of_status_idx'),
        ),
        AddIndexConcurrently(
            model_name='mistralkey',
            index=models.Index(condition=models.Q(('status', 'valid')), fields=['workspace', 'id'], name='key_first_valid_idx'),
        ),
        RemoveIndexConcurrently(model_name='mistralkey', name='key_status_idx'),
    ]
