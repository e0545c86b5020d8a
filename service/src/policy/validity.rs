//! The certificate must be valid now (RFC 5280 section 4.1.2.5: both ends included).

use super::{Case, Unfit};

pub(super) fn check(case: &Case<'_>) -> Result<(), Unfit> {
    let (not_before, not_after) = (case.certificate.not_before(), case.certificate.not_after());
    let version = || case.version.id.clone();
    if case.now < not_before {
        return Err(Unfit::NotYetValid {
            version: version(),
            not_before,
        });
    }
    // not_after names the last valid second, and a second lasts until the next one begins.
    if case.now.as_second() > not_after.as_second() {
        return Err(Unfit::Expired {
            version: version(),
            not_after,
        });
    }
    Ok(())
}
