//! Policies for a bucket that holds bundles and for those who use it, as AWS takes them.

use serde::{Serialize, Serializer};

/// Characters that a managed policy of IAM may have.
pub const MAX_MANAGED_POLICY: usize = 6144;

/// Tag whose value is the days after which an object may go.
pub const EXPIRY_TAG: &str = "certforge-expire-after";

/// Where batches go, in the words of policies.
#[derive(Debug, Clone, Copy)]
pub struct Bucket<'a> {
    /// `aws`, or another one such as `aws-cn`.
    pub partition: &'a str,
    pub name: &'a str,
    pub prefix: &'a str,
}

/// A policy of a bucket or of a role.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<&'static str>,
    action: Values,
    resource: Values,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Fields<Fields<Values>>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

/// Fields in the order in which they are given.
#[derive(Debug)]
struct Fields<T>(Vec<(&'static str, T)>);

impl<T: Serialize> Serialize for Fields<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl From<&str> for Values {
    fn from(value: &str) -> Self {
        Self::One(value.to_owned())
    }
}

impl From<&[&str]> for Values {
    fn from(values: &[&str]) -> Self {
        Self::Many(values.iter().map(|&value| value.to_owned()).collect())
    }
}

impl Bucket<'_> {
    fn arn(&self) -> String {
        format!("arn:{}:s3:::{}", self.partition, self.name)
    }

    /// The prefix as keys begin with it.
    fn within(&self) -> String {
        match self.prefix {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        }
    }

    /// Keys of the batch that is here, or of every batch within. A star is any text, slashes too: a name is whole only
    /// with a slash before it. What lies deeper is taken for a batch as well: a place must not be within another.
    fn keys(&self, names: &[&str]) -> Vec<String> {
        let within = self.within();
        let keys = |name| [format!("{within}{name}"), format!("{within}*/{name}")];
        names.iter().flat_map(keys).collect()
    }

    /// The same as ARNs.
    fn objects(&self, names: &[&str]) -> Values {
        let arn = self.arn();
        let keys = self.keys(names);
        Values::Many(keys.into_iter().map(|key| format!("{arn}/{key}")).collect())
    }

    fn listing(&self, names: &[&str]) -> Fields<Fields<Values>> {
        condition("StringLike", "s3:prefix", Values::Many(self.keys(names)))
    }
}

fn condition(operator: &'static str, key: &'static str, value: Values) -> Fields<Fields<Values>> {
    Fields(vec![(operator, Fields(vec![(key, value)]))])
}

impl Policy {
    /// The policy of a bucket, of which none but the roles `readers` read bundles. It denies only: who may do what
    /// is granted by the roles' own policies, and by nothing here.
    #[must_use]
    pub fn of_bucket(bucket: Bucket<'_>, readers: &[&str]) -> Self {
        let objects = format!("{}/{}*", bucket.arn(), bucket.within());
        let deny = |sid, action: Values, resource, condition| Statement {
            sid,
            effect: "Deny",
            principal: Some("*"),
            action,
            resource,
            condition,
        };
        Self::new(vec![
            deny(
                "RefuseUnencryptedTransport",
                "s3:*".into(),
                Values::Many(vec![bucket.arn(), objects.clone()]),
                Some(condition("Bool", "aws:SecureTransport", "false".into())),
            ),
            // A multipart upload is conditional only when it is completed.
            // https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
            deny(
                "RefuseUnconditionalPuts",
                "s3:PutObject".into(),
                Values::One(objects),
                Some(Fields(vec![
                    (
                        "Null",
                        Fields(vec![
                            ("s3:if-none-match", "true".into()),
                            ("s3:if-match", "true".into()),
                        ]),
                    ),
                    (
                        "Bool",
                        Fields(vec![("s3:ObjectCreationOperation", "true".into())]),
                    ),
                ])),
            ),
            // What holds keys. Indexes and certificates are public facts.
            deny(
                "RefuseReadsByOthers",
                ["s3:GetObject", "s3:GetObjectVersion"].as_slice().into(),
                bucket.objects(&["bundles/*", "packs/*"]),
                Some(condition("ArnNotEquals", "aws:PrincipalArn", readers.into())),
            ),
        ])
    }

    /// The least rights of a station's role: it reads batches, and writes claims and records. A claim that changes hands
    /// is written with If-Match, for which S3 wants the right to read it too.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
    #[must_use]
    pub fn of_station(bucket: Bucket<'_>, burns: bool) -> Self {
        const WRITTEN: [&str; 4] = ["claims/*", "flashed/*", "failed/*", "scrapped/*"];
        // By chunk, of six digits or seven: nothing that a forge writes is called so, whatever its batch is called.
        const PUT: [&str; 8] = [
            "claims/??????/*.json",
            "claims/???????/*.json",
            "flashed/??????/*.json",
            "flashed/???????/*.json",
            "failed/??????/*.json",
            "failed/???????/*.json",
            "scrapped/??????/*.json",
            "scrapped/???????/*.json",
        ];
        const READ: [&str; 8] = [
            "seal.json",
            "batch.json",
            "shared.zip",
            "withdrawn.json",
            "index/*",
            "lookup/*",
            "bundles/*",
            "packs/*",
        ];
        const BUNDLES: [&str; 2] = ["bundles/*", "packs/*"];
        // Bundles that are objects of their own, in each of the forms that they have.
        const ALONE: [&str; 4] = [
            "bundles/??/*.zip",
            "bundles/??/*.zip.age",
            "bundles/??/*.bin",
            "bundles/??/*.bin.age",
        ];
        const PACKS: [&str; 2] = ["packs/??????.zip", "packs/???????.zip"];
        let allow = |sid, action: Values, resource, condition| Statement {
            sid,
            effect: "Allow",
            principal: None,
            action,
            resource,
            condition,
        };
        let mut statements = vec![
            allow(
                "ReadBatches",
                "s3:GetObject".into(),
                bucket.objects(&[&READ[..], &WRITTEN[..]].concat()),
                None,
            ),
            allow(
                "ClaimAndReport",
                "s3:PutObject".into(),
                bucket.objects(&PUT),
                None,
            ),
            // To one who may not list it, S3 does not say that the batch is not withdrawn, or has no newer generation.
            allow(
                "FindWhatIsLeft",
                "s3:ListBucket".into(),
                Values::One(bucket.arn()),
                Some(bucket.listing(&[&WRITTEN[..], &["withdrawn.json", "generations/*"]].concat())),
            ),
        ];
        if burns {
            statements.extend([
                allow(
                    "BurnBundles",
                    ["s3:DeleteObject", "s3:DeleteObjectVersion"].as_slice().into(),
                    bucket.objects(&[&ALONE[..], &PACKS[..]].concat()),
                    None,
                ),
                allow(
                    "BurnBundlesInPacks",
                    ["s3:PutObject", "s3:GetObjectTagging", "s3:PutObjectTagging"]
                        .as_slice()
                        .into(),
                    bucket.objects(&PACKS),
                    None,
                ),
                allow(
                    "FindBundlesAndTheirVersions",
                    ["s3:ListBucket", "s3:ListBucketVersions"].as_slice().into(),
                    Values::One(bucket.arn()),
                    Some(bucket.listing(&BUNDLES)),
                ),
            ]);
        }
        Self::new(statements)
    }

    /// Characters without white space, as AWS counts them.
    #[must_use]
    pub fn characters(&self) -> usize {
        serde_json::to_string(self).map_or(0, |text| text.chars().count())
    }

    fn new(statement: Vec<Statement>) -> Self {
        Self {
            version: "2012-10-17",
            statement,
        }
    }
}

/// Rules by which a bucket removes what is in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Lifecycle {
    rules: [Rule; 2],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    #[serde(rename = "ID")]
    id: String,
    status: &'static str,
    filter: Filter,
    #[serde(flatten)]
    ends: Fields<Fields<u16>>,
}

#[derive(Debug, Serialize)]
enum Filter {
    Tag(Tag),
    Prefix(String),
    #[serde(rename_all = "PascalCase")]
    And {
        prefix: String,
        tags: [Tag; 1],
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: &'static str,
    value: String,
}

impl Lifecycle {
    /// Objects that are tagged for it go after their days, and parts of uploads that were cut off go after one.
    #[must_use]
    pub fn new(bucket: Bucket<'_>, days: u16) -> Self {
        let prefix = bucket.within();
        let tag = Tag {
            key: EXPIRY_TAG,
            value: days.to_string(),
        };
        let rule = |id, filter, ends| Rule {
            id,
            status: "Enabled",
            filter,
            ends: Fields(ends),
        };
        let tagged = match prefix.is_empty() {
            true => Filter::Tag(tag),
            false => Filter::And {
                prefix: prefix.clone(),
                tags: [tag],
            },
        };
        Self {
            rules: [
                rule(
                    format!("certforge-expire-after-{days}-days"),
                    tagged,
                    vec![
                        ("Expiration", Fields(vec![("Days", days)])),
                        ("NoncurrentVersionExpiration", Fields(vec![("NoncurrentDays", 1)])),
                    ],
                ),
                rule(
                    "certforge-cut-off-uploads".to_owned(),
                    Filter::Prefix(prefix),
                    vec![(
                        "AbortIncompleteMultipartUpload",
                        Fields(vec![("DaysAfterInitiation", 1)]),
                    )],
                ),
            ],
        }
    }
}

/// The partition that the ARN of an IAM role names, if it is one.
#[must_use]
pub fn role_partition(arn: &str) -> Option<&str> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What policies mean by a pattern: `*` is any text, slashes too, and `?` any one character.
    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((b'*', after)), rest) => {
                matches(after, text) || rest.is_some_and(|(_, rest)| matches(pattern, rest))
            }
            (Some((p, after)), Some((t, rest))) => (*p == b'?' || p == t) && matches(after, rest),
            (Some(_), None) => false,
        }
    }

    /// Whether a policy's statement of that name is about a key.
    fn covers(policy: &Policy, sid: &str, key: &str) -> bool {
        let policy = serde_json::to_value(policy).unwrap();
        let statements = policy["Statement"].as_array().unwrap();
        let statement = statements
            .iter()
            .find(|statement| statement["Sid"] == sid)
            .unwrap();
        let patterns = match &statement["Resource"] {
            serde_json::Value::Array(patterns) => patterns.clone(),
            one => vec![one.clone()],
        };
        let arn = format!("arn:aws:s3:::b/{key}");
        patterns
            .iter()
            .any(|pattern| matches(pattern.as_str().unwrap().as_bytes(), arn.as_bytes()))
    }

    #[test]
    fn a_station_writes_into_its_own_folders_whatever_batches_are_called() {
        const NAMES: [&str; 12] = [
            "line-7",
            "000000",
            "packs",
            "flashed",
            "claims",
            "insurance-claims",
            "failed",
            "unscrapped",
            "bundles",
            "old-packs",
            "seal.json",
            "index",
        ];
        const FORGES: [&str; 16] = [
            "shared.zip",
            "seal.json",
            "batch.json",
            "withdrawn.json",
            "index/000000.csv",
            "lookup/000000.csv",
            "certificates/000000.pem",
            "bundles/de/SN1.zip",
            "packs/000000.zip",
            "packs/1000000.zip",
            "bundles/de/SN1.zip.age",
            "generations/1/0badcafe/bundles/de/SN1.zip.age",
            "generations/1/0badcafe/packs/000000.zip",
            "generations/1/seal.json",
            "bundles/de/SN1.bin",
            "bundles/de/SN1.bin.age",
        ];
        const STATIONS: [&str; 5] = [
            "claims/000000/SN1.json",
            "claims/1000000/claims.json",
            "flashed/000000/SN1.json",
            "failed/000000/SN1/2.json",
            "scrapped/000000/SN1.json",
        ];
        for prefix in ["", "p"] {
            let bucket = Bucket {
                partition: "aws",
                name: "b",
                prefix,
            };
            let (station, public) = (
                Policy::of_station(bucket, true),
                Policy::of_bucket(bucket, &["r"]),
            );
            // The batches of this place; and the place as a batch.
            let batches = NAMES.map(|name| format!("{}{name}/", bucket.within()));
            for batch in batches.into_iter().chain([bucket.within()]) {
                let key = |object: &str| format!("{batch}{object}");
                for key in FORGES.map(key) {
                    assert!(!covers(&station, "ClaimAndReport", &key), "{key} is the forge's");
                }
                for key in STATIONS.map(key) {
                    assert!(covers(&station, "ClaimAndReport", &key), "{key} is the station's");
                    assert!(covers(&station, "ReadBatches", &key), "{key} is the station's");
                }
                for key in [key(FORGES[13]), key("generations/2/0badcafe/index/000000.csv")] {
                    assert!(covers(&station, "ReadBatches", &key) && !covers(&station, "BurnBundles", &key));
                }
                let bundles = [7, 8, 10, 11, 12, 14, 15].map(|i| FORGES[i]);
                for (key, folder) in bundles.map(|object| (key(object), object)) {
                    assert!(covers(&station, "ReadBatches", &key) && covers(&station, "BurnBundles", &key));
                    assert!(
                        covers(&public, "RefuseReadsByOthers", &key),
                        "{key} holds {folder}"
                    );
                }
                for key in [key("seal.json"), key("index/000000.csv")] {
                    assert!(!covers(&station, "BurnBundles", &key), "{key} is the forge's");
                }
            }
        }
        // The place's own name is whole too.
        let bucket = Bucket {
            partition: "aws",
            name: "b",
            prefix: "p",
        };
        for key in [
            "p/insurance-claims/seal.json",
            "p2/b/claims/000000/SN1.json",
            "p/claims/seal.json",
        ] {
            assert!(
                !covers(&Policy::of_station(bucket, true), "ClaimAndReport", key),
                "{key}"
            );
        }
    }

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
