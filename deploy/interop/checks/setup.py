"""Administration from a foreign client: keys made in the token, certified, installed, activated; banks; grants.

Checks: every step of the lifecycle works through PyPI grpcio, and its answers say what was asked for.
"""

import subprocess

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sealkeep.v1 import access_pb2, bank_pb2, credential_pb2, environment_pb2
from sealkeep.v1.access_pb2_grpc import AccessServiceStub
from sealkeep.v1.bank_pb2_grpc import BankServiceStub
from sealkeep.v1.credential_pb2_grpc import CredentialServiceStub

from .house import BANKS, CLOSED, CREDENTIALS, SIGNER, TLS12, TLS13, Credential, House
from .report import check, equal, expect
from .wire import channel

TIMEOUT_S = 60
"""A key pair takes its time."""
KINDS = {"seal": "qsealc", "transport": "qwac"}
ALGORITHMS = {"rsa-2048": "KEY_ALGORITHM_RSA_2048", "ec-p256": "KEY_ALGORITHM_EC_P256"}


def run(house: House) -> None:
    """Furnishes the house."""
    with channel(house, "officer") as officer:
        for credential in CREDENTIALS:
            with check(f"enrol {credential.name}") as detail:
                _credential(house, CredentialServiceStub(officer), credential)
                detail += [credential.key, credential.roles]
        with check("apply banks") as detail:
            _banks(BankServiceStub(officer))
            detail.append(f"{len(BANKS)} banks, all bound")
        with check("apply grants") as detail:
            _grants(AccessServiceStub(officer))
            detail.append(SIGNER)


def _credential(house: House, stub: CredentialServiceStub, credential: Credential) -> None:
    transport = credential.purpose == "transport"
    subject = credential_pb2.CertificateSubject(
        country="DE",
        organization="Interop TPP GmbH",
        organization_identifier="PSDDE-BAFIN-123456",
        common_name="tpp.demo-tpp.com" if transport else "Interop TPP GmbH",
        dns_names=["tpp.demo-tpp.com"] if transport else [],
    )
    enrolled = stub.EnrolCredential(
        credential_pb2.EnrolCredentialRequest(
            credential=credential.name,
            purpose=f"PURPOSE_{credential.purpose.upper()}",
            key_algorithm=ALGORITHMS[credential.key],
            subject=subject,
        ),
        timeout=TIMEOUT_S,
    )
    csr = x509.load_pem_x509_csr(enrolled.csr_pem.encode())
    expect(csr.is_signature_valid, "PyCA: the CSR's signature is not valid")
    csr_file = house.dir / f"{credential.name}.csr"
    csr_file.write_text(enrolled.csr_pem)
    issue = [house.bin / "sandbox-qtsp", "issue", "--dir", house.dir / "qtsp", "--csr", csr_file]
    issue += ["--kind", KINDS[credential.purpose], "--roles", credential.roles]
    subprocess.run([*issue, "--out", house.chain_file(credential)], check=True, capture_output=True)
    name = f"credentials/{credential.name}"
    installed = stub.InstallCertificate(
        credential_pb2.InstallCertificateRequest(
            name=name, certificate_chain_pem=house.chain_file(credential).read_text()
        ),
        timeout=TIMEOUT_S,
    )
    equal([f.code for f in installed.findings if f.blocking], [], "blocking findings")
    activated = stub.ActivateVersion(credential_pb2.ActivateVersionRequest(name=name), timeout=TIMEOUT_S)
    _version(house, credential, activated.version, csr)


def _version(
    house: House, credential: Credential, version: credential_pb2.Version, csr: x509.CertificateSigningRequest
) -> None:
    equal(version.name, f"credentials/{credential.name}/versions/1", "version")
    equal(credential_pb2.VersionState.Name(version.state), "VERSION_STATE_ACTIVE", "state")
    equal(version.key_algorithm, credential.key, "key_algorithm")
    equal(version.environment, environment_pb2.ENVIRONMENT_SANDBOX, "environment")
    certificate = house.certificate(credential)
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    same = certificate.public_key().public_bytes(*form) == csr.public_key().public_bytes(*form)
    expect(same, "the certificate is for another key than the CSR")
    equal(version.certificate.serial_number, f"{certificate.serial_number:x}", "serial_number")
    equal(sorted(version.certificate.psd2_roles), sorted(credential.roles.split(",")), "psd2_roles")
    protection = version.protection
    flags = (protection.sensitive, protection.always_sensitive, protection.never_extractable, protection.local)
    expect(all(flags) and not protection.extractable, f"protection: {protection}")


def _banks(stub: BankServiceStub) -> None:
    banks = [
        bank_pb2.Bank(
            name=bank.name,
            environment=environment_pb2.ENVIRONMENT_SANDBOX,
            hosts=bank.hosts,
            base_path=bank.base_path,
            profile=bank.profile,
            settings=bank.settings,
            credentials=[credential.name for credential in CREDENTIALS],
            tls12_allowed=bank.tls12_allowed,
        )
        for bank in BANKS
    ]
    applied = stub.ApplyBanks(bank_pb2.ApplyBanksRequest(banks=banks), timeout=TIMEOUT_S).banks
    equal(sorted(bank.name for bank in applied), sorted(bank.name for bank in BANKS), "banks")
    for bank in applied:
        bound = {binding.credential: binding.version for binding in bank.bindings}
        expected = {c.name: f"credentials/{c.name}/versions/1" for c in CREDENTIALS}
        equal(bound, expected, f"bindings of {bank.name}")


def _grants(stub: AccessServiceStub) -> None:
    signed_for = [bank.name for bank in BANKS if bank not in (CLOSED, TLS12, TLS13)]
    grants = [
        access_pb2.Grant(operations=operations, credential=credential.name, banks=banks)
        for credential in CREDENTIALS
        for operations, banks in [
            (["OPERATION_TLS"], [TLS12.name, TLS13.name])
            if credential.purpose == "transport"
            else (["OPERATION_SIGN_HTTP", "OPERATION_SIGN_JWS"], signed_for)
        ]
    ]
    caller = access_pb2.Caller(name=SIGNER, role=access_pb2.ROLE_SIGNER, grants=grants)
    applied = stub.ApplyGrants(access_pb2.ApplyGrantsRequest(callers=[caller]), timeout=TIMEOUT_S)
    equal([c.name for c in applied.callers], [SIGNER], "callers")
    equal(len(applied.callers[0].grants), len(CREDENTIALS), "grants")
