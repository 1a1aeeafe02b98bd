"""People who sign in, and what they agreed to. They belong to no organization: members do."""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models

from tenants.common.models import Row
from tenants.common.text import LONGEST_EMAIL, normalise_email


class PersonManager(BaseUserManager["Person"]):
    """Makes people, and finds them by whatever spelling of their address."""

    def create_person(
        self, *, email: str, password: str | None = None, name: str = "", is_staff: bool = False
    ) -> "Person":
        """Make a person; without a password they can sign in with a passkey only.

        Raises:
            ValueError: this is no address of e-mail.
        """
        address = normalise_email(email)
        if address is None:
            raise ValueError("no address of e-mail")
        person = self.model(email=address, name=name, is_staff=is_staff)
        person.set_password(password)
        person.save(force_insert=True)
        return person

    def get_by_natural_key(self, username: str | None) -> "Person":
        """Find a person by address."""
        return self.get(email=normalise_email(username or "") or "")


class Person(Row, AbstractBaseUser):
    """Somebody who signs in with an address of e-mail and a password or a passkey.

    Attributes:
        founding: the organization that this person asked for when signing up; it is made when the
            address is verified, and the name is forgotten then.
    """

    email = models.EmailField(max_length=LONGEST_EMAIL, unique=True)
    name = models.CharField(max_length=120, blank=True)
    locale = models.CharField(max_length=2, default="it")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    founding = models.CharField(max_length=120, blank=True)

    objects: ClassVar[PersonManager] = PersonManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.email

    @property
    def called(self) -> str:
        """What others call this person."""
        return self.name or self.email


class TermsAcceptance(Row):
    """That a person accepted one version of the terms; written once, by privilege."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    version = models.CharField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "version"], name="terms_acceptance_uniq")
        ]

    def __str__(self) -> str:
        return self.version
