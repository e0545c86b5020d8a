//! What a token has done since the service started, for monitoring.
//!
//! In: the counts of a backend, or of one worker process after the other. Out: numbers that only grow. Labels are names of
//! the standard: there are only so many.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::pkcs11::Counts;

/// A kind of fault: which function answered which return code, as PKCS#11 names them (`C_Sign`, `CKR_DEVICE_ERROR`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultKind {
    /// The function.
    pub function: String,
    /// Its return code; `CKR_VENDOR_DEFINED` for all that are a vendor's own.
    pub rv: String,
}

/// What a token has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How often what was done.
    pub counts: Counts,
    /// Calls that failed, by kind.
    pub faults: BTreeMap<FaultKind, u64>,
}

impl Tally {
    /// Adds what another process has done.
    pub(crate) fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        for (kind, count) in &other.faults {
            *self.faults.entry(kind.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.function, self.rv)
    }
}

// As one string: a key of a map in JSON.
impl Serialize for FaultKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FaultKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (function, rv) = text
            .split_once(' ')
            .ok_or_else(|| de::Error::custom("a kind of fault is a function and a return code"))?;
        Ok(Self {
            function: function.to_owned(),
            rv: rv.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(count: u64) -> Tally {
        let kind = FaultKind {
            function: "C_Sign".to_owned(),
            rv: "CKR_DEVICE_ERROR".to_owned(),
        };
        Tally {
            counts: Counts {
                signatures: 10 * count,
                ..Counts::default()
            },
            faults: BTreeMap::from([(kind, count)]),
        }
    }

    #[test]
    fn what_one_process_did_is_added_to_what_the_others_did() {
        let mut sum = tally(1);
        sum.add(&tally(2));
        assert_eq!(sum, tally(3));
    }

    #[test]
    fn a_tally_goes_through_json_unchanged() {
        let json = serde_json::to_string(&tally(2)).unwrap();
        assert!(json.contains(r#""C_Sign CKR_DEVICE_ERROR":2"#), "{json}");
        assert_eq!(serde_json::from_str::<Tally>(&json).unwrap(), tally(2));
    }
}
