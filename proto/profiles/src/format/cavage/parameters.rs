//! The parameters of a `Signature` header: written for signing, read strictly for verifying.
//!
//! Comes in: names and values, or a header value from outside. Goes out: the text up to the open signature, or the
//! parameters, each once. Serves draft-cavage-http-signatures-12 §2.1 and §2.2: a doubled parameter makes the whole
//! header unusable, an unknown one is ignored.

use super::created::Times;
use super::spec::CavageSpec;
use crate::verify::VerifyError;

/// The most parameters a header may have.
const PARAMETER_COUNT_MAX: usize = 16;

/// `keyId="..",algorithm="..",headers="..",signature="`
pub(super) fn write(
    spec: &CavageSpec,
    key_id: &str,
    label: Option<&str>,
    names: &[String],
    times: Option<Times>,
) -> String {
    let separator = spec.separator.text();
    let mut text = format!("{}=\"{key_id}\"{separator}", spec.key_id_parameter.name());
    if let Some(label) = label {
        text.push_str(&format!("algorithm=\"{label}\"{separator}"));
    }
    text.push_str(&format!("headers=\"{}\"{separator}", names.join(" ")));
    if let (Some(created), Some(times)) = (&spec.created, times) {
        for parameter in created.write(times) {
            text.push_str(&parameter);
            text.push_str(separator);
        }
    }
    text + "signature=\""
}

/// Parameters as they were sent.
#[derive(Debug)]
pub(super) struct Parameters<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Parameters<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| *value)
    }

    /// A parameter that has to be there.
    pub(super) fn require(&self, name: &'static str) -> Result<&'a str, VerifyError> {
        self.get(name).ok_or(VerifyError::ParameterMissing { name })
    }
}

/// Reads `name="text"` and `name=number` with commas between; text runs to the next quotation mark, nothing is escaped.
pub(super) fn read(text: &str) -> Result<Parameters<'_>, VerifyError> {
    let mut parameters: Vec<(&str, &str)> = Vec::new();
    let mut rest = text;
    loop {
        let (name, after) = rest
            .split_once('=')
            .ok_or(VerifyError::ParameterMalformed)?;
        let name = name.trim_matches(' ');
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted
                .split_once('"')
                .ok_or(VerifyError::ParameterMalformed)?,
            None => number(after)?,
        };
        if !is_name(name) || parameters.len() == PARAMETER_COUNT_MAX {
            return Err(VerifyError::ParameterMalformed);
        }
        if parameters
            .iter()
            .any(|(earlier, _)| earlier.eq_ignore_ascii_case(name))
        {
            return Err(VerifyError::ParameterRepeated {
                name: name.to_owned(),
            });
        }
        parameters.push((name, value));
        let after = after.trim_matches(' ');
        if after.is_empty() {
            return Ok(Parameters(parameters));
        }
        rest = after
            .strip_prefix(',')
            .ok_or(VerifyError::ParameterMalformed)?;
    }
}

fn number(text: &str) -> Result<(&str, &str), VerifyError> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    match end {
        0 => Err(VerifyError::ParameterMalformed),
        _ => Ok(text.split_at(end)),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_()".contains(&byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn reads_both_separators_numbers_and_commas_inside_quotes() {
        let text = r#"keyId="SN=1,CA=CN=X\, Y,C=DE", algorithm="rsa-sha256",created=12 ,other="",signature="ab==""#;
        let parameters = read(text).unwrap();
        assert_eq!(parameters.get("keyId"), Some("SN=1,CA=CN=X\\, Y,C=DE"));
        assert_eq!(parameters.get("created"), Some("12"));
        assert_eq!(parameters.get("other"), Some(""));
        assert_eq!(parameters.get("signature"), Some("ab=="));
    }

    #[test]
    fn refuses_a_doubled_parameter_also_in_another_case() {
        for text in [
            r#"keyId="a",keyId="a""#,
            r#"keyId="a",signature="s",keyid="b""#,
        ] {
            assert!(
                matches!(read(text), Err(VerifyError::ParameterRepeated { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_parameter_list() {
        for text in [
            "",
            "keyId",
            "keyId=",
            "keyId=a",
            r#"keyId="a"#,
            r#"keyId="a";b="c""#,
            r#"keyId="a","#,
            r#",keyId="a""#,
            r#"="a""#,
            r#"keyId="a" "b""#,
            r#"key Id="a""#,
            "created=-1",
            "created=1x",
        ] {
            assert_eq!(
                read(text).unwrap_err(),
                VerifyError::ParameterMalformed,
                "{text}"
            );
        }
        let many = (0..=PARAMETER_COUNT_MAX)
            .map(|n| format!("a{n}=1"))
            .collect::<Vec<_>>()
            .join(",");
        assert!(read(&many).is_err());
    }
}
