//! The date header of a signed message.
//!
//! Comes in: a message, the date's parameters, the time of signing or of verifying. Goes out: the header to set, or the time
//! a message says. Never the clock's time: `now` is an argument. Serves RFC 9110 §5.6.7.

use jiff::Timestamp;
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};

use super::lines::Set;
use super::spec::{CavageSpec, DateForm, DateSpec, WhenAbsent};
use crate::refusal::Refusal;
use crate::request::Message;

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
    let expected = match date.form {
        DateForm::ImfFixdate => "a date like `Tue, 18 Sep 2018 09:51:01 GMT`",
    };
    Refusal::HeaderMalformed {
        name: date.header.to_ascii_lowercase(),
        expected,
    }
}

impl DateForm {
    /// Reads that one spelling only: what is read prints the same again.
    fn read(self, text: &str) -> Option<Timestamp> {
        let timestamp = match self {
            Self::ImfFixdate => DateTimeParser::new().parse_timestamp(text).ok()?,
        };
        (self.print(timestamp).as_deref() == Some(text)).then_some(timestamp)
    }

    /// `None` for years that the form cannot write.
    fn print(self, timestamp: Timestamp) -> Option<String> {
        match self {
            Self::ImfFixdate => DateTimePrinter::new()
                .timestamp_to_rfc9110_string(&timestamp)
                .ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn reads_only_what_it_would_print() {
        let timestamp = DateForm::ImfFixdate
            .read("Tue, 06 Nov 2018 09:51:01 GMT")
            .unwrap();
        assert_eq!(timestamp.as_second(), 1_541_497_861);
        assert_eq!(
            DateForm::ImfFixdate.print(timestamp).unwrap(),
            "Tue, 06 Nov 2018 09:51:01 GMT"
        );
        for other in [
            "",
            "tue, 06 Nov 2018 09:51:01 GMT",
            "Tue, 6 Nov 2018 09:51:01 GMT",
            "06 Nov 2018 09:51:01 GMT",
            "Tue, 06 Nov 2018 09:51:01 +0000",
            "Tue, 06 Nov 2018 10:51:01 +0100",
            "Mon, 06 Nov 2018 09:51:01 GMT",
            "2018-11-06T09:51:01Z",
            "Tue, 06 Nov 2018 09:51:01 GMT ",
        ] {
            assert_eq!(DateForm::ImfFixdate.read(other), None, "{other:?}");
        }
    }
}
