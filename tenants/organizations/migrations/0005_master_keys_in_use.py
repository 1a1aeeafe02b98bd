from django.db import migrations

from tenants.common.row_security import DefinerFunction


class Migration(migrations.Migration):

    dependencies = [
        ('organizations', '0004_former_time_zones'),
    ]

    operations = [
        # Which master keys are still needed, whosesoever data keys they wrap: it tells the names
        # in the headers and how many, nothing else. A box begins: 1, length of the name, name.
        DefinerFunction(
            "organizations_master_keys()",
            """
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
            """,
        ),
    ]
