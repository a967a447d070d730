//! A key in AWS KMS, which signs digests that are made here.
//!
//! Its quota is some hundred signatures a second, for the whole account: it is for CAs that sign few certificates, such as those
//! of CAs for batches. What it throttles is asked for again, by the SDK first and by the whole request then.

use std::num::NonZeroUsize;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_lc_rs::digest::{SHA384, digest};
use aws_sdk_kms::Client;
use aws_sdk_kms::error::ProvideErrorMetadata;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec};
use aws_smithy_runtime_api::client::result::SdkError;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use super::uri::{KeyUri, KmsUri};
use super::wrapped::{Wrapped, Wrapping};
use super::{AccessError, Manner, PublicKey, Remote, Signer, SignerError};
use crate::digest::sha256;
use crate::engine::SignatureAlgorithm;
use crate::profile::KeyType;
use crate::sdk::{self, Reach, SettingsError, is_denied};

/// Messages of a request: what is asked for again when one of them is throttled for too long.
const GROUP: NonZeroUsize = NonZeroUsize::new(32).unwrap();
const IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(4).unwrap();

/// Attempts of the SDK at one signature.
const SDK_ATTEMPTS: u32 = 6;
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// Signs with a key in KMS.
#[derive(Debug)]
pub(super) struct InKms {
    runtime: Runtime,
    client: Client,
    /// As it is asked for.
    key: String,
    place: String,
    key_type: KeyType,
}

impl InKms {
    /// Finds a key; what means it and no other is its ARN, wherever an alias points later.
    pub(super) fn open(uri: &KmsUri) -> Result<(Self, PublicKey, KmsUri), AccessError> {
        let place = KeyUri::Kms(uri.clone()).to_string();
        let (runtime, client) = connect(uri, &place)?;
        let asked = client.get_public_key().key_id(&uri.key).send();
        let answer = runtime
            .block_on(asked)
            .map_err(|error| refusal(&place, &uri.key, "kms:GetPublicKey", &error))?;
        let unfit = |reason: &str| AccessError::Unfit {
            place: place.clone(),
            reason: reason.to_owned(),
        };
        if answer.key_usage() != Some(&KeyUsageType::SignVerify) {
            return Err(unfit("it is not for signatures (SIGN_VERIFY)"));
        }
        let key_type = match answer.key_spec() {
            Some(KeySpec::EccNistP256) => KeyType::P256,
            Some(KeySpec::EccNistP384) => KeyType::P384,
            Some(KeySpec::Rsa2048) => KeyType::Rsa2048,
            Some(KeySpec::Rsa3072) => KeyType::Rsa3072,
            Some(KeySpec::Rsa4096) => KeyType::Rsa4096,
            Some(other) => return Err(unfit(&format!("its type is {}", other.as_str()))),
            None => return Err(unfit("it does not say its type")),
        };
        let der = answer.public_key().map(Blob::as_ref).unwrap_or_default();
        let octets = match SubjectPublicKeyInfo::from_der(der) {
            Ok((_, info)) => info.subject_public_key.data.to_vec(),
            Err(_) => return Err(unfit("its public half cannot be read")),
        };
        let named = KmsUri {
            key: answer.key_id().unwrap_or(&uri.key).to_owned(),
            region: uri.region.clone(),
        };
        let signer = Self {
            runtime,
            client,
            key: named.key.clone(),
            place,
            key_type,
        };
        Ok((signer, PublicKey { key_type, octets }, named))
    }
}

/// Has a secret wrapped by a symmetric key.
pub(super) fn wrap(uri: &KmsUri, secret: &[u8]) -> Result<Wrapped, SignerError> {
    let place = KeyUri::Kms(uri.clone()).to_string();
    let (runtime, client) = connect(uri, &place)?;
    let asked = client.encrypt().key_id(&uri.key).plaintext(Blob::new(secret));
    let answer = runtime
        .block_on(asked.send())
        .map_err(|error| refusal(&place, &uri.key, "kms:Encrypt", &error))?;
    let octets = answer.ciphertext_blob().map(Blob::as_ref).unwrap_or_default();
    Ok(Wrapped {
        uri: KeyUri::Kms(KmsUri {
            key: answer.key_id().unwrap_or(&uri.key).to_owned(),
            region: uri.region.clone(),
        }),
        how: Wrapping::Kms,
        octets: octets.to_vec(),
        is_made: false,
    })
}

/// Opens what was wrapped; `None`: another key has wrapped it, or it was changed.
pub(super) fn unwrap(uri: &KmsUri, octets: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, SignerError> {
    let place = KeyUri::Kms(uri.clone()).to_string();
    let (runtime, client) = connect(uri, &place)?;
    let asked = client
        .decrypt()
        .key_id(&uri.key)
        .ciphertext_blob(Blob::new(octets));
    match runtime.block_on(asked.send()) {
        Ok(answer) => Ok(answer.plaintext.map(|secret| Zeroizing::new(secret.into_inner()))),
        Err(error) => match error.code() {
            Some("InvalidCiphertextException" | "IncorrectKeyException") => Ok(None),
            _ => Err(refusal(&place, &uri.key, "kms:Decrypt", &error).into()),
        },
    }
}

fn connect(uri: &KmsUri, place: &str) -> Result<(Runtime, Client), AccessError> {
    let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| AccessError::Unreachable {
        place: place.to_owned(),
        is_passing: false,
        source,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| unreachable(error.into()))?;
    let client = runtime
        .block_on(client(uri))
        .map_err(|error| unreachable(error.into()))?;
    Ok((runtime, client))
}

async fn client(uri: &KmsUri) -> Result<Client, SettingsError> {
    let reach = Reach {
        region: uri.region.clone(),
        connections: GROUP.get() * IN_FLIGHT.get(),
        ..Reach::default()
    };
    let found = sdk::load(&reach).await?;
    let config = found
        .config
        .into_builder()
        .retry_config(RetryConfig::standard().with_max_attempts(SDK_ATTEMPTS))
        .build();
    if config.region().is_none() {
        return Err(SettingsError::no_region());
    }
    Ok(Client::new(&config))
}

impl Signer for InKms {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::for_key(self.key_type)
    }

    fn place(&self) -> &str {
        &self.place
    }

    fn engine(&self) -> &'static str {
        "kms"
    }

    fn manner(&self) -> Manner {
        Manner::Remote(Remote {
            in_flight: IN_FLIGHT,
            group: GROUP,
            attempts: ATTEMPTS,
            pause: PAUSE,
        })
    }

    fn sign(&self, messages: &[&[u8]], signatures: &mut [Vec<u8>]) -> Result<(), SignerError> {
        let (algorithm, digests): (_, Vec<Vec<u8>>) = match self.algorithm() {
            SignatureAlgorithm::EcdsaSha384 => (
                SigningAlgorithmSpec::EcdsaSha384,
                messages
                    .iter()
                    .map(|message| digest(&SHA384, message).as_ref().to_vec())
                    .collect(),
            ),
            SignatureAlgorithm::RsaSha256 => (
                SigningAlgorithmSpec::RsassaPkcs1V15Sha256,
                messages.iter().map(|message| sha256(message).to_vec()).collect(),
            ),
            SignatureAlgorithm::EcdsaSha256 | SignatureAlgorithm::EcdsaSha512 => (
                SigningAlgorithmSpec::EcdsaSha256,
                messages.iter().map(|message| sha256(message).to_vec()).collect(),
            ),
        };
        self.runtime.block_on(async {
            let mut asked = JoinSet::new();
            for (i, digest) in digests.into_iter().enumerate() {
                let request = self
                    .client
                    .sign()
                    .key_id(&self.key)
                    .message(Blob::new(digest))
                    .message_type(MessageType::Digest)
                    .signing_algorithm(algorithm.clone());
                asked.spawn(async move { (i, request.send().await) });
            }
            while let Some(answered) = asked.join_next().await {
                let (i, answer) = answered.expect("it does not panic");
                let answer = answer.map_err(|error| refusal(&self.place, &self.key, "kms:Sign", &error))?;
                signatures[i] = answer
                    .signature()
                    .map(|blob| blob.as_ref().to_vec())
                    .unwrap_or_default();
            }
            Ok(())
        })
    }
}

/// What a refusal means.
fn refusal<E, R>(place: &str, key: &str, action: &'static str, error: &SdkError<E, R>) -> AccessError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let code = error.code().unwrap_or_default().to_owned();
    // Without a code nobody has answered.
    let is_passing = matches!(
        code.as_str(),
        "" | "ThrottlingException"
            | "LimitExceededException"
            | "KMSInternalException"
            | "KeyUnavailableException"
            | "DependencyTimeoutException"
            | "ServiceUnavailableException"
    );
    let said: Box<dyn std::error::Error + Send + Sync> = sdk::causes(error).into();
    match code.as_str() {
        "NotFoundException" => AccessError::NoKmsKey { key: key.to_owned() },
        code if is_denied(code) => AccessError::Denied {
            key: key.to_owned(),
            action,
            source: said,
        },
        _ => AccessError::Unreachable {
            place: place.to_owned(),
            is_passing,
            source: said,
        },
    }
}
