"""Verifiers that are not ours: openssl, PyPI httpsig and jwcrypto, npm http-signature and jose.

Each answers true or false; an exception of theirs is a false.
"""

import json
import os
import subprocess
import tempfile
import warnings
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwcrypto.common import JWException
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS, JWSEHeaderParameter

from .cavage import Received

with warnings.catch_warnings():
    # It asks setuptools for its own version, in the old way.
    warnings.simplefilter("ignore")
    from httpsig.verify import HeaderVerifier

PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]
"""RFC 7518 section 3.5: the salt is as long as the hash. openssl takes no other length then."""
OBUK_CRIT = [f"http://openbanking.org.uk/{name}" for name in ("iat", "iss", "tan")]


def public_key(certificate: x509.Certificate) -> str:
    """The key of a certificate, PEM."""
    pem = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def openssl(key: str, message: bytes, signature: bytes, options: Iterable[str] = ()) -> bool:
    """`openssl dgst -sha256 -verify`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in {"key": key.encode(), "message": message, "signature": signature}.items():
            (folder / file).write_bytes(content)
        command = ["openssl", "dgst", "-sha256", *options, "-verify", "key", "-signature", "signature", "message"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode == 0 and done.stdout.strip() == "Verified OK"


def httpsig(key: str, got: Received) -> bool:
    """PyPI httpsig; it knows RSA only."""
    listed = got.parameters["headers"].split(" ")
    verifier = HeaderVerifier(
        got.headers, key, required_headers=listed, method=got.method, path=got.target, sign_header="signature"
    )
    return bool(verifier.verify())


def jwcrypto(key: str, jws: str, payload: bytes) -> bool:
    """PyPI jwcrypto, the payload detached."""
    registry = {name: JWSEHeaderParameter(name, True, True, None) for name in OBUK_CRIT}
    object_ = JWS(header_registry=registry)
    object_.allowed_algs = ["PS256"]
    try:
        object_.deserialize(jws)
        object_.verify(JWK.from_pem(key.encode()), detached_payload=payload)
    except JWException:
        return False
    return bool(object_.is_valid)


def cavage_question(key: str, got: Received) -> dict[str, object]:
    """For [`npm`]: http-signature."""
    return {"kind": "cavage", "method": got.method, "target": got.target, "headers": got.headers, "key": key}


def jws_question(key: str, jws: str, payload: bytes) -> dict[str, object]:
    """For [`npm`]: jose."""
    return {"kind": "jws", "jws": jws, "payload": b64encode(payload).decode(), "key": key, "crit": OBUK_CRIT}


def npm(questions: list[dict[str, object]]) -> list[str]:
    """One process for all of them; answers with an empty text where the signature is valid, else with why not."""
    lines = "".join(json.dumps({**question, "id": index}) + "\n" for index, question in enumerate(questions))
    command = ["node", Path(__file__).parent.parent / "verify.mjs", os.environ["SEALKEEP_NPM_PREFIX"]]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if [answer["id"] for answer in answers] != list(range(len(questions))):
        raise RuntimeError(f"node answered {len(answers)} of {len(questions)} questions: {done.stderr}")
    return ["" if answer["valid"] else answer["error"] or "not valid" for answer in answers]
