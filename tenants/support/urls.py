"""Every address of the support desk, under ``/admin/``."""

from django.urls import path

from tenants.support import (
    attention,
    call,
    desk,
    house,
    key,
    lists,
    money,
    outside,
    overview,
    people,
    platform,
    prices,
    resets,
    signing_in,
    spend,
    verbs,
)

app_name = "admin"

_ORGANIZATION = "organizations/<uuid:organization_id>"

urlpatterns = [
    path("", desk.INDEX, name="index"),
    path("login", signing_in.LOGIN, name="login"),
    path("login/second-factor", signing_in.SECOND_FACTOR, name="second_factor"),
    path("logout", signing_in.LEAVE, name="logout"),
    path("search", desk.PALETTE, name="search"),
    path("platform", platform.PLATFORM, name="platform"),
    path("platform/prices", prices.PRICES, name="prices"),
    path("platform/attention", attention.ATTENTION, name="attention"),
    path("platform/keyring", platform.KEYRING, name="keyring"),
    path("log", platform.LOG, name="log"),
    path("staff", platform.TEAM, name="staff"),
    path(f"{_ORGANIZATION}/open", desk.OPEN_SESSION, name="session_open"),
    path(f"{_ORGANIZATION}/end", desk.END_SESSION, name="session_end"),
    path(_ORGANIZATION, overview.OVERVIEW, name="organization"),
    path(f"{_ORGANIZATION}/keys", house.KEYS, name="keys"),
    path(f"{_ORGANIZATION}/keys/<uuid:key_id>", key.KEY, name="key"),
    path(f"{_ORGANIZATION}/spend", spend.SPEND, name="spend"),
    path(f"{_ORGANIZATION}/filters/<slug:page>", lists.SAVE_FILTER, name="filter_save"),
    path(
        f"{_ORGANIZATION}/filters/<slug:page>/<uuid:filter_id>/forget",
        lists.FORGET_FILTER,
        name="filter_forget",
    ),
    path(f"{_ORGANIZATION}/models", house.MODELS, name="models"),
    path(f"{_ORGANIZATION}/calls", house.CALLS, name="calls"),
    path(f"{_ORGANIZATION}/calls/<uuid:call_id>", call.CALL, name="call"),
    path(f"{_ORGANIZATION}/people", people.PEOPLE, name="people"),
    path(f"{_ORGANIZATION}/outside", outside.OUTSIDE, name="outside"),
    path(f"{_ORGANIZATION}/audit", house.AUDIT, name="audit"),
    path(f"{_ORGANIZATION}/keys/<uuid:key_id>/check", verbs.CHECK_KEY, name="key_check"),
    path(
        f"{_ORGANIZATION}/invitations/<uuid:invitation_id>/resend",
        verbs.RESEND_INVITATION,
        name="invitation_resend",
    ),
    path(f"{_ORGANIZATION}/holds/release", verbs.RELEASE_HOLDS, name="holds_release"),
    path(f"{_ORGANIZATION}/tokens/<uuid:token_id>/revoke", verbs.REVOKE_TOKEN, name="token_revoke"),
    path(f"{_ORGANIZATION}/models/<uuid:model_id>/stop", verbs.STOP_MODEL, name="model_stop"),
    path(f"{_ORGANIZATION}/tokens/<uuid:token_id>/rotate", verbs.ROTATE_TOKEN, name="token_rotate"),
    path(f"{_ORGANIZATION}/models/<uuid:model_id>/unblock", verbs.UNBLOCK, name="model_unblock"),
    path(f"{_ORGANIZATION}/models/<uuid:model_id>/rotate", verbs.ROTATE_MODEL, name="model_rotate"),
    path(f"{_ORGANIZATION}/limits/extend", money.EXTEND_LIMIT, name="limit_extend"),
    path(f"{_ORGANIZATION}/corrections", money.POST_CORRECTION, name="correction_post"),
    path(
        f"{_ORGANIZATION}/corrections/<uuid:request_id>/confirm",
        money.CONFIRM_CORRECTION,
        name="correction_confirm",
    ),
    path(
        f"{_ORGANIZATION}/corrections/<uuid:request_id>/refuse",
        money.REFUSE_CORRECTION,
        name="correction_refuse",
    ),
    path(
        f"{_ORGANIZATION}/reconciliations",
        money.START_RECONCILIATION,
        name="reconciliation_start",
    ),
    path(
        f"{_ORGANIZATION}/models/<uuid:model_id>/publish",
        verbs.PUBLISH_AGAIN,
        name="model_publish",
    ),
    path(
        f"{_ORGANIZATION}/deliveries/<uuid:delivery_id>/replay",
        verbs.REPLAY_DELIVERY,
        name="delivery_replay",
    ),
    path(f"{_ORGANIZATION}/members/<uuid:member_id>/reset", resets.ASK, name="reset_ask"),
    path(f"{_ORGANIZATION}/resets/<uuid:reset_id>/confirm", resets.CONFIRM, name="reset_confirm"),
    path(f"{_ORGANIZATION}/resets/<uuid:reset_id>/refuse", resets.REFUSE, name="reset_refuse"),
    path(f"{_ORGANIZATION}/suspend", verbs.SUSPEND, name="suspend"),
    path(f"{_ORGANIZATION}/reactivate", verbs.REACTIVATE, name="reactivate"),
]
