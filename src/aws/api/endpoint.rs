//! Where AWS IoT and IAM are asked: the rules of AWS, <https://docs.aws.amazon.com/general/latest/gr/iot-core.html> and
//! <https://docs.aws.amazon.com/general/latest/gr/iam-service.html>.

use aws_config::SdkConfig;
use aws_types::region::Region;

use crate::sdk;

/// A part of AWS that has accounts, names and rules of its own.
struct Partition {
    /// What its Regions begin with.
    prefix: &'static str,
    suffix: &'static str,
    /// The same for IPv6 as well.
    dual_stack: &'static str,
    /// IAM: as it is; by FIPS; for IPv6 as well; both.
    iam: [&'static str; 4],
    /// IAM is in one Region.
    iam_region: &'static str,
}

/// The last one is of all other Regions.
const PARTITIONS: [Partition; 8] = [
    Partition {
        prefix: "cn-",
        suffix: "amazonaws.com.cn",
        dual_stack: "api.amazonwebservices.com.cn",
        iam: [
            "iam.cn-north-1.amazonaws.com.cn",
            "iam-fips.amazonaws.com.cn",
            "iam.global.api.amazonwebservices.com.cn",
            "iam-fips.api.amazonwebservices.com.cn",
        ],
        iam_region: "cn-north-1",
    },
    Partition {
        prefix: "us-gov-",
        suffix: "amazonaws.com",
        dual_stack: "api.aws",
        iam: [
            "iam.us-gov.amazonaws.com",
            "iam.us-gov.amazonaws.com",
            "iam.us-gov.api.aws",
            "iam.us-gov.api.aws",
        ],
        iam_region: "us-gov-west-1",
    },
    Partition {
        prefix: "eusc-",
        suffix: "amazonaws.eu",
        dual_stack: "api.amazonwebservices.eu",
        iam: [
            "iam.eusc-de-east-1.amazonaws.eu",
            "iam-fips.amazonaws.eu",
            "iam.global.api.amazonwebservices.eu",
            "iam-fips.api.amazonwebservices.eu",
        ],
        iam_region: "eusc-de-east-1",
    },
    Partition {
        prefix: "us-iso-",
        suffix: "c2s.ic.gov",
        dual_stack: "api.aws.ic.gov",
        iam: [
            "iam.us-iso-east-1.c2s.ic.gov",
            "iam-fips.us-iso-east-1.c2s.ic.gov",
            "iam.api.aws.ic.gov",
            "iam-fips.api.aws.ic.gov",
        ],
        iam_region: "us-iso-east-1",
    },
    Partition {
        prefix: "us-isob-",
        suffix: "sc2s.sgov.gov",
        dual_stack: "api.aws.scloud",
        iam: [
            "iam.us-isob-east-1.sc2s.sgov.gov",
            "iam-fips.us-isob-east-1.sc2s.sgov.gov",
            "iam.api.aws.scloud",
            "iam-fips.api.aws.scloud",
        ],
        iam_region: "us-isob-east-1",
    },
    Partition {
        prefix: "eu-isoe-",
        suffix: "cloud.adc-e.uk",
        dual_stack: "api.cloud-aws.adc-e.uk",
        iam: [
            "iam.eu-isoe-west-1.cloud.adc-e.uk",
            "iam-fips.cloud.adc-e.uk",
            "iam.api.cloud-aws.adc-e.uk",
            "iam-fips.api.cloud-aws.adc-e.uk",
        ],
        iam_region: "eu-isoe-west-1",
    },
    Partition {
        prefix: "us-isof-",
        suffix: "csp.hci.ic.gov",
        dual_stack: "api.aws.hci.ic.gov",
        iam: [
            "iam.us-isof-south-1.csp.hci.ic.gov",
            "iam-fips.csp.hci.ic.gov",
            "iam.api.aws.hci.ic.gov",
            "iam-fips.api.aws.hci.ic.gov",
        ],
        iam_region: "us-isof-south-1",
    },
    Partition {
        prefix: "",
        suffix: "amazonaws.com",
        dual_stack: "api.aws",
        iam: [
            "iam.amazonaws.com",
            "iam-fips.amazonaws.com",
            "iam.global.api.aws",
            "iam-fips.global.api.aws",
        ],
        iam_region: "us-east-1",
    },
];

/// Where a service is asked, and the Region that its requests are signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub url: String,
    pub region: Region,
}

/// Which of its endpoints AWS is asked at.
#[derive(Debug, Clone, Copy)]
struct Kind {
    fips: bool,
    dual_stack: bool,
}

/// Where AWS IoT is asked: the server that was named, or AWS in the Region.
pub(super) fn of_iot(config: &SdkConfig, region: &Region) -> Place {
    Place {
        url: sdk::endpoint(config, "IoT").unwrap_or_else(|| iot(region.as_ref(), kind(config))),
        region: region.clone(),
    }
}

/// Where IAM is asked, as [`of_iot`].
pub(super) fn of_iam(config: &SdkConfig, region: &Region) -> Place {
    match sdk::endpoint(config, "IAM") {
        Some(url) => Place {
            url,
            region: region.clone(),
        },
        None => iam(region.as_ref(), kind(config)),
    }
}

fn kind(config: &SdkConfig) -> Kind {
    Kind {
        fips: config.use_fips().unwrap_or(false),
        dual_stack: config.use_dual_stack().unwrap_or(false),
    }
}

fn partition(region: &str) -> &'static Partition {
    let of = |partition: &&Partition| region.starts_with(partition.prefix);
    PARTITIONS
        .iter()
        .find(of)
        .expect("the last one is of all Regions")
}

fn iot(region: &str, kind: Kind) -> String {
    let partition = partition(region);
    let service = if kind.fips { "iot-fips" } else { "iot" };
    let suffix = match kind.dual_stack {
        true => partition.dual_stack,
        false => partition.suffix,
    };
    format!("https://{service}.{region}.{suffix}")
}

fn iam(region: &str, kind: Kind) -> Place {
    let partition = partition(region);
    let host = partition.iam[usize::from(kind.fips) + 2 * usize::from(kind.dual_stack)];
    Place {
        url: format!("https://{host}"),
        region: Region::from_static(partition.iam_region),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// What botocore makes of each Region and kind: a line each of Region, FIPS, dual stack, the two places and the
    /// Region that IAM's requests are signed for.
    const BOTOCORE: &str = r#"
import botocore.session
from botocore.endpoint_provider import EndpointProvider
from botocore.loaders import Loader
loader = Loader()
partitions = loader.load_data("partitions")
def provider(service):
    return EndpointProvider(loader.load_service_model(service, "endpoint-rule-set-1"), partitions)
iot, iam = provider("iot"), provider("iam")
for region in ["us-east-1", "eu-central-1", "ap-southeast-4", "mx-central-1", "cn-north-1", "cn-northwest-1", "us-gov-east-1",
               "us-gov-west-1", "eusc-de-east-1", "us-iso-west-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1"]:
    for fips in [False, True]:
        for dual in [False, True]:
            asked = {"Region": region, "UseFIPS": fips, "UseDualStack": dual}
            role = iam.resolve_endpoint(**asked)
            signed = role.properties["authSchemes"][0]["signingRegion"]
            print(region, int(fips), int(dual), iot.resolve_endpoint(**asked).url, role.url, signed)
"#;

    #[test]
    fn places_are_those_of_botocore() {
        let Some(python) = std::env::var_os("CERTFORGE_TEST_PYTHON") else {
            eprintln!("LEFT OUT: CERTFORGE_TEST_PYTHON names no Python with botocore");
            return;
        };
        let output = Command::new(python).args(["-c", BOTOCORE]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(text.lines().count(), 13 * 4);
        for line in text.lines() {
            let [region, fips, dual_stack, of_iot, of_iam, signed] =
                line.split(' ').collect::<Vec<_>>()[..].try_into().unwrap();
            let kind = Kind {
                fips: fips == "1",
                dual_stack: dual_stack == "1",
            };
            assert_eq!(iot(region, kind), of_iot, "{line}");
            let place = iam(region, kind);
            assert_eq!(
                (place.url.as_str(), place.region.as_ref()),
                (of_iam, signed),
                "{line}"
            );
        }
    }
}
