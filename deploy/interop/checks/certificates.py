"""Certificates of the sandbox QTSP under PyPI pkilint, a linter made for real CAs.

Checks: QWAC and QSealC have no finding at WARNING or above in `lint_etsi_cert` and `lint_pkix_cert`; a certificate
that is wrong on purpose has one, so that the linter is seen to look.
"""

import json
import subprocess
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from .house import SEAL_EC, SEAL_RSA, TRANSPORT_EC, TRANSPORT_RSA, Credential, House
from .report import check, equal, expect

QWAC = "QNCP-W-GEN-LEGAL-PERSON-EIDAS-FINAL-CERTIFICATE"
QSEALC = "NCP-LEGAL-PERSON-CERTIFICATE"
TYPES = [(TRANSPORT_RSA, QWAC), (TRANSPORT_EC, QWAC), (SEAL_RSA, QSEALC), (SEAL_EC, QSEALC)]


def run(house: House) -> None:
    """Lints what was issued to us."""
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
