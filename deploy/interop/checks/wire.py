"""The foreign client: PyPI grpcio over mutual TLS, with code generated from our .proto files."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2
from grpc_status import rpc_status

from .house import House
from .report import Failed

TIMEOUT_S = 10
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""Of the client: what is too large has to be the service's verdict."""


def channel(house: House, caller: str | None) -> grpc.Channel:
    """A connection as that caller; as nobody without one."""
    certificate, key = house.caller(caller) if caller else (None, None)
    credentials = grpc.ssl_channel_credentials(house.ca_pem, key, certificate)
    options = {"max_send_message_length": MESSAGE_BYTES_MAX, "enable_retries": 0, "enable_http_proxy": 0}
    options = [(f"grpc.{name}", value) for name, value in options.items()]
    return grpc.secure_channel(house.target, credentials, options)


@dataclass
class Refused:
    """What the service said instead of an answer."""

    code: str
    message: str
    reason: str = ""
    domain: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    fields: list[str] = field(default_factory=list)
    wire: bytes = b""


def refusal(call: Callable[..., Any], *arguments: Message | bytes) -> Refused:
    """Makes a call that has to be refused, and reads the refusal as google.rpc.Status."""
    try:
        answer = call(*arguments, timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        return _read(error)
    raise Failed(f"was not refused, answered {type(answer).__name__}")


def _read(error: grpc.RpcError) -> Refused:
    refused = Refused(error.code().name, error.details() or "")
    status = rpc_status.from_call(error)
    if status is None:
        return refused
    # `rpc_status` has checked that code and message agree with the trailers.
    refused.code, refused.wire = code_pb2.Code.Name(status.code), status.SerializeToString(deterministic=True)
    for detail in status.details:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            refused.reason, refused.domain = info.reason, info.domain
            refused.metadata = dict(info.metadata)
        elif detail.Unpack(bad):
            refused.fields = [violation.field for violation in bad.field_violations]
    return refused
