//! What happens when the module under the backend breaks: with `p11fault` in between, on a script.
//!
//! `module` tests the faulty module itself. `table` is the fault table: every fault, what the caller sees and what the
//! token must not see. `ladder` is the part of the table that needs a backend that initialises again or can replace a
//! process. `storm` is many operations under random faults. `remote` is a real connection that stalls and is cut.
//! `confine` is a module that is hostile, `memcheck` the worker under valgrind.

mod confine;
mod ladder;
mod memcheck;
mod module;
mod remote;
mod storm;
mod table;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use sealkeep_pkcs11_tests::{Case, TestToken};
use sealkeep_service::backend::pkcs11::Pkcs11Config;
use serde_json::Value;

use super::support::{Backend, config, start_with};

/// A test in its own process, whose module is the faulty one. At its end nothing may have been done that no
/// application may do.
macro_rules! faulty_case {
    ($(#[$attribute:meta])* $name:ident, $hsm:ident, $faulty:ident => $body:block) => {
        $(#[$attribute])*
        #[test]
        fn $name() {
            crate::faulty::faulty_case_of(module_path!(), stringify!($name)).run(|$hsm| {
                let $faulty = crate::faulty::Faulty::new($hsm);
                $body
                assert_eq!($faulty.violations(), Vec::<String>::new());
            });
        }
    };
}
pub(crate) use faulty_case;

/// As [`faulty_case`], with the module in a token worker: for what a process does not survive.
macro_rules! faulty_worker_case {
    ($name:ident, $hsm:ident, $faulty:ident => $body:block) => {
        #[test]
        fn $name() {
            crate::faulty::faulty_case_of(module_path!(), stringify!($name))
                .env(crate::support::ISOLATION_ENV, |_| "process".into())
                .run(|$hsm| {
                    let $faulty = crate::faulty::Faulty::new($hsm);
                    $body
                });
        }
    };
}
pub(crate) use faulty_worker_case;

/// The module with its script and its trace.
pub(crate) struct Faulty {
    module: PathBuf,
    script: PathBuf,
    trace: PathBuf,
    scripts: AtomicUsize,
}

/// A case whose environment leads to the faulty module's script and trace.
pub(crate) fn faulty_case_of(module_path: &'static str, name: &'static str) -> Case {
    Case::new(module_path, name)
        .env("P11FAULT_MODULE", |hsm| hsm.module().into())
        .env("P11FAULT_SCRIPT", |hsm| script(hsm).into())
        .env("P11FAULT_TRACE", |hsm| trace(hsm).into())
}

fn script(hsm: &TestToken) -> PathBuf {
    hsm.dir().join("faults.toml")
}

fn trace(hsm: &TestToken) -> PathBuf {
    hsm.dir().join("trace.jsonl")
}

/// Cargo builds the module beside the tests that depend on it.
pub(crate) fn faulty_module() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let module = test.with_file_name("libsealkeep_pkcs11_faulty.so");
    assert!(module.exists(), "{} is not built", module.display());
    module
}

impl Faulty {
    /// Breaks nothing yet.
    pub(crate) fn new(hsm: &TestToken) -> Self {
        let (script, trace) = (script(hsm), trace(hsm));
        let faulty = Self {
            module: faulty_module(),
            script,
            trace,
            scripts: AtomicUsize::new(0),
        };
        faulty.script("");
        faulty
    }

    /// Replaces the script, whole: whoever reads it sees the old one or the new one.
    pub(crate) fn script(&self, text: &str) {
        let number = self.scripts.fetch_add(1, Ordering::Relaxed);
        let new = self.script.with_extension(format!("{number}"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &self.script).unwrap();
    }

    pub(crate) fn config(&self, hsm: &TestToken) -> Pkcs11Config {
        Pkcs11Config {
            module: self.module.clone(),
            ..config(hsm)
        }
    }

    /// A backend on the faulty module.
    pub(crate) fn start(&self, hsm: &TestToken) -> Backend {
        start_with(hsm, self.config(hsm), hsm.pin()).unwrap()
    }

    /// Every line of the trace. A last line that is still being written is left out.
    pub(crate) fn trace(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.trace).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// How often a function was called to its end.
    pub(crate) fn calls(&self, function: &str) -> usize {
        self.trace()
            .iter()
            .filter(|line| line["fn"] == function && line["rv"].is_string())
            .count()
    }

    /// How often a function answered this.
    pub(crate) fn answers(&self, function: &str, rv: &str) -> usize {
        self.trace()
            .iter()
            .filter(|line| line["fn"] == function && line["rv"] == rv)
            .count()
    }

    /// Waits until this many calls hang at a time.
    pub(crate) fn wait_for_hangs(&self, count: usize) {
        while self
            .trace()
            .iter()
            .filter(|line| line["event"] == "hang")
            .count()
            < count
        {
            std::thread::yield_now();
        }
    }

    /// The rules that were broken, with the function that broke them.
    pub(crate) fn violations(&self) -> Vec<String> {
        let lines = self.trace();
        let broken = lines
            .iter()
            .filter_map(|line| Some((line["violation"].as_str()?, line["fn"].as_str()?)));
        broken
            .map(|(violation, function)| format!("{violation} {function}"))
            .collect()
    }
}
