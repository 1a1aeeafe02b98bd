"""What the console tells of a secret that waits to replace another and that Mistral refuses."""

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.keys import services
from tenants.keys.models import KeyReplacement, KeyStatus, MistralKey
from tests import people
from tests.api.world import made_up_key, world
from tests.factories import ACTOR

CONCERN = "waits for a secret that Mistral refuses"


def test_a_waiting_secret_that_is_refused_is_on_the_overview_and_on_the_keys_page():
    hers = world()
    client, place = people.visitor(hers.organization), f"/organizations/{hers.organization.pk}"
    with scope.tenant(hers.organization.pk):
        MistralKey.objects.filter(pk=hers.key.pk).update(status=KeyStatus.VALID)
    services.replace_secret(
        actor=ACTOR, key=hers.key, plain=Secret(made_up_key()), grace_seconds=3600
    )
    assert CONCERN not in client.get(place).text
    assert "notice-bad" not in client.get(f"/keys/{hers.key.pk}").text

    with scope.tenant(hers.organization.pk):
        KeyReplacement.objects.filter(key=hers.key).update(status=KeyStatus.INVALID)

    assert CONCERN in client.get(place).text
    page = client.get(f"/keys/{hers.key.pk}").text
    assert "notice-bad" in page
    assert "serves until" in page
