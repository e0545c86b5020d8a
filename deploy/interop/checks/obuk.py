"""Open Banking UK message signing, 3.1 to 3.1.3 and 3.1.4 and later, read anew.

Written from the specification, not from our crate: the protected header, and the signing input of RFC 7515 section 5.1
and RFC 7797 section 3.
"""

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode

from .foreign import OBUK_CRIT
from .house import Bank
from .randoms import Request
from .report import equal, expect

IAT_AGE_SECONDS_MAX = 60


def content_type(request: Request) -> str | None:
    """The media type the sender gave, without parameters."""
    for name, value in request.headers:
        if name.lower() == "content-type":
            return value.split(";")[0].strip().lower()
    return None


def check(bank: Bank, jws: str, payload: bytes, media_type: str | None) -> tuple[bytes, bytes]:
    """Fails unless the detached JWS is as specified; answers with signing input and signature."""
    protected, middle, signature = jws.split(".")
    equal(middle, "", "the payload between the dots")
    expect("=" not in jws, "base64url with padding")
    header = json.loads(_decode(protected))
    raw = bank.profile == "obuk-3.1.3"
    expected = {
        "alg": "PS256",
        "kid": bank.settings["kid"],
        "typ": "JOSE",
        "cty": media_type or "application/json",
        OBUK_CRIT[0]: header.get(OBUK_CRIT[0]),
        OBUK_CRIT[1]: bank.settings["iss"],
        OBUK_CRIT[2]: bank.settings["tan"],
        "crit": (["b64"] if raw else []) + OBUK_CRIT,
    }
    if raw:
        expected["b64"] = False
    equal(header, expected, "protected header")
    iat, now = header[OBUK_CRIT[0]], time.time()
    expect(
        isinstance(iat, int) and now - IAT_AGE_SECONDS_MAX < iat < now, f"iat {iat} is not in the recent past of {now}"
    )
    body = payload if raw else urlsafe_b64encode(payload).rstrip(b"=")
    return protected.encode() + b"." + body, _decode(signature)


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
