//! The date header of a signed message.
//!
//! Comes in: a message, the date's parameters, the time of signing or of verifying. Goes out: the header to set, or the time
//! a message says. Never the clock's time: `now` is an argument. Serves RFC 9110 §5.6.7, and the other spellings banks want.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};
use jiff::tz::{Offset, TimeZone};
use serde::Deserialize;

use super::lines::Set;
use super::spec::CavageSpec;
use crate::refusal::Refusal;
use crate::request::Message;

/// Civil time in Paris (POSIX.1-2017 §8.3, TZ): no time zone database is needed for a rule that has held since 1996.
const PARIS: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
const PARIS_TEXT: &str = "%a, %d %b %Y %H:%M:%S";
const ISO_8601_TEXT: &str = "%Y-%m-%dT%H:%M:%S%.7f%:z";

/// The date header.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DateSpec {
    /// The header as it is spelled when set.
    #[serde(default = "date_header")]
    pub(super) header: String,
    #[serde(default)]
    pub(super) form: DateForm,
    when_absent: WhenAbsent,
}

fn date_header() -> String {
    "Date".into()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DateForm {
    /// `Tue, 18 Sep 2018 09:51:01 GMT` (RFC 9110 §5.6.7).
    #[default]
    ImfFixdate,
    /// `Tue, 18 Sep 2018 11:51:01 CEST`: the same shape in the civil time of Paris.
    ParisZoneText,
    #[serde(rename = "iso-8601-offset")]
    /// `2018-09-18T09:51:01.0000000+00:00` (ISO 8601); written in UTC, read with any offset.
    Iso8601Offset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WhenAbsent {
    /// Set it to the time of signing.
    Set,
    /// Leave it out; `signed` decides whether that is refused.
    Leave,
}

/// The date header, when it is to be set; one that was sent has to have the profile's form.
pub(super) fn to_set(
    spec: &CavageSpec,
    message: Message<'_>,
    now: Timestamp,
) -> Result<Option<Set>, Refusal> {
    let Some(date) = &spec.date else {
        return Ok(None);
    };
    if message.once(&date.header)?.is_some() {
        return sent(date, message).map(|_| None);
    }
    match date.when_absent {
        WhenAbsent::Leave => Ok(None),
        WhenAbsent::Set => {
            let value = date.form.print(now).ok_or_else(|| malformed(date))?;
            Ok(Some(Set {
                name: date.header.clone(),
                value,
            }))
        }
    }
}

/// The time the date header says.
pub(super) fn sent(date: &DateSpec, message: Message<'_>) -> Result<Timestamp, Refusal> {
    let value = message.once(&date.header)?.unwrap_or_default();
    date.form.read(value).ok_or_else(|| malformed(date))
}

fn malformed(date: &DateSpec) -> Refusal {
    Refusal::HeaderMalformed {
        name: date.header.to_ascii_lowercase(),
        expected: match date.form {
            DateForm::ImfFixdate => "a date like `Tue, 18 Sep 2018 09:51:01 GMT`",
            DateForm::ParisZoneText => "a date like `Tue, 18 Sep 2018 11:51:01 CEST`",
            DateForm::Iso8601Offset => "a date like `2018-09-18T09:51:01.0000000+00:00`",
        },
    }
}

impl DateForm {
    /// Reads that one spelling only: what is read prints the same again.
    pub(crate) fn read(self, text: &str) -> Option<Timestamp> {
        let (timestamp, again) = match self {
            Self::ImfFixdate => {
                let timestamp = DateTimeParser::new().parse_timestamp(text).ok()?;
                (timestamp, self.print(timestamp)?)
            }
            Self::ParisZoneText => {
                let timestamp = read_paris(text)?;
                (timestamp, self.print(timestamp)?)
            }
            Self::Iso8601Offset => {
                // A missing fraction is read as none and printed as none.
                let text = Some(text).filter(|text| text.contains('.'))?;
                let time = jiff::fmt::strtime::parse(ISO_8601_TEXT, text).ok()?;
                let again = time.to_string(ISO_8601_TEXT).ok()?;
                (time.to_timestamp().ok()?, again)
            }
        };
        (again == text).then_some(timestamp)
    }

    /// `None` for years that the form cannot write.
    fn print(self, timestamp: Timestamp) -> Option<String> {
        match self {
            Self::ImfFixdate => DateTimePrinter::new()
                .timestamp_to_rfc9110_string(&timestamp)
                .ok(),
            Self::ParisZoneText => {
                let paris = timestamp.to_zoned(TimeZone::posix(PARIS).ok()?);
                (0..=9999)
                    .contains(&paris.year())
                    .then(|| paris.strftime("%a, %d %b %Y %H:%M:%S %Z").to_string())
            }
            Self::Iso8601Offset => {
                let utc = timestamp.to_zoned(TimeZone::UTC);
                (0..=9999)
                    .contains(&utc.year())
                    .then(|| utc.strftime(ISO_8601_TEXT).to_string())
            }
        }
    }
}

/// The zone's name tells summer from winter where the clock shows an hour twice.
fn read_paris(text: &str) -> Option<Timestamp> {
    let (civil, zone) = text.rsplit_once(' ')?;
    let offset = match zone {
        "CET" => Offset::constant(1),
        "CEST" => Offset::constant(2),
        _ => return None,
    };
    let civil = DateTime::strptime(PARIS_TEXT, civil).ok()?;
    offset.to_timestamp(civil).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    /// Tue, 06 Nov 2018 09:51:01 GMT.
    const SECOND: i64 = 1_541_497_861;

    fn refuses(form: DateForm, texts: &[&str]) {
        for text in texts {
            assert_eq!(form.read(text), None, "{text:?}");
        }
    }

    #[test]
    fn reads_only_what_it_would_print() {
        let form = DateForm::ImfFixdate;
        let timestamp = form.read("Tue, 06 Nov 2018 09:51:01 GMT").unwrap();
        assert_eq!(timestamp.as_second(), SECOND);
        assert_eq!(
            form.print(timestamp).unwrap(),
            "Tue, 06 Nov 2018 09:51:01 GMT"
        );
        let others = [
            "",
            "tue, 06 Nov 2018 09:51:01 GMT",
            "Tue, 6 Nov 2018 09:51:01 GMT",
            "06 Nov 2018 09:51:01 GMT",
            "Tue, 06 Nov 2018 09:51:01 +0000",
            "Tue, 06 Nov 2018 10:51:01 +0100",
            "Mon, 06 Nov 2018 09:51:01 GMT",
            "2018-11-06T09:51:01Z",
            "Tue, 06 Nov 2018 09:51:01 GMT ",
        ];
        refuses(form, &others);
    }

    #[test]
    fn tells_the_hour_that_paris_has_twice_by_its_zone() {
        let form = DateForm::ParisZoneText;
        for (text, second) in [
            ("Tue, 06 Nov 2018 10:51:01 CET", SECOND),
            ("Tue, 18 Sep 2018 11:51:01 CEST", 1_537_264_261),
            ("Sun, 28 Oct 2018 02:30:00 CEST", 1_540_686_600),
            ("Sun, 28 Oct 2018 02:30:00 CET", 1_540_690_200),
            ("Sun, 25 Mar 2018 01:59:59 CET", 1_521_939_599),
            ("Sun, 25 Mar 2018 03:00:00 CEST", 1_521_939_600),
        ] {
            let timestamp = form.read(text).unwrap();
            assert_eq!(timestamp.as_second(), second, "{text}");
            assert_eq!(form.print(timestamp).unwrap(), text);
        }
        let others = [
            "",
            "Tue, 06 Nov 2018 10:51:01 CEST",
            "Tue, 06 Nov 2018 10:51:01",
            "Tue, 06 Nov 2018 10:51:01 GMT",
            "Tue, 06 Nov 2018 10:51:01 Europe/Paris",
            "Sun, 25 Mar 2018 02:30:00 CET",
            "Wed, 06 Nov 2018 10:51:01 CET",
        ];
        refuses(form, &others);
    }

    #[test]
    fn writes_seven_digits_and_reads_any_offset() {
        let form = DateForm::Iso8601Offset;
        let timestamp = Timestamp::new(SECOND, 123_456_789).unwrap();
        assert_eq!(
            form.print(timestamp).unwrap(),
            "2018-11-06T09:51:01.1234567+00:00"
        );
        for text in [
            "2018-11-06T09:51:01.0000000+00:00",
            "2018-11-06T11:51:01.0000000+02:00",
            "2018-11-06T04:21:01.0000000-05:30",
        ] {
            assert_eq!(form.read(text).unwrap().as_second(), SECOND, "{text}");
        }
        let others = [
            "",
            "2018-11-06T09:51:01+00:00",
            "2018-11-06T09:51:01.000+00:00",
            "2018-11-06T09:51:01.0000000Z",
            "2018-11-06T09:51:01.0000000+0000",
            "2018-11-06 09:51:01.0000000+00:00",
            "2018-11-06T09:51:01.0000000",
        ];
        refuses(form, &others);
    }
}
