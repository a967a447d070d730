//! Places: where batches go, as a user names it: a folder, or `s3://bucket/prefix`.

use std::fmt;
use std::path::{Component, Path, PathBuf};

/// Where batches go, or one batch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Folder(PathBuf),
    S3 {
        bucket: String,
        /// Without `/` at either end; may be empty.
        prefix: String,
    },
}

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    #[error("{text} is neither a folder nor the URL of a bucket")]
    Scheme { text: String },
    #[error("{text}: {bucket:?} cannot name a bucket")]
    Bucket { text: String, bucket: String },
    #[error("{text}: a prefix has no empty parts, and none that is . or ..")]
    Prefix { text: String },
}

impl PlaceError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Bucket { .. } => "bucket names are 3 to 63 of a-z 0-9 . -".to_owned(),
            Self::Scheme { .. } | Self::Prefix { .. } => {
                "name a folder, such as ./out, or a bucket, such as s3://factory-eu/batches".to_owned()
            }
        }
    }
}

impl Place {
    /// Reads a place. What has no scheme is a folder.
    ///
    /// # Errors
    ///
    /// When it is a URL of another scheme, or names no bucket.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        let scheme = || PlaceError::Scheme {
            text: text.to_owned(),
        };
        let rest = match text.split_once("://") {
            Some(("s3", rest)) => rest,
            Some(_) => return Err(scheme()),
            // A slash was forgotten: nobody means a folder of that name.
            None if text.starts_with("s3:") || text.starts_with("arn:") => return Err(scheme()),
            None => return Ok(Self::Folder(PathBuf::from(text))),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
        let is_bucket = (3..=63).contains(&bucket.len())
            && bucket
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
        if !is_bucket {
            return Err(PlaceError::Bucket {
                text: text.to_owned(),
                bucket: bucket.to_owned(),
            });
        }
        if !prefix.is_empty() && prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(PlaceError::Prefix {
                text: text.to_owned(),
            });
        }
        Ok(Self::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }

    /// What it is, within a sentence.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Folder(_) => "a folder",
            Self::S3 { .. } => "in S3",
        }
    }

    /// Where a store there is, as it calls itself and as ledgers record it.
    #[must_use]
    pub fn location(&self) -> String {
        match self {
            Self::Folder(folder) => spelling(folder).display().to_string(),
            Self::S3 { .. } => self.to_string(),
        }
    }

    /// The place of a batch in this one.
    #[must_use]
    pub fn batch(&self, name: &str) -> Self {
        match self {
            Self::Folder(folder) => Self::Folder(folder.join(name)),
            Self::S3 { bucket, prefix } => Self::S3 {
                bucket: bucket.clone(),
                prefix: match prefix.as_str() {
                    "" => name.to_owned(),
                    prefix => format!("{prefix}/{name}"),
                },
            },
        }
    }
}

/// The one spelling of a folder: absolute, without `.` and `..`, and without symbolic links on the way to it, as far as that is
/// there. A link in the place of the folder itself stays, and is refused by whoever opens the folder.
#[must_use]
pub(super) fn spelling(folder: &Path) -> PathBuf {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let mut spelling = PathBuf::new();
    let mut parts = whole.components().peekable();
    while let Some(part) = parts.next() {
        if part == Component::ParentDir {
            spelling.pop();
            continue;
        }
        spelling.push(part);
        if parts.peek().is_some()
            && let Ok(found) = spelling.canonicalize()
        {
            spelling = found;
        }
    }
    spelling
}

/// Whether a location that was recorded is this one of a store. That of a folder may be spelt in another way.
#[must_use]
pub fn is_location(recorded: &str, of_store: &str) -> bool {
    let is_folder = || recorded.starts_with('/') && of_store.starts_with('/');
    recorded == of_store || is_folder() && spelling(Path::new(recorded)) == Path::new(of_store)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_spelling_whether_it_is_there_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(real.join("a/b")).unwrap();
        std::os::unix::fs::symlink(real.join("a/b"), real.join("link")).unwrap();
        std::os::unix::fs::symlink(real.join("gone"), real.join("dangling")).unwrap();
        for (spelt, expected) in [
            ("a/b", "a/b"),
            ("a/../a/./b/", "a/b"),
            ("link/c", "a/b/c"),
            // A link in its own place is not looked through.
            ("link", "link"),
            // Where the link leads, and from there one up.
            ("link/..", "a"),
            ("link/../new/b-1", "a/new/b-1"),
            ("new/../a/b", "a/b"),
            ("new/b-1", "new/b-1"),
            ("dangling/b-1", "dangling/b-1"),
        ] {
            let spelt = real.join(spelt);
            assert_eq!(spelling(&spelt), real.join(expected), "{}", spelt.display());
            let recorded = spelt.display().to_string();
            assert!(is_location(&recorded, &real.join(expected).display().to_string()));
        }
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(spelling(Path::new("no/such/../folder")), here.join("no/folder"));
        assert!(
            !is_location("/a", "/b") && !is_location("s3://a/b", "/b") && is_location("s3://a/b", "s3://a/b")
        );
    }

    #[test]
    fn places_are_folders_or_buckets() {
        for (text, shown, batch) in [
            ("out", "out", "out/b-1"),
            ("/srv/out/", "/srv/out/", "/srv/out/b-1"),
            ("s3://factory-eu", "s3://factory-eu", "s3://factory-eu/b-1"),
            ("s3://factory-eu/", "s3://factory-eu", "s3://factory-eu/b-1"),
            (
                "s3://factory-eu/a/b/",
                "s3://factory-eu/a/b",
                "s3://factory-eu/a/b/b-1",
            ),
        ] {
            let place = Place::parse(text).unwrap();
            assert_eq!(place.to_string(), shown);
            assert_eq!(place.batch("b-1").to_string(), batch);
        }
    }

    #[test]
    fn refuses_what_names_no_place() {
        for text in [
            "ftp://bucket/x",
            "https://bucket.s3.amazonaws.com/x",
            "s3:/bucket/x",
            "s3:bucket",
            "arn:aws:s3:::bucket",
        ] {
            assert!(
                matches!(Place::parse(text), Err(PlaceError::Scheme { .. })),
                "{text}"
            );
        }
        for text in ["s3://", "s3:///x", "s3://No/x", "s3://a b/x", "s3://ab"] {
            assert!(
                matches!(Place::parse(text), Err(PlaceError::Bucket { .. })),
                "{text}"
            );
        }
        for text in ["s3://abc//x", "s3://abc/x/../y", "s3://abc/./y"] {
            assert!(
                matches!(Place::parse(text), Err(PlaceError::Prefix { .. })),
                "{text}"
            );
        }
    }
}
