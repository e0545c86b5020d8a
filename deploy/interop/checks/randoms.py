"""Random requests that a profile signs: any of its operations, any printable value, any body up to 4 KiB.

The rows of operations come from the catalogue (which calls a bank has is data); everything else is made up here.
"""

import hashlib
import tomllib
import uuid
from base64 import b64encode
from dataclasses import dataclass
from email.utils import formatdate
from random import Random

from sealkeep.v1 import signing_pb2

from .house import Bank, House

BODY_BYTES_MAX = 4096
VALUE_LENGTH_MAX = 60
BEFORE_OBJECT = b" \t\r\n\x00\xef\xbb\xbf\xfe\xff"
PRINTABLE = [chr(code) for code in range(0x20, 0x7F)]
PATH_CHARS = "abcXYZ019-_~!$&'()*+,;=:@"
"""Of pchar (RFC 3986 section 3.3), without the dot: `.` and `..` as segments are refused."""
QUERY_CHARS = PATH_CHARS + "./?"
STET_PSU_HEADERS = (
    "PSU-IP-Address PSU-IP-Port PSU-HTTP-Method PSU-Date PSU-User-Agent PSU-Referer PSU-Accept PSU-Accept-Charset "
    "PSU-Accept-Encoding PSU-Accept-Language PSU-GEO-Location PSU-Device-ID"
).split()
BERLIN_SIGNED_IF_SENT = ["PSU-ID", "PSU-Corporate-ID", "TPP-Redirect-URI"]
UNSIGNED = ["Accept", "Authorization", "Consent-ID", "User-Agent", "X-Custom.Header~1", "X-Empty"]
HASHES = {
    signing_pb2.HASH_ALGORITHM_SHA256: hashlib.sha256,
    signing_pb2.HASH_ALGORITHM_SHA512: hashlib.sha512,
}


@dataclass(frozen=True)
class Request:
    """A request as its sender has it."""

    method: str
    authority: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    body_as: str
    """What the service gets to see of the body: `bytes`, `digests`, `both` or `nothing`."""

    def message(self, bank: Bank, credential: str) -> signing_pb2.SignHttpRequestRequest:
        """The question to the service."""
        message = signing_pb2.SignHttpRequestRequest(
            bank=bank.name,
            credential=credential,
            method=self.method,
            authority=self.authority,
            target=self.target,
            headers=[signing_pb2.Header(name=name, value=value.encode()) for name, value in self.headers],
        )
        if self.body_as in ("bytes", "both"):
            message.body = self.body
        if self.body_as in ("digests", "both"):
            for algorithm, function in HASHES.items():
                message.body_digests.add(algorithm=algorithm, value=function(self.body).digest())
        return message


class Maker:
    """Makes random requests for one bank; the same seed makes the same requests."""

    def __init__(self, house: House, bank: Bank, seed: str) -> None:
        text = (house.root / f"proto/profiles/catalog/{bank.profile}.toml").read_text()
        self._operations = tomllib.loads(text)["operation"]
        self._bank = bank
        self._random = Random(seed)
        self._make = {"berlin-group-1.3.4": self._berlin, "stet-1.4": self._stet}.get(bank.profile, self._obuk)

    def request(self) -> Request:
        """The next one."""
        return self._make()

    def payload(self) -> bytes:
        """A body that is not empty."""
        return self._signed_body()

    def _signed_body(self) -> bytes:
        """For a JWS: noise that begins like a JSON object is refused, since others might read claims of a JWT in it."""
        body = self._body(1)
        return b"[" + body if body.lstrip(BEFORE_OBJECT).startswith(b"{") else body

    def _berlin(self) -> Request:
        body, body_as = self._any_body()
        request_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        headers = [("X-Request-ID", self._random.choice([request_id, request_id.upper()]))]
        headers += self._some(BERLIN_SIGNED_IF_SENT) + self._some(["PSU-IP-Address", "PSU-User-Agent"])
        return self._finish(headers, body, body_as)

    def _stet(self) -> Request:
        body, body_as = self._any_body()
        headers = [("X-Request-ID", self._value(1))] + self._some(STET_PSU_HEADERS)
        if self._random.random() < 0.5:
            # Within the five minutes that the profile allows.
            headers.append(("Date", formatdate(usegmt=True)))
        if body:
            headers.append(("Content-Type", self._random.choice(["application/json", "text/plain; charset=utf-8"])))
            headers.append(("Content-Length", str(len(body))))
        return self._finish(headers, body, body_as)

    def _obuk(self) -> Request:
        headers = self._some(
            ["x-idempotency-key", "x-fapi-interaction-id"], lambda: uuid.UUID(int=self._random.getrandbits(128)).hex
        )
        if self._random.random() < 0.7:
            # The media type is signed without its parameters, in lower case.
            types = ["application/json", "Application/JSON; charset=utf-8", "application/jose+jwe"]
            headers.append(("Content-Type", self._random.choice(types)))
        return self._finish(headers, self._signed_body(), self._random.choice(["bytes", "both"]), {"POST", "PUT", "PATCH"})

    def _finish(
        self, headers: list[tuple[str, str]], body: bytes, body_as: str, methods: set[str] | None = None
    ) -> Request:
        operation = self._random.choice(self._operations)
        method = self._random.choice([m for m in operation["methods"] if methods is None or m in methods])
        headers += self._some(UNSIGNED)
        authority = self._random.choice(self._bank.hosts)
        if self._random.random() < 0.3:
            headers.append(("Host", authority))
        if self._bank.profile in ("berlin-group-1.3.4", "stet-1.4") and self._random.random() < 0.3:
            headers.append(("Digest", "SHA-256=" + b64encode(hashlib.sha256(body).digest()).decode()))
        headers = [(self._case(name), value) for name, value in headers]
        self._random.shuffle(headers)
        target = self._bank.base_path + self._path(operation["path"]) + self._query()
        return Request(method, authority, target, tuple(headers), body, body_as)

    def _any_body(self) -> tuple[bytes, str]:
        if self._random.random() < 0.3:
            return b"", self._random.choice(["nothing", "bytes", "digests", "both"])
        return self._body(0), self._random.choice(["bytes", "digests", "both"])

    def _body(self, shortest: int) -> bytes:
        """Half of them text, half of them any octets."""
        length = self._random.choice(
            [shortest, self._random.randint(shortest, 80), self._random.randint(shortest, BODY_BYTES_MAX)]
        )
        if self._random.random() < 0.5:
            return self._random.randbytes(length)
        return "".join(self._random.choices(PRINTABLE + ["\n", "\r", "\t"], k=length)).encode()

    def _some(self, names: list[str], value: object = None) -> list[tuple[str, str]]:
        make = value if callable(value) else self._value
        return [(name, make()) for name in names if self._random.random() < 0.4]

    def _value(self, shortest: int = 0) -> str:
        """Printable ASCII; spaces at the ends are not part of the value a receiver sees (RFC 9110 section 5.5)."""
        length = self._random.randint(shortest, VALUE_LENGTH_MAX)
        text = "".join(self._random.choices(PRINTABLE, k=length))
        return text if len(text.strip(" ")) >= shortest else "x" + text

    def _case(self, name: str) -> str:
        return self._random.choice([name, name.lower(), name.upper()])

    def _path(self, pattern: str) -> str:
        fixed = pattern.removesuffix("/**").replace("*", self._segment())
        below = self._random.randint(0, 3) if pattern.endswith("/**") else 0
        return fixed + "".join("/" + self._segment() for _ in range(below))

    def _segment(self) -> str:
        chars = [self._random.choice(PATH_CHARS) for _ in range(self._random.randint(1, 12))]
        if self._random.random() < 0.3:
            chars.append(self._random.choice(["%20", "%C3%A9", "%3d", "%7E"]))
        return "".join(chars)

    def _query(self) -> str:
        if self._random.random() < 0.5:
            return ""
        return "?" + "".join(self._random.choices(QUERY_CHARS, k=self._random.randint(0, 40)))
