//! Where the library is: where somebody said, and nowhere else.
//!
//! It sees private keys, and runs as whoever runs certforge. So it is never looked for, and one that another user could
//! change is refused: the file, the libraries beside it, which it may ask for, and each folder above.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Unavailable;
use crate::exposure;

/// The library, by the name that carries the version of its interface.
pub const LIBRARY: &str = "libcrypto_mb.so.13";

/// Names the library, or its folder.
pub const VARIABLE: &str = "CERTFORGE_CRYPTO_MB";

/// The path of the library that somebody named, itself or its folder; absolute, so that the dynamic loader searches no
/// further.
pub fn find(named: Option<OsString>) -> Result<PathBuf, Unavailable> {
    let named = match named {
        None => return Err(Unavailable::NotNamed),
        Some(named) if named.is_empty() => return Err(Unavailable::Off),
        Some(named) => PathBuf::from(named),
    };
    let path = if named.is_dir() {
        named.join(LIBRARY)
    } else {
        named
    };
    if !path.is_file() {
        return Err(Unavailable::Missing { path });
    }
    let path = sound(&path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let unreadable = |error: &std::io::Error| unloadable(folder, error);
    for entry in folder.read_dir().map_err(|error| unreadable(&error))? {
        let beside = entry.map_err(|error| unreadable(&error))?;
        let is_library = beside.file_name().to_string_lossy().contains(".so");
        // A link that leads nowhere can be loaded by nobody.
        if is_library && beside.path().is_file() {
            sound(&beside.path())?;
        }
    }
    Ok(path)
}

/// Refuses a library that another user could change, or put another in the place of. Returns where it is indeed.
pub fn sound(path: &Path) -> Result<PathBuf, Unavailable> {
    let failed = |error: &std::io::Error| unloadable(path, error);
    let whole = path.canonicalize().map_err(|error| failed(&error))?;
    let of_file = exposure::of_file(&whole.metadata().map_err(|error| failed(&error))?);
    if let Some(exposure) = of_file {
        return Err(Unavailable::Exposed {
            path: whole,
            exposure,
        });
    }
    match exposure::of_way_to(path).map_err(|error| failed(&error))? {
        Some((path, exposure)) => Err(Unavailable::Exposed { path, exposure }),
        None => Ok(whole),
    }
}

fn unloadable(path: &Path, error: &std::io::Error) -> Unavailable {
    Unavailable::Unloadable {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;
    use crate::exposure::Exposure;

    /// A folder `lib` with a library in it, and another beside that.
    fn environment() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let lib = root.path().join("lib");
        fs::create_dir(&lib).unwrap();
        set_mode(&lib, 0o755);
        for name in ["libirng.so", LIBRARY] {
            fs::write(lib.join(name), "").unwrap();
            set_mode(&lib.join(name), 0o755);
        }
        let file = lib.join(LIBRARY).canonicalize().unwrap();
        (root, file)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn is_where_somebody_said_and_nowhere_else() {
        let (_root, file) = environment();
        for named in [file.as_path(), file.parent().unwrap()] {
            assert_eq!(find(Some(named.into())).as_ref(), Ok(&file));
        }
        let path = PathBuf::from("/nowhere/at/all");
        assert_eq!(
            find(Some(path.clone().into())),
            Err(Unavailable::Missing { path })
        );
        assert_eq!(find(Some(OsString::new())), Err(Unavailable::Off));
        assert_eq!(find(None), Err(Unavailable::NotNamed));
    }

    #[test]
    fn refuses_what_others_may_change() {
        let (root, file) = environment();
        let lib = file.parent().unwrap().to_owned();
        let root = root.path().canonicalize().unwrap();
        let find = || find(Some(lib.clone().into()));
        for (place, mode) in [
            (&file, 0o775),
            (&file, 0o757),
            (&lib.join("libirng.so"), 0o757),
            (&lib, 0o757),
            (&root, 0o757),
        ] {
            set_mode(place, mode);
            let exposure = Exposure::Writable { mode };
            let path = place.clone();
            assert_eq!(find(), Err(Unavailable::Exposed { path, exposure }));
            set_mode(place, 0o755);
        }
        assert_eq!(find().as_ref(), Ok(&file));
        for place in [&file, &lib.join("libirng.so"), &lib, &root] {
            if chown(place, Some(1000), None).is_err() {
                eprintln!("LEFT OUT: only root can give a file away");
                return;
            }
            let exposure = Exposure::Owner { uid: 1000 };
            let path = place.clone();
            assert_eq!(find(), Err(Unavailable::Exposed { path, exposure }));
            chown(place, Some(0), None).unwrap();
        }
    }
}
