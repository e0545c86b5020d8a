//! What holds for any file.

use std::sync::LazyLock;

use proptest::prelude::*;
use sealkeep_sandbox::key::KeyKind;

use super::super::list::{self, TrustedList};
use super::super::signature::{self, SignedXml};
use super::super::signers::Signer;
use super::Scene;

/// A list, who may sign it, and what it reads as.
static SIGNED: LazyLock<(String, Vec<Signer>, TrustedList)> = LazyLock::new(|| {
    let scene = Scene::new(KeyKind::EcP256);
    let list = scene.list();
    let read = scene.verify(&list).unwrap();
    (list, scene.state(), read)
});

proptest! {
    /// Whatever is changed: it is refused, or it was of no consequence. Nothing panics.
    #[test]
    fn changed_bytes_are_refused_or_mean_nothing(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let (text, state, read) = &*SIGNED;
        let mut bytes = text.clone().into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        if let Ok(signed) = signature::verify(&bytes, state) {
            prop_assert_eq!(&list::read(&signed).unwrap().0, read);
        }
    }

    /// What a signer of good standing may publish by mistake: no list makes the reader panic.
    #[test]
    fn any_signed_text_is_read_without_panic(
        at in any::<prop::sample::Index>(),
        length in 0_usize..400,
        instead in "[<>/a-zA-Z0-9:\" =]{0,40}",
    ) {
        let (text, ..) = &*SIGNED;
        let begin = text.find("<TrustServiceStatusList").unwrap();
        let end = text.find("<ds:Signature ").unwrap();
        let mut list = format!("{}</TrustServiceStatusList>", &text[begin..end]);
        let at = at.index(list.len());
        let length = length.min(list.len() - at);
        list.replace_range(at..at + length, &instead);
        let _ = list::read(&SignedXml::unverified_for_test(list));
    }
}
