//! `certforge jitp template new`.

use certforge::jitp::{Draft, Parameter, Template};
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::report::{Ended, Outcome, Printer, tell_aside};

#[derive(Debug, Args)]
pub struct New {
    /// What things are named after: CommonName, Id, or another parameter of JITP
    #[arg(long, value_name = "PARAMETER", default_value = "CommonName")]
    thing_name: String,
    /// Attribute of the thing, such as country=Country; may be given again
    #[arg(long = "attribute", value_name = "NAME=PARAMETER")]
    attributes: Vec<String>,
    /// Thing type, which must exist
    #[arg(long, value_name = "NAME")]
    thing_type: Option<String>,
    /// Thing group, which must exist; may be given again
    #[arg(long = "thing-group", value_name = "NAME")]
    groups: Vec<String>,
    /// Policy that exists [default: a policy of the template's own, for topics that begin with the thing's name]
    #[arg(long, value_name = "NAME")]
    policy_name: Option<String>,
    /// Partition of AWS
    #[arg(long, value_name = "NAME", default_value = "aws", value_parser = ["aws", "aws-cn", "aws-us-gov"])]
    partition: String,
}

impl New {
    pub fn run(&self, printer: Printer) -> Outcome {
        let attributes = self
            .attributes
            .iter()
            .map(|text| match text.split_once('=') {
                Some((name, value)) => Ok((name.to_owned(), parameter(value)?)),
                None => Err(Failure::usage(
                    &format!("--attribute {text} is not NAME=PARAMETER"),
                    "write it as in country=Country",
                )),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let draft = Draft {
            thing_name: parameter(&self.thing_name)?,
            attributes,
            thing_type: self.thing_type.clone(),
            groups: self.groups.clone(),
            policy_name: self.policy_name.clone(),
            partition: match self.partition.as_str() {
                "aws-cn" => "aws-cn",
                "aws-us-gov" => "aws-us-gov",
                _ => "aws",
            },
        };
        if let Some(refusal) = draft.refusal() {
            return Err(Failure::usage(&refusal, "choose another name"));
        }
        let text = draft.to_json();
        let reading = Template::read(&text);
        if let Some(error) = reading.findings.iter().find(|finding| finding.is_error()) {
            return Err(Failure::usage(
                &format!("the template would be wrong: {}", error.message),
                error.hint.as_deref().unwrap_or("ask for less"),
            ));
        }
        for finding in &reading.findings {
            tell_aside(format_args!("certforge: {finding}"));
        }
        printer.tell(text);
        Ok(Ended::silent())
    }
}

fn parameter(name: &str) -> Result<Parameter, Failure> {
    Parameter::parse(name).ok_or_else(|| {
        let names: Vec<_> = Parameter::ALL.iter().map(|known| known.short_name()).collect();
        Failure::usage(
            &format!("{name:?} is no parameter of JITP"),
            &format!("use one of {}", names.join(", ")),
        )
    })
}
