//! The signature base: exactly the bytes that are signed.
//!
//! Comes in: covered components with their values, the signature parameters. Goes out: the base, and the inner list that
//! stands in `Signature-Input`, from the same parts so that the two cannot differ. The base always begins with `"`. Serves
//! RFC 9421 §2.3 and §2.5.

use sfv::{FieldType, InnerList, ListEntry, Parameters};

use super::component::{Component, FieldForm, Part};
use super::value::Source;
use crate::refusal::Refusal;

/// The covered components and their parameters, as they are signed and sent.
pub(super) struct SignatureParams(String);

impl SignatureParams {
    /// Canonical text of the inner list (RFC 9651 §4.1.1.1).
    pub(super) fn new(components: &[Component], parameters: Parameters) -> Self {
        let items = components.iter().map(|c| c.item.clone()).collect();
        let list = ListEntry::InnerList(InnerList::with_params(items, parameters));
        // A list of one entry always has a serialization.
        Self(vec![list].serialize().unwrap_or_default())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// One line a component, then the parameters; no line feed at the end.
pub(super) fn signature_base(
    source: Source<'_>,
    components: &[Component],
    params: &SignatureParams,
) -> Result<Vec<u8>, Refusal> {
    let mut base = String::new();
    for component in components {
        let value = source.value(component)?.ok_or_else(|| missing(component))?;
        base.push_str(&component.written);
        base.push_str(": ");
        base.push_str(&value);
        base.push('\n');
    }
    base.push_str("\"@signature-params\": ");
    base.push_str(params.as_str());
    Ok(base.into_bytes())
}

/// A whole field is missing as a header, everything else as a component.
fn missing(component: &Component) -> Refusal {
    match &component.part {
        Part::Field {
            name,
            form: FieldForm::Lines | FieldForm::Bytes | FieldForm::Structured,
        } if !component.of_request => Refusal::HeaderMissing { name: name.clone() },
        _ => Refusal::ComponentMissing {
            name: component.to_string(),
        },
    }
}
