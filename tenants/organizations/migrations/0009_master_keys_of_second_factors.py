from django.db import migrations

from tenants.common.row_security import DefinerFunction, WithdrawnFunction

SIGNATURE = "organizations_master_keys()"

# As 0005 made it.
BEFORE = """
CREATE FUNCTION organizations_master_keys()
RETURNS TABLE (key_id text, boxes bigint) LANGUAGE sql STABLE
SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT CASE WHEN octet_length(wrapped) > 2 AND get_byte(wrapped, 0) = 1
                THEN encode(substring(wrapped FROM 3 FOR get_byte(wrapped, 1)), 'escape')
                ELSE '?' END,
           count(*)
    FROM (SELECT wrapped FROM organizations_datakey
          UNION ALL SELECT wrapped FROM organizations_intakekey) AS all_boxes
    GROUP BY 1
$$
"""

# And what seals people's second factors, in django-allauth's table: "sealed:" and the box in
# base64. What still lies open there needs no master key.
AFTER = BEFORE.replace(
    "UNION ALL SELECT wrapped FROM organizations_intakekey)",
    """UNION ALL SELECT wrapped FROM organizations_intakekey
          UNION ALL SELECT decode(substring(secret FROM 8), 'base64')
          FROM (SELECT coalesce(data->>'secret', data->>'seed') AS secret
                FROM mfa_authenticator WHERE type IN ('totp', 'recovery_codes')) AS second_factors
          WHERE secret LIKE 'sealed:%')""",
)


class Migration(migrations.Migration):

    dependencies = [
        ('organizations', '0008_mail_leases'),
        ('people', '0002_signing_in'),
    ]

    operations = [WithdrawnFunction(SIGNATURE, BEFORE), DefinerFunction(SIGNATURE, AFTER)]
