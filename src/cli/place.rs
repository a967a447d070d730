//! Places on the command line: a folder, or a bucket with how to reach it and how to store there.

use std::path::Path;

use certforge::ledger::{self, LedgerError, LedgerName};
use certforge::store::{self, EXPIRY_TAG, Encryption, Place, Store, StoreError, StoreOptions};
use clap::Args;

use super::{Failure, settings};

/// How to reach a bucket. What is left out comes from where the AWS CLI has it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Amazon S3")]
pub struct Reach {
    /// S3-compatible server in place of AWS's, such as http://localhost:9000
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Region of the bucket [default: as for the AWS CLI]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
}

/// How to store in a bucket.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Amazon S3")]
pub struct Upload {
    /// Uploads at once, at most; fewer while the server asks for that [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    uploads: Option<u16>,
    /// Encryption by S3 [default: the bucket's]
    #[arg(long, value_name = "ALGORITHM", value_parser = ["AES256", "aws:kms", "aws:kms:dsse"])]
    sse: Option<String>,
    /// Key of AWS KMS for --sse aws:kms, by id, ARN or alias
    #[arg(long, value_name = "KEY", requires = "sse")]
    sse_kms_key_id: Option<String>,
    /// Storage class, such as STANDARD_IA [default: STANDARD]
    #[arg(long, value_name = "CLASS")]
    storage_class: Option<String>,
    /// Tag every object with its batch and its profile
    #[arg(long)]
    tags: bool,
    /// Tag every object for a lifecycle rule that deletes it; `bucket-policy --lifecycle` prints the rule
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
    expire_after: Option<u16>,
}

/// Where batches go when nobody says where.
pub const DEFAULT: &str = "out";

/// How long a server is waited for.
#[derive(Debug, Clone, Copy)]
enum Patience {
    Long,
    Short,
}

/// Attempts at a request for somebody who waits: some three seconds, when nobody answers.
const QUICK_ATTEMPTS: u32 = 5;
const QUICK_ATTEMPT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// The file that is named; `-` is standard input.
pub fn file(path: &Path) -> &Path {
    match path == Path::new("-") {
        true => Path::new("/dev/stdin"),
        false => path,
    }
}

/// Whether a text names a place rather than a batch of the ledger.
pub fn is_place(text: &str) -> bool {
    text.contains('/') || text == "."
}

/// Where a batch is that is named: by its place, by its name in the ledger if there is one, or by that of its folder, here
/// or in the folder that `run` makes batches in.
pub fn of_batch(text: &str, ledger: &dyn Fn() -> Result<LedgerName, Failure>) -> Result<String, Failure> {
    if is_place(text) {
        return Ok(text.to_owned());
    }
    let ledger = ledger()?;
    let known = match ledger::open_read_only(&ledger) {
        Ok(ledger) => ledger.find_batch(text)?,
        Err(LedgerError::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(batch) = known {
        return Ok(batch.location);
    }
    let folders = [Path::new(".").join(text), Path::new(DEFAULT).join(text)];
    match folders.iter().find(|folder| folder.is_dir()) {
        Some(folder) => Ok(folder.display().to_string()),
        None => Err(Failure::from(LedgerError::NoBatch { name: text.to_owned() }).with_hint(&format!(
            "ledger {ledger} knows no such batch, and there is no folder {text} and no folder {DEFAULT}/{text}: give its folder or s3:// URL, or its ledger with --ledger; `certforge status` lists the batches of a ledger"
        ))),
    }
}

/// The name of a batch at a place: a batch is named as its folder is.
pub fn name_of(place: &str) -> &str {
    let place = place.trim_end_matches('/');
    place.rsplit('/').next().unwrap_or(place)
}

/// Reads a place, and sees that no option is given that has no meaning for it.
pub fn parse(text: &str, reach: &Reach, upload: Option<&Upload>) -> Result<Place, Failure> {
    let place = Place::parse(text).map_err(|error| Failure::usage(&error.to_string(), &error.hint()))?;
    if !matches!(place, Place::S3 { .. }) {
        let given = reach.given().or(upload.and_then(Upload::given));
        if let Some(option) = given {
            return Err(Failure::usage(
                &format!("{option} is for s3:// only, and {text} is {}", place.kind()),
                "name a bucket, such as s3://factory-eu/batches, or leave the option out",
            ));
        }
    }
    if let Some(url) = &reach.endpoint_url {
        let rest = url
            .strip_prefix("http://")
            .or_else(|| url.strip_prefix("https://"));
        if rest.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
            return Err(Failure::usage(
                &format!("--endpoint-url {url} is no URL of a server"),
                "begin it with http:// or https://, as in http://localhost:9000",
            ));
        }
    }
    if let Some(Upload {
        sse: Some(algorithm),
        sse_kms_key_id: Some(_),
        ..
    }) = upload
        && algorithm == "AES256"
    {
        return Err(Failure::usage(
            "--sse-kms-key-id is for --sse aws:kms only",
            "leave it out, or choose --sse aws:kms",
        ));
    }
    if let Some(class @ ("GLACIER" | "DEEP_ARCHIVE")) =
        upload.and_then(|upload| upload.storage_class.as_deref())
    {
        return Err(Failure::usage(
            &format!("--storage-class {class} cannot be read back at once"),
            "choose one that can: STANDARD, STANDARD_IA, ONEZONE_IA, GLACIER_IR or INTELLIGENT_TIERING",
        ));
    }
    Ok(place)
}

impl Reach {
    #[cfg(feature = "aws")]
    pub fn new(endpoint_url: Option<String>, region: Option<String>) -> Self {
        Self { endpoint_url, region }
    }

    /// The same for whoever asks AWS itself.
    #[cfg(feature = "sdk")]
    pub fn to_sdk(&self) -> certforge::sdk::Reach {
        certforge::sdk::Reach {
            credentials: None,
            endpoint_url: self.endpoint_url.clone().or_else(|| settings::of("endpoint_url")),
            region: self.region.clone().or_else(|| settings::of("region")),
            connections: 1,
            ask_code: None,
        }
    }

    fn given(&self) -> Option<&'static str> {
        let options = [
            ("--endpoint-url", self.endpoint_url.is_some()),
            ("--region", self.region.is_some()),
        ];
        first_given(&options)
    }

    /// The options once more, for a further command on the same place.
    pub fn to_arguments(&self) -> String {
        let option = |name: &str, value: &Option<String>| {
            let value = value.as_ref()?;
            Some(format!(" {name} {value}"))
        };
        let url = option("--endpoint-url", &self.endpoint_url);
        url.into_iter().chain(option("--region", &self.region)).collect()
    }

    /// Opens a place to read from it.
    pub fn open(&self, place: &Place) -> Result<Store, StoreError> {
        open(place, self, None, None, &[], Patience::Long)
    }

    /// The batches at a place: that itself, or those in it.
    pub fn batches(&self, place: &Place) -> Result<Vec<Place>, StoreError> {
        store::batches(place, &options(self, None, None, &[], Patience::Long))
    }

    /// Opens a place for somebody who waits for each answer, and can come back later.
    pub fn open_quick(&self, place: &Place) -> Result<Store, StoreError> {
        open(place, self, None, None, &[], Patience::Short)
    }
}

impl Upload {
    fn given(&self) -> Option<&'static str> {
        let options = [
            ("--uploads", self.uploads.is_some()),
            ("--sse", self.sse.is_some()),
            ("--storage-class", self.storage_class.is_some()),
            ("--tags", self.tags),
            ("--expire-after", self.expire_after.is_some()),
        ];
        first_given(&options)
    }

    /// Opens the place of a batch to store it there.
    pub fn open(
        &self,
        place: &Place,
        reach: &Reach,
        batch: &str,
        profile: &str,
        ledger: &str,
    ) -> Result<Store, StoreError> {
        let mut tags = Vec::new();
        if self.tags {
            tags.push(("certforge-batch".to_owned(), batch.to_owned()));
            tags.push(("certforge-profile".to_owned(), profile.to_owned()));
        }
        if let Some(days) = self.expire_after {
            tags.push((EXPIRY_TAG.to_owned(), days.to_string()));
        }
        open(place, reach, Some(self), Some(ledger), &tags, Patience::Long)
    }
}

fn first_given(options: &[(&'static str, bool)]) -> Option<&'static str> {
    options
        .iter()
        .find(|(_, is_given)| *is_given)
        .map(|(name, _)| *name)
}

fn open(
    place: &Place,
    reach: &Reach,
    upload: Option<&Upload>,
    ledger: Option<&str>,
    tags: &[(String, String)],
    patience: Patience,
) -> Result<Store, StoreError> {
    store::open(place, &options(reach, upload, ledger, tags, patience))
}

fn options(
    reach: &Reach,
    upload: Option<&Upload>,
    ledger: Option<&str>,
    tags: &[(String, String)],
    patience: Patience,
) -> StoreOptions {
    let encryption = upload.and_then(|upload| {
        Some(Encryption {
            algorithm: upload.sse.clone()?,
            kms_key_id: upload.sse_kms_key_id.clone(),
        })
    });
    let mut options = StoreOptions {
        endpoint_url: reach
            .endpoint_url
            .clone()
            .or_else(|| settings::of("endpoint_url")),
        ask_code: Some(super::mfa::ask_code),
        region: reach.region.clone().or_else(|| settings::of("region")),
        encryption,
        storage_class: upload.and_then(|upload| upload.storage_class.clone()),
        ledger: ledger.map(str::to_owned),
        tags: tags.to_vec(),
        ..StoreOptions::default()
    };
    if let Some(uploads) = upload.and_then(|upload| upload.uploads) {
        options.uploads = uploads;
    }
    if let Patience::Short = patience {
        options.attempts = Some(QUICK_ATTEMPTS);
        options.attempt_timeout = QUICK_ATTEMPT_TIMEOUT;
    }
    options
}
