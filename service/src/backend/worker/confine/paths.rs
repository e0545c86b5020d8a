//! Which files a worker may use.
//!
//! In: the configuration, the module's path and init string, the environment that the worker has. Out: what may be read, and what may
//! be written. Never: `/etc` or the service's own directory as a whole, where its keys and database are.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::Confinement;
use crate::backend::BackendError;

/// What every program on the machine may know: libraries, and what they look up when they are loaded or asked for a
/// random number, a time or a host. Those that a distribution does not have are left out.
const SYSTEM: [&str; 35] = [
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/opt",
    "/nix/store",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/openssl.cnf",
    "/etc/crypto-policies",
    "/etc/pkcs11",
    "/etc/softhsm",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/resolv.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/passwd",
    "/etc/group",
    "/dev/null",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/filesystems",
    "/proc/sys",
    "/sys/devices/system/cpu",
    "/run/systemd/resolve",
];
/// Where every program may write.
const SINKS: [&str; 1] = ["/dev/null"];
/// Names SoftHSM's configuration.
const SOFTHSM_ENV: &str = "SOFTHSM2_CONF";
/// Where it is unless named: in the user's home, or for all.
const SOFTHSM_CONF_OF_USER: &str = ".config/softhsm2/softhsm2.conf";
const SOFTHSM_CONF: &str = "/etc/softhsm/softhsm2.conf";

/// Files and directories, with all that is in them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) read: Vec<PathBuf>,
    pub(super) write: Vec<PathBuf>,
}

impl Allowed {
    /// # Errors
    /// [`BackendError::ConfigInvalid`] for a configured path that is not there.
    pub(super) fn of(
        wanted: &Confinement,
        module: &Path,
        init_string: Option<&str>,
        marker_directory: &Path,
    ) -> Result<Self, BackendError> {
        check("token.worker_read_paths", &wanted.read_paths)?;
        check("token.worker_write_paths", &wanted.write_paths)?;
        let environment: Vec<_> = std::env::vars_os().collect();
        let is_file = |path: &Path| path.is_file();
        let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
        read.push(module.to_owned());
        read.extend(named_files(&environment, is_file));
        read.extend_from_slice(&wanted.read_paths);
        let mut write: Vec<PathBuf> = SINKS.iter().map(PathBuf::from).collect();
        write.push(marker_directory.to_owned());
        write.extend_from_slice(&wanted.write_paths);
        // Tokens that keep their keys in files say where.
        write.extend(init_string.and_then(nss_directory));
        if let Some(conf) = softhsm_conf(&environment, module, is_file) {
            let text = std::fs::read_to_string(&conf).unwrap_or_default();
            write.extend(token_directory(&text));
            read.push(conf);
        }
        Ok(Self { read, write })
    }
}

/// What somebody wrote down must be there: a rule for nothing would be left out in silence.
fn check(field: &'static str, paths: &[PathBuf]) -> Result<(), BackendError> {
    match paths.iter().find(|path| !path.exists()) {
        None => Ok(()),
        Some(absent) => Err(BackendError::ConfigInvalid {
            field: field.into(),
            rule: format!("{} is not there", absent.display()),
        }),
    }
}

/// Files that variables name: the operator has chosen the worker's variables for just that. Not directories: `HOME` may
/// be where the service keeps everything.
fn named_files(
    environment: &[(OsString, OsString)],
    is_file: impl Fn(&Path) -> bool,
) -> Vec<PathBuf> {
    let values = environment.iter().map(|(_, value)| PathBuf::from(value));
    values
        .filter(|path| path.is_absolute() && is_file(path))
        .collect()
}

/// Named by a variable, or where SoftHSM looks unless told, the first that is there.
fn softhsm_conf(
    environment: &[(OsString, OsString)],
    module: &Path,
    is_file: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let value = |wanted: &str| {
        let mut variables = environment.iter();
        let found = variables.find(|(name, _)| name == wanted);
        found.map(|(_, value)| PathBuf::from(value))
    };
    let named = value(SOFTHSM_ENV);
    let name = module
        .file_name()
        .and_then(OsStr::to_str)
        .unwrap_or_default();
    if named.is_some() || !name.starts_with("libsofthsm2") {
        return named;
    }
    let of_user = value("HOME").map(|home| home.join(SOFTHSM_CONF_OF_USER));
    let mut places = of_user.into_iter().chain([PathBuf::from(SOFTHSM_CONF)]);
    places.find(|place| is_file(place))
}

/// `directories.tokendir` of softhsm2.conf(5).
fn token_directory(conf: &str) -> Option<PathBuf> {
    let settings = conf.lines().filter_map(|line| line.split_once('='));
    let mut directories = settings
        .filter(|(name, _)| name.trim() == "directories.tokendir")
        .map(|(_, value)| PathBuf::from(value.trim()));
    directories.next_back().filter(|path| path.is_absolute())
}

/// `configdir` of what NSS is told at `C_Initialize`: `configdir='sql:/var/lib/nss' ...`.
fn nss_directory(init_string: &str) -> Option<PathBuf> {
    let (_, rest) = init_string.split_once("configdir=")?;
    let quote = rest.chars().next().filter(|it| ['\'', '"'].contains(it))?;
    let (directory, _) = rest[1..].split_once(quote)?;
    let path = PathBuf::from(directory.strip_prefix("sql:").unwrap_or(directory));
    path.is_absolute().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(list: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        list.iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn variables_open_the_files_they_name_and_no_directory() {
        let environment = variables(&[
            ("SOFTHSM2_CONF", "/etc/token.conf"),
            ("HOME", "/var/lib/sealkeep"),
            ("PATH", "/usr/bin:/bin"),
            ("RUST_LOG", "info"),
            ("RELATIVE", "token.conf"),
        ]);
        let is_file = |path: &Path| path.extension().is_some();
        assert_eq!(
            named_files(&environment, is_file),
            [PathBuf::from("/etc/token.conf")]
        );
    }

    #[test]
    fn softhsm_says_where_its_tokens_are() {
        let conf = "# directories.tokendir = /no\nlog.level = ERROR\n directories.tokendir =  /srv/tokens \n";
        assert_eq!(token_directory(conf), Some("/srv/tokens".into()));
        assert_eq!(token_directory("directories.tokendir = tokens"), None);
        assert_eq!(token_directory(""), None);

        let module = Path::new("/usr/lib/softhsm/libsofthsm2.so");
        let (home, all) = ("/home/x/.config/softhsm2/softhsm2.conf", SOFTHSM_CONF);
        let conf = |environment: &[_], there: &[&str]| {
            let is_file = |path: &Path| there.iter().any(|it| path == Path::new(it));
            softhsm_conf(&variables(environment), module, is_file)
        };
        let of_user = [("HOME", "/home/x")];
        assert_eq!(
            conf(&[(SOFTHSM_ENV, "/a.conf"), of_user[0]], &[home]),
            Some("/a.conf".into())
        );
        assert_eq!(conf(&of_user, &[home, all]), Some(home.into()));
        assert_eq!(conf(&of_user, &[all]), Some(all.into()));
        assert_eq!(conf(&[], &[]), None);
        let other = Path::new("/opt/vendor/libhsm.so");
        assert_eq!(softhsm_conf(&variables(&of_user), other, |_| true), None);
    }

    #[test]
    fn nss_is_told_where_its_database_is() {
        let told = |text| nss_directory(text);
        let expected = Some(PathBuf::from("/var/lib/nss"));
        assert_eq!(told("configdir='sql:/var/lib/nss' flags=noModDB"), expected);
        assert_eq!(told("secmod='s' configdir=\"/var/lib/nss\""), expected);
        for other in [
            "configdir='sql:nss'",
            "configdir=",
            "configdir='/open",
            "flags=x",
            "",
        ] {
            assert_eq!(told(other), None, "{other}");
        }
    }

    #[test]
    fn a_configured_path_must_be_there() {
        let wanted = Confinement {
            write_paths: vec!["/nowhere/tokens".into()],
            ..Confinement::default()
        };
        let refused = Allowed::of(&wanted, Path::new("/m.so"), None, Path::new("/")).unwrap_err();
        assert_eq!(refused.reason(), "CONFIG_INVALID");
        assert!(refused.to_string().contains("/nowhere/tokens"), "{refused}");
    }

    #[test]
    fn neither_the_configuration_of_the_machine_nor_a_home_is_open_as_a_whole() {
        for closed in [
            "/", "/etc", "/etc/ssl", "/home", "/root", "/var", "/run", "/proc", "/tmp",
        ] {
            assert!(
                !SYSTEM.contains(&closed) && !SINKS.contains(&closed),
                "{closed}"
            );
        }
    }
}
