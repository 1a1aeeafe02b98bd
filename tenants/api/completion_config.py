"""AIsuru's `CompletionConfig`, as the schema shows it; its members have AIsuru's own names."""

# ruff: noqa: N815 - they are AIsuru's names

from rest_framework import serializers

from tenants.aisuru.completion_config import Flavour
from tenants.api.endpoint import Out


class CompletionConfigOut(Out):
    """AIsuru's `CompletionConfig`; what is not known is left out."""

    configName = serializers.CharField()
    description = serializers.CharField(required=False)
    provider = serializers.ChoiceField(choices=[one.value for one in Flavour])
    model = serializers.CharField()
    modelName = serializers.CharField()
    contextSize = serializers.IntegerField(required=False)
    timeout = serializers.IntegerField(required=False)
    endPoint = serializers.URLField()
    apiKey = serializers.CharField(
        required=False, help_text="The model token; only where the token is made."
    )
    questionAnsweringEnabled = serializers.BooleanField()
    importExportEnabled = serializers.BooleanField()
    deepThoughtEnabled = serializers.BooleanField()
    visibleToTenantUsers = serializers.BooleanField()
    visibleToOtherUsers = serializers.BooleanField()
    useAsDefault = serializers.BooleanField()
