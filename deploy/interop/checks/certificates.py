"""What the sandbox QTSP issues and says, under PyPI pkilint, a linter made for real CAs.

Checks: QWAC and QSealC have no finding at WARNING or above in `lint_etsi_cert` and `lint_pkix_cert`; nor have its lists
of revoked certificates, whole and delta, in `lint_crl`, and its OCSP responses in `lint_ocsp_response`. PyPI cryptography
asks and reads both. What is wrong on purpose has findings, so that the linters are seen to look.
"""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from .house import SEAL_AIS, SEAL_EC, SEAL_RSA, TRANSPORT_EC, TRANSPORT_RSA, Credential, House
from .report import check, equal, expect

QWAC = "QNCP-W-GEN-LEGAL-PERSON-EIDAS-FINAL-CERTIFICATE"
QSEALC = "NCP-LEGAL-PERSON-CERTIFICATE"
TYPES = [(TRANSPORT_RSA, QWAC), (TRANSPORT_EC, QWAC), (SEAL_RSA, QSEALC), (SEAL_EC, QSEALC)]


def run(house: House) -> None:
    """Lints what was issued to us, and what is said about it."""
    _issued(house)
    _revoke(house, SEAL_EC, "superseded")
    _lists(house)
    _responses(house)
    _wrong_list(house)


def _issued(house: House) -> None:
    for credential, kind in TYPES:
        with check(f"pkilint has nothing against {credential.name}") as detail:
            file = _leaf(house, credential)
            for linter in (["lint_etsi_cert", "lint", "-t", kind], ["lint_pkix_cert", "lint"]):
                findings = _lint(linter, file)
                expect(not findings, f"{linter[0]}: {'; '.join(findings)}")
            detail.append(f"{kind}, 0 findings at WARNING")
    with check("pkilint does find what is wrong") as detail:
        findings = _lint(["lint_etsi_cert", "lint", "-t", QWAC], _leaf(house, SEAL_RSA))
        expect(findings, "a QSealC passed as a QWAC")
        detail.append(f"{len(findings)} findings for a QSealC linted as a QWAC")


def _revoke(house: House, credential: Credential, reason: str) -> None:
    """The QTSP revokes a certificate, while it serves."""
    command = [house.bin / "sandbox-qtsp", "revoke", "--dir", house.dir / "qtsp"]
    command += ["--certificate", house.chain_file(credential), "--reason", reason]
    subprocess.run(command, check=True)


def _lists(house: House) -> None:
    revoked = house.certificate(SEAL_EC).serial_number
    for name, kind, listed in [("issuing", "CRL", True), ("issuing-delta", "CRL", True), ("root", "ARL", False)]:
        with check(f"pkilint and cryptography read {name}.crl") as detail:
            file = house.dir / f"{name}.crl"
            file.write_bytes(_fetch(house, f"/{name}.crl"))
            for profile in ["PKIX", "BR"]:
                findings = _lint(["lint_crl", "lint", "-t", kind, "-p", profile], file)
                expect(not findings, f"{profile}: {'; '.join(findings)}")
            crl = x509.load_der_x509_crl(file.read_bytes())
            ca = x509.load_pem_x509_certificate((house.dir / "qtsp" / f"{name.removesuffix('-delta')}.pem").read_bytes())
            expect(crl.is_signature_valid(ca.public_key()), "signed by another key")
            found = crl.get_revoked_certificate_by_serial_number(revoked)
            equal(found is not None, listed, f"{name}.crl lists the revoked certificate")
            detail.append("0 findings at WARNING")


def _responses(house: House) -> None:
    issuing = x509.load_pem_x509_certificate((house.dir / "qtsp" / "issuing.pem").read_bytes())
    for credential, wanted in [(SEAL_EC, "REVOKED"), (SEAL_RSA, "GOOD")]:
        with check(f"pkilint and cryptography read that {credential.name} is {wanted.lower()}") as detail:
            for algorithm in [SHA1(), SHA256()]:
                question = ocsp.OCSPRequestBuilder().add_certificate(house.certificate(credential), issuing, algorithm)
                question = question.build().public_bytes(Encoding.DER)
                file = house.dir / f"{credential.name}.ocsp"
                file.write_bytes(_fetch(house, "/ocsp", question))
                findings = _lint(["lint_ocsp_response", "lint"], file)
                expect(not findings, "; ".join(findings))
                equal(ocsp.load_der_ocsp_response(file.read_bytes()).certificate_status.name, wanted, "status")
            detail.append("0 findings at WARNING")


def _wrong_list(house: House) -> None:
    """CAs of the web must not suspend (CA/Browser Forum Baseline Requirements, section 7.2.2); this one does when told."""
    _revoke(house, SEAL_AIS, "certificate-hold")
    with check("pkilint does find what is wrong in a list") as detail:
        file = house.dir / "suspended.crl"
        file.write_bytes(_fetch(house, "/issuing.crl"))
        findings = _lint(["lint_crl", "lint", "-t", "CRL", "-p", "BR"], file)
        expect(any("crl_prohibited_reason_code" in f for f in findings), f"found {findings}")
        detail.append(findings[0].split(" at ")[0])


def _fetch(house: House, path: str, content: bytes | None = None) -> bytes:
    """From the QTSP's own server; a POST when there is content."""
    url = f"http://{(house.dir / 'qtsp.address').read_text().strip()}{path}"
    request = urllib.request.Request(url, data=content, headers={"content-type": "application/ocsp-request"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def _leaf(house: House, credential: Credential) -> Path:
    """The linters take one certificate a file."""
    file = house.dir / f"{credential.name}.der"
    file.write_bytes(house.certificate(credential).public_bytes(Encoding.DER))
    return file


def _lint(linter: list[str], file: Path) -> list[str]:
    """Findings at WARNING and above, as `SEVERITY code`."""
    command = [Path(sys.executable).parent / linter[0], *linter[1:]]
    done = subprocess.run([*command, "-s", "WARNING", "-f", "JSON", file], capture_output=True, text=True)
    expect(done.stdout, f"{linter[0]} broke: {done.stderr[-200:]}")
    results = json.loads(done.stdout)["results"]
    found = [f"{f['severity']} {f['code']} at {r['node_path']}" for r in results for f in r["finding_descriptions"]]
    # The exit code is the number of findings.
    equal(min(done.returncode, 1), min(len(found), 1), f"exit code of {linter[0]} ({done.stderr[-200:]})")
    return found
