"""Letters about one's own login, and invitations: in both languages, HTML and text alike."""

import pytest
from django.utils import translation

from tenants.organizations import invitations
from tenants.organizations.invitation_mail import letter_of
from tenants.organizations.roles import Role
from tenants.people import letters
from tests.letters import looked_at

FACTS = {
    "code": "ABCD-EFGH",
    "link": "https://keys.example/verify-email",
    "password_reset_url": "https://keys.example/reset-password/1-x",
    "signup_url": "https://keys.example/sign-up",
    "reset_link": "https://keys.example/reset-password",
}
OWN = [*letters._LETTERS, *letters.notices()]


@pytest.mark.parametrize("kind", OWN)
def test_a_letter_about_ones_own_login_says_the_same_in_both_forms(kind):
    subjects = set()
    for language in ("it", "en"):
        with translation.override(language):
            letter = letters.write(kind, FACTS)
            assert f'lang="{language}"' in letter.html
            assert letter.button is not None
            assert letter.button.link in letter.text
            assert all(paragraph in letter.text for paragraph in letter.paragraphs)
            looked_at(kind, language, letter)
            subjects.add(letter.subject)
    assert len(subjects) == 2


@pytest.mark.parametrize("language", ["it", "en"])
def test_an_invitation_says_who_invites_and_where(language, organization):
    row = invitations.make(
        organization, "eva@example.com", role=Role.MEMBER, workspaces={}, invited_by="Anna Conti"
    )
    row.locale = language
    with translation.override(language):
        letter = letter_of(row, organization)
        assert "Anna Conti" in letter.text
        assert "Rossi Srl" in letter.html
        looked_at("invitation", language, letter)
