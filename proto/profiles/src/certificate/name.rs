//! Distinguished names, and the texts that banks compare them as.
//!
//! In: the DER of a Name. Out: [`DistinguishedName`] with the renderings of RFC 2253 (now RFC 4514) and RFC 1779 as
//! Java writes them, because most banks' verifiers are Java and compare text. Never normalises: case, blanks and order
//! stay what the issuer wrote. Serves the keyId of draft-cavage profiles and log lines.

use std::fmt;

use der::Tag;
use der::asn1::ObjectIdentifier;

use super::CertificateError;
use super::tlv::Tlv;

const ORGANIZATION_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.97");

/// Keywords of RFC 2253 section 2.3; every other type is written by its identifier.
const KEYWORDS_2253: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// Keywords that Java's `X500Name.toString()` writes in addition.
const KEYWORDS_JAVA: &[(&str, &str)] = &[
    ("2.5.4.4", "SURNAME"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.12", "T"),
    ("2.5.4.42", "GIVENNAME"),
    ("2.5.4.43", "INITIALS"),
    ("2.5.4.44", "GENERATION"),
    ("2.5.4.46", "DNQUALIFIER"),
    ("1.2.840.113549.1.9.1", "EMAILADDRESS"),
];

/// A Name: relative names in the order of the DER.
#[derive(Clone, PartialEq, Eq)]
pub struct DistinguishedName {
    der: Vec<u8>,
    rdns: Vec<Vec<Attribute>>,
}

/// One attribute of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    oid: ObjectIdentifier,
    tag: Tag,
    text: Option<String>,
    value_der: Vec<u8>,
}

impl Attribute {
    /// The attribute type, dotted.
    pub fn oid(&self) -> String {
        self.oid.to_string()
    }

    /// The decoded value; `None` when it is not a string.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Whether the value is a PrintableString rather than a UTF8String or another type. Some comparers care.
    pub fn is_printable_string(&self) -> bool {
        self.tag == Tag::PrintableString
    }
}

/// How RFC 2253 text shows attribute types without a keyword of that RFC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnnamedAttribute {
    /// `2.5.4.97=#0c0f4e54...`: identifier, and the value as hex DER. What Java's `getName()` writes.
    HexDer,
    /// `organizationIdentifier=NTRFR-1`: the one type that QTSPs' names carry, by its X.520 name. The rest as
    /// [`Self::HexDer`].
    OrganizationIdentifier,
    /// `2.5.4.97=NTRFR-1`: identifier, and the value as text.
    Text,
}

/// How RFC 2253 text shows characters beyond ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonAscii {
    /// As UTF-8: cannot travel in a header.
    Utf8,
    /// As `\C3\A9`: each octet escaped by itself (RFC 2253 section 2.4). Means the same, compares differently.
    HexPairs,
}

impl DistinguishedName {
    /// Reads `Name ::= SEQUENCE OF SET OF SEQUENCE { type OBJECT IDENTIFIER, value ANY }`.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let rdns = read(der).ok_or(CertificateError::Malformed)?;
        Ok(Self {
            der: der.to_vec(),
            rdns,
        })
    }

    /// The Name as encoded.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// All attributes in the order of the DER.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.rdns.iter().flatten()
    }

    /// The first attribute of a type, dotted, as text.
    pub fn text_of(&self, oid: &str) -> Option<&str> {
        self.attributes()
            .find(|attribute| attribute.oid() == oid)?
            .text()
    }

    /// The first common name.
    pub fn common_name(&self) -> Option<&str> {
        self.text_of("2.5.4.3")
    }

    /// The first organizationIdentifier (2.5.4.97).
    pub fn organization_identifier(&self) -> Option<&str> {
        self.attributes()
            .find(|attribute| attribute.oid == ORGANIZATION_IDENTIFIER)?
            .text()
    }

    /// RFC 2253 text as Java's `X500Principal.getName()`: last relative name first, no blanks, types without keyword
    /// as `2.5.4.97=#0c...`.
    pub fn rfc2253(&self) -> String {
        self.rfc2253_with(UnnamedAttribute::HexDer, NonAscii::Utf8)
    }

    /// RFC 2253 text with its two liberties chosen.
    pub fn rfc2253_with(&self, unnamed: UnnamedAttribute, non_ascii: NonAscii) -> String {
        self.join(",", "+", |attribute| {
            rfc2253_attribute(attribute, unnamed, non_ascii)
        })
    }

    /// RFC 1779 text as Java's `X500Name.toString()`: last relative name first, comma and blank between, quotes
    /// where needed, types without keyword as `OID.2.5.4.97=`.
    pub fn rfc1779(&self) -> String {
        self.join(", ", " + ", rfc1779_attribute)
    }

    fn join(&self, between: &str, within: &str, text: impl Fn(&Attribute) -> String) -> String {
        let rdn = |rdn: &Vec<Attribute>| rdn.iter().map(&text).collect::<Vec<_>>().join(within);
        self.rdns
            .iter()
            .rev()
            .map(rdn)
            .collect::<Vec<_>>()
            .join(between)
    }
}

impl fmt::Display for DistinguishedName {
    /// For people: RFC 2253 with `organizationIdentifier` spelled out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unnamed = UnnamedAttribute::OrganizationIdentifier;
        f.write_str(&self.rfc2253_with(unnamed, NonAscii::Utf8))
    }
}

impl fmt::Debug for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DistinguishedName({self})")
    }
}

fn read(der: &[u8]) -> Option<Vec<Vec<Attribute>>> {
    let rdns = Tlv::read(der).ok()?.sequence().ok()?;
    rdns.iter()
        .map(|rdn| {
            let attributes = rdn.constructed(Tag::Set).ok()?;
            let rdn: Option<Vec<Attribute>> = attributes.iter().map(attribute).collect();
            rdn.filter(|attributes| !attributes.is_empty())
        })
        .collect()
}

fn attribute(tlv: &Tlv<'_>) -> Option<Attribute> {
    match tlv.sequence().ok()?.as_slice() {
        [oid, value] => Some(Attribute {
            oid: oid.oid()?,
            tag: value.tag,
            text: value.text(),
            value_der: value.raw.to_vec(),
        }),
        _ => None,
    }
}

fn keyword(table: &[(&'static str, &'static str)], oid: &str) -> Option<&'static str> {
    table
        .iter()
        .find(|(known, _)| *known == oid)
        .map(|(_, keyword)| *keyword)
}

fn rfc2253_attribute(
    attribute: &Attribute,
    unnamed: UnnamedAttribute,
    non_ascii: NonAscii,
) -> String {
    let oid = attribute.oid();
    let spelled = unnamed == UnnamedAttribute::OrganizationIdentifier
        && attribute.oid == ORGANIZATION_IDENTIFIER;
    let named = keyword(KEYWORDS_2253, &oid).or(spelled.then_some("organizationIdentifier"));
    match (named, attribute.text()) {
        (Some(keyword), Some(text)) => format!("{keyword}={}", escaped(text, non_ascii)),
        (None, Some(text)) if unnamed == UnnamedAttribute::Text => {
            format!("{oid}={}", escaped(text, non_ascii))
        }
        (named, _) => {
            format!(
                "{}=#{}",
                named.unwrap_or(&oid),
                hex::encode(&attribute.value_der)
            )
        }
    }
}

/// RFC 2253 section 2.4. Control characters go as hex pairs: left as they are they would break a header or a log.
fn escaped(text: &str, non_ascii: NonAscii) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (index, c) in text.chars().enumerate() {
        let edge_blank = c == ' ' && (index == 0 || index == last);
        if edge_blank || (c == '#' && index == 0) || ",+\"\\<>;".contains(c) {
            out.push('\\');
            out.push(c);
        } else if c.is_control() || (!c.is_ascii() && non_ascii == NonAscii::HexPairs) {
            let mut utf8 = [0; 4];
            for octet in c.encode_utf8(&mut utf8).bytes() {
                out.push_str(&format!("\\{octet:02X}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn rfc1779_attribute(attribute: &Attribute) -> String {
    let oid = attribute.oid();
    let named = keyword(KEYWORDS_2253, &oid).or_else(|| keyword(KEYWORDS_JAVA, &oid));
    let label = named.map_or_else(|| format!("OID.{oid}"), str::to_owned);
    match attribute.text() {
        // RFC 1779 cannot escape them, and left as they are they would break a header or a log.
        Some(text) if !text.contains(char::is_control) => format!("{label}={}", quoted(text)),
        _ => format!("{label}=#{}", hex::encode(&attribute.value_der)),
    }
}

/// RFC 1779 section 2.3: values with special characters, or with blanks that could be lost, go in quotes.
fn quoted(text: &str) -> String {
    let special = text.contains(|c| ",+=<>#;\\\"".contains(c));
    let doubled = text.contains("  ");
    if !(special || doubled || text.starts_with(' ') || text.ends_with(' ')) {
        return text.to_owned();
    }
    let inner = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{inner}\"")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    /// One single-valued relative name each: (last octets of the type's encoding, string tag, value).
    fn name(attributes: &[(&[u8], u8, &str)]) -> DistinguishedName {
        let tlv = |tag: u8, content: &[u8]| {
            let mut out = vec![tag, u8::try_from(content.len()).unwrap()];
            out.extend_from_slice(content);
            out
        };
        let mut rdns = Vec::new();
        for (oid, tag, value) in attributes {
            let pair = [tlv(6, oid), tlv(*tag, value.as_bytes())].concat();
            rdns.extend(tlv(0x31, &tlv(0x30, &pair)));
        }
        DistinguishedName::from_der(&tlv(0x30, &rdns)).unwrap()
    }

    const C: &[u8] = &[0x55, 4, 6];
    const O: &[u8] = &[0x55, 4, 10];
    const CN: &[u8] = &[0x55, 4, 3];
    const ORG_ID: &[u8] = &[0x55, 4, 97];

    #[test]
    fn renders_the_issuer_of_the_berlin_group_example_both_ways() {
        let issuer = name(&[
            (C, 0x13, "DE"),
            (O, 0x0c, "Test QTSP GmbH"),
            (CN, 0x0c, "PSD2 Test Issuing CA 1"),
        ]);
        assert_eq!(
            issuer.rfc2253(),
            "CN=PSD2 Test Issuing CA 1,O=Test QTSP GmbH,C=DE"
        );
        assert_eq!(
            issuer.rfc1779(),
            "CN=PSD2 Test Issuing CA 1, O=Test QTSP GmbH, C=DE"
        );
    }

    #[test]
    fn renders_control_characters_so_that_no_header_breaks() {
        let issuer = name(&[(O, 0x0c, "A\r\nX: y"), (CN, 0x0c, "a\0b")]);
        assert_eq!(issuer.rfc2253(), "CN=a\\00b,O=A\\0D\\0AX: y");
        assert_eq!(issuer.rfc1779(), "CN=#0c03610062, O=#0c07410d0a583a2079");
    }

    #[test]
    fn renders_organization_identifier_as_java_does_or_spelled_out() {
        let issuer = name(&[(C, 0x13, "FR"), (ORG_ID, 0x0c, "NTRFR-1"), (CN, 0x0c, "CA")]);
        let with = |unnamed| issuer.rfc2253_with(unnamed, NonAscii::Utf8);
        assert_eq!(issuer.rfc2253(), "CN=CA,2.5.4.97=#0c074e545246522d31,C=FR");
        assert_eq!(
            with(UnnamedAttribute::OrganizationIdentifier),
            "CN=CA,organizationIdentifier=NTRFR-1,C=FR"
        );
        assert_eq!(with(UnnamedAttribute::Text), "CN=CA,2.5.4.97=NTRFR-1,C=FR");
        assert_eq!(issuer.rfc1779(), "CN=CA, OID.2.5.4.97=NTRFR-1, C=FR");
        assert_eq!(issuer.organization_identifier(), Some("NTRFR-1"));
    }

    #[test]
    fn escapes_what_rfc_2253_wants_escaped() {
        let subject = name(&[(O, 0x0c, " a,b+c\"d\\e<f>g;h#i "), (CN, 0x0c, "#x")]);
        assert_eq!(
            subject.rfc2253(),
            r#"CN=\#x,O=\ a\,b\+c\"d\\e\<f\>g\;h#i\ "#
        );
        assert_eq!(subject.rfc1779(), r##"CN="#x", O=" a,b+c\"d\\e<f>g;h#i ""##);
    }

    #[test]
    fn never_renders_a_control_character_in_rfc_2253() {
        assert_eq!(name(&[(O, 0x0c, "AG\n")]).rfc2253(), "O=AG\\0A");
        assert_eq!(name(&[(O, 0x0c, "a\r\nb: c")]).rfc2253(), "O=a\\0D\\0Ab: c");
    }

    #[test]
    fn renders_beyond_ascii_as_utf_8_or_as_hex_pairs() {
        let subject = name(&[(O, 0x0c, "Société")]);
        assert_eq!(subject.rfc2253(), "O=Société");
        let pairs = subject.rfc2253_with(UnnamedAttribute::HexDer, NonAscii::HexPairs);
        assert_eq!(pairs, "O=Soci\\C3\\A9t\\C3\\A9");
    }

    #[test]
    fn refuses_a_name_that_is_not_sets_of_pairs() {
        for der in [
            &[0x30, 2, 0x31, 0][..],
            &[0x30, 2, 0x30, 0],
            &[0x31, 0],
            &[0x30],
        ] {
            assert!(DistinguishedName::from_der(der).is_err());
        }
    }
}
