//! The examiner's report: for people, and as JSON.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::{Exceptions, Finding, Law};

/// What was found about one module.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The module.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// One line for each law that was tried.
    pub lines: Vec<Line>,
}

/// What was found about one law.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Number of the law.
    pub law: u16,
    /// What the law says.
    pub says: &'static str,
    /// Clause of PKCS#11 v2.40.
    pub clause: &'static str,
    /// What Sealkeep needs it for.
    pub needed_for: &'static str,
    /// How the module stands to it.
    #[serde(flatten)]
    pub finding: Finding,
    /// What is known about the module and this law, and what is done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
    /// How long it took (milliseconds).
    pub ms: u64,
}

impl Line {
    /// A finding with what is known about the module.
    pub fn new(law: &Law, finding: Finding, exceptions: &Exceptions, ms: u64) -> Self {
        let exception = exceptions
            .from_law(law.number)
            .map(|it| format!("{}; {}", it.does, it.so));
        Self {
            law: law.number,
            says: law.says,
            clause: law.clause,
            needed_for: law.needed_for,
            finding,
            exception,
            ms,
        }
    }

    /// A law that is broken without an exception, or kept in spite of one: somebody has to look.
    pub fn is_unexpected(&self) -> bool {
        match self.finding {
            Finding::Kept => self.exception.is_some(),
            Finding::Broken(_) => self.exception.is_none(),
            Finding::NotApplicable(_) => false,
        }
    }

    fn word(&self) -> &'static str {
        match (&self.finding, &self.exception) {
            (Finding::Kept, None) => "kept",
            (Finding::Kept, Some(_)) => "KEPT, EXCEPTION NOT NEEDED",
            (Finding::Broken(_), None) => "BROKEN",
            (Finding::Broken(_), Some(_)) => "excepted",
            (Finding::NotApplicable(_), _) => "not applicable",
        }
    }
}

impl Report {
    /// Every law is kept, or excepted as was known.
    pub fn is_as_expected(&self) -> bool {
        !self.lines.iter().any(Line::is_unexpected)
    }

    fn count(&self, wanted: fn(&Line) -> bool) -> usize {
        self.lines.iter().filter(|line| wanted(line)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "module {}, token {:?}\n",
            self.module.display(),
            self.token
        )?;
        for line in &self.lines {
            writeln!(
                f,
                "law {:>2}  {:<14} {} (PKCS#11 v2.40, {})",
                line.law,
                line.word(),
                line.says,
                line.clause
            )?;
            if let Finding::Broken(detail) | Finding::NotApplicable(detail) = &line.finding {
                writeln!(f, "        seen: {detail}")?;
            }
            if let Some(exception) = &line.exception {
                writeln!(f, "        known: {exception}")?;
            }
            if matches!(line.finding, Finding::Broken(_)) {
                writeln!(f, "        needed for: {}", line.needed_for)?;
            }
        }
        let kept = self.count(|line| line.finding == Finding::Kept);
        let broken = self.count(|line| matches!(line.finding, Finding::Broken(_)));
        let unexpected = self.count(Line::is_unexpected);
        let others = self.lines.len() - kept - broken;
        write!(
            f,
            "\n{kept} kept, {broken} broken, {others} not applicable; {unexpected} not as known"
        )
    }
}
