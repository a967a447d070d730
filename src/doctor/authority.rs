//! The CA and its ledger: whether they are there, whole, and nobody else's to change.

use std::path::Path;

use time::OffsetDateTime;

use super::{Check, Options, State};
use crate::bounded;
use crate::exposure;
use crate::issuer::{
    CaCertificate, CaFiles, ENDPOINT_FILE, ForBatch, IssuerError, KEY_FILE, KeyPlace, read_endpoint,
    read_public,
};
use crate::ledger::{self, CaFolder, LedgerError, Patience};
use crate::pem;
use crate::profile::rfc3339;

/// Days before the end of a CA when somebody should know.
const SOON: i64 = 365;

pub(super) fn checks(options: &Options) -> Vec<Check> {
    let files = CaFiles::in_folder(&options.ca);
    let has_key = match &files.key {
        KeyPlace::File(path) | KeyPlace::Wrapped(path) | KeyPlace::NamedBy(path) => path.exists(),
        KeyPlace::Elsewhere(_) => true,
    };
    if !files.certificate.exists() && !has_key {
        let said = "there is none yet; `certforge run` makes a lab CA there, `certforge ca new` a real one";
        return vec![
            Check::ok("CA", options.ca.display().to_string(), said),
            ledger(options, false),
        ];
    }
    let mut checks = Vec::new();
    match read_public(&files) {
        Ok((ca, _)) => checks.push(certificate(&files, &ca, options.now)),
        Err(error) => checks.push(failed("CA", &files.certificate, &error)),
    }
    checks.push(key_of(&options.ca, &files.key));
    checks.extend(endpoint(&options.ca.join(ENDPOINT_FILE)));
    checks.push(ledger(options, true));
    checks
}

/// What may be told of a key without asking for a PIN.
fn key_of(folder: &Path, place: &KeyPlace) -> Check {
    if let Ok(Some(ForBatch { retired_at: Some(at) })) = ForBatch::read(folder) {
        return Check::ok(
            "CA",
            folder.display().to_string(),
            format!("retired at {at}: it signs no more"),
        );
    }
    let uri = match place {
        KeyPlace::File(path) => return key(path),
        KeyPlace::Wrapped(path) => {
            let check = key(path);
            return match check.state == State::Bad {
                true => check,
                false => Check::ok(
                    "CA",
                    path.display().to_string(),
                    "there, encrypted; a token opens it",
                ),
            };
        }
        place => place.uri(),
    };
    match uri {
        Ok(Some(uri)) => Check::ok("CA", uri.to_string(), "the key is there, and not in a file"),
        Ok(None) => key(&folder.join(KEY_FILE)),
        Err(error) => failed("CA", folder, &error),
    }
}

fn failed(area: &'static str, path: &Path, error: &IssuerError) -> Check {
    let said = crate::causes::in_one_line(error);
    let hint = error
        .hint()
        .unwrap_or_else(|| "check the path and who may use it".to_owned());
    Check::ok(area, path.display().to_string(), said).bad(hint)
}

fn certificate(files: &CaFiles, ca: &CaCertificate, now: OffsetDateTime) -> Check {
    let end = ca.period().not_after;
    let left = (end - now).whole_days();
    let said = format!(
        "{}, {}, until {} ({left} days left)",
        ca.subject_text(),
        ca.key_type(),
        rfc3339(end)
    );
    let check = Check::ok("CA", files.certificate.display().to_string(), said);
    if let Err(error) = ca.check_validity(&files.certificate, now) {
        return check.bad(error.hint().unwrap_or_default());
    }
    if left < SOON {
        return check.warn("its device certificates end with it at the latest: make the next CA in time");
    }
    match ca.is_lab() {
        true => check.warn("this is a LAB CA, not for production: `certforge ca new` makes a real one"),
        false => check,
    }
}

/// What may be told of a key: whether it is there, encrypted, and nobody else's.
fn key(path: &Path) -> Check {
    let what = path.display().to_string();
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) => {
            return Check::ok("CA", what, format!("cannot be read: {error}"))
                .warn("without its key a CA signs nothing: name the files with --ca-certificate and --ca-key, or fetch it");
        }
    };
    if let Some(exposure) = exposure::of_secret(&metadata) {
        return Check::ok("CA", what, exposure.to_string()).bad(exposure.hint(path));
    }
    let is_encrypted = bounded::read_text(path).map(|text| {
        let text = zeroize::Zeroizing::new(text);
        pem::blocks(&text).is_ok_and(|blocks| blocks.iter().any(|block| block.label.starts_with("ENCRYPTED")))
    });
    match is_encrypted {
        Ok(true) => Check::ok("CA", what, "there, for its owner alone, encrypted"),
        Ok(false) => Check::ok("CA", what, "there, for its owner alone, not encrypted")
            .warn("whoever reads it can make devices: `openssl pkcs8 -topk8 -v2 aes-256-cbc` encrypts it"),
        Err(error) => Check::ok("CA", what, format!("cannot be read: {error}")).bad("check who may use it"),
    }
}

fn endpoint(path: &Path) -> Option<Check> {
    match read_endpoint(path) {
        Ok(host) => Some(Check::ok(
            "CA",
            path.display().to_string(),
            format!("endpoint {}", host?),
        )),
        Err(error) => Some(failed("CA", path, &error)),
    }
}

fn ledger(options: &Options, has_ca: bool) -> Check {
    let (name, folder) = (&options.ledger, CaFolder::new(&options.ca, None));
    let what = name.to_string();
    let opened = folder
        .check_before(name, &Patience::default())
        .and_then(|()| ledger::open_read_only(name))
        .and_then(|ledger| ledger.status(None));
    match opened {
        Ok(batches) => {
            let devices: u64 = batches.iter().map(|batch| batch.released).sum();
            let last = batches.last().map_or_else(String::new, |last| {
                let withdrawn = if last.withdrawn.is_some() {
                    ", withdrawn"
                } else {
                    ""
                };
                format!(
                    ", the last is {} of {} ({} of {} devices released{withdrawn})",
                    last.batch, last.created_at, last.released, last.devices
                )
            });
            Check::ok(
                "ledger",
                what,
                format!("{} batches, {devices} devices released{last}", batches.len()),
            )
        }
        Err(LedgerError::Missing { .. }) => {
            let check = Check::ok("ledger", what, "there is none yet");
            match has_ca {
                true => check.warn(
                    "a CA that has issued devices needs its ledger, or they get a second identity: name it with --ledger",
                ),
                false => check,
            }
        }
        Err(error) => Check::ok("ledger", what, crate::causes::in_one_line(&error))
            .bad(error.hint().unwrap_or_default()),
    }
}
