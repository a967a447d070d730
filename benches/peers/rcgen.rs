//! The peer: what an engineer writes in an afternoon with the same crates. rcgen makes keys and certificates,
//! rayon takes all cores, and each device gets a deflated zip by `fs::write`.
//!
//! It keeps no ledger, checks nothing, and makes nothing durable. Certificates and bundles have what
//! certforge's have, so that the work is the same.
//!
//! `cargo bench --bench peer -- --rows N --to DIR` prints the devices and the seconds that they took as a line
//! of JSON. `benches/peers/run` compares them with certforge and other peers.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use certforge::bundle::Root;
use certforge::pem;
use clap::Parser;
use rayon::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

#[derive(Parser)]
struct Options {
    /// Devices to make.
    #[arg(long, default_value_t = 20_000)]
    rows: u64,
    /// Folder that the bundles go into. Default: a scratch folder.
    #[arg(long)]
    to: Option<PathBuf>,
    /// Folder of the CA that signs: certificate.pem, key.pem. Default: a CA that lasts as long as the run.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Stores the members: to deflate them takes longer than all the rest.
    #[arg(long)]
    stored: bool,
    /// What cargo passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
    /// Makes a few devices in a scratch folder, to see that it works.
    #[arg(long)]
    test: bool,
}

fn main() {
    let options = Options::parse();
    let (rows, to) = match options.test {
        true => (100, None),
        false => (options.rows, options.to),
    };
    let scratch = tempfile::tempdir_in(base()).expect("a scratch folder");
    let folder = to.unwrap_or_else(|| scratch.path().join("bundles"));
    std::fs::create_dir(&folder).expect("the folder of the bundles is not there yet");
    let forge = Forge::new(options.ca.as_deref(), options.stored);

    let start = Instant::now();
    (0..rows)
        .into_par_iter()
        .for_each(|row| forge.make(&format!("SN{row:09}"), &folder));
    let seconds = start.elapsed().as_secs_f64();

    let made = std::fs::read_dir(&folder).expect("the folder is there").count();
    assert_eq!(made as u64, rows);
    println!("{{\"devices\": {rows}, \"seconds\": {seconds:.6}}}");
}

fn base() -> PathBuf {
    std::env::var_os("CERTFORGE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

/// What is the same for all devices.
struct Forge {
    issuer: rcgen::Issuer<'static, KeyPair>,
    ca_pem: String,
    roots: [String; 2],
    compression: CompressionMethod,
    now: OffsetDateTime,
}

impl Forge {
    fn new(ca: Option<&Path>, stored: bool) -> Self {
        let (ca_pem, ca_key) = ca.map_or_else(new_ca, |folder| {
            let read = |name| std::fs::read_to_string(folder.join(name)).expect("the CA is there");
            let key = KeyPair::from_pem(&read("key.pem")).expect("the CA has a key");
            (read("certificate.pem"), key)
        });
        let issuer = rcgen::Issuer::from_ca_cert_pem(&ca_pem, ca_key).expect("the CA has a certificate");
        let roots = ["amazon-root-ca-1", "amazon-root-ca-3"].map(|name| {
            let der = Root::named(name).expect("Amazon's root is in the list").der();
            pem::encode(pem::CERTIFICATE, der)
        });
        let compression = match stored {
            true => CompressionMethod::Stored,
            false => CompressionMethod::Deflated,
        };
        let now = OffsetDateTime::now_utc();
        Self {
            issuer,
            ca_pem,
            roots,
            compression,
            now,
        }
    }

    fn make(&self, device: &str, folder: &Path) {
        let key = KeyPair::generate().expect("a key is made");
        let certificate = self.certificate(device).signed_by(&key, &self.issuer);
        let certificate = certificate.expect("it is signed").pem();
        let chain = format!("{certificate}{}", self.ca_pem);
        let endpoint = format!(
            "{{\n  \"host\": null,\n  \"port\": 8883,\n  \"client_id\": \"{device}\",\n  \
             \"thing_name\": \"{device}\",\n  \"region\": null\n}}\n"
        );
        let files: [(&str, &str); 6] = [
            ("private.pem.key", &key.serialize_pem()),
            ("certificate.pem.crt", &certificate),
            ("chain.pem.crt", &chain),
            ("AmazonRootCA1.pem", &self.roots[0]),
            ("AmazonRootCA3.pem", &self.roots[1]),
            ("endpoint.json", &endpoint),
        ];
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(self.compression);
        for (name, content) in files {
            zip.start_file(name, options).expect("memory does not fail");
            zip.write_all(content.as_bytes()).expect("memory does not fail");
        }
        let zip = zip.finish().expect("memory does not fail").into_inner();
        std::fs::write(folder.join(format!("{device}.zip")), zip).expect("the bundle is written");
    }

    fn certificate(&self, device: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, device);
        params.not_before = self.now - Duration::HOUR;
        params.not_after = self.now + Duration::days(3650);
        // With it come the basic constraints and the subject key identifier.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params
    }
}

fn new_ca() -> (String, KeyPair) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key is made");
    (params.self_signed(&key).expect("a CA is made").pem(), key)
}
