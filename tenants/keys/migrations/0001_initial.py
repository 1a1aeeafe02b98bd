import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
import tenants.common.models
from django.db import migrations, models

from tenants.common.row_security import DefinerFunction, TenantTable


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('organizations', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='MistralKey',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('name', models.CharField(blank=True, max_length=120)),
                ('last4', models.CharField(max_length=4)),
                ('fingerprint', models.BinaryField(max_length=32)),
                ('sealed', models.BinaryField(null=True)),
                ('secret_version', models.PositiveIntegerField(default=1)),
                ('secret_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('data_key_version', models.PositiveIntegerField(default=1)),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('valid', 'Valid'), ('invalid', 'Invalid'), ('suspended', 'Suspended'), ('expired', 'Expired'), ('unreachable', 'Unreachable'), ('undecryptable', 'Undecryptable'), ('revoked', 'Revoked')], default='pending', max_length=16)),
                ('expires_on', models.DateField(blank=True, null=True)),
                ('created_by', models.CharField(max_length=254)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('verdict_code', models.CharField(blank=True, choices=[('ok', 'Ok'), ('key_malformed', 'Key Malformed'), ('key_unknown', 'Key Unknown'), ('billing_inactive', 'Billing Inactive'), ('subscription_required', 'Subscription Required'), ('spending_limit_reached', 'Spending Limit Reached'), ('rate_limited', 'Rate Limited'), ('mistral_unavailable', 'Mistral Unavailable'), ('wrong_workspace', 'Wrong Workspace'), ('expired_locally', 'Expired Locally'), ('undecryptable', 'Undecryptable')], max_length=32)),
                ('checked_at', models.DateTimeField(blank=True, null=True)),
                ('evidence', models.JSONField(default=dict)),
                ('identity', models.JSONField(blank=True, null=True)),
                ('models_seen', models.PositiveIntegerField(default=0)),
                ('doubts', models.PositiveSmallIntegerField(default=0)),
                ('next_check_at', models.DateTimeField(blank=True, default=django.utils.timezone.now, null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('claim', models.UUIDField(blank=True, null=True)),
                ('held_until', models.DateTimeField(blank=True, null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.workspace')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='KeyReplacement',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('last4', models.CharField(max_length=4)),
                ('fingerprint', models.BinaryField(max_length=32)),
                ('sealed', models.BinaryField()),
                ('secret_version', models.PositiveIntegerField()),
                ('secret_at', models.DateTimeField()),
                ('data_key_version', models.PositiveIntegerField()),
                ('expires_on', models.DateField(blank=True, null=True)),
                ('ends_at', models.DateTimeField()),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('valid', 'Valid'), ('invalid', 'Invalid'), ('suspended', 'Suspended'), ('expired', 'Expired'), ('unreachable', 'Unreachable'), ('undecryptable', 'Undecryptable'), ('revoked', 'Revoked')], default='pending', max_length=16)),
                ('verdict_code', models.CharField(blank=True, choices=[('ok', 'Ok'), ('key_malformed', 'Key Malformed'), ('key_unknown', 'Key Unknown'), ('billing_inactive', 'Billing Inactive'), ('subscription_required', 'Subscription Required'), ('spending_limit_reached', 'Spending Limit Reached'), ('rate_limited', 'Rate Limited'), ('mistral_unavailable', 'Mistral Unavailable'), ('wrong_workspace', 'Wrong Workspace'), ('expired_locally', 'Expired Locally'), ('undecryptable', 'Undecryptable')], max_length=32)),
                ('checked_at', models.DateTimeField(blank=True, null=True)),
                ('evidence', models.JSONField(default=dict)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('key', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='replacement', to='keys.mistralkey')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'indexes': [models.Index(fields=['organization', 'fingerprint'], name='replacement_secret_idx')],
            },
        ),
        migrations.CreateModel(
            name='SeenModel',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('mistral_id', models.CharField(max_length=200)),
                ('name', models.CharField(max_length=200)),
                ('aliases', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), default=list)),
                ('kind', models.CharField(default='base', max_length=16)),
                ('root', models.CharField(blank=True, max_length=200)),
                ('context_length', models.PositiveIntegerField(null=True)),
                ('capabilities', models.JSONField(default=dict)),
                ('deprecation_at', models.DateTimeField(null=True)),
                ('replacement', models.CharField(blank=True, max_length=200)),
                ('key', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='seen_models', to='keys.mistralkey')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
        ),
        migrations.CreateModel(
            name='SpentEnvelope',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('digest', models.BinaryField(max_length=32)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization', 'digest'), name='spent_envelope_uniq')],
            },
        ),
        migrations.AddIndex(
            model_name='mistralkey',
            index=models.Index(fields=['organization', 'workspace', '-id'], name='key_list_idx'),
        ),
        migrations.AddIndex(
            model_name='mistralkey',
            index=models.Index(condition=models.Q(('next_check_at__isnull', False)), fields=['next_check_at'], name='key_due_idx'),
        ),
        migrations.AddConstraint(
            model_name='mistralkey',
            constraint=models.UniqueConstraint(condition=models.Q(('revoked_at', None)), fields=('organization', 'fingerprint', 'workspace'), name='key_once_per_workspace_uniq'),
        ),
        migrations.AddConstraint(
            model_name='mistralkey',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('revoked_at__isnull', False), ('sealed', None), ('status', 'revoked')), models.Q(models.Q(('status', 'revoked'), _negated=True), ('revoked_at', None), ('sealed__isnull', False)), _connector='OR'), name='key_shredded_when_revoked'),
        ),
        migrations.AddConstraint(
            model_name='mistralkey',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'pending'), _negated=True), ('next_check_at__isnull', False), _connector='OR'), name='key_pending_is_due'),
        ),
        migrations.AddConstraint(
            model_name='seenmodel',
            constraint=models.UniqueConstraint(fields=('organization', 'key', 'mistral_id'), name='seen_model_uniq'),
        ),
        TenantTable(
            "keys_mistralkey",
            parents={"workspace_id": "organizations_workspace"},
            grants="SELECT, INSERT, UPDATE",
            locatable=True,
        ),
        TenantTable("keys_keyreplacement", parents={"key_id": "keys_mistralkey"}),
        TenantTable("keys_spentenvelope", grants="SELECT, INSERT, DELETE", referenced=False),
        TenantTable("keys_seenmodel", parents={"key_id": "keys_mistralkey"}),
        # The sweep: which keys are due, whosesoever they are. It tells ids and holds them for the
        # queue, so that one sweep does not enqueue what the last one did.
        DefinerFunction(
            "keys_take_due(integer, double precision)",
            """
            CREATE FUNCTION keys_take_due(batch integer, seconds double precision)
            RETURNS TABLE (organization_id uuid, key_id uuid) LANGUAGE sql VOLATILE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS $$
                UPDATE keys_mistralkey AS taken
                SET claim = NULL, held_until = now() + make_interval(secs => seconds)
                FROM (
                    SELECT id FROM keys_mistralkey
                    WHERE next_check_at <= now() AND (held_until IS NULL OR held_until <= now())
                    ORDER BY next_check_at LIMIT batch FOR NO KEY UPDATE SKIP LOCKED
                ) AS due
                WHERE taken.id = due.id
                RETURNING taken.organization_id, taken.id
            $$
            """,
        ),
    ]
