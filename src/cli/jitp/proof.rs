//! `certforge jitp proof`.

use std::path::PathBuf;
use std::process::ExitCode;

use certforge::shell::quoted;
use certforge::{jitp, pem};
use clap::Args;
use serde_json::json;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::super::issuer::IssuerArgs;
use super::super::text::Report;
use super::super::{Outcome, print, print_json};
use super::{create, make_folder};

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
    pub json: bool,
}

impl Proof {
    pub fn run(&self) -> Outcome {
        let is_code = |code: &str| code.len() == 64 && code.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_code(&self.registration_code) {
            eprintln!(
                "certforge: warning: {:?} is not 64 hexadecimal digits, as AWS gives them",
                self.registration_code
            );
        }
        let now = OffsetDateTime::now_utc();
        let issuer = self.issuer.load(now)?;
        let proof = jitp::prove(&issuer, &self.registration_code, now)?;
        make_folder(&self.to)?;
        let certificate = self.to.join(CERTIFICATE_FILE);
        let mut key = Zeroizing::new(Vec::with_capacity(1024));
        pem::append(pem::PRIVATE_KEY, proof.key(), &mut key);
        create(&certificate, proof.certificate().as_bytes(), false)?;
        create(&self.to.join(REQUEST_FILE), proof.request().as_bytes(), false)?;
        create(&self.to.join(KEY_FILE), &key, true)?;
        if self.json {
            print_json(&json!({
                "certificate": certificate.display().to_string(),
                "request": self.to.join(REQUEST_FILE).display().to_string(),
                "key": self.to.join(KEY_FILE).display().to_string(),
                "common_name": self.registration_code,
                "issuer": issuer.certificate().subject_text(),
            }));
            return Ok(ExitCode::SUCCESS);
        }
        let mut report = Report::default();
        report
            .line("certificate", certificate.display().to_string())
            .line("common name", &self.registration_code)
            .line("issuer", issuer.certificate().subject_text())
            .line(
                "next",
                format!(
                    "aws iot register-ca-certificate --ca-certificate file://CA.pem --verification-certificate file://{} …",
                    quoted(&certificate.display().to_string())
                ),
            );
        print(&report.to_string());
        Ok(ExitCode::SUCCESS)
    }
}
