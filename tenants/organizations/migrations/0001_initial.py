import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.text
import tenants.common.models
from django.db import migrations, models

from tenants.common.row_security import PlatformTable, TenantTable


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Organization',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('name', models.CharField(max_length=120)),
                ('slug', models.SlugField(max_length=60, unique=True)),
                ('aisuru_tenant', models.CharField(blank=True, max_length=253)),
                ('status', models.CharField(choices=[('active', 'Active'), ('suspended', 'Suspended'), ('erased', 'Erased')], default='active', max_length=16)),
                ('owner_email', models.EmailField(max_length=254)),
                ('locale', models.CharField(default='it', max_length=2)),
                ('timezone', models.CharField(default='Europe/Rome', max_length=64)),
                ('currency', models.CharField(default='EUR', max_length=3)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='DataKey',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('version', models.PositiveIntegerField()),
                ('wrapped', models.BinaryField()),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization', 'version'), name='data_key_version_uniq')],
            },
        ),
        migrations.CreateModel(
            name='ErasureCertificate',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('erased_at', models.DateTimeField()),
                ('data_keys_destroyed', models.PositiveIntegerField()),
                ('keys_shredded', models.PositiveIntegerField()),
                ('tokens_revoked', models.PositiveIntegerField()),
                ('retained', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), size=None)),
                ('digest', models.CharField(max_length=64)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('organization',), name='erasure_certificate_uniq')],
            },
        ),
        migrations.CreateModel(
            name='IntakeKey',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('public', models.BinaryField(max_length=65)),
                ('wrapped', models.BinaryField()),
                ('replaced_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='AuditEvent',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('actor_kind', models.CharField(max_length=16)),
                ('actor_id', models.CharField(max_length=64)),
                ('actor_name', models.CharField(max_length=254)),
                ('verb', models.CharField(max_length=64)),
                ('target_kind', models.CharField(max_length=32)),
                ('target_id', models.UUIDField()),
                ('changed', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), default=list)),
                ('request_id', models.CharField(blank=True, max_length=64)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['organization', 'target_id'], name='audit_target_idx')],
            },
        ),
        migrations.CreateModel(
            name='Workspace',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('name', models.CharField(max_length=120)),
                ('icon', models.CharField(blank=True, max_length=16)),
                ('description', models.CharField(blank=True, max_length=500)),
                ('is_default', models.BooleanField(default=False)),
                ('archived_at', models.DateTimeField(blank=True, null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(models.F('organization'), django.db.models.functions.text.Lower('name'), condition=models.Q(('archived_at', None)), name='workspace_name_uniq'), models.UniqueConstraint(condition=models.Q(('is_default', True)), fields=('organization',), name='workspace_default_uniq')],
            },
        ),
        TenantTable(
            "organizations_organization",
            column="id",
            grants="SELECT, INSERT, UPDATE",
            platform_reads=True,
        ),
        TenantTable(
            "organizations_workspace", grants="SELECT, INSERT, UPDATE", locatable=True
        ),
        TenantTable("organizations_datakey"),
        PlatformTable(
            "organizations_intakekey", grants="SELECT, INSERT, UPDATE, DELETE"
        ),
        TenantTable(
            "organizations_erasurecertificate", grants="SELECT, INSERT", referenced=False
        ),
        TenantTable("organizations_auditevent", grants="SELECT, INSERT"),
    ]
