//! `certforge jitp jitr-lambda`.

use std::path::PathBuf;
use std::process::ExitCode;

use certforge::issuer::CaCertificate;
use certforge::jitp::{AllowList, HANDLER, Issued};
use certforge::profile::Profile;
use certforge::shell::quoted;
use clap::Args;
use serde_json::json;

use super::super::run::DEFAULT_LEDGER;
use super::super::text::{Report, devices};
use super::super::{Failure, Outcome, place, print, print_json};
use super::{create, open_batch};

#[derive(Debug, Args)]
pub struct JitrLambda {
    /// Batch: its folder or s3:// URL, or its name in the ledger; may be given again, for all batches of one CA
    #[arg(long = "batch", value_name = "DIR|S3-URL|NAME", required = true)]
    batches: Vec<String>,
    /// Ledger that knows where a batch is
    #[arg(long, value_name = "FILE", default_value = DEFAULT_LEDGER)]
    ledger: PathBuf,
    /// File for the function's package
    #[arg(long, value_name = "FILE", default_value = "jitr-lambda.zip")]
    to: PathBuf,
    /// Activate certificates only; make no things
    #[arg(long)]
    no_things: bool,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    reach: place::Reach,
}

impl JitrLambda {
    pub fn run(&self) -> Outcome {
        let mut list = AllowList::default();
        let mut issuer: Option<CaCertificate> = None;
        let mut names = Vec::new();
        for batch in &self.batches {
            let store = open_batch(batch, &self.ledger, &self.reach)?;
            let issued = Issued::open(&*store)?;
            if issuer.get_or_insert_with(|| issued.issuer().clone()) != issued.issuer() {
                return Err(Failure::usage(
                    &format!("batch {batch} is of another CA than {}", self.batches[0]),
                    "a rule is for one CA; package a function for each",
                ));
            }
            self.add(&issued, &mut list)?;
            names.push(issued.record().batch.clone());
        }
        let issuer = issuer.expect("clap asks for a batch");
        let certificates = list.len() as u64;
        let package = list.package(&names, &issuer, !self.no_things).map_err(|error| {
            Failure::aws(
                format!("the package cannot be made: {error}"),
                "use a smaller batch",
            )
        })?;
        create(&self.to, &package, false)?;
        if self.json {
            print_json(&json!({
                "package": self.to.display().to_string(),
                "handler": HANDLER,
                "certificates": certificates,
                "things": !self.no_things,
                "octets": package.len(),
            }));
            return Ok(ExitCode::SUCCESS);
        }
        let mut report = Report::default();
        report
            .line("package", self.to.display().to_string())
            .line("handler", HANDLER)
            .line("activates", devices(certificates));
        print(&format!(
            "{report}\nIts role needs iot:DescribeCertificate, iot:UpdateCertificate, iot:AttachPolicy, iot:CreateThing \
             and iot:AttachThingPrincipal. Then, with a role and a policy of yours:\n  \
             aws lambda create-function --function-name certforge-jitr --runtime python3.13 --handler {HANDLER} \
             --role ROLE --environment Variables={{POLICY_NAME=POLICY}} --zip-file fileb://{}\n  \
             certforge jitp register --flow jitr --lambda-arn ARN --ca DIR\nAll other certificates of the CA are refused: \
             package all its batches together.\n",
            quoted(&self.to.display().to_string())
        ));
        Ok(ExitCode::SUCCESS)
    }
}

impl JitrLambda {
    fn add(&self, issued: &Issued<'_>, list: &mut AllowList) -> Result<(), Failure> {
        let record = issued.record();
        if !self.no_things && !names_things_by_id(&Profile::from_config(&record.profile)?) {
            return Err(Failure::usage(
                &format!(
                    "profile {} names things otherwise than by the device id, and the index has no other name",
                    record.profile.name
                ),
                "say --no-things, and make the things elsewhere",
            ));
        }
        for chunk in 0..record.shape().chunks() {
            for entry in issued.entries(chunk)? {
                list.add(entry.certificate_id, entry.device_id.as_str());
            }
        }
        Ok(())
    }
}

/// Whether the thing of a device is named by its id.
fn names_things_by_id(profile: &Profile) -> bool {
    let device_id = format!("{{{}}}", profile.id_column());
    let thing_name = &profile.config().endpoint.thing_name;
    thing_name.as_ref().is_none_or(|name| *name == device_id)
}
