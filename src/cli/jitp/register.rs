//! `certforge jitp register`.

use std::path::PathBuf;
use std::process::ExitCode;

use certforge::aws::{Action, Cloud, Flow, Mode, Place, Plan, Role, State, Wanted, permission};
use certforge::issuer::{CaCertificate, Issuer};
use certforge::jitp::{self, ProofError};
use certforge::profile::{self, Profile};
use clap::{Args, ValueEnum};
use data_encoding::HEXLOWER;
use serde_json::json;
use time::OffsetDateTime;

use super::super::issuer::IssuerArgs;
use super::super::{Failure, Outcome, exit, print, print_json};
use super::reach::{AwsReach, consent};
use super::template;
use certforge::shell::quoted;

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
    /// Change what is there and differs
    #[arg(long)]
    update: bool,
    /// Print the plan; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the plan as commands of the AWS CLI; change nothing
    #[arg(long, conflicts_with = "json")]
    print_cli: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    /// Print a JSON document
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    reach: AwsReach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FlowArg {
    Jitp,
    Jitr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeArg {
    Default,
    SniOnly,
}

impl Register {
    pub fn run(&self) -> Outcome {
        let now = OffsetDateTime::now_utc();
        let (ca, _) = self.issuer.read_public(now)?;
        let wanted = self.wanted(&ca)?;
        let cloud = self.reach.open()?;
        let found = cloud.find(&wanted)?;
        let plan = Plan::new(&wanted, &found);
        let obstacles = plan.obstacles(self.update).count();
        if self.print_cli && obstacles == 0 {
            self.print_commands(&plan, &ca);
            return Ok(ExitCode::SUCCESS);
        }
        if !self.json {
            print(&describe(&plan, &ca, self.update));
        }
        if super::super::ca::is_lab_ca(&ca) {
            eprintln!("certforge: warning: this is a LAB CA, not for production");
        }
        if self.dry_run || obstacles > 0 {
            return self.end_early(&plan, obstacles);
        }
        let actions: Vec<&Action> = plan.actions(self.update).collect();
        if actions.is_empty() {
            self.report(&plan, &ca, "nothing to do: everything is there", 0);
            return Ok(ExitCode::SUCCESS);
        }
        let question = format!(
            "Do this in account {}, {}?",
            plan.caller.account, plan.caller.region
        );
        if !consent(self.yes, &question)? {
            return Err(Failure::usage("nothing was changed", "answer y, or say --yes"));
        }
        self.carry_out(&cloud, &actions, &ca, now)?;
        let said = match self.flow {
            FlowArg::Jitp => "done: devices of this CA may connect",
            FlowArg::Jitr => "done: devices of this CA may connect once the function lets the rule call it",
        };
        self.report(&plan, &ca, said, actions.len());
        Ok(ExitCode::SUCCESS)
    }

    fn wanted(&self, ca: &CaCertificate) -> Result<Wanted, Failure> {
        let flow = match (self.flow, &self.template, &self.lambda_arn) {
            (FlowArg::Jitp, Some(path), _) => {
                let profile = Profile::load(&self.profile, None)?;
                let reading = jitp::Template::read_for(&template::read(path)?, Some(&profile));
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
        let note = self.issuer.endpoint_note();
        Ok(Wanted {
            ca_id: ca.id(),
            mode: match self.mode {
                ModeArg::Default => Mode::Default,
                ModeArg::SniOnly => Mode::SniOnly,
            },
            flow,
            role: match &self.role_arn {
                Some(arn) => Role::Arn(arn.clone()),
                None => Role::Named(self.role_name.clone()),
            },
            note: match note {
                Some(path) => {
                    let noted = self.issuer.endpoint()?;
                    Some((path, noted))
                }
                None => None,
            },
        })
    }

    fn print_commands(&self, plan: &Plan, ca: &CaCertificate) {
        let certificate = self.issuer.certificate_path().display().to_string();
        let options = self.issuer.options();
        let place = Place {
            region: &plan.caller.region,
            ca_certificate: &certificate,
            ca_options: &options,
        };
        print("set -eu\n");
        if let Some(url) = &self.reach.endpoint_url {
            print(&format!("export AWS_ENDPOINT_URL={}\n", quoted(url)));
        }
        if let Some(function) = &self.lambda_arn {
            print(&format!("{}\n", permission(&plan.caller, &ca.id(), function)));
        }
        for action in plan.actions(self.update) {
            print(&format!("{}\n", action.command(place)));
        }
    }

    fn end_early(&self, plan: &Plan, obstacles: usize) -> Outcome {
        if self.json {
            print_json(&json!({ "plan": plan, "done": false }));
        }
        if obstacles == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        let is_fixed = plan.obstacles(true).count() > 0;
        let failure = Failure::aws(
            "what is in the account is otherwise than it shall be; nothing was changed",
            if is_fixed {
                "a CA keeps its mode, and one that has a template keeps one: make another CA, or take this one's registration back first (aws iot update-ca-certificate --new-status INACTIVE, then delete-ca-certificate)"
            } else {
                "--update changes it"
            },
        );
        if self.json {
            failure.report_to_people();
            return Ok(exit::AWS.into());
        }
        Err(failure)
    }

    fn carry_out(
        &self,
        cloud: &Cloud,
        actions: &[&Action],
        ca: &CaCertificate,
        now: OffsetDateTime,
    ) -> Result<(), Failure> {
        let needs_key = |action: &&&Action| matches!(action, Action::RegisterCa { mode: "DEFAULT", .. });
        let issuer: Option<Issuer> = match actions.iter().find(needs_key) {
            Some(_) => Some(self.issuer.load(now)?),
            None => None,
        };
        let prove = |code: &str, now| -> Result<String, ProofError> {
            let issuer = issuer.as_ref().expect("it was loaded for this");
            Ok(jitp::prove(issuer, code, now)?.certificate())
        };
        for action in actions {
            cloud.carry_out(action, ca, now, &prove)?;
            if !self.json {
                eprintln!("done: {action}");
            }
        }
        Ok(())
    }

    fn report(&self, plan: &Plan, ca: &CaCertificate, said: &str, done: usize) {
        if self.json {
            return print_json(&json!({
                "plan": plan,
                "done": true,
                "changes": done,
                "ca_certificate_id": HEXLOWER.encode(&ca.id()),
            }));
        }
        print(&format!("{said}\n"));
    }
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
fn describe(plan: &Plan, ca: &CaCertificate, update: bool) -> String {
    let caller = &plan.caller;
    let mut lines = vec![
        format!("account {}, {}, as {}", caller.account, caller.region, caller.arn),
        format!("CA {}", ca.subject_text()),
    ];
    let line = |mark: &str, rest: &str| format!("  {mark:8}{rest}");
    for step in &plan.steps {
        match &step.state {
            State::Exists => lines.push(line("exists", &step.what)),
            State::Missing { actions } => {
                lines.extend(actions.iter().map(|action| line("to do", &action.describe())));
            }
            State::Differs { differences, actions } => {
                lines.push(line("differs", &step.what));
                for difference in differences {
                    lines.push(format!("            {}", difference.what));
                    lines.push(format!("              is      {}", difference.is));
                    lines.push(format!("              wanted  {}", difference.wanted));
                }
                let actions = actions.iter().filter(|_| update);
                lines.extend(actions.map(|action| line("to do", &action.describe())));
            }
            State::Blocked { .. } => lines.push(line("missing", &obstacle(step))),
        }
    }
    lines.extend(plan.warnings.iter().map(|warning| line("warning", warning)));
    lines.join("\n") + "\n"
}

fn obstacle(step: &certforge::aws::Step) -> String {
    match &step.state {
        State::Blocked { hint } => format!("{}, which must exist first: {hint}", step.what),
        _ => format!("{} differs, and is left as it is", step.what),
    }
}
