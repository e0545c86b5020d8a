//! The examiner's report: for people, and as JSON.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::{Described, Exceptions, Finding, Law};

/// What the tens of the laws are about.
const CHAPTERS: [&str; 5] = [
    "Identity",
    "Sessions and login",
    "Protection of keys",
    "Signatures",
    "The module's life",
];

/// What was found about one module.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The module.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// What they say of themselves; none when they would not.
    pub described: Option<Described>,
    /// Version of the examiner.
    pub examiner: &'static str,
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

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (law, word) = (self.law, self.word());
        write!(f, "law {law:>2}  {word:<14} {}", self.says)?;
        write!(f, " (PKCS#11 v2.40, {})", self.clause)?;
        if let Finding::Broken(detail) | Finding::NotApplicable(detail) = &self.finding {
            write!(f, "\n        seen: {detail}")?;
        }
        if let Some(exception) = &self.exception {
            write!(f, "\n        known: {exception}")?;
        }
        if matches!(self.finding, Finding::Broken(_)) {
            write!(f, "\n        needed for: {}", self.needed_for)?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "examiner  pkcs11-laws {}", self.examiner)?;
        writeln!(
            f,
            "module    {}, token {:?}",
            self.module.display(),
            self.token
        )?;
        match &self.described {
            Some(described) => write!(f, "{described}")?,
            None => writeln!(f, "token     it does not say what it is")?,
        }
        let mut chapter = None;
        for line in &self.lines {
            if chapter != CHAPTERS.get(usize::from(line.law / 10)) {
                chapter = CHAPTERS.get(usize::from(line.law / 10));
                writeln!(f, "\n{}", chapter.copied().unwrap_or_default())?;
            }
            write!(f, "{line}")?;
        }
        let kept = self.count(|line| line.finding == Finding::Kept);
        let broken = self.count(|line| matches!(line.finding, Finding::Broken(_)));
        let unexpected = self.count(Line::is_unexpected);
        let others = self.lines.len() - kept - broken;
        write!(
            f,
            "\n{kept} kept, {broken} broken, {others} not applicable; {unexpected} not as known"
        )?;
        for line in self.lines.iter().filter(|line| line.is_unexpected()) {
            write!(
                f,
                "\n  law {} alone: add --law {} to the command",
                line.law, line.law
            )?;
        }
        Ok(())
    }
}
