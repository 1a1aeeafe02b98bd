"""Addresses of signing up, in and out; the names are those by which django-allauth finds them.

What this service has no use for is not here, so it is not open (compare access/account_urls.py).
"""

from django.urls import path, re_path

from tenants.console import accounts, passkeys

urlpatterns = [
    path("sign-in", accounts.SignIn.as_view(), name="account_login"),
    path("sign-in/code", accounts.SecondFactor.as_view(), name="mfa_authenticate"),
    path("sign-in/passkey", passkeys.SignInByPasskey.as_view(), name="mfa_login_webauthn"),
    path("sign-up", accounts.SignUp.as_view(), name="account_signup"),
    path("verify-email", accounts.VerifyEmail.as_view(), name="account_email_verification_sent"),
    path("sign-out", accounts.SignOut.as_view(), name="account_logout"),
    path("inactive", accounts.Inactive.as_view(), name="account_inactive"),
    path("reset-password", accounts.ForgotPassword.as_view(), name="account_reset_password"),
    path("reset-password", accounts.ForgotPassword.as_view(), name="account_set_password"),
    path(
        "reset-password/sent",
        accounts.ForgotPasswordSent.as_view(),
        name="account_reset_password_done",
    ),
    path(
        "reset-password/done",
        accounts.NewPasswordSet.as_view(),
        name="account_reset_password_from_key_done",
    ),
    re_path(
        r"^reset-password/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)$",
        accounts.NewPassword.as_view(),
        name="account_reset_password_from_key",
    ),
    path("confirm", accounts.Confirm.as_view(), name="account_reauthenticate"),
    path("confirm/code", accounts.ConfirmByCode.as_view(), name="mfa_reauthenticate"),
    path(
        "confirm/passkey", passkeys.ConfirmByPasskey.as_view(), name="mfa_reauthenticate_webauthn"
    ),
    path("security", accounts.Security.as_view(), name="mfa_index"),
    path("security/addresses", accounts.Security.as_view(), name="account_email"),
    path("security/password", accounts.ChangePassword.as_view(), name="account_change_password"),
    path("security/app", accounts.AddApp.as_view(), name="mfa_activate_totp"),
    path("security/app/remove", accounts.RemoveApp.as_view(), name="mfa_deactivate_totp"),
    path(
        "security/recovery-codes",
        accounts.RecoveryCodes.as_view(),
        name="mfa_view_recovery_codes",
    ),
    path(
        "security/recovery-codes/new",
        accounts.NewRecoveryCodes.as_view(),
        name="mfa_generate_recovery_codes",
    ),
    path("security/passkeys", passkeys.Passkeys.as_view(), name="mfa_list_webauthn"),
    path("security/passkeys/new", passkeys.AddPasskey.as_view(), name="mfa_add_webauthn"),
    path(
        "security/passkeys/<int:pk>/rename",
        passkeys.RenamePasskey.as_view(),
        name="mfa_edit_webauthn",
    ),
    path(
        "security/passkeys/<int:pk>/remove",
        passkeys.RemovePasskey.as_view(),
        name="mfa_remove_webauthn",
    ),
    path("security/sessions", accounts.Sessions.as_view(), name="usersessions_list"),
]
