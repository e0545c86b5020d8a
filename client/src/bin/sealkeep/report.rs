//! What a command found out, as text for people and as JSON for programs.
//!
//! In: rows and values. Out: stdout, and talk on stderr. Never: a control character from the service on a terminal.

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde_json::Value;
use std::borrow::Cow;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// The exit code of a check that found something.
const NEGATIVE: u8 = 7;
/// Blanks between two columns.
const GAP: u16 = 2;

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Aligned columns for people.
    Table,
    /// JSON for programs.
    Json,
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Report {
    text: String,
    json: Value,
    notes: Vec<String>,
    /// The text is a format of its own, printed as it is whatever [`Output`] says.
    plain: bool,
    exit: u8,
}

impl Report {
    pub(crate) fn new(text: impl Into<String>, json: Value) -> Self {
        Self {
            text: text.into(),
            json,
            notes: Vec::new(),
            plain: false,
            exit: 0,
        }
    }

    /// Text in a format of its own: a calendar, CSV, rules.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self {
            plain: true,
            ..Self::new(text, Value::Null)
        }
    }

    /// Adds a line of talk for stderr, after those that are there.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds a value: a member for programs, indented JSON under its name for people.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        let shown = format!("\n{name}\n{value:#}");
        for line in shown.lines() {
            self.text.push_str(&printable(line));
            self.text.push('\n');
        }
        self.json[name] = value;
        self
    }

    /// The check found something: exit code 7.
    pub(crate) fn negative(self, negative: bool) -> Self {
        self.exit(if negative { NEGATIVE } else { 0 })
    }

    /// Another exit code, for programs that have their own.
    pub(crate) fn exit(mut self, code: u8) -> Self {
        self.exit = code;
        self
    }

    pub(crate) fn print(&self, output: Output, quiet: bool) -> ExitCode {
        let text = match output {
            _ if self.plain => Cow::Borrowed(&self.text),
            Output::Table => Cow::Borrowed(&self.text),
            Output::Json => Cow::Owned(format!("{:#}\n", self.json)),
        };
        let mut stdout = std::io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        match written {
            // Whoever reads has enough: `sealkeep audit list | head`.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return ExitCode::FAILURE,
            _ => {}
        }
        if output == Output::Table && !quiet {
            self.notes.iter().for_each(|note| talk(note));
        }
        ExitCode::from(self.exit)
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    #[cfg(test)]
    pub(crate) fn exit_code(&self) -> u8 {
        self.exit
    }
}

/// Says something on stderr. When even that is closed, nobody listens.
pub(crate) fn talk(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Rows under a header, aligned, without lines.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> String {
    let mut table = plain();
    table.set_header(header);
    rows.iter().for_each(|row| {
        table.add_row(row.each_ref().map(|cell| printable(cell)));
    });
    lines(table)
}

/// Names and values, aligned. Empty values are left out.
pub(crate) fn pairs(rows: &[(&str, String)]) -> String {
    let mut table = plain();
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        table.add_row([Cow::Borrowed(*name), printable(value)]);
    }
    lines(table)
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn lines(mut table: Table) -> String {
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, GAP));
    });
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// The text with control characters written out.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    Cow::Owned(text.chars().map(escape).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_not_padded() {
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        let text = table(
            ["NAME", "ENDS"],
            vec![row("acme-transport", "x"), row("a", "yy")],
        );
        assert_eq!(
            text,
            "NAME            ENDS\nacme-transport  x\na               yy\n"
        );
    }

    #[test]
    fn long_values_are_not_wrapped() {
        let text = table(["A"], vec![["x".repeat(500)]]);
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn empty_pairs_are_left_out() {
        assert_eq!(
            pairs(&[("a", "1".into()), ("long", String::new())]),
            "a  1\n"
        );
    }

    #[test]
    fn a_terminal_gets_no_escape_sequence_from_outside() {
        let text = table(["A"], vec![["\u{1b}[2Jgone\nx".to_owned()]]);
        assert_eq!(text, "A\n\\u{1b}[2Jgone\\nx\n");
    }
}
