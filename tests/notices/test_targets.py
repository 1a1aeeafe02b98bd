"""Where webhooks may go: the table of addresses, names that change their mind, certificates."""

import ipaddress
import socket
import ssl
import threading
from datetime import timedelta
from http.server import HTTPServer
from typing import Any

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.utils import timezone

from tenants.common.problems import Invalid
from tenants.notices import targets, webhooks
from tests.notices.receiver import Receiver

REFUSED = {
    "url_invalid": [
        "",
        "example.com/hooks",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com/#fragment",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/a b",
        "https://example.com/\r\nHost: internal",
        "https://exa\tmple.com/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://[::1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://single/",
        "https://" + "a" * 300 + ".com/",
        "https://example.com/" + "a" * 2_000,
        "https://example.com/ü",
    ],
    "url_not_https": ["http://example.com/", "http://8.8.8.8/"],
    "url_port_refused": ["https://example.com:22/", "https://example.com:6379/"],
    "url_not_public": [
        "https://localhost/",
        "https://localhost./",
        "https://api.localhost/",
        "https://printer.local/",
        "https://metadata.google.internal/",
        "https://127.0.0.1/",
        "https://127.8.8.8/",
        "https://0.0.0.0/",
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://192.0.2.1/",
        "https://198.18.0.1/",
        "https://192.88.99.1/",
        "https://224.0.0.1/",
        "https://240.0.0.1/",
        "https://255.255.255.255/",
        "https://[::]/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:8.8.8.8]/",
        "https://[::127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[64:ff9b:1::1]/",
        "https://[2002:7f00:1::]/",
        "https://[2001:0:7f00:1::]/",
        "https://[2001:db8::1]/",
        "https://[3fff::1]/",
        "https://[fc00::1]/",
        "https://[fd00:ec2::254]/",
        "https://[fe80::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[fec0::1]/",
        "https://[ff02::1]/",
        "https://[5f00::1]/",
    ],
}
TAKEN = {
    "https://example.com": "https://example.com/",
    "https://EXAMPLE.com:443/a?b=c": "https://example.com/a?b=c",
    "https://example.com:8443/a%20b": "https://example.com:8443/a%20b",
    "https://bücher.example/": "https://xn--bcher-kva.example/",
    "https://8.8.8.8/": "https://8.8.8.8/",
    "https://[2606:4700:4700::1111]/": "https://[2606:4700:4700::1111]/",
}


@pytest.mark.parametrize("code", REFUSED)
def test_addresses_that_are_refused_as_they_are_written(code):
    for url in REFUSED[code]:
        with pytest.raises(Invalid) as refusal:
            targets.read(url)
        assert (refusal.value.code, refusal.value.errors[0].pointer) == (code, "/url"), url


def test_addresses_that_are_taken_have_one_spelling():
    assert {url: targets.read(url).url for url in TAKEN} == TAKEN


def test_loopback_is_open_only_where_it_is_set_and_to_loopback_only(settings):
    for url in ("http://127.0.0.1:9000/", "http://localhost:9000/", "http://[::1]:9000/"):
        settings.WEBHOOK_LOOPBACK = False
        with pytest.raises(Invalid):
            targets.read(url)
        settings.WEBHOOK_LOOPBACK = True
        assert targets.read(url).is_loopback
    for url in ("http://example.com/", "https://10.0.0.1/", "http://127.0.0.1:22/"):
        with pytest.raises(Invalid):
            targets.read(url)


def resolving(monkeypatch, *addresses: str) -> list[str]:
    """Have every name lead to these addresses; gives who was asked for."""
    asked: list[str] = []
    honest = socket.getaddrinfo

    def lead(host: str, port: int, *how: Any, **more: Any) -> list[Any]:
        if host[0].isdigit():  # an address, read by whoever connects to it
            return honest(host, port, *how, **more)
        asked.append(host)
        families = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            (families[ipaddress.ip_address(one).version], socket.SOCK_STREAM, 6, "", (one, port))
            for one in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", lead)
    return asked


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("10.1.2.3",),
        ("169.254.169.254",),
        ("8.8.8.8", "192.168.0.1"),
        ("2606:4700:4700::1111", "::1"),
        ("::ffff:10.0.0.1",),
        ("64:ff9b::a00:1",),
    ],
    ids=" ".join,
)
def test_a_public_name_that_leads_inside_is_not_connected_to(addresses, monkeypatch):
    resolving(monkeypatch, *addresses)
    monkeypatch.setattr(
        httpcore.SyncBackend, "connect_tcp", lambda *_facts, **_more: pytest.fail("went")
    )
    target = targets.read("https://hooks.example.com/")
    answer = webhooks.post(target, b"{}", {}, seconds=1)
    assert (answer.status, answer.error) == (None, "address_not_allowed")


def test_a_name_that_leads_nowhere_is_said_to(monkeypatch):
    def fail(*_facts: object, **_more: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    answer = webhooks.post(targets.read("https://nowhere.example/"), b"{}", {}, seconds=1)
    assert answer.error == "name_not_resolved"


def test_a_name_is_resolved_once_and_the_connection_goes_to_what_was_judged(monkeypatch):
    """Rebinding: whatever the name leads to after it was judged, nobody asks again."""
    asked = resolving(monkeypatch, "203.0.114.7", "203.0.114.8")
    connected = []

    def connect(_backend: object, host: str, port: int, **_more: object) -> None:
        connected.append((host, port))
        raise httpcore.ConnectError("refused")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    answer = webhooks.post(targets.read("https://hooks.example.com/"), b"{}", {}, seconds=1)
    assert answer.error == "not_reachable"
    assert asked == ["hooks.example.com"]
    assert connected == [("203.0.114.7", 443), ("203.0.114.8", 443)]


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    """A receiver with a certificate for ``hooks.example.com`` of an authority of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example.com")])
    now = timezone.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("hooks.example.com")]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "hooks.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    receiver = Receiver()
    server = HTTPServer(("127.0.0.1", 0), receiver.handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield receiver, server.server_address[1], ssl.create_default_context(cafile=file)
    server.shutdown()
    server.server_close()
    receiver.close()


@pytest.mark.parametrize(
    ("host", "error"), [("hooks.example.com", ""), ("other.example.com", "tls_failed")]
)
def test_the_certificate_must_be_the_names_not_the_addresses(host, error, certified, monkeypatch):
    receiver, port, trust = certified
    resolving(monkeypatch, "127.0.0.1")
    monkeypatch.setattr(targets, "is_public", lambda _address: True)
    monkeypatch.setattr(webhooks, "trusted", lambda: trust)
    target = targets.Target("https", host, port, "/in", is_loopback=False)
    answer = webhooks.post(target, b"{}", {"webhook-id": "m"}, seconds=3)
    assert answer.error == error
    if not error:
        assert answer.status == 200
        assert receiver.received[-1].headers["host"] == f"hooks.example.com:{port}"


def test_a_certificate_of_nobody_known_is_refused(certified, monkeypatch):
    _receiver, port, _trust = certified
    resolving(monkeypatch, "127.0.0.1")
    monkeypatch.setattr(targets, "is_public", lambda _address: True)
    target = targets.Target("https", "hooks.example.com", port, "/", is_loopback=False)
    assert webhooks.post(target, b"{}", {}, seconds=3).error == "tls_failed"


def test_nobody_there_and_no_http_there_are_told_apart(settings, receiver):
    settings.WEBHOOK_LOOPBACK = True
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = targets.read(f"http://127.0.0.1:{free.getsockname()[1]}/")
    assert webhooks.post(closed, b"{}", {}, seconds=1).error == "not_reachable"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def babble() -> None:
            line, _where = server.accept()
            with line:
                line.recv(1024)
                line.sendall(b"220 mail.example.com ESMTP\r\n")

        thread = threading.Thread(target=babble, daemon=True)
        thread.start()
        target = targets.read(f"http://127.0.0.1:{server.getsockname()[1]}/")
        assert webhooks.post(target, b"{}", {}, seconds=1).error == "broken_answer"
        thread.join(2)
