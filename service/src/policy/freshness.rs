//! A date that the caller put on the request lies within the bank's skew of now.
//!
//! A request that was prepared yesterday, or is to be used tomorrow, is not sealed today.

use super::{Case, Facts, Unfit};

pub(super) fn check(case: &Case<'_>) -> Result<(), Unfit> {
    let Facts::Http(request) = case.facts else {
        return Ok(());
    };
    let Some(freshness) = case.destination.profile.freshness() else {
        return Ok(());
    };
    let header = freshness.header;
    for value in request.header(header) {
        let date = freshness.date(value).ok_or_else(|| Unfit::DateMalformed {
            header: header.to_owned(),
        })?;
        let off_by_seconds = case.now.as_second().abs_diff(date.as_second());
        if off_by_seconds > u64::from(freshness.skew_seconds_max) {
            let max_seconds = freshness.skew_seconds_max;
            return Err(Unfit::Stale {
                header: header.to_owned(),
                off_by_seconds,
                max_seconds,
            });
        }
    }
    Ok(())
}
