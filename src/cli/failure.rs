//! Failures: what went wrong, what to do about it, and the exit code.

use std::error::Error;
use std::process::ExitCode;

use certforge::bench::BenchError;
use certforge::engine::EngineError;
use certforge::forge::ForgeError;
use certforge::issuer::IssuerError;
use certforge::jitp::{IssuedError, ProofError};
use certforge::ledger::LedgerError;
use certforge::manifest::ManifestError;
use certforge::profile::ProfileError;
use certforge::seal::SealError;
use certforge::signer::SignerError;
use certforge::station::StationError;
use certforge::store::{ReadError, StoreError};
use certforge::verify::VerifyError;
use serde_json::json;

use super::exit;

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    error: Box<dyn Error>,
    hint: Option<String>,
}

impl Failure {
    pub fn usage(message: &str, hint: &str) -> Self {
        Self {
            code: exit::USAGE,
            error: message.into(),
            hint: Some(hint.to_owned()),
        }
    }

    /// An error with its causes, under a code.
    #[cfg(any(feature = "aws", feature = "rehearsal"))]
    pub fn with_code(code: u8, error: impl Error + 'static, hint: Option<String>) -> Self {
        Self {
            code,
            error: error.into(),
            hint,
        }
    }

    /// AWS refuses, or would.
    pub fn aws(message: impl Into<String>, hint: &str) -> Self {
        Self {
            code: exit::AWS,
            error: message.into().into(),
            hint: Some(hint.to_owned()),
        }
    }

    /// The same, with an error and its causes.
    pub fn aws_error(error: impl Error + 'static, hint: &str) -> Self {
        Self {
            code: exit::AWS,
            error: error.into(),
            hint: Some(hint.to_owned()),
        }
    }

    /// A device that would not come up.
    pub fn refused(message: impl Into<String>, hint: &str) -> Self {
        Self {
            code: exit::SOME_FAILED,
            error: message.into().into(),
            hint: Some(hint.to_owned()),
        }
    }

    /// The failure that an error would be, which somebody else keeps.
    pub fn from_reference(error: &StationError) -> Self {
        Self {
            code: station_code(error),
            error: chain(error).into(),
            hint: error.hint(),
        }
    }

    /// The same with another hint.
    pub fn with_hint(self, hint: &str) -> Self {
        Self {
            hint: Some(hint.to_owned()),
            ..self
        }
    }

    pub fn exit_code(&self) -> ExitCode {
        self.code.into()
    }

    /// The failure for machines.
    pub fn to_json(&self) -> serde_json::Value {
        json!({ "message": chain(&*self.error), "hint": self.hint, "exit_code": self.code })
    }

    /// Prints error and hint, and for machines a document as well.
    pub fn report(&self, json: bool) {
        if json {
            super::print_json(&json!({ "error": self.to_json() }));
        }
        self.report_to_people();
    }

    /// Prints error and hint.
    pub fn report_to_people(&self) {
        let message = chain(&*self.error);
        eprintln!("certforge: error: {message}");
        if let Some(hint) = &self.hint {
            eprintln!("certforge: hint: {hint}");
        }
    }
}

/// An error and its causes, in one line.
#[cfg(feature = "rehearsal")]
pub fn chain_of(error: &(impl Error + 'static)) -> String {
    chain(error)
}

/// An error and its causes; one that says the same as what it causes is said once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // rusqlite's errors say all that SQLite's own says, in other words.
        if cause.is::<rusqlite::ffi::Error>() {
            break;
        }
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        Self {
            code: exit::MANIFEST,
            hint: error.hint(),
            error: error.into(),
        }
    }
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        Self {
            code: match error {
                ProfileError::Host { .. } => exit::USAGE,
                _ => exit::PROFILE,
            },
            hint: error.hint(),
            error: error.into(),
        }
    }
}

impl From<IssuerError> for Failure {
    fn from(error: IssuerError) -> Self {
        Self {
            code: match &error {
                IssuerError::Signer(error) => signer_code(error),
                _ => exit::ISSUER,
            },
            hint: error.hint(),
            error: error.into(),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self {
            code: exit::STORE,
            hint: error.hint(),
            error: error.into(),
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self {
            code: exit::LEDGER,
            hint: error.hint(),
            error: error.into(),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self {
            code: engine_code(&error),
            hint: error.hint(),
            error: error.into(),
        }
    }
}

fn engine_code(error: &EngineError) -> u8 {
    match error {
        EngineError::Unknown { .. }
        | EngineError::NoKeys { .. }
        | EngineError::NoSignatures { .. }
        | EngineError::Unavailable { .. } => exit::USAGE,
        EngineError::KeyRejected { .. } => exit::ISSUER,
        EngineError::Failed { .. } | EngineError::Random => exit::SOME_FAILED,
    }
}

fn signer_code(error: &SignerError) -> u8 {
    match error {
        SignerError::Engine(error) => engine_code(error),
        SignerError::Refused { .. } | SignerError::Incomplete { .. } => exit::ISSUER,
    }
}

fn seal_code(error: &SealError) -> u8 {
    match error {
        SealError::OtherIssuer { .. } | SealError::Signature { .. } => exit::ISSUER,
        SealError::Signer(error) => signer_code(error),
        _ => exit::STORE,
    }
}

impl From<ForgeError> for Failure {
    fn from(error: ForgeError) -> Self {
        Self {
            code: forge_code(&error),
            hint: error.hint(),
            error: error.into(),
        }
    }
}

fn forge_code(error: &ForgeError) -> u8 {
    match error {
        ForgeError::Manifest(_) => exit::MANIFEST,
        ForgeError::Engine(error) => engine_code(error),
        ForgeError::Signer(error) => signer_code(error),
        ForgeError::Validity(_) | ForgeError::Recipe(_) => exit::PROFILE,
        ForgeError::Store(_)
        | ForgeError::ForeignBatch { .. }
        | ForgeError::ForeignChunk { .. }
        | ForgeError::Leftovers { .. }
        | ForgeError::OtherSeal { .. }
        | ForgeError::OtherShards { .. }
        | ForgeError::SealedBefore { .. }
        | ForgeError::Unfinished { .. }
        | ForgeError::BundlesGone { .. } => exit::STORE,
        ForgeError::OtherIssuer { .. } => exit::ISSUER,
        ForgeError::Seal(error) => seal_code(error),
        ForgeError::Ledger(_)
        | ForgeError::Issued { .. }
        | ForgeError::SameManifest { .. }
        | ForgeError::Withdrawn { .. } => exit::LEDGER,
        ForgeError::Lint(_) | ForgeError::Signature => exit::SOME_FAILED,
        ForgeError::BatchName { .. }
        | ForgeError::ReissueNeedsName { .. }
        | ForgeError::IsReissue { .. }
        | ForgeError::ChunkRows { .. }
        | ForgeError::Threads { .. } => exit::USAGE,
    }
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        let code = match &error {
            BenchError::Engine(error) => engine_code(error),
            BenchError::Forge(error) => forge_code(error),
            BenchError::Ledger(_) => exit::LEDGER,
            BenchError::Issuer(_) => exit::ISSUER,
            BenchError::Manifest(_) => exit::MANIFEST,
            BenchError::Profile(_) => exit::PROFILE,
            BenchError::Folder { .. } | BenchError::Write { .. } => exit::STORE,
            BenchError::Unsound { .. } => exit::SOME_FAILED,
            BenchError::Interrupted => exit::INTERRUPTED,
            BenchError::Nothing
            | BenchError::Threads { .. }
            | BenchError::ReadReport { .. }
            | BenchError::NotReport { .. }
            | BenchError::Format { .. } => exit::USAGE,
        };
        Self {
            code,
            hint: error.hint(),
            error: error.into(),
        }
    }
}

impl From<StationError> for Failure {
    fn from(error: StationError) -> Self {
        Self {
            code: station_code(&error),
            hint: error.hint(),
            error: error.into(),
        }
    }
}

fn station_code(error: &StationError) -> u8 {
    match error {
        StationError::Store(_)
        | StationError::NoBatch { .. }
        | StationError::NotSealed { .. }
        | StationError::Moved { .. }
        | StationError::Certificates { .. }
        | StationError::Bundle { .. }
        | StationError::NotRead(_)
        | StationError::Pack { .. } => exit::STORE,
        StationError::Seal(error) => seal_code(error),
        StationError::Engine(error) => engine_code(error),
        StationError::Name { .. }
        | StationError::NotEmpty { .. }
        | StationError::NotPrivate { .. }
        | StationError::Script { .. } => exit::USAGE,
        _ => exit::STATION,
    }
}

impl From<ProofError> for Failure {
    fn from(error: ProofError) -> Self {
        let code = match &error {
            ProofError::Code { .. } => exit::USAGE,
            ProofError::Engine(error) => engine_code(error),
            ProofError::Signer(error) => signer_code(error),
            _ => exit::ISSUER,
        };
        Self {
            code,
            hint: error.hint(),
            error: error.into(),
        }
    }
}

impl From<IssuedError> for Failure {
    fn from(error: IssuedError) -> Self {
        Self {
            code: exit::STORE,
            hint: error.hint(),
            error: error.into(),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self {
            code: exit::STORE,
            hint: error.hint(),
            error: error.into(),
        }
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        Self {
            code: verify_code(&error),
            hint: error.hint(),
            error: error.into(),
        }
    }
}

fn verify_code(error: &VerifyError) -> u8 {
    match error {
        VerifyError::Ledger(_) | VerifyError::OtherLedger { .. } | VerifyError::Shards { .. } => exit::LEDGER,
        VerifyError::Manifest(_) | VerifyError::OtherManifest { .. } => exit::MANIFEST,
        VerifyError::Store(_) | VerifyError::Read(_) => exit::STORE,
    }
}
