"""Answers of the gateway's calls are deleted after minutes, not after a day."""

from django.db import migrations

_SWEEP = """
CREATE OR REPLACE FUNCTION access_sweep_requests()
RETURNS bigint LANGUAGE sql VOLATILE
SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH platform AS (
        DELETE FROM access_platformrequest
        WHERE created_at < now() - interval '24 hours' RETURNING 1
    ), tenant AS (
        DELETE FROM access_tenantrequest
        WHERE created_at < now() - interval '24 hours' {calls} RETURNING 1
    )
    SELECT (SELECT count(*) FROM platform) + (SELECT count(*) FROM tenant)
$$
"""
_CALLS = """
           OR (key LIKE 'call:%' AND created_at < now() - interval '10 minutes'
               AND claimed_until < now())
"""


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0001_initial'),
    ]

    operations = [
        migrations.RunSQL(_SWEEP.format(calls=_CALLS), _SWEEP.format(calls="")),
    ]
