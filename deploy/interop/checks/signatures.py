"""Signatures made through PyPI grpcio, verified by implementations that are not ours.

Checks, for each profile and each kind of key it allows: 200 random requests, 0 differences. What is altered after
signing is refused by every verifier, so that none of them says yes to everything.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from cryptography import x509
from sealkeep.v1 import signing_pb2
from sealkeep.v1.signing_pb2_grpc import SigningServiceStub

from . import cavage, foreign, obuk
from .house import BERLIN, OBUK, OBUK_RAW, SEAL_EC, SEAL_RSA, STET, Bank, Credential, House
from .randoms import Maker, Request
from .report import Failed, check, equal, expect
from .wire import TIMEOUT_S, channel, refusal

REQUEST_COUNT = 200
ALTERED_COUNT = 25
CALLS_AT_ONCE = 4
SUITES = [(BERLIN, SEAL_RSA), (BERLIN, SEAL_EC), (STET, SEAL_RSA), (OBUK, SEAL_RSA), (OBUK_RAW, SEAL_RSA)]
ALGORITHMS = {
    (BERLIN.name, SEAL_RSA.key): "rsa-pkcs1-sha256",
    (BERLIN.name, SEAL_EC.key): "ecdsa-p256-sha256",
    (STET.name, SEAL_RSA.key): "rsa-pkcs1-sha256",
    (OBUK.name, SEAL_RSA.key): "rsa-pss-sha256",
    (OBUK_RAW.name, SEAL_RSA.key): "rsa-pss-sha256",
}


def run(house: House, seed: str) -> None:
    """Signs and has verified."""
    with channel(house, "tpp") as tpp:
        stub = SigningServiceStub(tpp)
        for bank, credential in SUITES:
            Suite(house, stub, bank, credential, seed).run()
        for bank in (STET, OBUK, OBUK_RAW):
            with check(f"{bank.profile} has no scheme for {SEAL_EC.key}"):
                message = Maker(house, bank, seed).request().message(bank, SEAL_EC.name)
                refused = refusal(stub.SignHttpRequest, message)
                equal((refused.code, refused.reason), ("FAILED_PRECONDITION", "ALGORITHM_NOT_ALLOWED"), "refusal")
        for bank in (OBUK, OBUK_RAW):
            with check(f"{bank.profile} signs no empty body"):
                request = replace(Maker(house, bank, seed).request(), body=b"", body_as="nothing", headers=())
                refused = refusal(stub.SignHttpRequest, request.message(bank, SEAL_RSA.name))
                equal((refused.code, refused.reason), ("INVALID_ARGUMENT", "NOTHING_TO_SIGN"), "refusal")
            with check(f"{bank.profile} asks for the body when it got a digest") as detail:
                request = replace(Maker(house, bank, seed).request(), body_as="digests", headers=())
                refused = refusal(stub.SignHttpRequest, request.message(bank, SEAL_RSA.name))
                equal((refused.code, refused.reason), ("INVALID_ARGUMENT", "BODY_REQUIRED"), "refusal")
                equal(refused.fields, ["body"], "fields")
                detail.append(refused.reason)


@dataclass(frozen=True)
class Signed:
    """What every verifier gets: bytes and signature for openssl, and how to ask the others."""

    message: bytes
    signature: bytes
    python: Callable[[], bool] | None
    npm: dict[str, object]


class Suite:
    """One profile with one kind of key."""

    def __init__(self, house: House, stub: SigningServiceStub, bank: Bank, credential: Credential, seed: str) -> None:
        self.stub, self.bank, self.credential = stub, bank, credential
        self.certificate: x509.Certificate = house.certificate(credential)
        self.key = foreign.public_key(self.certificate)
        self.maker = Maker(house, bank, f"{seed}/{bank.profile}/{credential.key}")
        self.is_jws = bank.profile.startswith("obuk")
        self.name = f"{bank.profile} {credential.key}"

    def run(self) -> None:
        """Signs, checks what was set, asks the verifiers, alters, asks again."""
        with check(f"{self.name}: requests signed as the specification says") as detail:
            self.signed: list[Signed] = []
            requests = [self.maker.request() for _ in range(REQUEST_COUNT)]
            self.signed = self._each(requests, self._sign)
            detail += [f"{REQUEST_COUNT} requests", ALGORITHMS[self.bank.name, self.credential.key]]
        if self.is_jws:
            with check(f"{self.name}: payloads signed with SignJws") as detail:
                payloads = [self.maker.payload() for _ in range(REQUEST_COUNT)]
                self.signed += self._each(payloads, self._sign_jws)
                detail.append(f"{REQUEST_COUNT} payloads")
        self._verify("openssl dgst", self._openssl)
        python = "PyPI jwcrypto" if self.is_jws else "PyPI httpsig"
        if self.signed and self.signed[0].python:
            self._verify(python, lambda signed: [s.python is not None and s.python() for s in signed])
        node = "npm jose" if self.is_jws else "npm http-signature"
        self._verify(node, lambda signed: [not why for why in foreign.npm([s.npm for s in signed])])

    def _each(self, things: list, work: Callable) -> list[Signed]:
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            return list(pool.map(work, things))

    def _verify(self, verifier: str, ask: Callable[[list[Signed]], list[bool]]) -> None:
        with check(f"{self.name}: {verifier} verifies all and no altered one") as detail:
            expect(self.signed, "nothing was signed")
            verdicts = ask(self.signed)
            wrong = [index for index, valid in enumerate(verdicts) if not valid]
            equal(len(verdicts), len(self.signed), "verdicts")
            expect(not wrong, f"{len(wrong)} of {len(verdicts)} differ, the first is number {wrong[:1]}")
            altered = [self._altered(signed) for signed in self.signed[:ALTERED_COUNT]]
            fooled = sum(ask(altered))
            expect(fooled == 0, f"took {fooled} of {len(altered)} altered ones")
            detail.append(f"{len(verdicts)} verified, {len(altered)} altered ones refused")

    def _openssl(self, signed: list[Signed]) -> list[bool]:
        options = foreign.PSS if self.is_jws else []
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            return list(pool.map(lambda s: foreign.openssl(self.key, s.message, s.signature, options), signed))

    def _sign(self, request: Request) -> Signed:
        message = request.message(self.bank, self.credential.name)
        answer = self.stub.SignHttpRequest(message, timeout=TIMEOUT_S)
        equal(answer.profile, self.bank.profile, "profile")
        equal(answer.version, f"credentials/{self.credential.name}/versions/1", "version")
        equal(answer.algorithm, ALGORITHMS[self.bank.name, self.credential.key], "algorithm")
        expect("/" in answer.audit_record, f"audit_record: {answer.audit_record!r}")
        not_after = int(self.certificate.not_valid_after_utc.timestamp())
        equal(answer.certificate_not_after_time.seconds, not_after, "certificate_not_after_time")
        headers = [(header.name, header.value.decode("ascii")) for header in answer.headers]
        if self.is_jws:
            equal([name.lower() for name, _ in headers], ["x-jws-signature"], "headers set")
            return self._of_jws(headers[0][1], request.body, obuk.content_type(request))
        got = cavage.received(request, headers)
        cavage.check(self.bank, request, got, self.certificate)
        return self._of_cavage(got)

    def _sign_jws(self, payload: bytes) -> Signed:
        message = signing_pb2.SignJwsRequest(bank=self.bank.name, credential=self.credential.name, payload=payload)
        answer = self.stub.SignJws(message, timeout=TIMEOUT_S)
        equal(answer.algorithm, "PS256", "algorithm")
        return self._of_jws(answer.jws, payload, None)

    def _of_cavage(self, got: cavage.Received) -> Signed:
        rsa = self.credential.key.startswith("rsa")
        python = (lambda: foreign.httpsig(self.key, got)) if rsa else None
        return Signed(got.string, got.signature, python, foreign.cavage_question(self.key, got))

    def _of_jws(self, jws: str, payload: bytes, content_type: str | None) -> Signed:
        message, signature = obuk.check(self.bank, jws, payload, content_type)
        question = foreign.jws_question(self.key, jws, payload)
        return Signed(message, signature, lambda: foreign.jwcrypto(self.key, jws, payload), question)

    def _altered(self, signed: Signed) -> Signed:
        """The same signature over something else."""
        if self.is_jws:
            jws = str(signed.npm["jws"])
            payload = b"altered " + signed.message[-8:]
            question = foreign.jws_question(self.key, jws, payload)
            message = signed.message + b"A"
            return Signed(message, signed.signature, lambda: foreign.jwcrypto(self.key, jws, payload), question)
        headers = dict(signed.npm["headers"])
        headers["x-request-id"] += "0"
        parts = dict(method=signed.npm["method"], target=signed.npm["target"], headers=headers, body=b"")
        parameters = cavage.parameters(headers["signature"])
        string = cavage.string(parameters, parts["method"], parts["target"], headers)
        if string == signed.message:
            raise Failed("the alteration is not covered by the signature")
        return self._of_cavage(cavage.Received(**parts, parameters=parameters, string=string))
