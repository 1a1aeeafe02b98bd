"""Every door that Django serves; the gateway's is opened in asgi.py."""

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
