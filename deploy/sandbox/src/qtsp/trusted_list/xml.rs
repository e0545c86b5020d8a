//! XML that is canonical as it is written.
//!
//! In: names and values. Out: text that exclusive canonicalization leaves as it is: no blanks, no empty-element tags,
//! namespaces declared where they are first used, attributes in order. So what is signed needs no canonicalization here,
//! and whoever verifies it tests theirs. Serves W3C xml-exc-c14n.

/// ETSI TS 119 612.
pub(super) const TSL: &str = "http://uri.etsi.org/02231/v2#";
/// Its additional types.
pub(super) const ADDITIONAL: &str = "http://uri.etsi.org/02231/v2/additionaltypes#";
/// XAdES.
pub(super) const XADES: &str = "http://uri.etsi.org/01903/v1.3.2#";

/// An element around others; nothing when there are none.
pub(super) fn element(name: &str, content: &[String]) -> String {
    match content.iter().all(String::is_empty) {
        true => String::new(),
        false => format!("<{name}>{}</{name}>", content.concat()),
    }
}

/// An element with attributes around content.
pub(super) fn with(name: &str, attributes: &str, content: &str) -> String {
    format!("<{name} {attributes}>{content}</{name}>")
}

/// An element around text.
pub(super) fn text(name: &str, value: &str) -> String {
    format!("<{name}>{}</{name}>", escaped(value))
}

/// An element around English text.
pub(super) fn lang(name: &str, value: &str) -> String {
    with(name, "xml:lang=\"en\"", &escaped(value))
}

fn escaped(value: &str) -> String {
    value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\r', "&#xD;")
}
