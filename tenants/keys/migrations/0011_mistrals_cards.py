from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('keys', '0010_lists_in_order'),
    ]

    operations = [
        migrations.AddField(
            model_name='seenmodel',
            name='card',
            field=models.JSONField(null=True),
        ),
    ]
