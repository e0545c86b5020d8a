//! The one state of the module in a process: the real module, the script, the trace, the watch, the token's looks.
//!
//! In: three variables of the environment, read once. Out: a [`Shim`], or a complaint on stderr.

use std::env;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{OnceLock, PoisonError, RwLock};

use cryptoki_sys::{CK_FUNCTION_LIST, CK_RV};

use crate::call::Call;
use crate::real::Real;
use crate::script::Event;
use crate::source::Source;
use crate::token::Token;
use crate::trace::Trace;
use crate::watch::Watch;
use crate::{abi, real};

/// Names the real module.
const MODULE_ENV: &str = "P11FAULT_MODULE";
/// Names the script.
const SCRIPT_ENV: &str = "P11FAULT_SCRIPT";
/// Names the trace.
const TRACE_ENV: &str = "P11FAULT_TRACE";

/// Everything the module has.
pub(crate) struct Shim {
    /// What applications get.
    pub(crate) list: CK_FUNCTION_LIST,
    pub(crate) real: Real,
    pub(crate) source: Source,
    pub(crate) token: Token,
    pub(crate) trace: Trace,
    pub(crate) watch: Watch,
    /// Read by each call inside the real module, written by what happens to the token.
    at_work: RwLock<()>,
}

/// The module, made at the first call; `None` if it cannot be.
pub(crate) fn get() -> Option<&'static Shim> {
    static SHIM: OnceLock<Option<Shim>> = OnceLock::new();
    let made = || {
        Shim::from_env()
            .inspect_err(|problem| complain(problem))
            .ok()
    };
    SHIM.get_or_init(made).as_ref()
}

/// Tells a person what is wrong; there is no other way out of a module.
pub(crate) fn complain(problem: &dyn fmt::Display) {
    // Nobody can be told that nobody can be told.
    let _ = writeln!(io::stderr(), "p11fault: {problem}");
}

impl Shim {
    fn from_env() -> Result<Self, String> {
        let path = |name| env::var_os(name).map(PathBuf::from);
        let module = path(MODULE_ENV)
            .ok_or_else(|| format!("{MODULE_ENV} does not name the real module"))?;
        let real = Real::load(&module)?;
        Ok(Self {
            list: abi::wrap(&real.list),
            real,
            source: Source::new(path(SCRIPT_ENV)),
            token: Token::default(),
            trace: Trace::new(path(TRACE_ENV))?,
            watch: Watch::default(),
            at_work: RwLock::default(),
        })
    }

    /// Asks the real module.
    pub(crate) fn work(&self, ask: impl FnOnce(&Self) -> CK_RV) -> CK_RV {
        let _at_work = self.at_work.read().unwrap_or_else(PoisonError::into_inner);
        ask(self)
    }

    /// Something happens to the token, just before a call.
    ///
    /// Nobody else is inside the real module meanwhile: what happens to a token that is at work is that module's affair
    /// (kryoptic's `C_Logout` and `C_SignInit` may wait for each other for ever).
    pub(crate) fn happens(&self, event: Event, call: &Call) {
        let _alone = self.at_work.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Logout => {
                if let Some(session) = call.session {
                    self.real.logout(session);
                }
            }
            Event::CloseSessions => {
                for slot in self.real.slots(real::WITH_TOKEN).unwrap_or_default() {
                    self.real.close_all_sessions(slot);
                }
                self.watch.forget_sessions();
            }
            Event::Down => self.token.set_down(true),
            Event::PermuteHandles => self.token.permute_handles(),
        }
    }
}
