from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0008_endpoints_that_nobody_knows_yet'),
    ]

    operations = [
        migrations.AddField(
            model_name='quotarecord',
            name='reset_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='quotarecord',
            name='saved_after',
            field=models.DateTimeField(null=True),
        ),
    ]
