"""Trusted lists under PyPI pyHanko, which reads them and judges certificates by them for PDF signatures.

Checks: it takes the lists that the sandbox's supervisor signs, and comes to the same verdict as the service about the same
certificates, whether the QTSP is granted or has lost its status; what was changed after it was signed, both refuse.
"""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from asn1crypto import pem
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.qualified.assess import QualificationAssessor
from pyhanko.sign.validation.qualified.eutl_parse import trust_list_to_registry, validate_and_parse_lotl
from pyhanko.sign.validation.qualified.tsp import TSPRegistry
from pyhanko_certvalidator.authority import CertTrustAnchor
from pyhanko_certvalidator.path import ValidationPath
from sealkeep.v1 import credential_pb2, trust_pb2
from sealkeep.v1.credential_pb2_grpc import CredentialServiceStub
from sealkeep.v1.trust_pb2_grpc import TrustServiceStub

from .house import House
from .report import check, equal, expect
from .wire import channel, refusal

TIMEOUT_S = 60
CHUNK_BYTES = 100_000
LISTS = {
    "granted": [],
    "granted, version 5 of the format": ["--format", "5"],
    "withdrawn": ["--withdrawn"],
}
KINDS = {"seal": ("qsealc", "eseal"), "transport": ("qwac", "web")}


def run(house: House) -> None:
    """Publishes lists, and asks both about the same certificates."""
    with channel(house, "officer") as officer:
        credentials, lists = CredentialServiceStub(officer), TrustServiceStub(officer)
        chains = {purpose: _order(house, credentials, purpose) for purpose in KINDS}
        for name, flags in LISTS.items():
            with check(f"pyHanko and the service agree under a list: {name}") as detail:
                folder = _publish(house, flags)
                registry = _registry(folder)
                lists.ImportTrustedLists(_messages(folder), timeout=TIMEOUT_S)
                for purpose, chain in chains.items():
                    verdict = _theirs(registry, chain)
                    equal(_ours(credentials, purpose, chain), bool(verdict), purpose)
                    expect(verdict in (None, KINDS[purpose][1]), f"pyHanko takes a {purpose} certificate for {verdict}")
                    detail.append(f"{purpose}: {'qualified for ' + verdict if verdict else 'not qualified'}")
        with check("pyHanko and the service refuse a list that was changed") as detail:
            folder = _publish(house, [])
            file = folder / "list.xml"
            file.write_text(file.read_text().replace("granted", "revoked", 1))
            try:
                _registry(folder)
            except SignatureValidationError as error:
                detail.append(type(error).__name__)
            else:
                expect(False, "pyHanko took it")
            refused = refusal(lists.ImportTrustedLists, _messages(folder))
            equal((refused.reason, refused.metadata), ("TRUSTED_LISTS_REFUSED", {"problems": "SIGNATURE_INVALID"}), "we")
            detail.append(refused.reason)


def _order(house: House, stub: CredentialServiceStub, purpose: str) -> str:
    """A key in the token with a certificate for it that is not installed; the chain, PEM."""
    name = f"interop-listed-{purpose}"
    subject = credential_pb2.CertificateSubject(
        country="DE",
        organization="Interop TPP GmbH",
        organization_identifier="PSDDE-BAFIN-123456",
        common_name="tpp.demo-tpp.com",
        dns_names=["tpp.demo-tpp.com"] if purpose == "transport" else [],
    )
    enrolled = stub.EnrolCredential(
        credential_pb2.EnrolCredentialRequest(
            credential=name,
            purpose=f"PURPOSE_{purpose.upper()}",
            key_algorithm="KEY_ALGORITHM_EC_P256",
            subject=subject,
        ),
        timeout=TIMEOUT_S,
    )
    request, chain = house.dir / f"{name}.csr", house.dir / f"{name}.pem"
    request.write_text(enrolled.csr_pem)
    issue = [house.bin / "sandbox-qtsp", "issue", "--dir", house.dir / "qtsp", "--csr", request]
    issue += ["--kind", KINDS[purpose][0], "--roles", "PSP_AI", "--out", chain]
    subprocess.run(issue, check=True, capture_output=True)
    return chain.read_text()


def _publish(house: House, flags: list[str]) -> Path:
    """New issues of both lists."""
    folder = house.dir / "trust"
    publish = [house.bin / "sandbox-qtsp", "trusted-list", "--dir", house.dir / "qtsp", "--out", folder, *flags]
    subprocess.run(publish, check=True, capture_output=True)
    return folder


def _registry(folder: Path) -> TSPRegistry:
    """What pyHanko makes of the lists, from the pinned signer on."""
    _, _, signer = pem.unarmor((folder / "lotl-signer.pem").read_bytes())
    lotl = validate_and_parse_lotl((folder / "lotl.xml").read_text(), [asn1_x509.Certificate.load(signer)])
    equal([(r.territory, len(r.tlso_certs)) for r in lotl.references], [("FR", 1)], "pointers")
    registry, errors = trust_list_to_registry((folder / "list.xml").read_text(), lotl.references[0].tlso_certs)
    equal([str(error) for error in errors], [], "errors")
    return registry


def _theirs(registry: TSPRegistry, chain: str) -> str | None:
    """For what pyHanko takes the leaf as qualified now."""
    ders = [c.public_bytes(Encoding.DER) for c in x509.load_pem_x509_certificates(chain.encode())]
    leaf, issuer = (asn1_x509.Certificate.load(der) for der in ders)
    path = ValidationPath(CertTrustAnchor(issuer), [], leaf)
    status = QualificationAssessor(registry).check_entity_cert_qualified(path, datetime.now(UTC)).status
    return status.qc_type.value.removeprefix("qct_") if status.qualified else None


def _ours(stub: CredentialServiceStub, purpose: str, chain: str) -> bool:
    """Whether the service says that a list makes the leaf qualified."""
    request = credential_pb2.InstallCertificateRequest(
        name=f"credentials/interop-listed-{purpose}", certificate_chain_pem=chain, validate_only=True
    )
    answer = stub.InstallCertificate(request, timeout=TIMEOUT_S)
    found = [finding.code for finding in answer.findings if finding.code.startswith("tl.")]
    listed = answer.trust.trusted_list == "sandbox/FR"
    expect(listed == (not found), f"trust {answer.trust.trusted_list!r} with findings {found}")
    return listed


def _messages(folder: Path) -> Iterator[trust_pb2.ImportTrustedListsRequest]:
    for name in ("lotl.xml", "list.xml"):
        text = (folder / name).read_bytes()
        yield trust_pb2.ImportTrustedListsRequest(file_name=name)
        for begin in range(0, len(text), CHUNK_BYTES):
            yield trust_pb2.ImportTrustedListsRequest(chunk=text[begin : begin + CHUNK_BYTES])
