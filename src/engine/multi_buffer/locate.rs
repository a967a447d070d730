//! Where the library is.
//!
//! Looked for in this order: what the caller was given, or `CERTFORGE_CRYPTO_MB`, a file or its folder, and nowhere
//! else when it is set (empty: not at all); the active Python environment; the usual folders.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Unavailable;

/// The library, by the name that carries the version of its interface.
pub const LIBRARY: &str = "libcrypto_mb.so.13";

/// Names the library, or its folder.
pub const VARIABLE: &str = "CERTFORGE_CRYPTO_MB";

/// Roots of Python environments, in which `pip install` puts it.
const ENVIRONMENTS: [&str; 2] = ["VIRTUAL_ENV", "CONDA_PREFIX"];

const USUAL: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib64",
    "/usr/local/lib",
    "/opt/intel/oneapi/ippcp/latest/lib",
];

/// The path of the library; absolute, so that the dynamic loader searches no further.
pub fn find(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Unavailable> {
    let candidates = match variable(VARIABLE) {
        Some(named) if named.is_empty() => return Err(Unavailable::Off),
        Some(named) => {
            let named = PathBuf::from(named);
            vec![if named.is_dir() {
                named.join(LIBRARY)
            } else {
                named
            }]
        }
        None => ENVIRONMENTS
            .iter()
            .filter_map(|name| variable(name).filter(|root| !root.is_empty()))
            .map(|root| Path::new(&root).join("lib"))
            .chain(USUAL.iter().map(PathBuf::from))
            .map(|folder| folder.join(LIBRARY))
            .collect(),
    };
    match candidates.iter().find(|path| path.is_file()) {
        Some(path) => sound(path),
        None => Err(Unavailable::Missing { looked: candidates }),
    }
}

/// Refuses what anyone on this machine may replace: the library sees private keys.
fn sound(path: &Path) -> Result<PathBuf, Unavailable> {
    let unloadable = |error: &std::io::Error| Unavailable::Unloadable {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let path = path.canonicalize().map_err(|error| unloadable(&error))?;
    for place in [Some(path.as_path()), path.parent()].into_iter().flatten() {
        let mode = place
            .metadata()
            .map_err(|error| unloadable(&error))?
            .permissions()
            .mode();
        if mode & 0o002 != 0 {
            return Err(Unavailable::Writable {
                path: place.to_owned(),
            });
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder `lib` with a library in it.
    fn environment() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let lib = root.path().join("lib");
        fs::create_dir(&lib).unwrap();
        fs::set_permissions(&lib, fs::Permissions::from_mode(0o755)).unwrap();
        let file = lib.join(LIBRARY);
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let file = file.canonicalize().unwrap();
        (root, file)
    }

    #[test]
    fn finds_it_by_file_by_folder_and_in_a_python_environment() {
        let (root, file) = environment();
        for (name, value) in [
            (VARIABLE, file.as_path()),
            (VARIABLE, file.parent().unwrap()),
            ("VIRTUAL_ENV", root.path()),
            ("CONDA_PREFIX", root.path()),
        ] {
            let found = find(|asked| (asked == name).then(|| value.into()));
            assert_eq!(found.as_ref(), Ok(&file), "{name}={}", value.display());
        }
    }

    #[test]
    fn a_name_that_is_given_is_the_only_place() {
        let (root, _) = environment();
        let found = find(|name| match name {
            VARIABLE => Some("/nowhere/at/all".into()),
            _ => Some(root.path().into()),
        });
        let looked = vec![PathBuf::from("/nowhere/at/all")];
        assert_eq!(found, Err(Unavailable::Missing { looked }));
        let found = find(|name| match name {
            VARIABLE => Some(OsString::new()),
            _ => Some(root.path().into()),
        });
        assert_eq!(found, Err(Unavailable::Off));
    }

    #[test]
    fn refuses_what_anyone_may_write_to() {
        let (_root, file) = environment();
        for place in [file.as_path(), file.parent().unwrap()] {
            fs::set_permissions(place, fs::Permissions::from_mode(0o757)).unwrap();
            let found = find(|name| (name == VARIABLE).then(|| file.clone().into()));
            let path = place.to_owned();
            assert_eq!(found, Err(Unavailable::Writable { path }));
            fs::set_permissions(place, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
}
