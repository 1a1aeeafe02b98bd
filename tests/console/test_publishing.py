"""Whether a model's page offers to publish it: only where there is a login for it."""

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.registry.connections import set_connection
from tests import people
from tests.factories import ACTOR
from tests.spend import made


def test_publishing_is_offered_where_aisurus_login_is_known(organization, workspace):
    client = people.visitor(organization)
    with scope.tenant(organization.id):
        model = made.registered_model(organization, workspace)
    page, publish = f"/models/{model.pk}", f'action="/models/{model.pk}/publish"'
    before = client.get(page).text
    assert publish not in before
    assert "once a login of yours there is known" in before
    set_connection(actor=ACTOR, organization=organization, plain=Secret("a-login-of-theirs"))
    after = client.get(page).text
    assert publish in after
    assert "once a login of yours there is known" not in after
