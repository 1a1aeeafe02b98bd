import pytest

from tenants.mistral.address import join, service_root


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("https://api.mistral.ai", "https://api.mistral.ai"),
        ("https://api.mistral.ai/", "https://api.mistral.ai"),
        ("https://api.mistral.ai/v1", "https://api.mistral.ai"),
        ("https://api.mistral.ai/v1/", "https://api.mistral.ai"),
        ("http://127.0.0.1:8000/proxy/t1", "http://127.0.0.1:8000/proxy/t1"),
    ],
)
def test_both_spellings_of_the_base_address_give_one_root(given, root):
    assert service_root(given) == root


@pytest.mark.parametrize(
    "given",
    ["", "api.mistral.ai", "ftp://x", "https://", "https://u:p@x", "https://x?a", "https://x#a"],
)
def test_anything_but_a_plain_http_address_is_refused(given):
    with pytest.raises(ValueError, match="address"):
        service_root(given)


def test_a_path_is_appended_as_it_is():
    assert join("https://x", "/v1/files/a%20b?limit=1&q=%C3%A9") == (
        "https://x/v1/files/a%20b?limit=1&q=%C3%A9"
    )


@pytest.mark.parametrize(
    "path",
    [
        "v1/models",
        "@evil.test/v1",
        "/v1/../admin",
        "/v1/%2e%2e/admin",
        "/v1/.%2E/admin",
        "/v1/a b",
        "/v1/a\r\nX: y",
        "/v1/é",
        "/v1/a#b",
        "/v1\\..\\admin",
        "",
    ],
)
def test_a_path_that_could_lead_elsewhere_is_refused(path):
    with pytest.raises(ValueError, match="path"):
        join("https://api.mistral.ai", path)
