//! `certforge jitp register`.

use std::cell::Cell;
use std::fmt;
use std::path::PathBuf;

use certforge::aws::{
    Action, Asset, AssetState, CertificateMode, Cloud, CommandWords, Flow, Inventory, Registration, Role,
    UNASKED_ACCOUNT, UNASKED_REGION, Wanted, cloudformation, permission, terraform,
};
use certforge::causes::in_one_line;
use certforge::issuer::{CaCertificate, Issuer};
use certforge::jitp::{self, ProofError};
use certforge::printable;
use certforge::profile::{self, Profile};
use certforge::shell::quoted;
use clap::{Args, ValueEnum};
use data_encoding::HEXLOWER;
use serde::Serialize;

use super::reach::{AwsReach, consent};
use super::record::{Record, registers};
use super::template;
use crate::cli::clock;
use crate::cli::failure::Failure;
use crate::cli::issuer::IssuerArgs;
use crate::cli::ledger_args::LedgerArgs;
use crate::cli::report::{Ended, Outcome, Printer, tell_aside, warn};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Register {
    /// What happens at a first connection: AWS IoT runs the template, or a Lambda function decides
    #[arg(long, value_enum, default_value_t = FlowArg::Jitp)]
    flow: FlowArg,
    /// Template that AWS IoT runs for each new device
    #[arg(long, value_name = "FILE", conflicts_with = "lambda_arn")]
    template: Option<PathBuf>,
    /// Keep the template under this name, with versions [default: in the CA's registration]
    #[arg(long, value_name = "NAME", requires = "template")]
    template_name: Option<String>,
    /// Profile of the certificates, which the template must fit
    #[arg(long, value_name = "NAME|FILE", default_value = profile::DEFAULT)]
    profile: String,
    /// Lambda function of --flow jitr; `certforge jitp jitr-lambda` packages it
    #[arg(long, value_name = "ARN")]
    lambda_arn: Option<String>,
    /// default: a CA of one account, with a proof of possession; sni-only: a CA that accounts may share
    #[arg(long, value_enum, default_value_t = ModeArg::Default)]
    mode: ModeArg,
    /// Role that AWS IoT takes to run the template; made when it is not there
    #[arg(long, value_name = "NAME", default_value = "certforge-jitp")]
    role_name: String,
    /// Role of somebody else, taken as it is
    #[arg(long, value_name = "ARN", conflicts_with = "role_name")]
    role_arn: Option<String>,
    #[command(flatten)]
    issuer: IssuerArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Change what is there and differs
    #[arg(long)]
    update: bool,
    /// Print the plan; change nothing. Where AWS cannot be asked, it is that of an empty account
    #[arg(long)]
    dry_run: bool,
    /// Print the plan as commands of the AWS CLI; change nothing
    #[arg(long, conflicts_with = "json")]
    print_cli: bool,
    /// Print what shall be in the account in another form; change nothing
    #[arg(long, value_enum, conflicts_with_all = ["json", "print_cli"])]
    print: Option<PrintArg>,
    /// Ask AWS nothing, with --dry-run, --print-cli or --print: names stand for what it would say
    #[arg(long)]
    offline: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: AwsReach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FlowArg {
    Jitp,
    Jitr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrintArg {
    /// Commands of the AWS CLI, as --print-cli
    Cli,
    /// A template of CloudFormation
    Cloudformation,
    /// A configuration of Terraform
    Terraform,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeArg {
    Default,
    SniOnly,
}

/// What was planned, and whether it is done.
#[derive(Serialize)]
struct Registered {
    plan: Registration,
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_certificate_id: Option<String>,
    /// People have seen the plan; they are told how it ended.
    #[serde(skip)]
    said: Option<&'static str>,
}

impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.said.map_or(Ok(()), |said| writeln!(f, "{said}"))
    }
}

impl Register {
    pub fn run(&self, printer: Printer) -> Outcome {
        let now = clock::now()?;
        let (ca, _) = self.issuer.read_public(now)?;
        let wanted = self.wanted(&ca)?;
        let (cloud, plan) = self.plan(&wanted)?;
        let obstacles = plan.obstacles(self.update).count();
        let form = self.print.or(self.print_cli.then_some(PrintArg::Cli));
        if let Some(form) = form.filter(|_| obstacles == 0) {
            plan.warnings.iter().for_each(warn);
            warn_of_lab(&ca);
            printer.tell(self.printed(form, &wanted, &plan, &ca)?);
            return Ok(Ended::silent());
        }
        printer.tell(describe(&plan, &ca, self.update));
        warn_of_lab(&ca);
        let (false, Some(cloud)) = (self.dry_run || obstacles > 0, cloud) else {
            return Ok(end_early(plan, obstacles));
        };
        let record = Record::new((&ca, &self.issuer, &self.ledger), &plan.caller, wanted.mode, now);
        if plan.actions(self.update).next().is_none() {
            record.end(None, now);
            return Ok(ended(plan, &ca, "nothing to do: everything is there", 0));
        }
        let caller = &plan.caller;
        consent(
            self.yes,
            &format!("Do this in account {}, {}?", caller.account, caller.region),
        )?;
        let needs_key = plan.actions(self.update).any(Action::needs_proof);
        let issuer: Option<Issuer> = needs_key.then(|| self.issuer.load(now)).transpose()?;
        let proven = Cell::new(None);
        let prove = |code: &str, now| -> Result<String, ProofError> {
            let issuer = issuer.as_ref().expect("it was loaded for this");
            let proof = jitp::prove(issuer, code, now)?;
            proven.set(Some(proof.id()));
            Ok(proof.certificate())
        };
        if plan.actions(self.update).any(registers) {
            record.begin()?;
        }
        let changes = plan.carry_out(&cloud, &ca, self.update, now, &prove, &mut |action| {
            if registers(action) {
                record.end(proven.take(), now);
            }
            if !printer.wants_documents() {
                tell_aside(format_args!("done: {action}"));
            }
        })?;
        record.end(None, now);
        let said = match self.flow {
            FlowArg::Jitp => "done: devices of this CA may connect",
            FlowArg::Jitr => "done: devices of this CA may connect once the function lets the rule call it",
        };
        Ok(ended(plan, &ca, said, changes))
    }

    /// What is to be done, as AWS was asked; or as nobody was asked, who only wants to look.
    fn plan(&self, wanted: &Wanted) -> Result<(Option<Cloud>, Registration), Failure> {
        let is_look = self.dry_run || self.print_cli || self.print.is_some();
        if self.offline && !is_look {
            return Err(Failure::usage(
                "--offline is for --dry-run, --print-cli and --print: to register a CA, AWS must be asked",
                "add one of them, or leave --offline out",
            ));
        }
        if self.offline {
            return self.unasked(wanted, "--offline");
        }
        let asked = self.reach.open().and_then(|cloud| {
            let found = cloud.find(wanted)?;
            Ok((cloud, found))
        });
        match asked {
            Ok((cloud, found)) => Ok((Some(cloud), Registration::new(wanted, &found))),
            Err(error) if is_look && error.is_unheard() => self.unasked(wanted, &in_one_line(&error)),
            Err(error) if is_look => {
                let hint = error.hint().map_or_else(String::new, |hint| format!("{hint}; "));
                Err(Failure::from(error)
                    .with_hint(&format!("{hint}--offline prints the plan without asking AWS")))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The plan for an account of which nothing is known.
    fn unasked(&self, wanted: &Wanted, why: &str) -> Result<(Option<Cloud>, Registration), Failure> {
        let caller = self.reach.unasked()?;
        let stand_in = match caller.region == UNASKED_REGION {
            true => format!("{UNASKED_ACCOUNT} and {UNASKED_REGION} stand for the account and the Region"),
            false => format!("{UNASKED_ACCOUNT} stands for the account"),
        };
        let mut plan = Registration::new(wanted, &Inventory::unasked(caller));
        plan.warnings.push(format!(
            "AWS was not asked ({why}): {stand_in}, and what is there already is not left out"
        ));
        Ok((None, plan))
    }

    fn wanted(&self, ca: &CaCertificate) -> Result<Wanted, Failure> {
        let flow = match (self.flow, &self.template, &self.lambda_arn) {
            (FlowArg::Jitp, Some(path), _) => {
                let profile = Profile::load(&self.profile, None)?;
                let reading = jitp::Template::read_for(&template::read(path)?, Some(&profile), None);
                if reading.findings.iter().any(jitp::Finding::is_error) {
                    return Err(template::refused(path, &reading.findings));
                }
                let warnings = reading
                    .warnings()
                    .map(|finding| format!("template: {}: {}", finding.path, finding.message));
                let warnings = warnings.collect();
                let template = reading.template.expect("nothing is wrong with it");
                Flow::Jitp {
                    body: template.body(),
                    template_name: self.template_name.clone(),
                    prerequisites: template.prerequisites(),
                    policy_resources: template.policy_resources(),
                    warnings,
                }
            }
            (FlowArg::Jitr, None, Some(function)) => Flow::Jitr {
                function: function.clone(),
            },
            (FlowArg::Jitp, ..) => {
                return Err(Failure::usage(
                    "JITP needs a template",
                    "name one with --template; `certforge jitp template new` prints one",
                ));
            }
            (FlowArg::Jitr, ..) => {
                return Err(Failure::usage(
                    "JITR needs a Lambda function, and no template",
                    "name it with --lambda-arn; `certforge jitp jitr-lambda` packages one",
                ));
            }
        };
        check_names(self)?;
        let note = match self.issuer.endpoint_note() {
            Some(path) => Some((path, self.issuer.endpoint()?)),
            None => None,
        };
        Ok(Wanted {
            ca_id: ca.id(),
            mode: match self.mode {
                ModeArg::Default => CertificateMode::Default,
                ModeArg::SniOnly => CertificateMode::SniOnly,
            },
            flow,
            role: match &self.role_arn {
                Some(arn) => Role::Arn(arn.clone()),
                None => Role::Named(self.role_name.clone()),
            },
            note,
        })
    }

    fn printed(
        &self,
        form: PrintArg,
        wanted: &Wanted,
        plan: &Registration,
        ca: &CaCertificate,
    ) -> Result<String, Failure> {
        if form == PrintArg::Cli {
            return Ok(self.commands(plan, ca));
        }
        // What is declared is made, and a second one of its name cannot be.
        for asset in plan
            .assets
            .iter()
            .filter(|asset| matches!(asset.state, AssetState::Exists))
        {
            warn(format!(
                "{} is there already: import it, or leave it out",
                asset.what
            ));
        }
        let path = self.issuer.certificate_path();
        Ok(match form {
            PrintArg::Cli | PrintArg::Cloudformation => {
                let certificate = super::read_document(&path, "certificate")?;
                cloudformation(wanted, &plan.caller, &certificate)
            }
            PrintArg::Terraform => terraform(wanted, &plan.caller, &path.display().to_string()),
        })
    }

    /// The plan as commands of the AWS CLI.
    fn commands(&self, plan: &Registration, ca: &CaCertificate) -> String {
        let words = CommandWords {
            region: &plan.caller.region,
            ca_certificate: &self.issuer.certificate_path().display().to_string(),
            ca_options: &self.issuer.options(),
        };
        let warnings = plan.warnings.iter().filter(|_| !plan.asked);
        let mut lines: Vec<_> = warnings
            .map(|text| format!("# {}", printable::line(text)))
            .collect();
        lines.push("set -eu".to_owned());
        let url = self.reach.endpoint_url.as_deref();
        lines.extend(url.map(|url| format!("export AWS_ENDPOINT_URL={}", quoted(url))));
        let function = self.lambda_arn.as_deref();
        lines.extend(function.map(|function| permission(&plan.caller, &ca.id(), function)));
        lines.extend(plan.actions(self.update).map(|action| action.command(words)));
        lines.join("\n") + "\n"
    }
}

fn warn_of_lab(ca: &CaCertificate) {
    if ca.is_lab() {
        warn("this is a LAB CA, not for production");
    }
}

/// The end of what is not carried out: nobody wants it to be, or something is in its way.
fn end_early(plan: Registration, obstacles: usize) -> Ended {
    let is_fixed = plan.obstacles(true).count() > 0;
    let failure = Failure::aws(
        "what is in the account is otherwise than it shall be; nothing was changed",
        if is_fixed {
            "a CA keeps its mode, and one that has a template keeps one: make another CA, or take this one's registration back first (aws iot update-ca-certificate --new-status INACTIVE, then delete-ca-certificate)"
        } else {
            "--update changes it"
        },
    );
    Ended::with(Registered {
        plan,
        done: false,
        changes: None,
        ca_certificate_id: None,
        said: None,
    })
    .failed((obstacles > 0).then_some(failure))
}

fn ended(plan: Registration, ca: &CaCertificate, said: &'static str, changes: usize) -> Ended {
    Ended::with(Registered {
        plan,
        done: true,
        changes: Some(changes),
        ca_certificate_id: Some(HEXLOWER.encode(&ca.id())),
        said: Some(said),
    })
}

/// Names that AWS would refuse after half of the plan was carried out.
fn check_names(register: &Register) -> Result<(), Failure> {
    let is_name = |name: &str, most: usize, signs: &str| {
        (1..=most).contains(&name.len())
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || signs.contains(c))
    };
    if let Some(name) = &register.template_name
        && !is_name(name, 36, "_-")
    {
        return Err(Failure::usage(
            &format!("--template-name {name:?} is no name of a template"),
            "use 1 to 36 of A-Z a-z 0-9 _ -",
        ));
    }
    if !is_name(&register.role_name, 64, "_+=,.@-") {
        return Err(Failure::usage(
            &format!("--role-name {:?} is no name of a role", register.role_name),
            "use 1 to 64 of A-Z a-z 0-9 _ + = , . @ -",
        ));
    }
    for (option, arn, service) in [
        ("--role-arn", &register.role_arn, "iam"),
        ("--lambda-arn", &register.lambda_arn, "lambda"),
    ] {
        if let Some(arn) = arn
            && arn.split(':').nth(2) != Some(service)
        {
            return Err(Failure::usage(
                &format!("{option} {arn} is no ARN of {service}"),
                "give the ARN whole, as AWS shows it",
            ));
        }
    }
    Ok(())
}

/// The plan for people.
fn describe(plan: &Registration, ca: &CaCertificate, update: bool) -> String {
    let caller = &plan.caller;
    let caller = match plan.asked {
        true => format!("account {}, {}, as {}", caller.account, caller.region, caller.arn),
        false => format!("account {}, {}: AWS was not asked", caller.account, caller.region),
    };
    let mut lines = vec![caller, format!("CA {}", ca.subject_text())];
    let line = |mark: &str, rest: &str| format!("  {mark:8}{rest}");
    for asset in &plan.assets {
        match &asset.state {
            AssetState::Exists => lines.push(line("exists", &asset.what)),
            AssetState::Missing { actions } => {
                lines.extend(actions.iter().map(|action| line("to do", &action.to_string())));
            }
            AssetState::Differs { differences, actions } => {
                lines.push(line("differs", &asset.what));
                for difference in differences {
                    lines.push(format!("            {}", difference.what));
                    lines.push(format!("              is      {}", difference.is));
                    lines.push(format!("              wanted  {}", difference.wanted));
                }
                let actions = actions.iter().filter(|_| update);
                lines.extend(actions.map(|action| line("to do", &action.to_string())));
            }
            AssetState::Blocked { hint } => lines.push(line("missing", &blocked(asset, hint))),
        }
    }
    lines.extend(plan.warnings.iter().map(|warning| line("warning", warning)));
    let lines: Vec<_> = lines.iter().map(|line| printable::line(line)).collect();
    lines.join("\n") + "\n"
}

fn blocked(asset: &Asset, hint: &str) -> String {
    format!("{}, which must exist first: {hint}", asset.what)
}
