import django.db.models.deletion
import tenants.common.models
from django.db import migrations, models

from tenants.common.row_security import TenantTable


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('organizations', '0006_members'),
    ]

    operations = [
        migrations.CreateModel(
            name='Confirmation',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('step', models.CharField(max_length=32)),
                ('confirmed_by', models.CharField(max_length=254)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization', 'step'), name='confirmation_uniq')],
            },
        ),
        TenantTable(
            "onboarding_confirmation", grants="SELECT, INSERT, DELETE", referenced=False
        ),
    ]
