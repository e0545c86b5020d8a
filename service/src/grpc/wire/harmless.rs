//! The harmless request of a bank, and what was seen of it.

use std::collections::BTreeSet;

use sealkeep_proto::v1;
use tonic::Status;

use super::time;
use crate::bank::rotation::evidence::{Seen, Stage};
use crate::bank::rotation::verification::Verified;
use crate::domain::{HarmlessRequest, Host, SafeMethod};
use crate::grpc::error::invalid;

pub(in crate::grpc) fn harmless(
    wire: v1::HarmlessRequest,
    field: &dyn Fn(&str) -> String,
) -> Result<HarmlessRequest, Status> {
    let method = SafeMethod::parse(&wire.method)
        .ok_or_else(|| invalid(&field("method"), "GET or HEAD: it must change nothing"))?;
    let host = Some(wire.host).filter(|host| !host.is_empty());
    let host = host.map(Host::try_from).transpose();
    let status = |code: &u32| u16::try_from(*code).map_err(|e| invalid(&field("statuses"), e));
    let statuses: Result<BTreeSet<_>, _> = wire.statuses.iter().map(status).collect();
    Ok(HarmlessRequest {
        host: host.map_err(|e| invalid(&field("host"), e))?,
        method,
        target: wire.target,
        headers: wire.headers.into_iter().collect(),
        statuses: statuses?,
        contains: wire.contains,
    })
}

pub(in crate::grpc) fn harmless_out(request: HarmlessRequest) -> v1::HarmlessRequest {
    v1::HarmlessRequest {
        host: request.host.map(String::from).unwrap_or_default(),
        method: request.method.as_str().to_owned(),
        target: request.target,
        headers: request.headers.into_iter().collect(),
        statuses: request.statuses.into_iter().map(u32::from).collect(),
        contains: request.contains,
    }
}

pub(in crate::grpc) fn seen(wire: v1::Seen) -> Result<Seen, Status> {
    let stage = match wire.stage() {
        v1::Stage::Sign => Stage::Sign,
        v1::Stage::Connect => Stage::Connect,
        v1::Stage::Server => Stage::Server,
        v1::Stage::Handshake => Stage::Handshake,
        v1::Stage::Answer => Stage::Answer,
        v1::Stage::Done => Stage::Done,
        v1::Stage::Unspecified => return Err(invalid("seen.stage", "say how far it went")),
    };
    Ok(Seen {
        stage,
        detail: wire.detail,
        address: wire.address,
        tls_version: wire.tls_version,
        server_certificate_sha256: wire.server_certificate_sha256,
        certificate_presented: wire.certificate_presented,
        request_signed: wire.request_signed,
        status: u16::try_from(wire.status).map_err(|e| invalid("seen.status", e))?,
        contains: wire.contains,
        duration_ms: wire.duration_ms,
    })
}

pub(in crate::grpc) fn verified_out(verified: &Verified) -> v1::Verification {
    let seen = verified.seen.clone();
    let stage = match seen.stage {
        Stage::Sign => v1::Stage::Sign,
        Stage::Connect => v1::Stage::Connect,
        Stage::Server => v1::Stage::Server,
        Stage::Handshake => v1::Stage::Handshake,
        Stage::Answer => v1::Stage::Answer,
        Stage::Done => v1::Stage::Done,
    };
    v1::Verification {
        time: Some(time(verified.at)),
        caller: verified.caller.to_string(),
        version: verified.version.resource(),
        passed: verified.reason.is_empty(),
        reason: verified.reason.clone(),
        seen: Some(v1::Seen {
            stage: stage.into(),
            detail: seen.detail,
            address: seen.address,
            tls_version: seen.tls_version,
            server_certificate_sha256: seen.server_certificate_sha256,
            certificate_presented: seen.certificate_presented,
            request_signed: seen.request_signed,
            status: seen.status.into(),
            contains: seen.contains,
            duration_ms: seen.duration_ms,
        }),
    }
}
