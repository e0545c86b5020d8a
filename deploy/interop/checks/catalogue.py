"""Every shipped profile: random requests, answers and JWTs signed by our crate alone, each verified by two or three that
are not ours.

Reads the JSON lines of `signed-requests`, an example of sealkeep-profiles. Checks, for each format and verifier: all are
verified, no altered one is, and what a verifier cannot read it refuses, always. What a bank wants otherwise than its
standard is written down in PLAIN, which says how a verifier of the standard is asked about the same signed bytes; where
no verifier can be asked, in EXCEPTIONS. Digests of bodies are compared with hashlib; the payloads of JAdES and TrueLayer
are put together here, from the texts.
"""

import hashlib
import json
import re
from base64 import b64decode, urlsafe_b64decode
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms
from joserfc import jws as joserfc_jws
from joserfc.jwk import import_key
from joserfc.registry import HeaderParameter
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS, JWSEHeaderParameter

from . import foreign
from .house import House
from .report import check, equal, expect

ALTERED_COUNT = 100
"""Altered ones a format."""
REQUEST_COUNT = 1000
"""At least so many a format are verified by each verifier."""

JOSE = {
    "rsa-pkcs1-sha256": "RS256", "rsa-pkcs1-sha384": "RS384", "rsa-pkcs1-sha512": "RS512",
    "rsa-pss-sha256": "PS256", "rsa-pss-sha384": "PS384", "rsa-pss-sha512": "PS512",
    "ecdsa-p256-sha256": "ES256", "ecdsa-p384-sha384": "ES384", "ecdsa-p521-sha512": "ES512", "ed25519": "EdDSA",
}  # fmt: skip
HTTP_MESSAGE = {
    "rsa-pkcs1-sha256": algorithms.RSA_V1_5_SHA256,
    "rsa-pss-sha512": algorithms.RSA_PSS_SHA512,
    "ecdsa-p256-sha256": algorithms.ECDSA_P256_SHA256,
    "ecdsa-p384-sha384": algorithms.ECDSA_P384_SHA384,
    "ed25519": algorithms.ED25519,
}


class _PS256(algorithms.RSA_PSS_SHA512):
    """RFC 9421 section 3.3.7: an algorithm of JOSE that the key says, not the signature."""

    algorithm_id = "PS256"

    def __init__(self, public_key: Any = None, private_key: Any = None) -> None:
        super().__init__(public_key=public_key, private_key=private_key)
        self.padding = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        self.hash_algorithm = hashes.SHA256()


HTTP_MESSAGE["rsa-pss-sha256"] = _PS256

_RSA_ONLY = "knows RSA and HMAC only"
_AS_SENT = "the string to sign spells names as they are sent, the draft in lower case (section 2.3)"
EXCEPTIONS: dict[str, dict[str, str]] = {
    "PyPI httpsig": {"ecdsa-p256-sha256": _RSA_ONLY, "starling": _AS_SENT},
    "npm http-signature": {"starling": _AS_SENT},
    "PyPI http-message-signatures": {"ebay": "wants a keyid, which RFC 9421 section 2.3 leaves open"},
}
"""By verifier, then by profile or scheme: why it refuses what the bank wants."""


@dataclass(frozen=True)
class Line:
    """A signed request as it goes over the wire."""

    format: str
    profile: str
    scheme: str
    key: str
    method: str
    authority: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    jws: str | None
    status: int | None = None
    """Of an answer: headers and body are its, method and target those of the request."""
    request_headers: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def read(text: str) -> "Line":
        """One line of `signed-requests`."""
        row = json.loads(text)
        for name in {"headers", "request_headers"} & row.keys():
            row[name] = tuple((header, value) for header, value in row[name])
        return Line(**{**row, "body": b64decode(row["body"])})

    @property
    def by_name(self) -> dict[str, str]:
        """Headers by lower-case name; the example sends each once."""
        return {name.lower(): value for name, value in self.headers}

    def with_header(self, name: str, value: str) -> "Line":
        """The same with another value."""
        return replace(self, headers=tuple((n, value if n.lower() == name else v) for n, v in self.headers))


def run(house: House, path: str) -> None:
    """Asks the verifiers of each format about its lines."""
    del house
    lines = defaultdict(list)
    with check("signed-requests wrote what can be read") as detail:
        for text in Path(path).read_text().splitlines():
            line = Line.read(text)
            lines[line.format].append(line)
        equal(sorted(lines), sorted(VERIFIERS), "formats")
        every = [line for of_format in lines.values() for line in of_format]
        detail += [f"{len(every)} lines", f"{len({line.profile for line in every})} profiles"]
    for name, of_format in sorted(lines.items()):
        with check(f"{name}: every digest is that of the body"):
            for line in of_format:
                _check_digest(line)
        if name.startswith("jwt "):
            with check(f"{name}: no other kind of JWT can be read in it"):
                for line in of_format:
                    _check_kind(line)
        plain = [PLAIN.get(line.profile, _same)(line) for line in of_format]
        for verifier, ask in VERIFIERS[name].items():
            _verify(name, verifier, ask, plain)


def _verify(name: str, verifier: str, ask: Callable[[list[Line]], list[str]], lines: list[Line]) -> None:
    excepted = EXCEPTIONS.get(verifier, {})

    def exception(line: Line) -> str | None:
        return excepted.get(line.profile) or excepted.get(line.scheme)

    with check(f"{name}: {verifier} verifies all it can read and no altered one") as detail:
        verdicts = list(zip(lines, ask(lines), strict=True))
        wrong = [(line.profile, line.scheme, why) for line, why in verdicts if why and not exception(line)]
        expect(not wrong, f"{len(wrong)} differ: {sorted(set(wrong))[:4]}")
        stale = {line.profile for line, why in verdicts if exception(line) and not why}
        expect(not stale, f"exceptions that are none: {sorted(stale)}")
        good = [line for line, why in verdicts if not why]
        expect(len(good) >= REQUEST_COUNT, f"{len(good)} verified, {REQUEST_COUNT} have to be")
        altered = [_altered(line) for line in good[:: max(1, len(good) // ALTERED_COUNT)]]
        fooled = [line.profile for line, why in zip(altered, ask(altered), strict=True) if not why]
        expect(not fooled, f"took altered ones of {sorted(set(fooled))}")
        detail += [f"{len(good)} verified", f"{len(altered)} altered ones refused"]
        if len(good) < len(lines):
            detail.append(f"{len(lines) - len(good)} as excepted")


def _check_digest(line: Line) -> None:
    for name, value in line.headers:
        if not re.fullmatch(r"(x-amzn-)?content-digest|digest", name.lower()):
            continue
        found = re.fullmatch(r"(?:[A-Za-z0-9-]+=)?:?([A-Za-z0-9+/]+=*):?", value)
        expect(found, f"{line.profile}: {name}: {value!r}")
        digest = b64decode(found[1], validate=True)
        sums = [hashlib.new(hash_, line.body).digest() for hash_ in ("sha256", "sha384", "sha512")]
        expect(digest in sums, f"{line.profile}: {name} is of another body")


CLAIMS_OF_KIND = {
    "jwt body": {"data"},
    "jwt client_assertion": {"sub"},
    "jwt dpop_proof": {"htm", "htu"},
    "jwt registration": {"software_statement"},
    "jwt request_object": {"client_id", "response_type"},
}


def _check_kind(line: Line) -> None:
    """RFC 8725 section 3.12: the claims, or `typ`, keep the kinds apart."""
    header, claims = _jose_header(line), json.loads(_payload(line)).keys()
    for kind, own in CLAIMS_OF_KIND.items():
        equal(own <= claims, kind == line.format, f"{line.profile}: claims of {kind} in {sorted(claims)}")
    equal(header.get("typ") == "dpop+jwt", line.format == "jwt dpop_proof", f"{line.profile}: typ {header.get('typ')}")
    if {"nbf", "exp"} <= claims:
        times = json.loads(_payload(line))
        expect(0 < times["exp"] - times["nbf"] <= 3600, f"{line.profile}: lifetime")


def _altered(line: Line) -> Line:
    """The same signature over something else."""
    if line.format.startswith("http_message"):
        return replace(line, method="PATCH")
    if line.format == "cavage":
        name = [n.lower() for n in _listed(line) if not n.startswith("(")][-1]
        return line.with_header(name, line.by_name[name] + "0")
    if line.format == "jades":
        name = _jose_header(line)["sigD"]["pars"][-1]
        return line.with_header(name, line.by_name[name] + "0")
    if _detached(line):
        return replace(line, body=line.body + b"0")
    protected, payload, signature = _parts(line)
    changed = ("A" if payload[0] != "A" else "B") + payload[1:]
    return replace(line, jws=f"{protected}.{changed}.{signature}")


# draft-cavage


def _carrier(line: Line) -> str:
    return "signature" if "signature" in line.by_name else "authorization"


def _listed(line: Line) -> list[str]:
    return re.search(r'headers="([^"]*)"', line.by_name[_carrier(line)])[1].split(" ")


def _httpsig(line: Line) -> bool:
    verifier = foreign.HeaderVerifier(
        line.by_name,
        line.key,
        required_headers=[name.lower() for name in _listed(line)],
        method=line.method,
        path=line.target,
        sign_header=_carrier(line),
    )
    return bool(verifier.verify())


def _cryptography(line: Line) -> bool:
    """Lines put together here, names as they are listed, under the bare primitive: so Starling's can be asked too."""
    text = line.by_name[_carrier(line)]
    values = {**line.by_name, "(request-target)": f"{line.method.lower()} {line.target}"}
    string = "\n".join(f"{name}: {values[name.lower()]}" for name in _listed(line)).encode()
    signature = b64decode(re.search(r'signature="([^"]*)"', text)[1], validate=True)
    hash_ = {"sha256": hashes.SHA256, "sha512": hashes.SHA512}[line.scheme.split("-")[-1]]()
    key = load_pem_public_key(line.key.encode())
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, string, ec.ECDSA(hash_))
    else:
        key.verify(signature, string, padding.PKCS1v15(), hash_)
    return True


def _cavage_question(line: Line) -> dict[str, Any]:
    carrier = _carrier(line)
    question = {"kind": "cavage", "method": line.method, "target": line.target, "headers": line.by_name}
    return {**question, "carrier": carrier, "key": line.key}


def _same(line: Line) -> Line:
    return line


def _with_carrier(change: Callable[[str], str]) -> Callable[[Line], Line]:
    """The parameters in another spelling; they are not signed."""
    return lambda line: line.with_header(_carrier(line), change(line.by_name[_carrier(line)]))


def _abanca(line: Line) -> Line:
    """`request-target` without parentheses, here as a header; the string ends with a line feed, here of the last value."""
    line = replace(line, headers=(*line.headers, ("request-target", f"{line.method.lower()} {line.target}")))
    last = _listed(line)[-1]
    return line.with_header(last, line.by_name[last] + "\n")


def _fortis(line: Line) -> Line:
    """Times are named with their parentheses; httpsig knows neither, and gets them as headers. The path has a prefix."""
    line = replace(line, target=line.target if line.target.startswith("/psd2/v2") else "/psd2/v2" + line.target)
    line = _with_carrier(lambda text: re.sub(r"\((created|expires)\)=", r"\1=", text))(line)
    times = re.findall(r"(created|expires)=(\d+)", line.by_name["signature"])
    return replace(line, headers=line.headers + tuple((f"({name})", value) for name, value in times))


_NO_SPACES = _with_carrier(lambda text: text.replace('", ', '",'))
"""npm http-signature takes no space behind a comma."""
_RSA_SHA256 = _with_carrier(lambda text: re.sub(r'algorithm="[^"]*"', 'algorithm="rsa-sha256"', text))
"""The bank has a name of its own for the algorithm."""


def _ceska(line: Line) -> Line:
    """Names are listed as they are sent, and signed in lower case."""
    lower = _with_carrier(lambda text: re.sub(r'headers="[^"]*"', lambda listed: listed[0].lower(), text))
    return lower(_RSA_SHA256(line))


PLAIN: dict[str, Callable[[Line], Line]] = {
    "abanca": _abanca,
    "bnp-paribas": _NO_SPACES,
    "bnp-paribas-fortis": _fortis,
    # The method in the string is POST, whatever is called.
    "bpce": lambda line: replace(line, method="POST"),
    "ceska-sporitelna": _ceska,
    "credit-agricole": _NO_SPACES,
    "redsys": _RSA_SHA256,
    # Always PUT.
    "starling": lambda line: replace(line, method="PUT"),
}


# RFC 9421


class _OneKey(HTTPSignatureKeyResolver):
    def __init__(self, pem: str) -> None:
        self.key = load_pem_public_key(pem.encode())

    def resolve_public_key(self, key_id: str) -> Any:
        """Whatever it is called."""
        return self.key


def _http_message_signatures(line: Line) -> bool:
    request_headers = line.headers if line.status is None else line.request_headers
    message = SimpleNamespace(
        method=line.method, url=f"https://{line.authority}{line.target}", headers=dict(request_headers)
    )
    if line.status is not None:
        message = SimpleNamespace(status_code=line.status, headers=dict(line.headers), request=message)
    verifier = HTTPMessageVerifier(signature_algorithm=HTTP_MESSAGE[line.scheme], key_resolver=_OneKey(line.key))
    return len(verifier.verify(message)) == 1


def _http_message_question(line: Line) -> dict[str, Any]:
    url = f"https://{line.authority}{line.target}"
    question = {"kind": "http_message", "method": line.method, "url": url, "headers": dict(line.headers)}
    if line.status is not None:
        question |= {"status": line.status, "request_headers": dict(line.request_headers)}
    return {**question, "key": line.key, "alg": HTTP_MESSAGE[line.scheme].algorithm_id}


# JWS and JAdES


def _parts(line: Line) -> tuple[str, str, str]:
    if line.jws.startswith("{"):
        parts = json.loads(line.jws)
        return parts["protected"], parts["payload"], parts["signature"]
    protected, payload, signature = line.jws.split(".")
    return protected, payload, signature


def _detached(line: Line) -> bool:
    return _parts(line)[1] == ""


def _jose_header(line: Line) -> dict[str, Any]:
    return json.loads(urlsafe_b64decode(_parts(line)[0] + "=="))


def _payload(line: Line) -> bytes:
    """What is signed behind the header, before any encoding."""
    header, by_name = _jose_header(line), line.by_name
    if line.format == "jades":
        # ETSI TS 119 182-1 section 5.2.8.2: lines as in draft-cavage.
        values = {**by_name, "(request-target)": f"{line.method.lower()} {line.target}"}
        lines = "\n".join(f"{name}: {values[name]}" for name in header["sigD"]["pars"])
        # The Open Bank Project ends the last line too.
        return (lines + "\n" * (line.profile == "obp")).encode()
    if "tl_version" in header:
        # TrueLayer signs the request line and the headers it lists before the body.
        path = line.target.split("?")[0]
        rows = [f"{line.method} {path}"]
        rows += [f"{name}: {by_name[name.lower()]}" for name in header["tl_headers"].split(",") if name]
        return "\n".join(rows).encode() + b"\n" + line.body
    return line.body if _detached(line) else urlsafe_b64decode(_parts(line)[1] + "==")


def _compact(line: Line) -> str:
    """Detached, which is how every verifier can be asked; the payload is given beside it."""
    protected, _, signature = _parts(line)
    return f"{protected}..{signature}"


def _jwcrypto(line: Line) -> bool:
    registry = {name: JWSEHeaderParameter(name, True, True, None) for name in _crit(line)}
    object_ = JWS(header_registry=registry)
    object_.allowed_algs = [JOSE[line.scheme]]
    object_.deserialize(_compact(line))
    object_.verify(JWK.from_pem(line.key.encode()), detached_payload=_payload(line))
    return bool(object_.is_valid)


def _joserfc(line: Line) -> bool:
    known = {name: HeaderParameter("of the profile", lambda value: None) for name in _jose_header(line)}
    registry = joserfc_jws.JWSRegistry(header_registry=known, algorithms=[JOSE[line.scheme]])
    # A certificate in `x5c` does not fit into its 512 bytes.
    registry.max_header_length = 8192
    kind = "RSA" if line.scheme.startswith("rsa") else "OKP" if line.scheme == "ed25519" else "EC"
    key = import_key(line.key, kind)
    joserfc_jws.deserialize_compact(_compact(line), key, registry=registry, payload=_payload(line))
    return True


def _crit(line: Line) -> list[str]:
    return [name for name in _jose_header(line).get("crit", []) if name != "b64"]


def _jws_question(line: Line) -> dict[str, Any]:
    question = foreign.jws_question(line.key, _compact(line), _payload(line))
    return {**question, "crit": _crit(line), "alg": JOSE[line.scheme]}


def _one_by_one(verify: Callable[[Line], bool]) -> Callable[[list[Line]], list[str]]:
    def ask(lines: list[Line]) -> list[str]:
        return [_why(verify, line) for line in lines]

    return ask


def _why(verify: Callable[[Line], bool], line: Line) -> str:
    try:
        return "" if verify(line) else "not valid"
    except Exception as error:  # noqa: BLE001 - whatever a foreign verifier says no with
        return f"{type(error).__name__}: {error}"


def _npm(question: Callable[[Line], dict[str, Any]]) -> Callable[[list[Line]], list[str]]:
    return lambda lines: foreign.npm([question(line) for line in lines])


_HTTP_MESSAGE = {
    "PyPI http-message-signatures": _one_by_one(_http_message_signatures),
    "npm http-message-signatures": _npm(_http_message_question),
}
_JOSE = {
    "PyPI jwcrypto": _one_by_one(_jwcrypto),
    "PyPI joserfc": _one_by_one(_joserfc),
    "npm jose": _npm(_jws_question),
}
VERIFIERS: dict[str, dict[str, Callable[[list[Line]], list[str]]]] = {
    "cavage": {
        "PyPI httpsig": _one_by_one(_httpsig),
        "PyPI cryptography": _one_by_one(_cryptography),
        "npm http-signature": _npm(_cavage_question),
    },
    "http_message": _HTTP_MESSAGE,
    "http_message answers": _HTTP_MESSAGE,
    "jws": _JOSE,
    "jades": _JOSE,
    **dict.fromkeys(CLAIMS_OF_KIND, _JOSE),
}
