from django.db import migrations

from tenants.common.row_security import WorkspaceWall


class Migration(migrations.Migration):
    """Whoever sees some workspaces only does not see how others' models stand in AIsuru."""

    dependencies = [
        ('access', '0004_confine_traffic_policies'),
        ('registry', '0005_publications'),
    ]

    operations = [WorkspaceWall("registry_publication")]
