"""draft-cavage-http-signatures-10 as Berlin Group 1.3.4 section 12 and STET 1.4 section 3.5 want it, read anew.

Written from the texts, not from our crate: what has to be signed, what the headers have to say, the string to sign.
"""

import hashlib
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from .house import Bank
from .randoms import Request
from .report import equal, expect

SKEW_SECONDS_MAX = 300
KEYWORDS = {"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU"}
"""RFC 2253 section 2.3; every other type as OID=#hex of the DER."""


@dataclass(frozen=True)
class Received:
    """A signed request as a bank gets it."""

    method: str
    target: str
    headers: dict[str, str]
    """By lower-case name; lines of one name joined as RFC 9110 section 5.3 says."""
    body: bytes
    parameters: dict[str, str]
    string: bytes

    @property
    def signature(self) -> bytes:
        """The raw octets of the signature."""
        return b64decode(self.parameters["signature"], validate=True)


def received(request: Request, set_headers: list[tuple[str, str]]) -> Received:
    """Applies the instructions of the service to the request, and rebuilds the string to sign from what came out."""
    replaced = {name.lower() for name, _ in set_headers}
    lines = [line for line in request.headers if line[0].lower() not in replaced] + set_headers
    headers: dict[str, str] = {}
    for name, value in lines:
        value = value.strip(" ")
        headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
    found = parameters(headers["signature"])
    rebuilt = string(found, request.method, request.target, headers)
    return Received(request.method, request.target, headers, request.body, found, rebuilt)


def string(found: dict[str, str], method: str, target: str, headers: dict[str, str]) -> bytes:
    """Section 2.3: the lines that the `headers` parameter names, in its order."""
    rows = []
    for name in found["headers"].split(" "):
        value = f"{method.lower()} {target}" if name == "(request-target)" else headers[name]
        rows.append(f"{name}: {value}")
    return "\n".join(rows).encode()


def check(bank: Bank, request: Request, got: Received, certificate: x509.Certificate) -> None:
    """Fails unless the request says what the community's text demands."""
    digest = "SHA-256=" + b64encode(hashlib.sha256(request.body).digest()).decode()
    equal(got.headers.get("digest"), digest, "Digest")
    equal(set(got.parameters), {"keyId", "algorithm", "headers", "signature"}, "parameters")
    rsa = "RSA" in type(certificate.public_key()).__name__
    equal(got.parameters["algorithm"], "rsa-sha256" if rsa else "ecdsa-sha256", "algorithm")
    sent = {name.lower() for name, _ in request.headers}
    rules = _berlin if bank.profile == "berlin-group-1.3.4" else _stet
    listed = got.parameters["headers"].split(" ")
    equal(len(listed), len(set(listed)), "names in headers, each once")
    equal(set(listed), rules(sent, got, certificate), "headers")


def _berlin(sent: set[str], got: Received, certificate: x509.Certificate) -> set[str]:
    """A closed list; the certificate comes along."""
    key_id = f"SN={certificate.serial_number:x},CA={rfc2253(certificate.issuer)}"
    equal(got.parameters["keyId"], key_id, "keyId")
    der = b64decode(got.headers["tpp-signature-certificate"], validate=True)
    expect(der == certificate.public_bytes(Encoding.DER), "TPP-Signature-Certificate is another certificate")
    return {"digest", "x-request-id"} | ({"psu-id", "psu-corporate-id", "tpp-redirect-uri"} & sent)


def _stet(sent: set[str], got: Received, certificate: x509.Certificate) -> set[str]:
    """The target, the date, and all that is said of the user; the certificate is where keyId points."""
    print_ = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    equal(got.parameters["keyId"], f"https://tpp.example/certs/qseal_{print_}", "keyId")
    date = got.headers["date"]
    expect(re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", date), f"Date: {date!r}")
    off = abs((datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds())
    expect(off <= SKEW_SECONDS_MAX, f"Date is {off} s away from now")
    always = {"(request-target)", "date", "digest", "x-request-id"}
    return always | ({"content-type", "content-length"} & sent) | {name for name in sent if name.startswith("psu-")}


def parameters(text: str) -> dict[str, str]:
    """Section 2.1: `name="text"` with commas between, each name once."""
    pairs = re.findall(r'([A-Za-z]+)="([^"]*)"', text)
    equal(",".join(f'{name}="{value}"' for name, value in pairs), text, "Signature header")
    equal(len({name for name, _ in pairs}), len(pairs), "parameters, each once")
    return dict(pairs)


def rfc2253(name: x509.Name) -> str:
    """RFC 2253 section 2: last first, special characters escaped, unknown types as hex of their DER."""
    return ",".join("+".join(_attribute(a) for a in rdn) for rdn in reversed(name.rdns))


def _attribute(attribute: x509.NameAttribute) -> str:
    oid = attribute.oid.dotted_string
    if oid not in KEYWORDS:
        # SEQUENCE { SET { SEQUENCE { OID, value } } }, all lengths short: the value is what follows the OID.
        der = x509.Name([attribute]).public_bytes()
        return f"{oid}=#{der[8 + der[7] :].hex()}"
    value = re.sub(r'([,+"\\<>;])', r"\\\1", str(attribute.value))
    value = re.sub(r"^([ #])", r"\\\1", value)
    value = re.sub(r" $", r"\\ ", value)
    return f"{KEYWORDS[oid]}={value}"
