//! Amounts and account numbers, exactly.
//!
//! In: text of a request or a configuration. Out: whole cents, and IBANs whose check digits are right. Never a floating
//! point number. Serves ISO 13616 (IBAN) and the Berlin Group's amount pattern.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Digits before the point (Berlin Group: at most 14).
const WHOLE_DIGITS_MAX: usize = 14;
/// Characters of the longest IBAN (ISO 13616).
const IBAN_CHARS_MAX: usize = 34;
/// Characters of the shortest IBAN in use.
const IBAN_CHARS_MIN: usize = 15;

/// An amount in cents; one currency has two decimals here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cents(pub i64);

impl FromStr for Cents {
    type Err = &'static str;

    /// `12`, `12.3`, `12.34`, with a minus sign in front if need be; nothing else.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || whole.len() > WHOLE_DIGITS_MAX {
            return Err("an amount has 1 to 14 digits before the point");
        }
        if !is_number(fraction) || fraction.len() > 2 {
            return Err("an amount has 1 or 2 digits after the point");
        }
        let number = |text: &str| text.parse::<i64>().map_err(|_| "not a number");
        let cents = number(fraction)? * if fraction.len() == 1 { 10 } else { 1 };
        Ok(Self(sign * (number(whole)? * 100 + cents)))
    }
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let cents = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", cents / 100, cents % 100)
    }
}

impl<'de> Deserialize<'de> for Cents {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Cents {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An account number with right check digits, without spaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Iban(String);

impl Iban {
    /// The number.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Iban {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_iban = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        if !(IBAN_CHARS_MIN..=IBAN_CHARS_MAX).contains(&text.len()) || !text.bytes().all(is_iban) {
            return Err("an IBAN has 15 to 34 characters, A to Z and 0 to 9");
        }
        let (head, tail) = text.split_at(4);
        // Letters count from A = 10; the number modulo 97 must be 1 (ISO 7064 mod 97-10).
        let remainder = tail
            .bytes()
            .chain(head.bytes())
            .fold(0_u32, |sum, b| match b {
                b'0'..=b'9' => (sum * 10 + u32::from(b - b'0')) % 97,
                _ => (sum * 100 + u32::from(b - b'A') + 10) % 97,
            });
        match remainder {
            1 => Ok(Self(text.to_owned())),
            _ => Err("the check digits of the IBAN are wrong"),
        }
    }
}

impl<'de> Deserialize<'de> for Iban {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn reads_and_writes_amounts_exactly() {
        for (text, cents, written) in [
            ("0", 0, "0.00"),
            ("12", 1200, "12.00"),
            ("12.3", 1230, "12.30"),
            ("123.50", 12350, "123.50"),
            ("-0.07", -7, "-0.07"),
            (
                "99999999999999.99",
                9_999_999_999_999_999,
                "99999999999999.99",
            ),
        ] {
            let read: Cents = text.parse().unwrap();
            assert_eq!(
                (read.0, read.to_string().as_str()),
                (cents, written),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_amount() {
        for text in [
            "",
            "-",
            "1,5",
            "1.",
            ".5",
            "1.234",
            "1e3",
            "+1",
            "1 ",
            "123456789012345",
        ] {
            assert!(text.parse::<Cents>().is_err(), "{text}");
        }
    }

    #[test]
    fn knows_right_check_digits_from_wrong_ones() {
        assert!("DE89370400440532013000".parse::<Iban>().is_ok());
        assert!("GB82WEST12345698765432".parse::<Iban>().is_ok());
        for text in [
            "DE88370400440532013000",
            "DE89 3704 0044 0532 0130 00",
            "DE89",
            "",
        ] {
            assert!(text.parse::<Iban>().is_err(), "{text}");
        }
    }
}
