//! One rule: which calls, when among them, and what happens.
//!
//! In: a table of the script. Out: a [`Rule`] with exactly one action. Pure; counting the calls is `rules`' work.

use std::num::NonZeroU64;

use cryptoki_sys::{CK_RV, CK_SESSION_HANDLE};
use serde::Deserialize;

use super::{Function, Mechanism};
use crate::escape::Escape;
use crate::{abi, names};

/// Longest delay a rule may ask for (milliseconds): tests end.
const DELAY_MS_MAX: u64 = 600_000;

/// Which calls are broken, and how.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RuleText")]
pub(crate) struct Rule {
    /// `None`: every function.
    pub(crate) function: Option<Function>,
    pub(crate) mechanism: Option<Mechanism>,
    pub(crate) session: Option<CK_SESSION_HANDLE>,
    /// Calls that match are let pass before the rule counts.
    pub(crate) after: u64,
    pub(crate) trigger: Trigger,
    /// Most times that it fires.
    pub(crate) count_max: u64,
    pub(crate) action: Action,
}

/// Which of the calls that match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Trigger {
    Always,
    Nth(NonZeroU64),
    Every(NonZeroU64),
    Random { probability: f64, seed: u64 },
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// It answers this code, without the token or after it did the work.
    Return { rv: CK_RV, when: When },
    /// It takes between so many milliseconds longer.
    Delay { ms_min: u64, ms_max: u64 },
    /// It does not return until the script is replaced.
    Hang,
    /// The process ends here.
    Die(Death),
    /// Its output is not what the token made.
    Output(OutputFault),
    /// Something happens to the token just before.
    Token(Event),
    /// It tries something that a module has no business with.
    Escape(Escape),
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    #[default]
    Before,
    /// The token did it, and the answer was lost.
    After,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Death {
    Abort,
    Segv,
    /// As a vendor's library that calls `exit`.
    Exit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutputFault {
    /// One bit is flipped.
    Corrupt,
    /// The last byte is missing.
    Short,
    /// All bytes are zero.
    Zero,
    /// When asked how long the output will be, the answer is a terabyte.
    LyingLength,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// The login is gone, as after a reconnect.
    Logout,
    /// All sessions (and with them the login) are gone, as after an idle time.
    CloseSessions,
    /// Every call fails with `CKR_DEVICE_ERROR` until `C_Finalize` and `C_Initialize`.
    Down,
    /// Handles denote other keys of the same type from now on, as after a failover to a clone.
    PermuteHandles,
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    #[serde(rename = "fn")]
    function: String,
    mechanism: Option<Mechanism>,
    session: Option<CK_SESSION_HANDLE>,
    #[serde(default)]
    after: u64,
    nth: Option<NonZeroU64>,
    every: Option<NonZeroU64>,
    p: Option<f64>,
    seed: Option<u64>,
    count: Option<NonZeroU64>,
    rv: Option<String>,
    when: Option<When>,
    delay_ms: Option<DelayText>,
    #[serde(default)]
    hang: bool,
    die: Option<Death>,
    output: Option<OutputFault>,
    event: Option<Event>,
    escape: Option<Escape>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum DelayText {
    Fixed(u64),
    Between(u64, u64),
}

impl TryFrom<RuleText> for Rule {
    type Error = String;

    fn try_from(text: RuleText) -> Result<Self, String> {
        let function = match text.function.as_str() {
            "*" => None,
            name => Some(Function::try_from(name.to_owned())?),
        };
        let action = text.action()?;
        if let (Action::Output(_), function) = (&action, &function) {
            let gives = |name: &str| {
                abi::FUNCTIONS
                    .iter()
                    .any(|f| f.name == name && f.has_output)
            };
            if !function.as_ref().is_some_and(|function| gives(&function.0)) {
                return Err("output needs a function that gives bytes, as C_Sign".to_owned());
            }
        }
        Ok(Self {
            function,
            mechanism: text.mechanism,
            session: text.session,
            after: text.after,
            trigger: text.trigger()?,
            count_max: text.count.map_or(u64::MAX, NonZeroU64::get),
            action,
        })
    }
}

impl RuleText {
    fn trigger(&self) -> Result<Trigger, String> {
        match (self.nth, self.every, self.p, self.seed) {
            (None, None, None, None) => Ok(Trigger::Always),
            (Some(nth), None, None, None) => Ok(Trigger::Nth(nth)),
            (None, Some(every), None, None) => Ok(Trigger::Every(every)),
            (None, None, Some(probability), Some(seed))
                if probability > 0.0 && probability <= 1.0 =>
            {
                Ok(Trigger::Random { probability, seed })
            }
            (None, None, Some(_), Some(_)) => Err("p must be above 0 and at most 1".to_owned()),
            (None, None, _, _) => {
                Err("p and seed go together: a random test must be repeatable".to_owned())
            }
            _ => Err("at most one of nth, every and p".to_owned()),
        }
    }

    fn action(&self) -> Result<Action, String> {
        let rv = self.rv.as_deref().map(names::return_code).transpose()?;
        if rv.is_none() && self.when.is_some() {
            return Err("when goes with rv".to_owned());
        }
        let delay = self.delay_ms.as_ref().map(DelayText::action).transpose()?;
        let actions = [
            rv.map(|rv| Action::Return {
                rv,
                when: self.when.unwrap_or_default(),
            }),
            delay,
            self.hang.then_some(Action::Hang),
            self.die.map(Action::Die),
            self.output.map(Action::Output),
            self.event.map(Action::Token),
            self.escape.clone().map(Action::Escape),
        ];
        match actions.into_iter().flatten().collect::<Vec<_>>().as_slice() {
            [action] => Ok(action.clone()),
            _ => Err(
                "a rule has exactly one of rv, delay_ms, hang, die, output, event and escape"
                    .to_owned(),
            ),
        }
    }
}

impl DelayText {
    fn action(&self) -> Result<Action, String> {
        let (ms_min, ms_max) = match self {
            Self::Fixed(ms) => (*ms, *ms),
            Self::Between(from, to) => (*from, *to),
        };
        if ms_min > ms_max || ms_max > DELAY_MS_MAX {
            return Err(format!("delay_ms is [least, most], at most {DELAY_MS_MAX}"));
        }
        Ok(Action::Delay { ms_min, ms_max })
    }
}
