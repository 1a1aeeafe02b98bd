import django.db.models.deletion
import tenants.common.models
from django.db import migrations, models

from tenants.common.row_security import TenantTable


class Migration(migrations.Migration):

    dependencies = [
        ('organizations', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Announcement',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('kind', models.CharField(max_length=64)),
                ('workspace_id', models.UUIDField(null=True)),
                ('data', models.JSONField(default=dict)),
                ('once', models.CharField(max_length=200, null=True)),
                ('published_at', models.DateTimeField(null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('published_at', None)), fields=['organization', 'id'], name='announcement_unpublished_idx')],
                'constraints': [models.UniqueConstraint(fields=('organization', 'once'), name='announcement_once_uniq')],
            },
        ),
        TenantTable(
            "organizations_announcement",
            parents={"workspace_id": "organizations_workspace"},
            referenced=False,
        ),
    ]
