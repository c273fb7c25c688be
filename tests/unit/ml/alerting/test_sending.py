from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ml.alerting import send
from ml.config import AlertSettings

SECRET = "T000-very-secret"


@pytest.fixture
def settings(http_sink, mail_sink):
    """All three channels, at servers that work; takes what differs."""

    def make(**changes):
        mail = {"host": "127.0.0.1", "port": mail_sink.port, "security": "none"}
        people = {"sender": "quartet@example.org", "recipients": ["a@example.org", "b@example.org"]}
        given = {
            "slack": {"webhook_url": f"{http_sink.url}/slack/{SECRET}"},
            "smtp": mail | people,
            "webhook": {"url": f"{http_sink.url}/hook/{SECRET}", "headers": {"Authorization": f"Bearer {SECRET}"}},
            "timeout_seconds": 5,
        }
        return AlertSettings.model_validate(given | changes)

    return make


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """A certificate for the loopback address that this process trusts; returns the server's side."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    form = serialization.Encoding.PEM
    private = key.private_bytes(form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(signed.public_bytes(form) + private)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def errors(deliveries):
    return {delivery.channel: delivery.error for delivery in deliveries}


def test_every_channel_gets_the_alert(settings, make_alert, http_sink, mail_sink):
    deliveries = send(make_alert(), settings())

    assert errors(deliveries) == {"slack": None, "smtp": None, "webhook": None}
    assert [path for path, _, _ in http_sink.received] == [f"/slack/{SECRET}", f"/hook/{SECRET}"]
    assert "blocks" in http_sink.bodies[0]
    assert http_sink.bodies[1]["title"] == "ingest_images: validate failed"
    assert http_sink.received[1][1]["Authorization"] == f"Bearer {SECRET}"
    assert mail_sink.envelopes[0].rcpt_tos == ["a@example.org", "b@example.org"]
    assert mail_sink.mails[0]["Subject"] == "[Quartet] critical: ingest_images: validate failed"


def test_a_channel_that_is_not_configured_gets_nothing(settings, make_alert, http_sink, mail_sink):
    assert errors(send(make_alert(), settings(slack=None, smtp=None))) == {"webhook": None}
    assert len(http_sink.received) == 1
    assert mail_sink.mails == []


def test_without_channels_nothing_happens(make_alert):
    assert send(make_alert(), AlertSettings()) == []


def test_a_channel_that_is_down_keeps_no_other_from_its_alert(settings, make_alert, http_sink, closed_port, caplog):
    down = settings(
        slack={"webhook_url": f"http://127.0.0.1:{closed_port}/{SECRET}"},
        smtp={"host": "127.0.0.1", "port": closed_port, "sender": "q@example.org", "recipients": ["a@example.org"]},
    )
    with caplog.at_level(logging.INFO):
        deliveries = send(make_alert(), down)

    refused = "ConnectionRefusedError: Connection refused"
    assert errors(deliveries) == {"slack": refused, "smtp": refused, "webhook": None}
    assert len(http_sink.received) == 1
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert told == [
        f"alert 'ingest_images: validate failed' could not be sent to {channel}: {refused}"
        for channel in ("slack", "smtp")
    ]
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (500, b"Internal error", "127.0.0.1 answered 500"),
        (404, b"no_service", "127.0.0.1 answered 404 no_service"),
        (404, f"Cannot POST /slack/{SECRET}".encode(), "127.0.0.1 answered 404"),
        (400, b"", "127.0.0.1 answered 400"),
    ],
    ids=["server error", "slack's reason", "answer that quotes the address", "empty answer"],
)
def test_an_answer_that_refuses_is_told_without_the_address(settings, make_alert, http_sink, status, answer, error):
    http_sink.status, http_sink.answer = status, answer

    assert errors(send(make_alert(), settings(smtp=None, webhook=None))) == {"slack": error}


@pytest.fixture
def busy_once(http_sink):
    """The server refuses the first alert, saying when to come back, and takes the next."""

    def refuse(status, after):
        http_sink.status, http_sink.answer, http_sink.headers = (
            status,
            b"",
            {} if after is None else {"Retry-After": after},
        )
        http_sink.once = True

    return refuse


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_says_when_to_come_back_is_asked_once_more_then(
    settings, make_alert, http_sink, busy_once, status
):
    busy_once(status, "0")

    assert errors(send(make_alert(), settings(smtp=None, slack=None))) == {"webhook": None}
    assert len(http_sink.received) == 2


@pytest.mark.parametrize(
    ("status", "after"),
    [(503, None), (429, "3600"), (429, "Fri, 02 Jan 2026 03:04:05 GMT"), (429, "-1"), (404, "0")],
    ids=["without a word", "too late", "date", "nonsense", "not for being busy"],
)
def test_any_other_refusal_is_final(settings, make_alert, http_sink, busy_once, status, after):
    busy_once(status, after)

    assert errors(send(make_alert(), settings(smtp=None, slack=None))) == {"webhook": f"127.0.0.1 answered {status}"}
    assert len(http_sink.received) == 1


def test_a_server_that_stays_busy_is_asked_twice(settings, make_alert, http_sink):
    http_sink.status, http_sink.answer, http_sink.headers = 429, b"", {"Retry-After": "0"}

    assert errors(send(make_alert(), settings(smtp=None, slack=None))) == {"webhook": "127.0.0.1 answered 429"}
    assert len(http_sink.received) == 2


def test_a_redirect_is_not_followed(settings, make_alert, http_sink, start_http_sink):
    elsewhere = start_http_sink()
    http_sink.status, http_sink.answer, http_sink.headers = 307, b"", {"Location": elsewhere.url}

    assert errors(send(make_alert(), settings(smtp=None, slack=None))) == {"webhook": "127.0.0.1 answered 307"}
    assert elsewhere.received == []


def test_a_server_that_hangs_is_given_up(settings, make_alert, http_sink):
    http_sink.hangs = True
    only = settings(slack=None, smtp={**settings().smtp.model_dump(), "host": "127.0.0.1", "port": port_of(http_sink)})

    deliveries = send(make_alert(), only.model_copy(update={"timeout_seconds": 0.2}))

    assert errors(deliveries) == {"smtp": "no answer in time", "webhook": "no answer in time"}


def port_of(sink):
    return int(sink.url.rpartition(":")[2])


def test_a_host_that_does_not_exist_is_told(settings, make_alert):
    nowhere = settings(slack={"webhook_url": f"https://nowhere.invalid/{SECRET}"}, smtp=None, webhook=None)
    (delivery,) = send(make_alert(), nowhere)

    assert delivery.error.startswith("gaierror: ")
    assert SECRET not in delivery.error


def test_refused_recipients_are_named_and_the_others_have_the_mail(settings, make_alert, mail_sink):
    mail_sink.refused = {"b@example.org"}
    deliveries = send(make_alert(), settings(slack=None, webhook=None))

    assert errors(deliveries) == {"smtp": "127.0.0.1 refused b@example.org; the other recipients have it"}
    assert [envelope.rcpt_tos for envelope in mail_sink.envelopes] == [["a@example.org"]]


def test_a_server_that_refuses_all_recipients_is_told(settings, make_alert, mail_sink):
    mail_sink.refused = {"a@example.org", "b@example.org"}
    deliveries = send(make_alert(), settings(slack=None, webhook=None))

    assert errors(deliveries) == {"smtp": "all recipients were refused: a@example.org, b@example.org"}


def test_the_cause_is_the_channels_own_also_while_another_error_is_handled(settings, make_alert, closed_port):
    down = settings(slack={"webhook_url": f"http://127.0.0.1:{closed_port}/x"}, smtp=None, webhook=None)
    try:
        int("the run failed")
    except ValueError:
        deliveries = send(make_alert(), down)

    assert errors(deliveries) == {"slack": "ConnectionRefusedError: Connection refused"}


def log_in(password):
    def check(server, session, envelope, mechanism, data):
        return AuthResult(success=(data.login, data.password) == (b"me", password.encode()), handled=False)

    return check


@pytest.mark.parametrize(
    ("password", "error"),
    [(SECRET, None), ("wrong", "the server answered 535 5.7.8 Authentication credentials invalid")],
    ids=["right", "wrong"],
)
def test_mail_goes_through_starttls_with_a_password(
    settings, make_alert, start_mail_sink, certificate, password, error
):
    sink = start_mail_sink(tls_context=certificate, require_starttls=True, authenticator=log_in(SECRET))
    smtp = {**settings().smtp.model_dump(), "port": sink.port, "security": "starttls", "user": "me"}
    deliveries = send(make_alert(), settings(slack=None, webhook=None, smtp=smtp | {"password": password}))

    assert errors(deliveries) == {"smtp": error}
    assert len(sink.mails) == (error is None)


def test_mail_goes_through_tls_from_the_first_byte(settings, make_alert, start_mail_sink, certificate):
    sink = start_mail_sink(ssl_context=certificate)
    smtp = {**settings().smtp.model_dump(), "port": sink.port, "security": "tls"}

    assert errors(send(make_alert(), settings(slack=None, webhook=None, smtp=smtp))) == {"smtp": None}
    assert len(sink.mails) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(
    settings, make_alert, start_mail_sink, certificate, monkeypatch
):
    monkeypatch.delenv("SSL_CERT_FILE")
    sink = start_mail_sink(tls_context=certificate)
    smtp = {**settings().smtp.model_dump(), "port": sink.port, "security": "starttls"}
    (delivery,) = send(make_alert(), settings(slack=None, webhook=None, smtp=smtp))

    assert delivery.error.startswith("SSLCertVerificationError: ")
    assert sink.mails == []
