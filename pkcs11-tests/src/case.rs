//! A test in a process of its own.
//!
//! A PKCS#11 module has one state per process: one initialisation, one login, one environment. So a case starts its
//! own test binary again, for this one test, with a fresh token in the environment, and passes if that process does.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::TestToken;
use crate::token::{KIND_ENV, Kind};

/// Set in the child: the folder of its token.
const CASE_DIR_ENV: &str = "SEALKEEP_TEST_CASE_DIR";
/// Set in the child: the test it runs.
const CASE_NAME_ENV: &str = "SEALKEEP_TEST_CASE_NAME";

/// The value of a variable may depend on where the token is.
pub type Value = fn(&TestToken) -> OsString;

/// One test and its environment.
pub struct Case {
    name: &'static str,
    env: Vec<(&'static str, Value)>,
    kind: Kind,
    prepare: fn(&TestToken),
    times: usize,
}

impl Case {
    /// A case for the test `module_path`, `name` of an integration test: `Case::new(module_path!(), "signs")`.
    pub fn new(module_path: &'static str, name: &'static str) -> Self {
        // The test harness leaves out the name of the crate.
        let modules = module_path.split_once("::").map(|(_, modules)| modules);
        let name = match modules {
            Some(modules) => format!("{modules}::{name}").leak(),
            None => name,
        };
        Self {
            name,
            env: Vec::new(),
            kind: Kind::from_env(),
            prepare: |_| (),
            times: 1,
        }
    }

    /// Sets a variable in the test's process.
    #[must_use]
    pub fn env(mut self, name: &'static str, value: Value) -> Self {
        self.env.push((name, value));
        self
    }

    /// Runs the case on this token, whatever the environment says.
    #[must_use]
    pub fn on(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Does something to the token's folder before the test's process starts.
    #[must_use]
    pub fn prepared(mut self, prepare: fn(&TestToken)) -> Self {
        self.prepare = prepare;
        self
    }

    /// Runs the case several times, each in a new process: for what goes wrong only now and then.
    #[must_use]
    pub fn repeated(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Runs `test` in a process of its own, with a fresh token.
    ///
    /// # Panics
    /// When the test does, with everything it printed.
    pub fn run(self, test: impl FnOnce(&TestToken)) {
        if std::env::var(CASE_NAME_ENV).is_ok_and(|name| name == self.name) {
            let dir = std::env::var_os(CASE_DIR_ENV).unwrap_or_default();
            return test(&TestToken::made_in(PathBuf::from(dir)));
        }
        for _ in 0..self.times {
            self.run_child();
        }
    }

    fn run_child(&self) {
        let hsm = TestToken::of(self.kind);
        (self.prepare)(&hsm);
        let program = std::env::current_exe().unwrap_or_else(|e| panic!("no path of mine: {e}"));
        let output = Command::new(program)
            .args([self.name, "--exact", "--nocapture", "--test-threads=1"])
            // Whoever started this process asked for the test, ignored or not.
            .arg("--include-ignored")
            .envs(self.env.iter().map(|(name, value)| (name, value(&hsm))))
            .envs([hsm.env()])
            .env(KIND_ENV, self.kind.name())
            .env(CASE_DIR_ENV, hsm.dir())
            .env(CASE_NAME_ENV, self.name)
            .output()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", self.name));
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        // A name that matches nothing also exits with success: count the tests.
        assert!(
            output.status.success() && stdout.contains("1 passed"),
            "{} failed in its process ({}):\n{stdout}\n{stderr}",
            self.name,
            output.status
        );
    }
}
