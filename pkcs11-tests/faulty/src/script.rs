//! What is to be broken: a file of rules, read strictly.
//!
//! In: TOML. Out: a [`Script`] in which everything has been checked, or a message that names the line. `[[rule]]` says
//! what happens to calls, `[token]` what the token looks like, `[watch]` what the caller must not do. A key that is
//! not known, two actions in a rule and a number out of range are refused: a test with a slip in its script would
//! pass without testing anything.

mod rule;

use std::collections::BTreeMap;

use cryptoki_sys::{CK_FLAGS, CK_MECHANISM_TYPE};
use serde::Deserialize;

use crate::{abi, names};

pub(crate) use rule::{Action, Death, Event, OutputFault, Rule, Trigger, When};

/// Everything one file says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Script {
    #[serde(rename = "rule")]
    pub(crate) rules: Vec<Rule>,
    pub(crate) token: TokenView,
    pub(crate) watch: Watched,
    /// Calls that hang under an earlier script stay so under this one.
    pub(crate) keep_hanging: bool,
}

/// What the token looks like from outside.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TokenView {
    /// What object handles are worth after the next initialisation.
    pub(crate) handles: HandleMode,
    /// Objects with these `CKA_ID`s are not found.
    pub(crate) hide_ids: Vec<Id>,
    /// The objects of the second id claim to have the first: two keys under one id.
    pub(crate) duplicate_ids: Vec<(Id, Id)>,
    /// Each of the two has the other's id.
    pub(crate) swap_ids: Vec<(Id, Id)>,
    /// Wrong user PINs until the token locks; the count is kept in a file beside the script.
    pub(crate) pin_tries_max: Option<u32>,
    /// Flags of the token that are shown as set, and as not set.
    pub(crate) flags_set: Vec<TokenFlag>,
    pub(crate) flags_clear: Vec<TokenFlag>,
    /// More open sessions than this: `CKR_SESSION_COUNT`.
    pub(crate) sessions_max: Option<usize>,
    /// Every initialisation moves the slot numbers by this much.
    pub(crate) slot_shift: u32,
    /// Another serial number than the real one.
    pub(crate) serial: Option<Serial>,
    /// Each initialised token is seen a second time, in another slot, with this serial number.
    pub(crate) clone_serial: Option<Serial>,
    /// Mechanisms that the token claims not to have.
    pub(crate) hide_mechanisms: Vec<Mechanism>,
    /// No session for changes: `CKR_TOKEN_WRITE_PROTECTED`.
    pub(crate) read_only: bool,
}

/// What object handles are worth after `C_Finalize` and `C_Initialize`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HandleMode {
    /// Whatever the real module does.
    #[default]
    Real,
    /// Old handles denote nothing.
    Stale,
    /// An old handle of a key denotes another key of the same type.
    Permuted,
}

/// What the caller must not do, besides what no caller ever may.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Watched {
    pub(crate) functions_forbidden: Vec<Function>,
    pub(crate) mechanisms_forbidden: Vec<Mechanism>,
    /// Most calls of `C_Login` in the life of the process.
    pub(crate) logins_max: Option<u32>,
    /// After an error of `C_SignInit` or `C_Sign` the session may only be closed.
    pub(crate) discard_after_error: bool,
}

/// A `CKA_ID`, written in hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Id(pub(crate) Vec<u8>);

/// A function of the standard's list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Function(pub(crate) String);

/// A mechanism by name or number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Mechanism(pub(crate) CK_MECHANISM_TYPE);

/// A flag of `CK_TOKEN_INFO`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct TokenFlag(pub(crate) CK_FLAGS);

/// A serial number as `CK_TOKEN_INFO` has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Serial(pub(crate) [u8; SERIAL_BYTES]);

/// Length of `CK_TOKEN_INFO.serialNumber` (bytes), padded with blanks.
pub(crate) const SERIAL_BYTES: usize = 16;

impl Script {
    /// # Errors
    /// What is wrong, with line and column.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let script: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        script.check()?;
        Ok(script)
    }

    /// What no single field can tell.
    fn check(&self) -> Result<(), String> {
        let pairs = self.token.swap_ids.iter().chain(&self.token.duplicate_ids);
        for (one, other) in pairs {
            if one.0.len() != other.0.len() || one == other {
                return Err("the two ids of a pair must differ and have the same length".to_owned());
            }
        }
        let permutes = |rule: &Rule| rule.action == Action::Token(Event::PermuteHandles);
        if self.rules.iter().any(permutes) && self.token.handles == HandleMode::Real {
            return Err(
                "event = \"permute_handles\" needs handles = \"stale\" or \"permuted\"".to_owned(),
            );
        }
        Ok(())
    }
}

impl TokenView {
    /// Whether objects are shown in another way than the module shows them.
    pub(crate) fn changes_objects(&self) -> bool {
        self.handles != HandleMode::Real
            || !(self.hide_ids.is_empty()
                && self.duplicate_ids.is_empty()
                && self.swap_ids.is_empty())
    }

    /// The id that an object claims; `None` if it hides.
    pub(crate) fn shown_id(&self, real: &[u8]) -> Option<Vec<u8>> {
        if self.hide_ids.iter().any(|id| id.0 == real) {
            return None;
        }
        let claims = self.duplicate_ids.iter().map(|(claimed, by)| (by, claimed));
        let swaps = self
            .swap_ids
            .iter()
            .flat_map(|(one, other)| [(one, other), (other, one)]);
        let map: BTreeMap<&[u8], &Id> = claims
            .chain(swaps)
            .map(|(from, to)| (&from.0[..], to))
            .collect();
        Some(
            map.get(real)
                .map_or_else(|| real.to_vec(), |id| id.0.clone()),
        )
    }
}

impl TryFrom<String> for Id {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let bytes =
            hex::decode(&text).map_err(|error| format!("{text:?} is no id in hex: {error}"))?;
        if bytes.is_empty() {
            Err("an id must not be empty".to_owned())
        } else {
            Ok(Self(bytes))
        }
    }
}

impl TryFrom<String> for Function {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if abi::FUNCTIONS.iter().any(|function| function.name == text) {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is no function of PKCS#11"))
        }
    }
}

impl TryFrom<String> for Mechanism {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        names::mechanism(&text).map(Self)
    }
}

impl TryFrom<String> for TokenFlag {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        names::token_flag(&text).map(Self)
    }
}

impl TryFrom<String> for Serial {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.len() > SERIAL_BYTES || !text.is_ascii() {
            return Err(format!(
                "a serial number has 1 to {SERIAL_BYTES} ASCII characters"
            ));
        }
        let mut serial = [b' '; SERIAL_BYTES];
        serial[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(serial))
    }
}

#[cfg(test)]
mod tests;
