//! Bundles: the files one device needs, as a deterministic ZIP.
//!
//! [`Bundler`] is a profile's recipe compiled for a batch: what is the same in every bundle comes first in
//! it, and is encoded, compressed, summed and hashed once. [`BundleWriter`] is a worker's own: it appends
//! bundles to a buffer. Pure: no disk, clock or randomness.

mod archive;
mod beginning;
mod roots;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use archive::{Archive, Constant, remove_members};
pub use roots::amazon_root;

use crate::issuer::CaCertificate;
use crate::pem;
use crate::profile::recipe::{BundleFile, Compression, Content, Format};
use crate::profile::{Endpoint, Profile};
use archive::Deflater;
use beginning::Beginning;

/// What a bundle says of one device.
#[derive(Clone, Copy)]
pub struct Credential<'a> {
    /// PKCS#8 DER.
    pub private_key: &'a [u8],
    /// X.509 DER.
    pub certificate: &'a [u8],
    pub thing_name: &'a str,
    pub client_id: &'a str,
}

impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({}, elided)", self.thing_name)
    }
}

/// A recipe, ready to be filled for each device of a batch.
#[derive(Debug)]
pub struct Bundler {
    beginning: Beginning,
    /// The files that differ from device to device.
    files: Vec<BundleFile>,
    issuer_pem: String,
    endpoint: Endpoint,
}

/// What `endpoint.json` holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointFile<'a> {
    /// `None`: the bundle names no endpoint.
    pub host: Option<Cow<'a, str>>,
    pub port: u16,
    pub client_id: Cow<'a, str>,
    pub thing_name: Cow<'a, str>,
    pub region: Option<Cow<'a, str>>,
}

/// Private keys are for their owner; the rest is public.
fn mode(content: Content) -> u32 {
    if content == Content::PrivateKey {
        0o600
    } else {
        0o644
    }
}

impl Bundler {
    #[must_use]
    pub fn new(profile: &Profile, issuer: &CaCertificate) -> Self {
        let mut constants = Vec::new();
        let mut files = Vec::new();
        for file in profile.recipe().files() {
            match constant(file, issuer) {
                Some(content) => constants.push((file.name.as_str(), content)),
                None => files.push(file.clone()),
            }
        }
        Self {
            beginning: Beginning::new(&constants, mode(Content::Issuer)),
            files,
            issuer_pem: issuer.to_pem(),
            endpoint: profile.endpoint().clone(),
        }
    }

    /// The SHA-256 of a bundle of this batch.
    #[must_use]
    pub fn sha256(&self, bundle: &[u8]) -> [u8; 32] {
        self.beginning.sha256(bundle)
    }

    /// The CRC-32 of a bundle of this batch.
    #[must_use]
    pub fn crc(&self, bundle: &[u8]) -> u32 {
        self.beginning.crc(bundle)
    }

    /// A writer of this batch's bundles.
    #[must_use]
    pub fn writer(&self) -> BundleWriter<'_> {
        BundleWriter {
            bundler: self,
            directory: Vec::new(),
            certificate_pem: Vec::new(),
            content: Vec::new(),
            deflater: Deflater::default(),
        }
    }
}

/// What a file holds that is the same in every bundle; `None` for the other files.
#[must_use]
pub fn constant_content(file: &BundleFile, issuer: &CaCertificate) -> Option<Vec<u8>> {
    let der = match file.content {
        Content::Issuer => issuer.der(),
        content => amazon_root(content)?,
    };
    Some(match file.format {
        Format::Der => der.to_vec(),
        Format::Pem => pem::encode(pem::CERTIFICATE, der).into_bytes(),
    })
}

fn constant(file: &BundleFile, issuer: &CaCertificate) -> Option<Constant> {
    let content = constant_content(file, issuer)?;
    Some(match file.compression {
        Compression::Stored => Constant::stored(&content),
        Compression::Deflated => Constant::deflated(&content),
    })
}

/// Appends bundles to buffers, with scratch of its own.
pub struct BundleWriter<'a> {
    bundler: &'a Bundler,
    directory: Vec<u8>,
    certificate_pem: Vec<u8>,
    content: Vec<u8>,
    deflater: Deflater,
}

impl BundleWriter<'_> {
    /// Appends the bundle of one device.
    pub fn append(&mut self, credential: &Credential<'_>, out: &mut Vec<u8>) {
        self.certificate_pem.clear();
        pem::append_certificate(credential.certificate, &mut self.certificate_pem);
        let certificate_pem = &self.certificate_pem;
        let mut archive = self.bundler.beginning.archive(out, &mut self.directory);
        for file in &self.bundler.files {
            let fill = |out: &mut Vec<u8>| self.bundler.fill(file, credential, certificate_pem, out);
            match file.compression {
                Compression::Stored => {
                    archive.stored(&file.name, mode(file.content), fill);
                }
                Compression::Deflated => {
                    zeroize::Zeroize::zeroize(&mut self.content);
                    fill(&mut self.content);
                    archive.deflated(&file.name, mode(file.content), &self.content, &mut self.deflater);
                }
            }
        }
        archive.finish();
    }

    /// The certificate of the bundle appended last, as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &[u8] {
        &self.certificate_pem
    }
}

impl Drop for BundleWriter<'_> {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.content);
    }
}

impl Bundler {
    fn fill(
        &self,
        file: &BundleFile,
        credential: &Credential<'_>,
        certificate_pem: &[u8],
        out: &mut Vec<u8>,
    ) {
        match (file.content, file.format) {
            (Content::PrivateKey, Format::Pem) => pem::append(pem::PRIVATE_KEY, credential.private_key, out),
            (Content::PrivateKey, Format::Der) => out.extend_from_slice(credential.private_key),
            (Content::Certificate, Format::Pem) => out.extend_from_slice(certificate_pem),
            (Content::Certificate, Format::Der) => out.extend_from_slice(credential.certificate),
            (Content::Chain, _) => {
                out.extend_from_slice(certificate_pem);
                out.extend_from_slice(self.issuer_pem.as_bytes());
            }
            (Content::Endpoint, _) => {
                let file = EndpointFile {
                    host: self.endpoint.host.as_deref().map(Cow::Borrowed),
                    port: self.endpoint.port,
                    client_id: Cow::Borrowed(credential.client_id),
                    thing_name: Cow::Borrowed(credential.thing_name),
                    region: self.endpoint.region.as_deref().map(Cow::Borrowed),
                };
                serde_json::to_writer_pretty(&mut *out, &file).expect("memory does not fail");
                out.push(b'\n');
            }
            (
                Content::Issuer
                | Content::AmazonRootCa1
                | Content::AmazonRootCa2
                | Content::AmazonRootCa3
                | Content::AmazonRootCa4,
                _,
            ) => unreachable!("the same in every bundle, so compiled into a constant"),
        }
    }
}
