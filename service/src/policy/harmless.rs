//! While a version is verified it signs the bank's harmless request and no other: what nobody has switched to yet must
//! not move money.

use sealkeep_profiles::request::HttpRequest;

use super::Unfit;
use crate::domain::Bank;

/// Whether a request is the harmless one of the bank: same method, same target, same host, no body.
pub(crate) fn check(bank: &Bank, request: &HttpRequest) -> Result<(), Unfit> {
    let wanted = bank.rotation.verify.as_ref();
    let same = wanted.is_some_and(|wanted| {
        let host = wanted.host.as_ref().or(bank.hosts.first());
        request.method().as_str() == wanted.method.as_str()
            && request.target() == wanted.target
            && host.is_some_and(|host| request.authority().eq_ignore_ascii_case(host.as_str()))
            && request.body().is_empty()
    });
    match same {
        true => Ok(()),
        false => Err(Unfit::NotHarmless),
    }
}
