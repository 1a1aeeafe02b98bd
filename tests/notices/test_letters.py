"""Letters about one's own login, and invitations: in both languages, HTML and text alike."""

from datetime import UTC, datetime

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


@pytest.mark.parametrize("kind", letters.notices())
def test_what_happened_to_an_account_is_told_with_the_account_and_the_time(kind):
    facts = FACTS | {
        "account": "anna@people.example",
        "timestamp": datetime(2026, 11, 26, 23, 30, tzinfo=UTC),
        "ip": "192.0.2.7",
    }
    for language, when in (("it", "27 novembre 2026, 00:30"), ("en", "27 November 2026, 00:30")):
        with translation.override(language):
            told = letters.write(kind, facts).text
        assert "anna@people.example" in told
        assert f"{when} (Europe/Rome)" in told
        assert "192.0.2.7" in told


def test_another_address_is_told_with_both():
    facts = FACTS | {"from_email": "old@people.example", "to_email": "new@people.example"}
    with translation.override("en"):
        told = letters.write("account/email/email_changed", facts).text
    assert "Address before: old@people.example" in told
    assert "Address now: new@people.example" in told


@pytest.mark.parametrize("language", ["it", "en"])
def test_an_invitation_says_who_invites_and_where(language, organization):
    row = invitations.make(
        organization, "eva@example.com", role=Role.MEMBER, workspaces={}, invited_by="Anna Conti"
    )
    row.locale = language
    row.expires_at = datetime(2026, 12, 3, 8, 5, tzinfo=UTC)
    with translation.override(language):
        letter = letter_of(row, organization)
        assert "Anna Conti" in letter.text
        assert "Rossi Srl" in letter.html
        assert letter.facts[1][1] == {"it": "Membro", "en": "Member"}[language]
        until = {"it": "3 dicembre 2026, 09:05", "en": "3 December 2026, 09:05"}[language]
        assert f"{until} (Europe/Rome)" in letter.text
        looked_at("invitation", language, letter)
