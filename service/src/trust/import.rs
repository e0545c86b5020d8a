//! Lists into the store, and out of it again.
//!
//! In: a batch that is complete, by an officer. Out: all of its lists in the store, recorded, in one transaction. Never: one
//! of them without the others.

use serde_json::json;

use super::batch::{Batch, Problem};
use super::{Imported, ListId};
use crate::audit::Event;
use crate::domain::CallerName;
use crate::registry::{ChangeError, Registry};

/// The most problems that one answer tells of: it has to fit into the trailers of HTTP/2.
const PROBLEMS_SHOWN_MAX: usize = 12;

/// Why no list was imported or removed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The operator pinned nobody who may sign the list of the lists.
    #[error(
        "nobody is pinned who may sign the list of the lists; name certificates under [trust] in the configuration"
    )]
    NoSigners,
    /// No file came.
    #[error("no file: the list of the lists comes first, then national ones")]
    NoFiles,
    /// A file is no good; nothing was imported.
    #[error("nothing was imported: {}", lines(.0))]
    Refused(Vec<Problem>),
    /// There is no such list.
    #[error("{0} is not imported")]
    Unknown(String),
    /// Store or log.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

fn lines(problems: &[Problem]) -> String {
    let shown = problems.iter().take(PROBLEMS_SHOWN_MAX);
    let mut each: Vec<_> = shown.map(ToString::to_string).collect();
    if let Some(more) = problems.len().checked_sub(PROBLEMS_SHOWN_MAX + 1) {
        each.push(format!("and {} more", more + 1));
    }
    each.join("; ")
}

impl Registry {
    /// An empty batch for the lists of now.
    ///
    /// # Errors
    /// [`ImportError::NoSigners`].
    pub fn list_batch(&self) -> Result<Batch, ImportError> {
        if self.lists.signers.is_empty() {
            return Err(ImportError::NoSigners);
        }
        let known = self.world.load().trusted_lists.clone();
        Ok(Batch::new(
            self.lists.signers.clone(),
            known,
            self.clock.now(),
        ))
    }

    /// Imports a batch, whole or not at all; only checks it when only that was asked for.
    ///
    /// # Errors
    /// [`ImportError`].
    pub async fn import_lists(
        &self,
        who: &CallerName,
        batch: Batch,
        validate_only: bool,
    ) -> Result<Vec<Imported>, ImportError> {
        let _turn = self.turn().await?;
        let lists = batch.finish().map_err(ImportError::Refused)?;
        if lists.is_empty() {
            return Err(ImportError::NoFiles);
        }
        if validate_only {
            return Ok(lists);
        }
        let each: Vec<_> = lists.iter().map(fact).collect();
        let write = self.world.store().put_trusted_lists(&lists);
        self.change(who, Event::TrustImport, json!({ "lists": each }), write)
            .await?;
        Ok(lists)
    }

    /// Forgets a list.
    ///
    /// # Errors
    /// [`ImportError`].
    pub async fn remove_list(&self, who: &CallerName, id: &ListId) -> Result<(), ImportError> {
        let _turn = self.turn().await?;
        let known = self.world.load();
        let imported = known.trusted_lists.get(id);
        let imported = imported.ok_or_else(|| ImportError::Unknown(id.to_string()))?;
        let write = self.world.store().remove_trusted_list(id);
        self.change(who, Event::TrustRemove, fact(imported), write)
            .await?;
        Ok(())
    }
}

/// What the log says of a list.
fn fact(imported: &Imported) -> serde_json::Value {
    json!({
        "list": imported.id.to_string(),
        "sequence_number": imported.list.sequence_number,
        "file_sha256": hex::encode(imported.file_sha256),
        "signer_spki_sha256": hex::encode(imported.list.signer_spki_sha256),
    })
}
