//! `certforge bucket-policy`.

use std::process::ExitCode;

use certforge::store::Place;
use clap::Args;
use serde_json::{Value, json};

use super::{Failure, Outcome, print_json};

/// Tag whose value is the days after which an object may go.
pub const EXPIRY_TAG: &str = "certforge-expire-after";

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
}

impl BucketPolicy {
    pub fn run(&self) -> Outcome {
        let place =
            Place::parse(&self.place).map_err(|error| Failure::usage(&error.to_string(), &error.hint()))?;
        let Place::S3 { bucket, prefix } = place else {
            return Err(Failure::usage(
                &format!("{} is a folder, which has no bucket policy", self.place),
                "name a bucket, such as s3://factory-eu/batches",
            ));
        };
        if self.station {
            if !self.partition.starts_with("aws") {
                return Err(Failure::usage(
                    &format!("{:?} is no partition of AWS", self.partition),
                    "use aws, aws-cn or aws-us-gov",
                ));
            }
            print_json(&station_rights(&self.partition, &bucket, &prefix, self.burn));
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(days) = self.lifecycle {
            print_json(&lifecycle(&prefix, days));
            return Ok(ExitCode::SUCCESS);
        }
        let roles: Vec<&str> = [&self.station_role, &self.forge_role]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let mut partition = "aws";
        for role in &roles {
            partition = role_partition(role).ok_or_else(|| {
                Failure::usage(
                    &format!("{role:?} is not the ARN of an IAM role"),
                    "give it as in arn:aws:iam::123456789012:role/stations",
                )
            })?;
        }
        print_json(&policy(partition, &bucket, &prefix, &roles));
        Ok(ExitCode::SUCCESS)
    }
}

/// The partition that a role's ARN names: `aws`, `aws-cn` or another.
fn role_partition(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts[..] else {
        return None;
    };
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let is_role = resource
        .strip_prefix("role/")
        .is_some_and(|name| !name.is_empty());
    let has_wildcard = resource.contains(['*', '?']);
    (partition.starts_with("aws") && is_account && is_role && !has_wildcard).then_some(partition)
}

/// Denies only: who may do what is granted by the roles' own policies, and by nothing here.
fn policy(partition: &str, bucket: &str, prefix: &str, readers: &[&str]) -> Value {
    let bucket = format!("arn:{partition}:s3:::{bucket}");
    let within = match prefix {
        "" => format!("{bucket}/"),
        prefix => format!("{bucket}/{prefix}/"),
    };
    let objects = format!("{within}*");
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "RefuseUnencryptedTransport",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [bucket, objects],
                "Condition": { "Bool": { "aws:SecureTransport": "false" } },
            },
            // A multipart upload is conditional only when it is completed.
            // https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
            {
                "Sid": "RefuseUnconditionalPuts",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:PutObject",
                "Resource": objects,
                "Condition": {
                    "Null": { "s3:if-none-match": "true", "s3:if-match": "true" },
                    "Bool": { "s3:ObjectCreationOperation": "true" },
                },
            },
            // What holds keys. Indexes and certificates are public facts.
            {
                "Sid": "RefuseReadsByOthers",
                "Effect": "Deny",
                "Principal": "*",
                "Action": ["s3:GetObject", "s3:GetObjectVersion"],
                "Resource": [format!("{within}*bundles/*"), format!("{within}*packs/*")],
                "Condition": { "ArnNotEquals": { "aws:PrincipalArn": readers } },
            },
        ],
    })
}

/// What a station does: reads batches, and writes claims and records. A claim that changes hands is written
/// with If-Match, for which S3 wants the right to read it too.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
fn station_rights(partition: &str, bucket: &str, prefix: &str, burn: bool) -> Value {
    let bucket = format!("arn:{partition}:s3:::{bucket}");
    let within = match prefix {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    let objects = |folders: &[&str]| -> Vec<String> {
        folders
            .iter()
            .map(|folder| format!("{bucket}/{within}*{folder}"))
            .collect()
    };
    let written = ["claims/*", "flashed/*", "failed/*", "scrapped/*"];
    let read = [
        "seal.json",
        "batch.json",
        "withdrawn.json",
        "index/*",
        "lookup/*",
        "bundles/*",
        "packs/*",
    ];
    // To one who may not list it, S3 does not say that the batch is not withdrawn.
    let listed: Vec<String> = written
        .iter()
        .chain(&["withdrawn.json"])
        .map(|folder| format!("{within}*{folder}"))
        .collect();
    let mut statements = vec![
        json!({
            "Sid": "ReadBatches",
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": objects(&[&read[..], &written[..]].concat()),
        }),
        json!({
            "Sid": "ClaimAndReport",
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": objects(&written),
        }),
        json!({
            "Sid": "FindWhatIsLeft",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": bucket,
            "Condition": { "StringLike": { "s3:prefix": listed } },
        }),
    ];
    if burn {
        statements.push(json!({
            "Sid": "BurnBundles",
            "Effect": "Allow",
            "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
            "Resource": objects(&["bundles/*", "packs/*"]),
        }));
        statements.push(json!({
            "Sid": "BurnBundlesInPacks",
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:GetObjectTagging", "s3:PutObjectTagging"],
            "Resource": objects(&["packs/*"]),
        }));
        let listed = ["bundles/*", "packs/*"].map(|folder| format!("{within}*{folder}"));
        statements.push(json!({
            "Sid": "FindBundlesAndTheirVersions",
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:ListBucketVersions"],
            "Resource": bucket,
            "Condition": { "StringLike": { "s3:prefix": listed } },
        }));
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// Objects go after their days, and parts of uploads that were cut off go after one.
fn lifecycle(prefix: &str, days: u16) -> Value {
    let tag = json!({ "Key": EXPIRY_TAG, "Value": days.to_string() });
    let (expiring, all) = match prefix {
        "" => (json!({ "Tag": tag }), json!({ "Prefix": "" })),
        prefix => {
            let prefix = format!("{prefix}/");
            (
                json!({ "And": { "Prefix": prefix, "Tags": [tag] } }),
                json!({ "Prefix": prefix }),
            )
        }
    };
    json!({
        "Rules": [
            {
                "ID": format!("certforge-expire-after-{days}-days"),
                "Status": "Enabled",
                "Filter": expiring,
                "Expiration": { "Days": days },
                "NoncurrentVersionExpiration": { "NoncurrentDays": 1 },
            },
            {
                "ID": "certforge-cut-off-uploads",
                "Status": "Enabled",
                "Filter": all,
                "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": 1 },
            },
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_roles_from_other_arns() {
        assert_eq!(
            role_partition("arn:aws:iam::123456789012:role/stations"),
            Some("aws")
        );
        assert_eq!(
            role_partition("arn:aws-cn:iam::123456789012:role/a/b"),
            Some("aws-cn")
        );
        for arn in [
            "stations",
            "arn:aws:iam::123456789012:user/me",
            "arn:aws:iam::12345:role/stations",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/*",
            "arn:aws:sts::123456789012:assumed-role/stations/1",
        ] {
            assert_eq!(role_partition(arn), None, "{arn}");
        }
    }
}
