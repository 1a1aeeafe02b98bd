from django.db import migrations

from tenants.common.row_security import ReferenceTable

# Sessions, addresses and second factors belong to people, so to no tenant: no row security, but no
# more verbs than signing in needs (docs/adr/0010-people-are-platform-rows.md).
_ALL = "SELECT, INSERT, UPDATE, DELETE"


class Migration(migrations.Migration):

    dependencies = [
        ('people', '0001_initial'),
        ('account', '0009_emailaddress_unique_primary_email'),
        ('mfa', '0003_authenticator_type_uniq'),
        ('sessions', '0001_initial'),
        ('usersessions', '0001_initial'),
    ]

    operations = [
        ReferenceTable("django_session", grants=_ALL),
        ReferenceTable("account_emailaddress", grants=_ALL),
        ReferenceTable("mfa_authenticator", grants=_ALL),
        ReferenceTable("usersessions_usersession", grants=_ALL),
        # How often somebody tried: shared by all processes, lost in a crash without harm.
        migrations.RunSQL(
            """
            CREATE UNLOGGED TABLE people_counters (
                cache_key varchar(255) PRIMARY KEY,
                value text NOT NULL,
                expires timestamptz NOT NULL
            );
            CREATE INDEX people_counters_expires_idx ON people_counters (expires)
            """,
            "DROP TABLE people_counters",
        ),
        ReferenceTable("people_counters", grants=_ALL),
    ]
