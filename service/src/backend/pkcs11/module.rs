//! Loads a PKCS#11 module into the process, once.
//!
//! In: the configured path. Out: an initialised context. It refuses what is not there, what is not a module, and
//! pkcs11-spy. It finalises a module only to initialise it again, which whoever asks for it must do alone: `C_Finalize`
//! while another thread is inside a call crashes real modules (PKCS#11 v2.40 section 5.4).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{Info, Pkcs11};
use cryptoki::error::{Error, RvError};
use sealkeep_quirks::{Effect, Identity, Quirks};

use super::config::Pkcs11Config;
use super::init_string;
use super::recovery::Fault;
use super::session::SignCall;
use crate::backend::BackendError;

/// A context, and the call that it makes twice.
type Loaded = (Pkcs11, Option<SignCall>);

/// One context a file: a second `C_Initialize` of the same library is an error, and its state is shared anyway.
static LOADED: Mutex<BTreeMap<PathBuf, Loaded>> = Mutex::new(BTreeMap::new());

/// What pkcs11-spy reads its own configuration from; no other module has a reason to contain it.
const SPY_MARK: &[u8] = b"PKCS11SPY_OUTPUT";
/// How far into a module we look for [`SPY_MARK`] (bytes). pkcs11-spy has about 100 KB.
const SPY_SCAN_BYTES_MAX: u64 = 4 << 20;

/// A module that is loaded and initialised.
pub(super) struct Module {
    /// Makes the calls.
    pub(super) context: Pkcs11,
    /// Makes the call that the context makes twice.
    pub(super) sign: Option<SignCall>,
    /// What it says of itself.
    pub(super) about: About,
    /// What it wants to hear whenever it is initialised.
    init_string: Option<String>,
}

/// What a module says of itself (PKCS#11 v2.40 section 3.1, `CK_INFO`), and where it lies.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) path: PathBuf,
    pub(super) manufacturer: String,
    pub(super) library: String,
    pub(super) library_version: String,
    pub(super) cryptoki_version: String,
}

impl Module {
    /// Loads the module and initialises it, or hands out the context that is there already.
    ///
    /// # Errors
    /// [`BackendError::ModuleMissing`], [`BackendError::ModuleInvalid`], [`BackendError::ModuleSpies`].
    pub(super) fn load(config: &Pkcs11Config) -> Result<Self, BackendError> {
        let path = config.module.as_path();
        let file = path
            .canonicalize()
            .map_err(|problem| match problem.kind() {
                io::ErrorKind::NotFound => BackendError::ModuleMissing(path.to_owned()),
                _ => invalid(path, problem),
            })?;
        if !config.allow_spy && is_spy(&file).map_err(|problem| invalid(path, problem))? {
            return Err(BackendError::ModuleSpies(path.to_owned()));
        }
        let init_string = config.init_string.clone();
        let (context, sign) =
            context_of(&file, init_string.as_deref()).map_err(|problem| invalid(path, problem))?;
        let info = context.get_library_info().map_err(Fault::from)?;
        Ok(Self {
            context,
            sign,
            about: About::new(path, &info),
            init_string,
        })
    }
}

impl Module {
    /// `C_Finalize` and `C_Initialize`: what brings back a module that has lost its device. No thread may be inside it.
    pub(super) fn initialise_again(&self) -> Result<(), Error> {
        if let Err(error) = self.context.clone().finalize() {
            tracing::debug!(fault = %Fault::from(error), "finalising the module failed");
        }
        initialise(&self.context, self.init_string.as_deref())
    }

    /// Whether such modules are to be treated differently.
    pub(super) fn asks_for(&self, effect: Effect) -> bool {
        Quirks::shipped().ask_for(self.about.identity(), effect)
    }
}

impl About {
    fn new(path: &Path, info: &Info) -> Self {
        Self {
            path: path.to_owned(),
            manufacturer: info.manufacturer_id().trim().to_owned(),
            library: info.library_description().trim().to_owned(),
            library_version: info.library_version().to_string(),
            cryptoki_version: info.cryptoki_version().to_string(),
        }
    }

    /// What the table of quirks knows modules by.
    pub(super) fn identity(&self) -> Identity<'_> {
        let file = self.path.file_name().and_then(|name| name.to_str());
        Identity {
            manufacturer: &self.manufacturer,
            library: &self.library,
            file: file.unwrap_or_default(),
        }
    }

    /// Path, description and version, for people.
    pub(super) fn description(&self) -> String {
        format!(
            "{} ({} {}, PKCS#11 {})",
            self.path.display(),
            self.library,
            self.library_version,
            self.cryptoki_version
        )
    }
}

fn initialise(context: &Pkcs11, init_string: Option<&str>) -> Result<(), Error> {
    match init_string::initialise(context, init_string) {
        // Somebody else in the process initialised it, with whatever locking: nothing better is to be had.
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        outcome => outcome,
    }
}

fn context_of(file: &Path, init_string: Option<&str>) -> Result<Loaded, Error> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = loaded.get(file) {
        return Ok(module.clone());
    }
    let context = Pkcs11::new(file)?;
    initialise(&context, init_string)?;
    let module = (context, SignCall::of_module(file)?);
    loaded.insert(file.to_owned(), module.clone());
    Ok(module)
}

/// By name, and by what is in the file: a copy under another name spies as well.
fn is_spy(file: &Path) -> io::Result<bool> {
    let name = file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    if name.contains("pkcs11-spy") {
        return Ok(true);
    }
    let mut bytes = Vec::new();
    File::open(file)?
        .take(SPY_SCAN_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    Ok(bytes
        .windows(SPY_MARK.len())
        .any(|window| window == SPY_MARK))
}

fn invalid(module: &Path, problem: impl ToString) -> BackendError {
    BackendError::ModuleInvalid {
        module: module.to_owned(),
        problem: problem.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn reason_of(path: &Path, allow_spy: bool) -> &'static str {
        let config = Pkcs11Config {
            name: "main".to_owned(),
            module: path.to_owned(),
            token_label: "t".to_owned(),
            token_serial: None,
            session_count: 1,
            queue_length_max: 1,
            allow_spy,
            init_string: None,
        };
        Module::load(&config).err().expect("refused").reason()
    }

    #[test]
    fn refuses_path_where_nothing_is() {
        assert_eq!(
            reason_of(Path::new("/nowhere/libabsent.so"), false),
            "MODULE_MISSING"
        );
    }

    #[test]
    fn refuses_file_that_is_no_library_and_directory() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("module.so");
        std::fs::write(&text, b"not a library").unwrap();
        assert_eq!(reason_of(&text, false), "MODULE_INVALID");
        assert_eq!(reason_of(dir.path(), false), "MODULE_INVALID");
    }

    #[test]
    fn knows_a_spy_by_name_through_links_and_by_content() {
        let dir = tempfile::tempdir().unwrap();
        let spy = dir.path().join("PKCS11-Spy.so");
        std::fs::write(&spy, b"").unwrap();
        assert_eq!(reason_of(&spy, false), "MODULE_SPIES");

        let link = dir.path().join("vendor.so");
        std::os::unix::fs::symlink(&spy, &link).unwrap();
        assert_eq!(reason_of(&link, false), "MODULE_SPIES");

        let copy = dir.path().join("libvendor.so");
        std::fs::write(&copy, [b"\x7fELF...", SPY_MARK].concat()).unwrap();
        assert_eq!(reason_of(&copy, false), "MODULE_SPIES");
        assert_eq!(reason_of(&copy, true), "MODULE_INVALID");
    }
}
