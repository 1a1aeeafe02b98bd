"""Tokens can be rotated, bound to networks, and tell when they were used."""

import django.contrib.postgres.fields
from django.db import migrations, models

_FIND = """
CREATE OR REPLACE FUNCTION access_find_token(token_digest bytea)
RETURNS uuid LANGUAGE sql STABLE
SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT t.organization_id FROM access_organizationtoken t
    JOIN organizations_organization o ON o.id = t.organization_id
    WHERE (t.digest = token_digest {former}) AND o.status <> 'erased'
$$
"""


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0005_confine_publications'),
    ]

    operations = [
        migrations.AddField(
            model_name='organizationtoken',
            name='allowed_networks',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=43), default=list),
        ),
        migrations.AddField(
            model_name='organizationtoken',
            name='former_digest',
            field=models.BinaryField(max_length=32, null=True, unique=True),
        ),
        migrations.AddField(
            model_name='organizationtoken',
            name='former_ends_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='organizationtoken',
            name='last_used_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='platformtoken',
            name='allowed_networks',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=43), default=list),
        ),
        migrations.AddField(
            model_name='platformtoken',
            name='former_digest',
            field=models.BinaryField(max_length=32, null=True, unique=True),
        ),
        migrations.AddField(
            model_name='platformtoken',
            name='former_ends_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='platformtoken',
            name='last_used_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.RunSQL(
            _FIND.format(former="OR t.former_digest = token_digest"), _FIND.format(former="")
        ),
    ]
