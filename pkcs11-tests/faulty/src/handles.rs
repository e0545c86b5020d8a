//! Object handles that do not survive an initialisation, or survive it wrongly.
//!
//! In: handles of the real module, with what they denote. Out: the handles that applications see. Pure. An
//! application that keeps a handle over `C_Finalize` gets nothing for it (`stale`), or another key (`permuted`), which
//! is what real modules do: they number their objects anew (PKCS#11 v2.40 section 4.4 promises no more).

use std::collections::HashMap;

use crate::script::HandleMode;

/// What an object is, whatever its handle.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Identity {
    /// `CKA_CLASS` and `CKA_KEY_TYPE`, as the module gives them.
    pub(crate) kind: (Vec<u8>, Vec<u8>),
    /// `CKA_ID`.
    pub(crate) id: Vec<u8>,
}

/// Handles of one initialisation, and what they denoted in the one before.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    /// By the handle that is shown.
    present: HashMap<u64, (u64, Option<Identity>)>,
    shown: HashMap<u64, u64>,
    previous: Vec<(u64, Identity)>,
    last: u64,
}

impl Handles {
    /// The module is initialised again.
    pub(crate) fn next_epoch(&mut self) {
        self.shown.clear();
        let present = std::mem::take(&mut self.present);
        let known = present
            .into_iter()
            .filter_map(|(shown, (_, identity))| Some((shown, identity?)));
        self.previous = known.collect();
        self.previous.sort();
    }

    /// The handle under which a real object is shown. `identity` is missing for what was just made.
    pub(crate) fn show(&mut self, real: u64, identity: Option<Identity>, mode: HandleMode) -> u64 {
        if let Some(shown) = self.shown.get(&real) {
            if let Some((_, known @ None)) = self.present.get_mut(shown) {
                *known = identity;
            }
            return *shown;
        }
        let inherited = identity
            .as_ref()
            .filter(|_| mode == HandleMode::Permuted)
            .and_then(|it| self.inherited(it));
        let shown = inherited.unwrap_or_else(|| {
            self.last += 1;
            self.last
        });
        self.shown.insert(real, shown);
        self.present.insert(shown, (real, identity));
        shown
    }

    /// The real handle behind a shown one; `None` if it denotes nothing.
    pub(crate) fn real(&self, shown: u64) -> Option<u64> {
        self.present.get(&shown).map(|(real, _)| *real)
    }

    /// From now on every handle of a type denotes the next object of it.
    pub(crate) fn permute(&mut self) {
        let mut kinds: HashMap<(Vec<u8>, Vec<u8>), Vec<u64>> = HashMap::new();
        for (shown, (_, identity)) in &self.present {
            if let Some(identity) = identity {
                kinds.entry(identity.kind.clone()).or_default().push(*shown);
            }
        }
        for mut handles in kinds.into_values() {
            handles.sort_unstable();
            let objects: Vec<_> = handles
                .iter()
                .filter_map(|shown| self.present.get(shown).cloned())
                .collect();
            for (at, shown) in handles.iter().enumerate() {
                let object = objects[(at + 1) % objects.len()].clone();
                self.shown.insert(object.0, *shown);
                self.present.insert(*shown, object);
            }
        }
    }

    /// The handle that the next object of the same type had before.
    fn inherited(&self, identity: &Identity) -> Option<u64> {
        let same: Vec<_> = self
            .previous
            .iter()
            .filter(|(_, other)| other.kind == identity.kind)
            .collect();
        let at = same.iter().position(|(_, other)| other == identity)?;
        let (shown, heir_of) = same[(at + 1) % same.len()];
        (heir_of != identity && !self.present.contains_key(shown)).then_some(*shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: u8, id: u8) -> Option<Identity> {
        Some(Identity {
            kind: (vec![kind], vec![3]),
            id: vec![id],
        })
    }

    fn shown(handles: &mut Handles, mode: HandleMode) -> [u64; 4] {
        [(10, 1, 1), (11, 1, 2), (12, 1, 3), (13, 2, 1)]
            .map(|(real, kind, id)| handles.show(real, key(kind, id), mode))
    }

    #[test]
    fn within_one_initialisation_a_handle_stays_what_it_is() {
        let mut handles = Handles::default();
        let first = shown(&mut handles, HandleMode::Permuted);
        assert_eq!(shown(&mut handles, HandleMode::Permuted), first);
        assert_eq!(
            first.map(|shown| handles.real(shown)),
            [Some(10), Some(11), Some(12), Some(13)]
        );
    }

    #[test]
    fn stale_handles_denote_nothing() {
        let mut handles = Handles::default();
        let old = shown(&mut handles, HandleMode::Stale);
        handles.next_epoch();
        let new = shown(&mut handles, HandleMode::Stale);
        assert!(
            old.iter()
                .all(|handle| handles.real(*handle).is_none() && !new.contains(handle))
        );
    }

    #[test]
    fn permuted_handles_denote_another_key_of_the_type() {
        let mut handles = Handles::default();
        let [one, two, three, alone] = shown(&mut handles, HandleMode::Permuted);
        handles.next_epoch();
        shown(&mut handles, HandleMode::Permuted);
        assert_eq!(
            [one, two, three].map(|handle| handles.real(handle)),
            [Some(12), Some(10), Some(11)]
        );
        assert_eq!(
            handles.real(alone),
            None,
            "one of a kind gets another number"
        );
    }

    #[test]
    fn handles_can_be_permuted_while_in_use() {
        let mut handles = Handles::default();
        let [one, two, three, alone] = shown(&mut handles, HandleMode::Stale);
        handles.permute();
        let real = [one, two, three, alone].map(|handle| handles.real(handle));
        assert_eq!(real, [Some(11), Some(12), Some(10), Some(13)]);
        assert_eq!(handles.show(11, None, HandleMode::Stale), one, "both ways");
    }
}
