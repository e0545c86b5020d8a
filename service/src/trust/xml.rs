//! XML from outside, read within bounds.
//!
//! In: text. Out: a tree, or why not. Never: a document type definition (so no entity of anybody's making is expanded and
//! nothing is fetched), nor more nodes or deeper nesting than a trusted list has.

use roxmltree::{Document, Node, ParsingOptions};

/// ETSI TS 119 612 clause B.
pub(super) const TSL: &str = "http://uri.etsi.org/02231/v2#";
/// Its extensions for qualified certificates, clause 5.5.9.
pub(super) const SIE: &str =
    "http://uri.etsi.org/TrstSvc/SvcInfoExt/eSigDir-1999-93-EC-TrustedList/#";
/// Its additional types, for pointers and criteria.
pub(super) const ADDITIONAL: &str = "http://uri.etsi.org/02231/v2/additionaltypes#";
/// XML signatures (W3C xmldsig-core).
pub(super) const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
/// XAdES, ETSI EN 319 132-1.
pub(super) const XADES: &str = "http://uri.etsi.org/01903/v1.3.2#";

/// The most nodes of a document. Lists have some 22 for each KiB.
const NODES_MAX: u32 = 1_000_000;
/// The deepest nesting of elements. Trusted lists stay under 25.
const DEPTH_MAX: usize = 64;

/// Why text is no XML that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Not well-formed, with a document type definition, or with too many nodes.
    #[error("{0}")]
    Malformed(String),
    /// Nested too deeply.
    #[error("nested deeper than {DEPTH_MAX} elements")]
    TooDeep,
}

/// Parses a whole document.
pub(super) fn parse(text: &str) -> Result<Document<'_>, XmlError> {
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: NODES_MAX,
        ..ParsingOptions::default()
    };
    let parsed = Document::parse_with_options(text, options);
    let document = parsed.map_err(|error| XmlError::Malformed(error.to_string()))?;
    match is_deep(&document) {
        true => Err(XmlError::TooDeep),
        false => Ok(document),
    }
}

/// One walk without recursion: down to the first child, else on to the next relative.
fn is_deep(document: &Document<'_>) -> bool {
    let (mut node, mut depth) = (document.root(), 0_usize);
    loop {
        if let Some(child) = node.first_child() {
            (node, depth) = (child, depth + 1);
            if depth > DEPTH_MAX {
                return true;
            }
            continue;
        }
        loop {
            if let Some(sibling) = node.next_sibling() {
                node = sibling;
                break;
            }
            match node.parent() {
                Some(parent) => (node, depth) = (parent, depth - 1),
                None => return false,
            }
        }
    }
}

/// The elements of this name directly below.
pub(super) fn children<'a, 'i>(
    node: Node<'a, 'i>,
    namespace: &'static str,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children()
        .filter(move |child| child.has_tag_name((namespace, name)))
}

/// The first element of this name directly below.
pub(super) fn child<'a, 'i>(
    node: Node<'a, 'i>,
    namespace: &'static str,
    name: &'static str,
) -> Option<Node<'a, 'i>> {
    children(node, namespace, name).next()
}

/// Down a path of names of one namespace.
pub(super) fn descend<'a, 'i>(
    node: Node<'a, 'i>,
    namespace: &'static str,
    path: &[&'static str],
) -> Option<Node<'a, 'i>> {
    path.iter()
        .try_fold(node, |node, name| child(node, namespace, name))
}

/// The text of an element without the blanks around it.
pub(super) fn text<'a>(node: Node<'a, '_>) -> &'a str {
    node.text().unwrap_or_default().trim()
}

/// The text of a multilingual element: English when there is some, else the first.
pub(super) fn english(node: Node<'_, '_>, name: &'static str) -> String {
    const XML: &str = "http://www.w3.org/XML/1998/namespace";
    let is_english = |node: &Node<'_, '_>| {
        let language = node.attribute((XML, "lang"));
        language.is_some_and(|language| language.eq_ignore_ascii_case("en"))
    };
    let all = || children(node, TSL, name);
    let chosen = all().find(is_english).or_else(|| all().next());
    chosen.map(text).unwrap_or_default().to_owned()
}

/// Base64 as XML Schema has it: blanks count for nothing.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    let dense: String = text.split_ascii_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(dense).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_no_document_type_definition() {
        let laughs = "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>";
        let external = "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>";
        let parameter = "<!DOCTYPE a [<!ENTITY % b SYSTEM 'http://h/b'> %b;]><a/>";
        for text in [laughs, external, parameter] {
            assert!(matches!(parse(text), Err(XmlError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn reads_no_more_depth_than_lists_have() {
        let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(parse(&nested(DEPTH_MAX)).is_ok());
        assert!(matches!(
            parse(&nested(DEPTH_MAX + 1)),
            Err(XmlError::TooDeep)
        ));
        // Deep enough to overflow the stack of whoever recurses.
        assert!(parse(&nested(500_000)).is_err());
    }

    #[test]
    fn reads_no_more_nodes_than_lists_have() {
        let many = format!("<a>{}</a>", "<b/>".repeat(NODES_MAX as usize));
        assert!(matches!(parse(&many), Err(XmlError::Malformed(_))));
    }

    #[test]
    fn prefers_english() {
        let text = format!(
            "<n xmlns='{TSL}'><Name xml:lang='fr'>un</Name><Name xml:lang='en'> one </Name></n>"
        );
        let document = parse(&text).unwrap();
        assert_eq!(english(document.root_element(), "Name"), "one");
    }
}
