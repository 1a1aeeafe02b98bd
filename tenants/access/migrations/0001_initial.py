import django.contrib.postgres.fields
import django.db.models.deletion
import tenants.common.models
from django.db import migrations, models

from tenants.common.row_security import DefinerFunction, ReferenceTable, TenantTable


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('organizations', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='PlatformToken',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('name', models.CharField(max_length=120)),
                ('digest', models.BinaryField(max_length=32, unique=True)),
                ('hint', models.CharField(max_length=24)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=32), default=list)),
                ('created_by', models.CharField(max_length=254)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='OrganizationToken',
            fields=[
                ('id', models.UUIDField(default=tenants.common.models.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('name', models.CharField(max_length=120)),
                ('digest', models.BinaryField(max_length=32, unique=True)),
                ('hint', models.CharField(max_length=24)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=32), default=list)),
                ('created_by', models.CharField(max_length=254)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organizations.organization')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['organization', '-id'], name='org_token_list_idx')],
            },
        ),
        ReferenceTable("access_platformtoken", grants="SELECT, INSERT, UPDATE"),
        TenantTable("access_organizationtoken", grants="SELECT, INSERT, UPDATE"),
        DefinerFunction(
            "access_find_token(bytea)",
            """
            CREATE FUNCTION access_find_token(token_digest bytea)
            RETURNS uuid LANGUAGE sql STABLE
            SECURITY DEFINER SET search_path = public, pg_temp
            AS 'SELECT organization_id FROM access_organizationtoken WHERE digest = token_digest'
            """,
        ),
    ]
