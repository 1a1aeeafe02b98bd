"""Every address of signing up, in and out, under ``/_allauth/browser/v1/``.

They are django-allauth's own, with its documented answers; those that this service has no use for
(telephone numbers, apps' tokens, codes instead of passwords) are not here, so they are not open.
"""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from allauth.headless.account import views as account
from allauth.headless.base.views import ConfigView
from allauth.headless.constants import Client
from allauth.headless.mfa import views as mfa
from allauth.headless.usersessions import views as usersessions
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import path

from tenants.access import errors, passkeys
from tenants.common.problems import Problem

_VIEWS = {
    "config": ConfigView,
    "auth/session": account.SessionView,
    "auth/signup": account.SignupView,
    "auth/login": account.LoginView,
    "auth/reauthenticate": account.ReauthenticateView,
    "auth/email/verify": account.VerifyEmailView,
    "auth/email/verify/resend": account.ResendEmailVerificationCodeView,
    "auth/password/request": account.RequestPasswordResetView,
    "auth/password/reset": account.ResetPasswordView,
    "auth/2fa/authenticate": mfa.AuthenticateView,
    "auth/2fa/reauthenticate": mfa.ReauthenticateView,
    "auth/webauthn/login": passkeys.LoginView,
    "auth/webauthn/authenticate": passkeys.AuthenticateView,
    "auth/webauthn/reauthenticate": passkeys.ConfirmView,
    "auth/sessions": usersessions.SessionsView,
    "account/password/change": account.ChangePasswordView,
    "account/email": account.ManageEmailView,
    "account/authenticators": mfa.AuthenticatorsView,
    "account/authenticators/totp": mfa.ManageTOTPView,
    "account/authenticators/webauthn": passkeys.ManageView,
    "account/authenticators/recovery-codes": mfa.ManageRecoveryCodesView,
}

type _View = Callable[..., HttpResponseBase]


def _answered(view: _View) -> _View:
    """Add what allauth leaves out: when to come back, and problems of ours as everywhere."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            response = view(request, *args, **kwargs)
        except Problem as problem:
            return errors.answer(problem)
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            response.headers["Retry-After"] = str(errors.tried_too_often().retry_after)
        return response

    return answered


urlpatterns = [
    path(route, _answered(view.as_api_view(client=Client.BROWSER)), name=f"account-{route}")
    for route, view in _VIEWS.items()
]
