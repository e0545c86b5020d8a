//! When a signature was made and when it ends, as its own parameters.
//!
//! Comes in: the time of signing, or the parameters of a signature from outside. Goes out: the seconds to sign, or the time
//! that was proven. Never accepts a signature from the future or one that has ended. Serves
//! draft-cavage-http-signatures-12 §2.1.4 and §2.1.5, which forbid them beside an `rsa-*` label; some banks want both.

use jiff::Timestamp;
use serde::Deserialize;

use super::parameters::Parameters;
use crate::verify::{Context, VerifyError};

/// How far ahead of ours the clock of who signed may be, in seconds.
const AHEAD_SECONDS_MAX: u32 = 10;

/// `[..cavage.created]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreatedSpec {
    /// Whether the parameters are named with their parentheses, as the lines are.
    #[serde(default)]
    pub(super) parentheses: bool,
    /// When the signature ends; without it, never.
    pub(super) expires_after_seconds: Option<u32>,
}

/// Seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(super) created: i64,
    pub(super) expires: Option<i64>,
}

impl CreatedSpec {
    pub(super) fn times(&self, now: Timestamp) -> Times {
        let created = now.as_second();
        let expires = self.expires_after_seconds;
        Times {
            created,
            expires: expires.map(|after| created.saturating_add(i64::from(after))),
        }
    }

    /// The parameters, each with its name.
    pub(super) fn write(&self, times: Times) -> Vec<String> {
        let mut written = vec![format!("{}={}", self.created_name(), times.created)];
        written.extend(
            times
                .expires
                .map(|at| format!("{}={at}", self.expires_name())),
        );
        written
    }

    /// Reads the parameters, and accepts them at this time.
    pub(super) fn read(
        &self,
        parameters: &Parameters<'_>,
        context: Context<'_>,
    ) -> Result<Times, VerifyError> {
        let seconds = |name: &'static str| {
            let text = parameters.require(name)?;
            text.parse::<i64>()
                .map_err(|_| VerifyError::ParameterMalformed)
        };
        let created = seconds(self.created_name())?;
        let expires = match self.expires_after_seconds {
            Some(_) => Some(seconds(self.expires_name())?),
            None => None,
        };
        let now = context.now.as_second();
        if created > now.saturating_add(i64::from(AHEAD_SECONDS_MAX)) {
            return Err(VerifyError::Stale {
                name: "(created)".into(),
                skew_seconds_max: AHEAD_SECONDS_MAX,
            });
        }
        match expires {
            Some(at) if at < now => Err(VerifyError::Expired),
            _ => Ok(Times { created, expires }),
        }
    }

    fn created_name(&self) -> &'static str {
        if self.parentheses {
            "(created)"
        } else {
            "created"
        }
    }

    fn expires_name(&self) -> &'static str {
        if self.parentheses {
            "(expires)"
        } else {
            "expires"
        }
    }
}
