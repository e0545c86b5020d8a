"""The audit log, asked by a foreign client after everything else.

Checks: the log is whole, and it counts exactly the signatures that the foreign side got.
"""

from sealkeep.v1 import audit_pb2
from sealkeep.v1.audit_pb2_grpc import AuditServiceStub

from .house import House
from .report import check, equal
from .wire import channel

TIMEOUT_S = 60


def run(house: House, released: str) -> None:
    """Has the log verified."""
    with channel(house, "officer") as officer, check("the audit log knows every signature") as detail:
        answer = AuditServiceStub(officer).VerifyAuditLog(audit_pb2.VerifyAuditLogRequest(), timeout=TIMEOUT_S)
        equal([fault.code for fault in answer.faults], [], "faults")
        equal(list(answer.unknown_sequences), [], "unknown_sequences")
        equal(answer.failed_count, 0, "failed_count")
        equal(answer.released_count, int(released), "released_count")
        detail += [f"{answer.record_count} records", f"{answer.released_count} released"]
