//! Exit codes, part of the interface and the same since the first release; and the table that gives one to every error.

use std::error::Error;

use certforge::bench::BenchError;
use certforge::engine::EngineError;
use certforge::forge::ForgeError;
use certforge::generation::GenerationError;
use certforge::issuer::IssuerError;
use certforge::ledger::LedgerError;
use certforge::manifest::ManifestError;
use certforge::plugin::PluginError;
use certforge::profile::ProfileError;
use certforge::rebuild::RebuildError;
use certforge::seal::SealError;
use certforge::signer::SignerError;
use certforge::station::{IdentityFileError, StationError};
use certforge::store::{ReadError, StoreError};
use certforge::verify::VerifyError;
use certforge::vouched::VouchedError;

pub const SOME_FAILED: u8 = 1;
pub const USAGE: u8 = 2;
pub const MANIFEST: u8 = 3;
pub const PROFILE: u8 = 4;
pub const ISSUER: u8 = 5;
pub const STORE: u8 = 6;
pub const LEDGER: u8 = 7;
/// AWS refused, or would refuse, or holds something else than what was asked for.
#[cfg(feature = "aws")]
pub const AWS: u8 = 8;
/// A station cannot have the device, or cannot report on it.
pub const STATION: u8 = 9;
pub const INTERRUPTED: u8 = 130;

/// An error that ends a command: it stands in the table below, and becomes a failure by `?`.
pub trait Coded: Error + Sized + 'static {
    /// The exit code.
    fn code(&self) -> u8;

    /// What the user can do about it.
    fn hint(&self) -> Option<String>;
}

/// A line for each error: its exit code, by the kind of error. The hint is the error's own.
macro_rules! table {
    ($($error:ident: |$it:pat_param| $code:expr;)*) => {
        $(impl Coded for $error {
            fn code(&self) -> u8 {
                let $it = self;
                $code
            }

            fn hint(&self) -> Option<String> {
                $error::hint(self)
            }
        })*
    };
}

table! {
    ManifestError: |_| MANIFEST;
    ProfileError: |error| match error {
        // Recipients of a profile are within what is wrong with that.
        ProfileError::Host { .. }
        | ProfileError::Recipient { .. }
        | ProfileError::Recipients { .. }
        | ProfileError::Password { .. }
        | ProfileError::OtherPassword { .. } => USAGE,
        _ => PROFILE,
    };
    EngineError: |error| match error {
        EngineError::Unknown { .. }
        | EngineError::NoKeys { .. }
        | EngineError::NoSignatures { .. }
        | EngineError::Processor { .. }
        | EngineError::MultiBuffer => USAGE,
        EngineError::KeyRejected { .. } => ISSUER,
        EngineError::Failed { .. } | EngineError::Random => SOME_FAILED,
    };
    PluginError: |error| match error {
        PluginError::Missing { .. }
        | PluginError::Start { .. }
        | PluginError::Refused { .. }
        | PluginError::Labels { .. } => USAGE,
        PluginError::Ended { .. } | PluginError::Protocol { .. } | PluginError::TimedOut { .. } => SOME_FAILED,
    };
    SignerError: |error| match error {
        SignerError::Engine(error) => error.code(),
        SignerError::Access(_) | SignerError::Refused { .. } | SignerError::Incomplete { .. } => ISSUER,
    };
    IssuerError: |error| match error {
        IssuerError::Signer(error) => error.code(),
        _ => ISSUER,
    };
    StoreError: |_| STORE;
    ReadError: |_| STORE;
    LedgerError: |_| LEDGER;
    RebuildError: |error| match error {
        RebuildError::Store(error) => error.code(),
        RebuildError::Read(error) => error.code(),
        RebuildError::Ledger(error) => error.code(),
        RebuildError::Engine(error) => error.code(),
        RebuildError::NoBatches { .. } => STORE,
        RebuildError::OtherIssuer { .. } => ISSUER,
        RebuildError::NotNamed { .. } | RebuildError::NoSuchReissue { .. } => USAGE,
    };
    SealError: |error| match error {
        SealError::OtherIssuer { .. } | SealError::Signature { .. } => ISSUER,
        SealError::Signer(error) => error.code(),
        _ => STORE,
    };
    VouchedError: |error| match error {
        VouchedError::Ledger(error) => error.code(),
        VouchedError::Seal(error) => error.code(),
        VouchedError::OtherIssuer { .. } => ISSUER,
        _ => STORE,
    };
    ForgeError: |error| match error {
        ForgeError::Manifest(error) => error.code(),
        ForgeError::Engine(error) => error.code(),
        ForgeError::Plugin(error) => error.code(),
        ForgeError::Signer(error) => error.code(),
        ForgeError::Seal(error) => error.code(),
        ForgeError::Issuer(error) => error.code(),
        ForgeError::Validity(_) | ForgeError::Recipe(_) => PROFILE,
        ForgeError::Store(_)
        | ForgeError::ForeignBatch { .. }
        | ForgeError::ForeignChunk { .. }
        | ForgeError::Leftovers { .. }
        | ForgeError::OtherSeal { .. }
        | ForgeError::OtherShards { .. }
        | ForgeError::SealedBefore { .. }
        | ForgeError::Unfinished { .. }
        | ForgeError::ForeignShard { .. }
        | ForgeError::SealElsewhere { .. }
        | ForgeError::UnsealedShard { .. }
        | ForgeError::SharedGone { .. }
        | ForgeError::SharedChanged { .. }
        | ForgeError::BundlesGone { .. } => STORE,
        ForgeError::OtherIssuer { .. } => ISSUER,
        ForgeError::Ledger(_)
        | ForgeError::UnknownBatch { .. }
        | ForgeError::ForgottenBatch { .. }
        | ForgeError::Issued { .. }
        | ForgeError::SameManifest { .. }
        | ForgeError::Withdrawn { .. } => LEDGER,
        ForgeError::Lint(_) | ForgeError::Signature => SOME_FAILED,
        ForgeError::BatchName { .. }
        | ForgeError::ReissueNeedsName { .. }
        | ForgeError::IsReissue { .. }
        | ForgeError::ChunkRows { .. }
        | ForgeError::ShardWithoutCa
        | ForgeError::OtherRecipients { .. }
        | ForgeError::Threads { .. } => USAGE,
    };
    GenerationError: |error| match error {
        GenerationError::Seal(error) => error.code(),
        GenerationError::Engine(error) => error.code(),
        GenerationError::Plugin(error) => error.code(),
        GenerationError::Profile(error) => error.code(),
        GenerationError::Recipe(_)
        | GenerationError::Unfit { .. }
        | GenerationError::OtherCertificates { .. } | GenerationError::NoName { .. } | GenerationError::NoText { .. } => {
            PROFILE
        }
        GenerationError::OtherSigner { .. } => ISSUER,
        GenerationError::Withdrawn { .. } => LEDGER,
        GenerationError::NoIdentity { .. } | GenerationError::SomebodyElse { .. } => STATION,
        GenerationError::Interrupted => INTERRUPTED,
        GenerationError::Store(_)
        | GenerationError::Read(_)
        | GenerationError::NotSealed { .. }
        | GenerationError::Moved { .. }
        | GenerationError::Bundle { .. }
        | GenerationError::ReadBack { .. }
        | GenerationError::Faster { .. } => STORE,
    };
    VerifyError: |error| match error {
        VerifyError::Ledger(_) | VerifyError::OtherLedger { .. } => LEDGER,
        VerifyError::OtherIssuer { .. } => ISSUER,
        VerifyError::Manifest(_) | VerifyError::OtherManifest { .. } => MANIFEST,
        VerifyError::Store(_) | VerifyError::Read(_) | VerifyError::Generation { .. } => STORE,
        VerifyError::SomebodyElse { .. } => STATION,
        VerifyError::Profile(error) => error.code(),
    };
    StationError: |error| match error {
        StationError::Store(_)
        | StationError::NoBatch { .. }
        | StationError::NotSealed { .. }
        | StationError::Moved { .. }
        | StationError::Certificates { .. }
        | StationError::Bundle { .. }
        | StationError::NotRead(_)
        | StationError::ClaimGone { .. }
        | StationError::Unrecorded { .. }
        | StationError::Damaged { .. }
        | StationError::Pack { .. } => STORE,
        StationError::Seal(error) => error.code(),
        StationError::Engine(error) => error.code(),
        StationError::Name { .. }
        | StationError::NotEmpty { .. }
        | StationError::NotPrivate { .. }
        | StationError::UnsafeWay { .. }
        | StationError::Script { .. } => USAGE,
        _ => STATION,
    };
    IdentityFileError: |error| match error {
        IdentityFileError::Random(error) => error.code(),
        _ => USAGE,
    };
    BenchError: |error| match error {
        BenchError::Engine(error) => error.code(),
        BenchError::Forge(error) => error.code(),
        BenchError::Ledger(error) => error.code(),
        BenchError::Issuer(error) => error.code(),
        BenchError::Manifest(error) => error.code(),
        BenchError::Profile(_) => PROFILE,
        BenchError::Folder { .. } | BenchError::Write { .. } => STORE,
        BenchError::Unsound { .. } => SOME_FAILED,
        BenchError::Interrupted => INTERRUPTED,
        BenchError::Nothing
        | BenchError::Threads { .. }
        | BenchError::ReadReport { .. }
        | BenchError::NotReport { .. }
        | BenchError::Format { .. } => USAGE,
    };
}

/// The errors of the AWS wing.
#[cfg(feature = "aws")]
mod wing {
    use certforge::aws::{ActionError, AwsError, WithdrawError};
    use certforge::jitp::{NameTaken, ProofError};
    use certforge::rehearsal::{AccountError, EndpointError, RunError, ServerIdentityError};

    use super::{AWS, Coded, ISSUER, LEDGER, STORE, USAGE};

    table! {
        ProofError: |error| match error {
            ProofError::Code { .. } => USAGE,
            ProofError::Engine(error) => error.code(),
            ProofError::Signer(error) => error.code(),
            _ => ISSUER,
        };
        NameTaken: |_| AWS;
        AwsError: |_| AWS;
        ActionError: |error| match error {
            ActionError::Aws(_) => AWS,
            ActionError::Proof(_) => ISSUER,
            ActionError::Note { .. } => USAGE,
        };
        WithdrawError: |error| match error {
            WithdrawError::Ledger(error) => error.code(),
            WithdrawError::Store(error) => error.code(),
            WithdrawError::Batch(error) => error.code(),
            WithdrawError::Issuer(_) => LEDGER,
            WithdrawError::Aws(_) | WithdrawError::NotRegistered { .. } => AWS,
            WithdrawError::OtherBatch { .. } | WithdrawError::MayBeCopy { .. } => USAGE,
        };
        AccountError: |error| match error {
            AccountError::Missing { .. } | AccountError::NotState { .. } | AccountError::Version { .. } => USAGE,
            AccountError::Sqlite { .. } | AccountError::Authority(_) => STORE,
        };
        RunError: |error| match error {
            RunError::Batch(error) => error.code(),
            RunError::Account(error) => error.code(),
            RunError::Listen { .. } | RunError::Runtime(_) => USAGE,
        };
        ServerIdentityError: |_| USAGE;
        EndpointError: |error| match error {
            EndpointError::Account(error) => error.code(),
            EndpointError::Identity(error) => error.code(),
        };
    }
}
