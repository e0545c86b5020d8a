//! `sealkeep trust ...`: the trusted lists of the EU.
//!
//! In: files as the Commission and the member states publish them. Out: what was imported, or what is wrong with which file.
//! Never: a download, a verification of its own; the service knows who may sign.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use sealkeep_client::Sealkeep;
use sealkeep_client::v1::trust_service_client::TrustServiceClient;
use sealkeep_client::v1::{
    GetTrustedListRequest, ImportTrustedListsRequest, ListTrustedListsRequest,
    RemoveTrustedListRequest, TrustedList, TrustedListKind, TrustedService,
};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::files;
use crate::pages::{self, PAGE_SIZE};
use crate::report::{Report, pairs, table};
use crate::words::{environment, rfc3339, time};

/// The largest list that the service reads, bytes.
const LIST_BYTES_MAX: u64 = 24 * 1024 * 1024;
/// The bytes of one message.
const CHUNK_BYTES: usize = 256 * 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Import the list of the lists and national lists, all or none.
    Import {
        /// The list of the lists, XML; in production eu-lotl.xml of ec.europa.eu/tools/lotl.
        #[arg(long, value_name = "FILE")]
        lotl: PathBuf,
        /// A national list, XML; several are fine. Those of the countries of your QTSPs are enough.
        #[arg(long, value_name = "FILE")]
        list: Vec<PathBuf>,
        /// Only check them; import nothing.
        #[arg(long)]
        check: bool,
    },
    /// All imported lists.
    List,
    /// One list with the services that issue qualified certificates.
    Show {
        /// WORLD/TERRITORY, for example production/BE.
        name: String,
    },
    /// Forget a list: it confirms nothing any more.
    Remove {
        /// WORLD/TERRITORY, for example production/BE.
        name: String,
    },
}

impl Verb {
    pub(crate) async fn run(
        self,
        connect: impl Fn() -> Result<Sealkeep, Failure>,
    ) -> Result<Report, Failure> {
        match self {
            Self::Import { lotl, list, check } => {
                // Read first, so that a typing error needs no service.
                let mut messages = chunks(&lotl, check)?;
                for file in &list {
                    messages.extend(chunks(file, check)?);
                }
                import(&connect()?, messages, check).await
            }
            Self::List => list(&connect()?).await,
            Self::Show { name } => show(&connect()?, name).await,
            Self::Remove { name } => remove(&connect()?, name).await,
        }
    }
}

/// The messages of one file.
fn chunks(path: &Path, validate_only: bool) -> Result<Vec<ImportTrustedListsRequest>, Failure> {
    let bytes = files::read_bytes_up_to(path, LIST_BYTES_MAX)?;
    let name = path.file_name().unwrap_or(path.as_os_str());
    let mut messages = vec![ImportTrustedListsRequest {
        file_name: name.to_string_lossy().into_owned(),
        chunk: Vec::new(),
        validate_only,
    }];
    messages.extend(
        bytes
            .chunks(CHUNK_BYTES)
            .map(|chunk| ImportTrustedListsRequest {
                file_name: String::new(),
                chunk: chunk.to_vec(),
                validate_only,
            }),
    );
    Ok(messages)
}

async fn import(
    sealkeep: &Sealkeep,
    messages: Vec<ImportTrustedListsRequest>,
    check: bool,
) -> Result<Report, Failure> {
    let answer = sealkeep
        .call(messages, async |channel, request| {
            TrustServiceClient::new(channel)
                .import_trusted_lists(request.map(tokio_stream::iter))
                .await
        })
        .await?;
    let note = match check {
        true => "checked only; nothing was imported",
        false => {
            "imported; certificates are judged by them from the next installation or activation on"
        }
    };
    Ok(Report::new(rows(&answer.lists), all_json(&answer.lists)).note(note))
}

async fn list(sealkeep: &Sealkeep) -> Result<Report, Failure> {
    let lists = pages::all(async |page_token| {
        let request = ListTrustedListsRequest {
            page_size: PAGE_SIZE,
            page_token,
        };
        let page = sealkeep
            .call(request, async |channel, request| {
                TrustServiceClient::new(channel)
                    .list_trusted_lists(request)
                    .await
            })
            .await?;
        Ok((page.lists, page.next_page_token))
    })
    .await?;
    let text = match lists.is_empty() {
        true => "No lists. Import some: sealkeep trust import --lotl FILE --list FILE\n".to_owned(),
        false => rows(&lists),
    };
    Ok(Report::new(text, all_json(&lists)))
}

async fn show(sealkeep: &Sealkeep, name: String) -> Result<Report, Failure> {
    let request = GetTrustedListRequest { name };
    let answer = sealkeep
        .call(request, async |channel, request| {
            TrustServiceClient::new(channel)
                .get_trusted_list(request)
                .await
        })
        .await?;
    let list = answer.list.unwrap_or_default();
    let mut text = pairs(&[
        ("list", list.name.clone()),
        ("kind", kind(&list).to_owned()),
        ("world", environment(list.environment).to_owned()),
        ("operator", list.operator.clone()),
        ("format version", list.format_version.to_string()),
        ("issue", list.sequence_number.to_string()),
        ("issued", when(list.issue_time)),
        ("next update", when(list.next_update_time)),
        ("imported", when(list.import_time)),
        ("file SHA-256", list.file_sha256.clone()),
        ("signer SPKI SHA-256", list.signer_spki_sha256.clone()),
        ("left out", list.skipped_count.to_string()),
    ]);
    let rows = answer.services.iter().map(service_row).collect::<Vec<_>>();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(
            ["PROVIDER", "SERVICE", "STATUS", "SINCE", "ISSUES"],
            rows,
        ));
    }
    if !answer.skipped.is_empty() {
        let rows = answer.skipped.iter().map(|what| [what.clone()]).collect();
        text.push('\n');
        text.push_str(&table(["LEFT OUT"], rows));
    }
    let mut json = to_json(&list);
    json["services"] = answer.services.iter().map(service_json).collect();
    json["skipped"] = json!(answer.skipped);
    Ok(Report::new(text, json))
}

async fn remove(sealkeep: &Sealkeep, name: String) -> Result<Report, Failure> {
    let json = json!({ "removed": name });
    let request = RemoveTrustedListRequest { name };
    sealkeep
        .call(request, async |channel, request| {
            TrustServiceClient::new(channel)
                .remove_trusted_list(request)
                .await
        })
        .await?;
    Ok(Report::new("", json).note("removed; it confirms no certificate any more"))
}

fn rows(lists: &[TrustedList]) -> String {
    let row = |list: &TrustedList| {
        [
            list.name.clone(),
            list.sequence_number.to_string(),
            when(list.next_update_time),
            list.service_count.to_string(),
            list.skipped_count.to_string(),
            list.operator.clone(),
        ]
    };
    table(
        [
            "LIST",
            "ISSUE",
            "NEXT UPDATE",
            "SERVICES",
            "LEFT OUT",
            "OPERATOR",
        ],
        lists.iter().map(row).collect(),
    )
}

fn service_row(service: &TrustedService) -> [String; 5] {
    [
        service.provider.clone(),
        service.name.clone(),
        service.status.clone(),
        when(service.status_time),
        service.issues_for.join(", "),
    ]
}

fn kind(list: &TrustedList) -> &'static str {
    match list.kind() {
        TrustedListKind::ListOfLists => "list of the lists",
        TrustedListKind::National => "national",
        TrustedListKind::Unspecified => "",
    }
}

fn when(at: Option<prost_types::Timestamp>) -> String {
    rfc3339(at.and_then(|at| time(at.seconds, at.nanos)))
}

fn all_json(lists: &[TrustedList]) -> Value {
    json!({ "lists": lists.iter().map(to_json).collect::<Vec<_>>() })
}

fn to_json(list: &TrustedList) -> Value {
    json!({
        "name": list.name,
        "kind": kind(list),
        "environment": environment(list.environment),
        "format_version": list.format_version,
        "sequence_number": list.sequence_number,
        "operator": list.operator,
        "issue_time": when(list.issue_time),
        "next_update_time": when(list.next_update_time),
        "import_time": when(list.import_time),
        "file_sha256": list.file_sha256,
        "signer_spki_sha256": list.signer_spki_sha256,
        "service_count": list.service_count,
        "skipped_count": list.skipped_count,
    })
}

fn service_json(service: &TrustedService) -> Value {
    json!({
        "provider": service.provider,
        "name": service.name,
        "status": service.status,
        "status_time": when(service.status_time),
        "issues_for": service.issues_for,
        "subjects": service.subjects,
    })
}
