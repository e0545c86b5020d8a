"""Where things are in the throw-away house, and what the checks put into it."""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

ROLES_ALL = "PSP_AI,PSP_PI,PSP_IC"
SIGNER = "spiffe://demo.example/tpp"


@dataclass(frozen=True)
class Credential:
    """A credential to enrol, and what to have certified."""

    name: str
    purpose: str
    key: str
    roles: str = ROLES_ALL


@dataclass(frozen=True)
class Bank:
    """A bank to sign for."""

    name: str
    profile: str
    base_path: str
    settings: dict[str, str]
    hosts: tuple[str, ...]
    tls12_allowed: bool = False


SEAL_RSA = Credential("interop-seal-rsa", "seal", "rsa-2048")
SEAL_EC = Credential("interop-seal-ec", "seal", "ec-p256")
SEAL_AIS = Credential("interop-seal-ais", "seal", "rsa-2048", "PSP_AI")
TRANSPORT_RSA = Credential("interop-transport-rsa", "transport", "rsa-2048")
TRANSPORT_EC = Credential("interop-transport-ec", "transport", "ec-p256")
CREDENTIALS = (SEAL_RSA, SEAL_EC, SEAL_AIS, TRANSPORT_RSA, TRANSPORT_EC)

_OBUK = {
    "kid": "90210ABAD",
    "iss": "0015800001041RHAAY/AORlKI7oUF85BB2WUr7ZK2",
    "tan": "openbanking.org.uk",
}
BERLIN = Bank("interop-berlin", "berlin-group-1.3.4", "/xs2a", {}, ("api.berlin.example:8443",))
STET = Bank(
    "interop-stet",
    "stet-1.4",
    "/stet/psd2/v1.4.1",
    {"certificate_url": "https://tpp.example/certs/qseal_{sha256}"},
    ("api.stet.example",),
)
OBUK = Bank("interop-obuk", "obuk-3.1.4", "/open-banking/v3.1", _OBUK, ("rs.obuk.example",))
OBUK_RAW = Bank("interop-obuk-raw", "obuk-3.1.3", "/open-banking/v3.1", _OBUK, ("rs.obuk.example",))
TLS12 = Bank("interop-tls12", "berlin-group-1.3.4", "", {}, ("localhost",), tls12_allowed=True)
TLS13 = Bank("interop-tls13", "berlin-group-1.3.4", "", {}, ("localhost",))
CLOSED = Bank("interop-closed", "berlin-group-1.3.4", "", {}, ("api.closed.example",))
"""Nobody has a grant for it."""
BANKS = (BERLIN, STET, OBUK, OBUK_RAW, TLS12, TLS13, CLOSED)


class House:
    """The folder that run.sh made, and the service in it."""

    def __init__(self) -> None:
        self.dir = Path(os.environ["SEALKEEP_HOUSE"])
        self.root = Path(os.environ["SEALKEEP_ROOT"])
        self.bin = Path(os.environ["SEALKEEP_BIN"])
        self.target = os.environ["SEALKEEP_ADDR"].removeprefix("https://")
        self.ca_pem = Path(os.environ["SEALKEEP_CACERT"]).read_bytes()

    def caller(self, name: str) -> tuple[bytes, bytes]:
        """Certificate and key of one of our own callers, PEM."""
        return (self.dir / f"tls/{name}.pem").read_bytes(), (self.dir / f"tls/{name}.key").read_bytes()

    def chain_file(self, credential: Credential) -> Path:
        """The issued certificate of a credential and its issuer, PEM."""
        return self.dir / f"{credential.name}.pem"

    def certificate(self, credential: Credential) -> x509.Certificate:
        """The issued certificate of a credential."""
        return x509.load_pem_x509_certificates(self.chain_file(credential).read_bytes())[0]
