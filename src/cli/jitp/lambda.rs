//! `certforge jitp jitr-lambda`.

use std::fmt;
use std::path::PathBuf;

use certforge::jitp::{AllowList, AllowListError, HANDLER};
use certforge::printable;
use certforge::shell::quoted;
use clap::Args;
use serde::Serialize;

use super::create;
use crate::cli::batch::VoucherArgs;
use crate::cli::failure::Failure;
use crate::cli::report::{Ended, Outcome};
use crate::cli::text::{Lines, devices};

#[derive(Debug, Args)]
pub struct JitrLambda {
    /// Batch: its folder or s3:// URL, or its name in the ledger; may be given again, for all batches of one CA
    #[arg(long = "batch", value_name = "DIR|S3-URL|NAME", required = true)]
    batches: Vec<String>,
    /// File for the function's package
    #[arg(long, value_name = "FILE", default_value = "jitr-lambda.zip")]
    to: PathBuf,
    /// Activate certificates only; make no things
    #[arg(long)]
    no_things: bool,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    voucher: VoucherArgs,
}

/// The function's package.
#[derive(Serialize)]
struct Lambda {
    package: String,
    handler: &'static str,
    certificates: u64,
    things: bool,
    octets: usize,
}

impl JitrLambda {
    pub fn run(&self) -> Outcome {
        let mut list: Option<AllowList> = None;
        for batch in &self.batches {
            let open = self.voucher.open(batch)?;
            let issued = open.vouched()?;
            let list = list.get_or_insert_with(|| AllowList::new(issued.issuer(), !self.no_things));
            list.add(&issued).map_err(|error| match error {
                AllowListError::OtherCa => Failure::usage(
                    &format!("batch {batch} is of another CA than {}", self.batches[0]),
                    "a rule is for one CA; package a function for each",
                ),
                AllowListError::OtherNames { .. } => Failure::usage(
                    &error.to_string(),
                    "say --no-things, and make the things elsewhere",
                ),
                AllowListError::Profile(error) => error.into(),
                AllowListError::Batch(error) => error.into(),
            })?;
        }
        let list = list.expect("clap asks for a batch");
        let certificates = list.len() as u64;
        let package = list.package().map_err(|error| {
            Failure::aws(
                format!("the package cannot be made: {error}"),
                "use a smaller batch",
            )
        })?;
        create(&self.to, &package, false)?;
        Ok(Ended::with(Lambda {
            package: self.to.display().to_string(),
            handler: HANDLER,
            certificates,
            things: !self.no_things,
            octets: package.len(),
        }))
    }
}

impl fmt::Display for Lambda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        lines
            .line("package", &self.package)
            .line("handler", self.handler)
            .line("activates", devices(self.certificates));
        writeln!(
            f,
            "{lines}\nIts role needs iot:DescribeCertificate, iot:UpdateCertificate, iot:AttachPolicy, iot:CreateThing \
             and iot:AttachThingPrincipal. Then, with a role and a policy of yours:\n  \
             aws lambda create-function --function-name certforge-jitr --runtime python3.13 --handler {HANDLER} \
             --role ROLE --environment Variables={{POLICY_NAME=POLICY}} --zip-file fileb://{}\n  \
             certforge jitp register --flow jitr --lambda-arn ARN --ca DIR\nAll other certificates of the CA are refused: \
             package all its batches together.",
            printable::line(&quoted(&self.package))
        )
    }
}
