"""jwcrypto decrypts what `sealkeep encrypt` encrypted to keys that jwcrypto made."""

import subprocess

from jwcrypto import jwe, jwk

from .house import House
from .report import check, equal, expect

JWT = "eyJhbGciOiJQUzI1NiJ9.eyJpc3MiOiJ0cHAifQ.c2lnbmF0dXJl"
"""What is encrypted: only its form matters here."""

KEYS = [
    ("RSA-OAEP", {"kty": "RSA", "size": 2048}),
    ("RSA-OAEP-256", {"kty": "RSA", "size": 3072}),
    ("ECDH-ES", {"kty": "EC", "crv": "P-256"}),
    ("ECDH-ES", {"kty": "EC", "crv": "P-384"}),
]


def run(house: House) -> None:
    """Each algorithm with each content encryption."""
    sealkeep = house.bin / "sealkeep"
    for algorithm, kind in KEYS:
        key = jwk.JWK.generate(kid="bank-1", use="enc", **kind)
        for encryption in ("A128GCM", "A256GCM"):
            name = f"jwcrypto decrypts {algorithm} {kind.get('crv', 'RSA')} {encryption}"
            with check(name):
                command = [sealkeep, "encrypt", "--jwk", key.export_public(), "--algorithm", algorithm]
                command += ["--encryption", encryption, "--jwt", JWT]
                made = subprocess.run(command, check=True, capture_output=True, text=True)
                token = jwe.JWE(algs=[algorithm, encryption])
                token.deserialize(made.stdout.strip(), key)
                equal(token.payload.decode(), JWT, "content")
                equal(token.jose_header["cty"], "JWT", "cty")
                expect(token.jose_header["kid"] == "bank-1", "kid is not that of the key")
