//! `certforge bucket-policy`.

use std::fmt;

use certforge::store::{Bucket, Lifecycle, MAX_MANAGED_POLICY, Place, Policy, role_partition};
use clap::Args;
use serde::Serialize;

use super::Failure;
use super::report::{Ended, Outcome};

#[derive(Debug, Args)]
pub struct BucketPolicy {
    /// Bucket and prefix that batches go to, such as s3://factory-eu/batches
    place: String,
    /// ARN of the IAM role of the flashing stations: it may read bundles, and nobody else
    #[arg(long, value_name = "ARN", required_unless_present_any = ["lifecycle", "station"])]
    station_role: Option<String>,
    /// ARN of the IAM role that runs certforge: it may read bundles back too, which it must to verify, and to
    /// go on after an answer that was lost
    #[arg(long, value_name = "ARN")]
    forge_role: Option<String>,
    /// Print the least rights of a flashing station instead, as a policy for its IAM role
    #[arg(long, conflicts_with_all = ["station_role", "forge_role", "lifecycle"])]
    station: bool,
    /// With --station: also the rights of `station done --burn` and `station burn`
    #[arg(long, requires = "station")]
    burn: bool,
    /// With --station: the partition, such as aws-cn
    #[arg(long, value_name = "NAME", requires = "station", default_value = "aws")]
    partition: String,
    /// Print the lifecycle rules for objects that --expire-after DAYS tagged instead
    #[arg(long, value_name = "DAYS", conflicts_with_all = ["station_role", "forge_role"], value_parser = clap::value_parser!(u16).range(1..))]
    lifecycle: Option<u16>,
    /// Print an error as a JSON document too; a policy is one in any case
    #[arg(long)]
    json: bool,
}

/// It goes to AWS as it is: JSON for people too.
#[derive(Serialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "a command has one")]
enum Document {
    Policy(Policy),
    Lifecycle(Lifecycle),
}

impl BucketPolicy {
    pub fn run(&self) -> Outcome {
        let place =
            Place::parse(&self.place).map_err(|error| Failure::usage(&error.to_string(), &error.hint()))?;
        let no_bucket = format!("{} is {}, which has no bucket policy", self.place, place.kind());
        let Place::S3 { bucket, prefix } = place else {
            let hint = "name a bucket, such as s3://factory-eu/batches";
            return Err(Failure::usage(&no_bucket, hint));
        };
        let in_partition = |partition| Bucket {
            partition,
            name: &bucket,
            prefix: &prefix,
        };
        if self.station {
            if !self.partition.starts_with("aws") {
                return Err(Failure::usage(
                    &format!("{:?} is no partition of AWS", self.partition),
                    "use aws, aws-cn or aws-us-gov",
                ));
            }
            let rights = Policy::of_station(in_partition(&self.partition), self.burn);
            let characters = rights.characters();
            let ended = Ended::with(Document::Policy(rights));
            return Ok(match characters > MAX_MANAGED_POLICY {
                true => ended.warning(format!(
                    "the policy has {characters} characters, and a managed policy of IAM has {MAX_MANAGED_POLICY} at most: put it into the role itself (aws iam put-role-policy), which takes 10240"
                )),
                false => ended,
            });
        }
        if let Some(days) = self.lifecycle {
            let lifecycle = Lifecycle::new(in_partition("aws"), days);
            return Ok(Ended::with(Document::Lifecycle(lifecycle)));
        }
        let roles = [&self.station_role, &self.forge_role].into_iter().flatten();
        let roles: Vec<&str> = roles.map(String::as_str).collect();
        let mut partition = "aws";
        for role in &roles {
            partition = role_partition(role).ok_or_else(|| {
                Failure::usage(
                    &format!("{role:?} is not the ARN of an IAM role"),
                    "give it as in arn:aws:iam::123456789012:role/stations",
                )
            })?;
        }
        let policy = Policy::of_bucket(in_partition(partition), &roles);
        Ok(Ended::with(Document::Policy(policy)))
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?;
        writeln!(f, "{text}")
    }
}
