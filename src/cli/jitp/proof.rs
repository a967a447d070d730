//! `certforge jitp proof`.

use std::fmt;
use std::path::PathBuf;

use certforge::shell::quoted;
use certforge::{jitp, pem};
use clap::Args;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{create, make_folder};
use crate::cli::clock;
use crate::cli::issuer::IssuerArgs;
use crate::cli::report::{Ended, Outcome, warn};
use crate::cli::text::Lines;

/// Files of a proof.
const CERTIFICATE_FILE: &str = "verification.pem";
const REQUEST_FILE: &str = "verification.csr";
const KEY_FILE: &str = "verification.key";

#[derive(Debug, Args)]
pub struct Proof {
    /// Code that AWS IoT gave: aws iot get-registration-code
    #[arg(long, value_name = "CODE")]
    registration_code: String,
    /// Folder for the verification certificate, its request and its key
    #[arg(long, value_name = "DIR", default_value = "proof")]
    to: PathBuf,
    #[command(flatten)]
    issuer: IssuerArgs,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// The files that were written.
#[derive(Serialize)]
struct Proven {
    certificate: String,
    request: String,
    key: String,
    common_name: String,
    issuer: String,
}

impl Proof {
    pub fn run(&self) -> Outcome {
        let code = &self.registration_code;
        if code.len() != 64 || !code.bytes().all(|b| b.is_ascii_hexdigit()) {
            warn(format!(
                "{code:?} is not 64 hexadecimal digits, as AWS gives them"
            ));
        }
        let now = clock::now()?;
        let issuer = self.issuer.load(now)?;
        let proof = jitp::prove(&issuer, code, now)?;
        make_folder(&self.to)?;
        let write = |name: &str, content: &[u8], secret: bool| {
            let path = self.to.join(name);
            create(&path, content, secret).map(|()| path.display().to_string())
        };
        let mut key = Zeroizing::new(Vec::with_capacity(1024));
        pem::append(pem::PRIVATE_KEY, proof.key(), &mut key);
        Ok(Ended::with(Proven {
            certificate: write(CERTIFICATE_FILE, proof.certificate().as_bytes(), false)?,
            request: write(REQUEST_FILE, proof.request().as_bytes(), false)?,
            key: write(KEY_FILE, &key, true)?,
            common_name: code.clone(),
            issuer: issuer.certificate().subject_text().to_owned(),
        }))
    }
}

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        lines
            .line("certificate", &self.certificate)
            .line("common name", &self.common_name)
            .line("issuer", &self.issuer)
            .line(
                "next",
                format!(
                    "aws iot register-ca-certificate --ca-certificate file://CA.pem --verification-certificate file://{} …",
                    quoted(&self.certificate)
                ),
            );
        lines.fmt(f)
    }
}
