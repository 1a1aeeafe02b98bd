import django.db.models.deletion
import tenants.common.models
from django.db import migrations, models

from tenants.common.row_security import TenantTable


class Migration(migrations.Migration):

    dependencies = [
        ('keys', '0007_paid_trials'),
        ('organizations', '0008_mail_leases'),
    ]

    operations = [
        migrations.CreateModel(
            name='KeyVerdict',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('valid', 'Valid'), ('invalid', 'Invalid'), ('suspended', 'Suspended'), ('expired', 'Expired'), ('unreachable', 'Unreachable'), ('undecryptable', 'Undecryptable'), ('revoked', 'Revoked')], max_length=16)),
                ('verdict_code', models.CharField(choices=[('ok', 'Ok'), ('key_malformed', 'Key Malformed'), ('key_unknown', 'Key Unknown'), ('billing_inactive', 'Billing Inactive'), ('subscription_required', 'Subscription Required'), ('spending_limit_reached', 'Spending Limit Reached'), ('rate_limited', 'Rate Limited'), ('mistral_unavailable', 'Mistral Unavailable'), ('wrong_workspace', 'Wrong Workspace'), ('expired_locally', 'Expired Locally'), ('undecryptable', 'Undecryptable')], max_length=32)),
                ('evidence', models.JSONField(default=dict)),
                ('key', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='verdicts', to='keys.mistralkey')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['organization', 'key', '-id'], name='key_verdict_idx')],
            },
        ),
        TenantTable(
            "keys_keyverdict",
            parents={"key_id": "keys_mistralkey"},
            grants="SELECT, INSERT, DELETE",
            referenced=False,
        ),
    ]
