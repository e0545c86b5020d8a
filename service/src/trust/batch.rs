//! The files of one import, one after the other.
//!
//! In: pins, what is known already, the time; then files, the list of the lists first. Out: all lists of the batch, or
//! every problem with every file. Pure. Never: a list taken over an older issue of itself, which is how somebody would
//! bring back a QTSP that lost its status.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::list::{self, ListKind, Pointer, TrustedList};
use super::signature::{self, SignatureError, SignedXml};
use super::{Imported, ListId, Signer};
use crate::domain::Environment;

/// The most files of one import: the list of the lists and one for each country of the EEA, twice over.
pub const FILES_MAX: usize = 64;
/// How far our clock and a publisher's may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {reason}: {detail}")]
pub struct Problem {
    /// The file as the officer called it.
    pub file: String,
    /// The stable word.
    pub reason: &'static str,
    /// What it is, in words.
    pub detail: String,
}

/// What the list of the lists of this batch says.
#[derive(Debug)]
struct Directory {
    environment: Environment,
    pointers: Vec<Pointer>,
}

/// The files so far.
#[derive(Debug)]
pub struct Batch {
    signers: Vec<(Environment, Signer)>,
    known: BTreeMap<ListId, Arc<Imported>>,
    now: Timestamp,
    directory: Option<Directory>,
    file_count: usize,
    lists: Vec<Imported>,
    problems: Vec<Problem>,
}

type Refused = (&'static str, String);

impl Batch {
    /// An empty one.
    pub fn new(
        signers: Vec<(Environment, Signer)>,
        known: BTreeMap<ListId, Arc<Imported>>,
        now: Timestamp,
    ) -> Self {
        Self {
            signers,
            known,
            now,
            directory: None,
            file_count: 0,
            lists: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Takes the next file. Verification of a large one takes some hundred milliseconds of processor time.
    pub fn take(&mut self, name: &str, file: &[u8]) {
        let taken = match self.file_count {
            0 => self.take_directory(file),
            1..FILES_MAX => self.take_national(file),
            _ => Err(("TOO_MANY_FILES", format!("at most {FILES_MAX} at once"))),
        };
        self.file_count += 1;
        match taken {
            Ok(imported) => self.lists.push(imported),
            Err((reason, detail)) => self.problems.push(Problem {
                file: name.to_owned(),
                reason,
                detail,
            }),
        }
    }

    /// Everything, unless there is a problem with anything.
    ///
    /// # Errors
    /// Every [`Problem`]; at least one.
    pub fn finish(self) -> Result<Vec<Imported>, Vec<Problem>> {
        match self.problems.is_empty() {
            true => Ok(self.lists),
            false => Err(self.problems),
        }
    }

    /// The list of the lists: its signer is pinned, and the pin says for which world.
    fn take_directory(&mut self, file: &[u8]) -> Result<Imported, Refused> {
        let signers: Vec<_> = self.signers.iter().map(|(_, s)| s.clone()).collect();
        let signed = signature::verify(file, &signers).map_err(refused)?;
        let (list, pointers) = read(&signed)?;
        if list.kind != ListKind::ListOfLists {
            let detail = "the first file must be the list of the lists";
            return Err(("LIST_KIND", detail.to_owned()));
        }
        let mut pinned = self.signers.iter();
        let signer = signed.signer_spki_sha256();
        let environment = pinned.find(|(_, pin)| pin.key.spki_sha256() == signer);
        let (environment, _) = *environment.as_ref().ok_or_else(unknown_signer)?;
        self.directory = Some(Directory {
            environment: *environment,
            pointers,
        });
        self.judge(*environment, list, file)
    }

    /// A national list: its signer is one that the list of the lists names for just this territory.
    fn take_national(&mut self, file: &[u8]) -> Result<Imported, Refused> {
        let Some(directory) = &self.directory else {
            let detail = "not looked at: the list of the lists says who may sign it";
            return Err(("LIST_OF_LISTS_REFUSED", detail.to_owned()));
        };
        let environment = directory.environment;
        let all = directory.pointers.iter().flat_map(|p| p.signers.clone());
        let signed = signature::verify(file, &all.collect::<Vec<_>>()).map_err(refused)?;
        let (list, _) = read(&signed)?;
        if list.kind != ListKind::National {
            let detail = "only the first file may be the list of the lists";
            return Err(("LIST_KIND", detail.to_owned()));
        }
        let mut pointers = directory.pointers.iter();
        let may_sign = pointers.any(|pointer| {
            let mut signers = pointer.signers.iter();
            pointer.territory == list.territory
                && signers.any(|s| s.key.spki_sha256() == signed.signer_spki_sha256())
        });
        if !may_sign {
            return Err(unknown_signer());
        }
        self.judge(environment, list, file)
    }

    /// What a list must be, whoever signed it.
    fn judge(
        &self,
        environment: Environment,
        list: TrustedList,
        file: &[u8],
    ) -> Result<Imported, Refused> {
        let id = ListId {
            environment,
            territory: list.territory.clone(),
        };
        if list.next_update < self.now {
            let detail = format!("its next issue was due at {}", list.next_update);
            return Err(("LIST_STALE", detail));
        }
        if list.issued.duration_since(self.now) > SKEW {
            return Err(("LIST_FUTURE", format!("issued at {}", list.issued)));
        }
        if self.lists.iter().any(|other| other.id == id) {
            return Err(("LIST_TWICE", format!("another file is {id} too")));
        }
        let known = self.known.get(&id);
        if let Some(newer) = known.filter(|k| k.list.sequence_number > list.sequence_number) {
            let detail = format!(
                "issue {}; issue {} is imported already",
                list.sequence_number, newer.list.sequence_number
            );
            return Err(("LIST_OLDER", detail));
        }
        Ok(Imported {
            id,
            file_sha256: Sha256::digest(file).into(),
            imported: self.now,
            list,
        })
    }
}

fn read(signed: &SignedXml) -> Result<(TrustedList, Vec<Pointer>), Refused> {
    list::read(signed).map_err(|error| (error.reason(), error.to_string()))
}

fn refused(error: SignatureError) -> Refused {
    (error.reason(), error.to_string())
}

fn unknown_signer() -> Refused {
    let detail = "the list of the lists names its signer for another territory";
    ("SIGNER_UNKNOWN", detail.to_owned())
}

#[cfg(test)]
mod tests;
