"""The Celery application: its settings come from Django's, its tasks from the rooms."""

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aisuru_mistral.settings")  # noqa: TID251 - before settings exist

app = Celery("aisuru_mistral")
app.conf.update(settings.CELERY)
app.conf.beat_schedule = settings.CELERY_BEAT_SCHEDULE
app.autodiscover_tasks()
