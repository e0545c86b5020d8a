//! A date that the caller put on the request lies within the bank's skew of now.
//!
//! A request that was prepared yesterday, or is to be used tomorrow, is not sealed today.

use jiff::Timestamp;

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
        let date = parse(value).ok_or_else(|| Unfit::DateMalformed {
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

/// IMF-fixdate only, RFC 9110 section 5.6.7.
fn parse(value: &str) -> Option<Timestamp> {
    let zoneless = value.strip_suffix(" GMT")?;
    let time = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S", zoneless).ok()?;
    let timestamp = jiff::tz::Offset::UTC.to_timestamp(time).ok()?;
    // One spelling: what we would write ourselves.
    let canonical = timestamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    (canonical == value).then_some(timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_imf_fixdate_and_nothing_else() {
        assert_eq!(
            parse("Thu, 01 Jan 1970 00:00:10 GMT").map(Timestamp::as_second),
            Some(10)
        );
        for bad in [
            "Fri, 01 Jan 1970 00:00:10 GMT",
            "Thu, 1 Jan 1970 00:00:10 GMT",
            "Thursday, 01-Jan-70 00:00:10 GMT",
            "Thu, 01 Jan 1970 00:00:10 +0000",
            "1970-01-01T00:00:10Z",
            "",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
