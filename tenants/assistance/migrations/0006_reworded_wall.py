from django.db import migrations

from tenants.common.row_security import RewordedWorkspaceWall


class Migration(migrations.Migration):
    """The wall says the same in words whose effect PostgreSQL can estimate (ADR 1)."""

    dependencies = [
        ('assistance', '0005_repeated_tasks'),
    ]

    operations = [RewordedWorkspaceWall("assistance_correctionrequest")]
