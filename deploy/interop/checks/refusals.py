"""What a foreign client is told when it is refused, and what the standard services answer.

Checks: gRPC code, google.rpc.ErrorInfo, google.rpc.BadRequest as PyPI grpcio-status reads them; no certificate, no
connection; grpc.health.v1 and grpc.reflection.v1.
"""

import socket
import ssl
from collections.abc import Callable
from dataclasses import replace

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from sealkeep.v1 import access_pb2, credential_pb2, signing_pb2
from sealkeep.v1.access_pb2_grpc import AccessServiceStub
from sealkeep.v1.credential_pb2_grpc import CredentialServiceStub
from sealkeep.v1.signing_pb2_grpc import SigningServiceStub

from .house import BERLIN, CLOSED, SEAL_AIS, SEAL_RSA, SIGNER, House
from .randoms import Request
from .report import check, equal, expect
from .wire import TIMEOUT_S, Refused, channel, refusal

SIGN = "/sealkeep.v1.SigningService/SignHttpRequest"
REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
MESSAGE_BYTES = 10 * 1024 * 1024
SERVICES = {f"sealkeep.v1.{name}Service" for name in "Access Audit Bank Credential Signing Status Tls".split()} | {
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
}
PAYMENT = Request(
    "POST",
    BERLIN.hosts[0],
    "/xs2a/v1/payments/sepa-credit-transfers",
    (("X-Request-ID", "99391c7e-ad88-49ec-a2ad-99ddcb1f7721"),),
    b'{"instructedAmount":{"currency":"EUR","amount":"1.00"}}',
    "digests",
)
BAD_VALUES = {"\r\n": "HEADER_LINE_BREAK", "\n": "HEADER_LINE_BREAK", "\r\n ": "HEADER_OBS_FOLD", "\0": "HEADER_NUL"}


def run(house: House) -> None:
    """Asks for what must not be given."""
    with channel(house, "tpp") as tpp, channel(house, "officer") as officer, channel(house, "stranger") as stranger:
        sign = SigningServiceStub(tpp).SignHttpRequest
        with check("a payment that is fit is signed") as detail:
            answer = sign(PAYMENT.message(BERLIN, SEAL_RSA.name), timeout=TIMEOUT_S)
            detail.append(answer.audit_record)
        _denied(sign, SigningServiceStub(stranger).SignHttpRequest, SigningServiceStub(officer).SignHttpRequest)
        _invalid(sign)
        _messages(tpp)
        with check("a TPP may not administer"):
            _is(
                refusal(CredentialServiceStub(tpp).ListCredentials, credential_pb2.ListCredentialsRequest()),
                "PERMISSION_DENIED",
                "ROLE_REQUIRED",
            )
        _standard_services(tpp)
    _nobody(house)


def _is(refused: Refused, code: str, reason: str, fields: list[str] | None = None) -> None:
    equal((refused.code, refused.reason), (code, reason), f"refusal ({refused.message})")
    equal(refused.domain, "sealkeep", "domain")
    equal(refused.fields, fields or [], "BadRequest fields")
    expect(refused.message, "a refusal without a sentence")


def _denied(sign: Callable, as_stranger: Callable, as_officer: Callable) -> None:
    message = PAYMENT.message(BERLIN, SEAL_RSA.name)
    closed = replace(PAYMENT, authority=CLOSED.hosts[0]).message(CLOSED, SEAL_RSA.name)
    with check("a bank without a grant is denied"):
        _is(refusal(sign, closed), "PERMISSION_DENIED", "NOT_GRANTED")
    with check("unknown banks and credentials look like those without a grant"):
        ungranted = refusal(sign, closed)
        for change in ({"bank": "no-such-bank"}, {"credential": "no-such-seal"}, {"bank": "../BAD\r\n"}):
            other = signing_pb2.SignHttpRequestRequest()
            other.CopyFrom(closed)
            for name, value in change.items():
                setattr(other, name, value)
            equal(refusal(sign, other).wire, ungranted.wire, f"status of {change}")
    with check("a caller without a role is denied"):
        _is(refusal(as_stranger, message), "PERMISSION_DENIED", "CALLER_UNKNOWN")
    with check("an officer signs nothing"):
        _is(refusal(as_officer, message), "PERMISSION_DENIED", "NOT_GRANTED")
    with check("a host that is not the bank's is denied"):
        other = replace(PAYMENT, authority="api.evil.example").message(BERLIN, SEAL_RSA.name)
        refused = refusal(sign, other)
        _is(refused, "PERMISSION_DENIED", "HOST_NOT_ALLOWED")
    with check("a payment with an AIS-only certificate names the role") as detail:
        refused = refusal(sign, PAYMENT.message(BERLIN, SEAL_AIS.name))
        _is(refused, "FAILED_PRECONDITION", "ROLE_NOT_IN_CERTIFICATE")
        equal(refused.metadata.get("role"), "PSP_PI", "metadata role")
        equal(refused.metadata.get("held"), "PSP_AI", "metadata held")
        detail.append(f"{refused.metadata}")
    with check("accounts with an AIS-only certificate are signed"):
        accounts = replace(PAYMENT, method="GET", target="/xs2a/v1/accounts", body=b"", body_as="nothing")
        sign(accounts.message(BERLIN, SEAL_AIS.name), timeout=TIMEOUT_S)


def _invalid(sign: Callable) -> None:
    for bad, reason in BAD_VALUES.items():
        with check(f"a header value with {bad!r} is refused by name"):
            headers = (*PAYMENT.headers, ("PSU-ID", f"anna{bad}digest: forged"))
            refused = refusal(sign, replace(PAYMENT, headers=headers).message(BERLIN, SEAL_RSA.name))
            _is(refused, "INVALID_ARGUMENT", reason, ['headers["psu-id"]'])
    with check("a header name with a line feed is refused by position"):
        headers = (*PAYMENT.headers, ("PSU-ID\ndigest", "x"))
        refused = refusal(sign, replace(PAYMENT, headers=headers).message(BERLIN, SEAL_RSA.name))
        _is(refused, "INVALID_ARGUMENT", "HEADER_NAME_INVALID", ["headers[1].name"])
    with check("a missing X-Request-ID is refused by name"):
        refused = refusal(sign, replace(PAYMENT, headers=()).message(BERLIN, SEAL_RSA.name))
        _is(refused, "INVALID_ARGUMENT", "HEADER_MISSING", ['headers["x-request-id"]'])
    with check("a digest of another body is refused by name"):
        message = PAYMENT.message(BERLIN, SEAL_RSA.name)
        message.body = b"another body"
        _is(refusal(sign, message), "INVALID_ARGUMENT", "BODY_DIGEST_MISMATCH", ["body_digests"])
    with check("a digest of unspecified algorithm is refused by name"):
        message = PAYMENT.message(BERLIN, SEAL_RSA.name)
        message.body_digests.add(value=b"x")
        refused = refusal(sign, message)
        equal((refused.code, refused.domain), ("INVALID_ARGUMENT", "sealkeep"), refused.reason)
        expect(refused.fields, "no BadRequest field")


def _messages(tpp: grpc.Channel) -> None:
    raw = tpp.unary_unary(SIGN, request_serializer=bytes, response_deserializer=bytes)
    with check("a message of 10 MiB is refused"):
        message = signing_pb2.SignHttpRequestRequest(bank=BERLIN.name, body=bytes(MESSAGE_BYTES))
        _is(refusal(raw, message.SerializeToString()), "INVALID_ARGUMENT", "MESSAGE_TOO_LARGE")
    for name, octets in {
        "an unfinished tag": b"\xff\xff\xff",
        "a cut string": b"\x0a\x7fabc",
        "a string that is not UTF-8": b"\x0a\x02\xff\xfe",
        "a wrong wire type": b"\x08\x01",
    }.items():
        with check(f"a malformed message is refused: {name}"):
            _is(refusal(raw, octets), "INVALID_ARGUMENT", "MESSAGE_MALFORMED")
    with check("an unknown method is refused"):
        unknown = tpp.unary_unary("/sealkeep.v1.SigningService/SignDigest", bytes, bytes)
        equal(refusal(unknown, b"").code, "UNIMPLEMENTED", "code")
    with check("the connection lives on after all of that"):
        who = AccessServiceStub(tpp).WhoAmI(access_pb2.WhoAmIRequest(), timeout=TIMEOUT_S)
        equal(who.caller.name, SIGNER, "caller")


def _standard_services(tpp: grpc.Channel) -> None:
    with check("grpc.health.v1 says SERVING"):
        health = health_pb2_grpc.HealthStub(tpp).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        equal(health.status, health_pb2.HealthCheckResponse.SERVING, "status")
    with check("grpc.reflection.v1 lists the services") as detail:
        # PyPI has the messages of v1alpha only; those of v1 are the same on the wire.
        reflect = tpp.stream_stream(
            REFLECT,
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        question = reflection_pb2.ServerReflectionRequest(list_services="*")
        answers = list(reflect(iter([question]), timeout=TIMEOUT_S))
        found = {service.name for answer in answers for service in answer.list_services_response.service}
        expect(found >= SERVICES, f"missing: {sorted(SERVICES - found)}")
        detail.append(f"{len(found)} services")


def _nobody(house: House) -> None:
    with check("a certificate with two names is nobody"), channel(house, "two-names") as two_names:
        who = AccessServiceStub(two_names).WhoAmI
        _is(refusal(who, access_pb2.WhoAmIRequest()), "UNAUTHENTICATED", "CALLER_NAME_AMBIGUOUS")
    with check("no client certificate, no connection: PyPI grpcio"), channel(house, None) as anonymous:
        refused = refusal(AccessServiceStub(anonymous).WhoAmI, access_pb2.WhoAmIRequest())
        equal((refused.code, refused.reason), ("UNAVAILABLE", ""), "refusal")
    with check("no client certificate, no connection: TLS alert") as detail:
        detail.append(_alert(house, ssl.TLSVersion.TLSv1_3, None, "CERTIFICATE_REQUIRED"))
    with check("a certificate of another CA, no connection: TLS alert") as detail:
        # Any alert about the certificate will do: which one depends on what the verifier looks at first.
        files = (house.dir / "bank/tls.pem", house.dir / "bank/tls.key")
        detail.append(_alert(house, ssl.TLSVersion.TLSv1_3, files, "ALERT_"))
    with check("TLS 1.2 is not spoken") as detail:
        detail.append(_alert(house, ssl.TLSVersion.TLSv1_2, None, "ALERT_PROTOCOL_VERSION"))


def _alert(house: House, version: ssl.TLSVersion, files: tuple | None, expected: str) -> str:
    """The TLS alert that the service answers such a connection with."""
    host, port = house.target.rsplit(":", 1)
    context = ssl.create_default_context(cadata=house.ca_pem.decode())
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    if files:
        context.load_cert_chain(*files)
    try:
        with (
            socket.create_connection((host, int(port)), TIMEOUT_S) as tcp,
            context.wrap_socket(tcp, server_hostname=host) as tls,
        ):
            # In TLS 1.3 the client is done before the server has seen its certificate: the alert comes on reading.
            tls.recv(1)
    except ssl.SSLError as error:
        expect(expected in (error.reason or ""), f"expected {expected}, got {error.reason}: {error}")
        return str(error.reason)
    expect(False, "was let in")
    return ""
