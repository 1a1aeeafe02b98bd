from django.db import migrations

from tenants.common.row_security import WorkspaceWall


class Migration(migrations.Migration):
    """Whoever sees some workspaces only does not see how others' calls are handled."""

    dependencies = [
        ('access', '0003_workspace_walls'),
        ('registry', '0004_quotas_and_traffic_policies'),
    ]

    operations = [WorkspaceWall("registry_trafficpolicy")]
