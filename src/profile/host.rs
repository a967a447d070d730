//! What AWS documents of the hosts that devices connect to, in one place: which forms there are, which of them a device that
//! has Amazon's roots can use, and in which Region each is.
//!
//! <https://docs.aws.amazon.com/iot/latest/developerguide/iot-connect-devices.html>,
//! <https://docs.aws.amazon.com/iot/latest/developerguide/iot-connect-fips.html>,
//! <https://docs.aws.amazon.com/iot/latest/developerguide/server-authentication.html>

/// A host, as far as its name tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// `<id>-ats.iot.<region>.amazonaws.com`, in China `<id>.ats.iot.<region>.amazonaws.com.cn`: the account's own, under
    /// Amazon's roots.
    DataAts { region: String },
    /// `data.iot-fips.<region>.amazonaws.com`, under Amazon's roots.
    Fips { region: String },
    /// `<id>.iot.<region>.amazonaws.com`: the account's own, under roots that Amazon's do not replace.
    Legacy { region: String },
    /// Another service of AWS IoT, to which no device speaks MQTT.
    Service { name: &'static str, region: String },
    /// None of AWS's own names, such as a custom domain of AWS IoT.
    Other,
}

/// Ports on which AWS IoT listens; 443 takes MQTT with ALPN `x-amzn-mqtt-ca`, 8443 takes HTTPS alone.
/// <https://docs.aws.amazon.com/iot/latest/developerguide/protocols.html>
const PORTS: [u16; 3] = [8883, 443, 8443];

/// Why no device would come up at a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error(
        "{host} is AWS's endpoint of old (iot:Data), whose certificate the Amazon roots in the bundles do not verify: every device would fail TLS"
    )]
    Legacy { host: String, region: String },
    #[error("{host} is AWS IoT's {service}, and no endpoint for devices")]
    Service {
        host: String,
        service: &'static str,
        region: String,
    },
    #[error("{host} does not listen on port {port}")]
    Port { host: String, port: u16 },
}

impl Unfit {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Legacy { region, .. } | Self::Service { region, .. } => format!(
                "give the one that this prints: aws iot describe-endpoint --endpoint-type iot:Data-ATS --region {region}"
            ),
            Self::Port { .. } => {
                "leave [endpoint] port out for 8883; or 443, with ALPN x-amzn-mqtt-ca; 8443 takes HTTPS alone"
                    .to_owned()
            }
        }
    }
}

impl Host {
    /// What a host name says.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let Some(name) = name
            .strip_suffix(".amazonaws.com")
            .or_else(|| name.strip_suffix(".amazonaws.com.cn"))
        else {
            return Self::Other;
        };
        let labels: Vec<&str> = name.split('.').collect();
        let region = (*labels.last().expect("a name has a label")).to_owned();
        match labels.as_slice() {
            [_, "ats", "iot", _] => Self::DataAts { region },
            [id, "iot", _] if id.ends_with("-ats") => Self::DataAts { region },
            ["data", "iot-fips", _] => Self::Fips { region },
            // The generic one of old has no account either.
            [_, "iot", _] => Self::Legacy { region },
            ["iot" | "iot-fips", _] => Self::Service {
                name: "control plane",
                region,
            },
            [.., "credentials", "iot" | "iot-fips", _] => Self::Service {
                name: "credentials provider",
                region,
            },
            [.., "jobs", "iot" | "iot-fips", _] => Self::Service {
                name: "jobs endpoint",
                region,
            },
            _ => Self::Other,
        }
    }

    /// The Region it is in.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        match self {
            Self::DataAts { region }
            | Self::Fips { region }
            | Self::Legacy { region }
            | Self::Service { region, .. } => Some(region),
            Self::Other => None,
        }
    }
}

/// Sees that a device with Amazon's roots can come up at a host and port, as far as their names tell.
///
/// # Errors
///
/// When it cannot.
pub fn refuse_unfit(host: &str, port: u16) -> Result<(), Unfit> {
    match Host::of(host) {
        Host::Legacy { region } => Err(Unfit::Legacy {
            host: host.to_owned(),
            region,
        }),
        Host::Service { name, region } => Err(Unfit::Service {
            host: host.to_owned(),
            service: name,
            region,
        }),
        Host::DataAts { .. } | Host::Fips { .. } if !PORTS.contains(&port) => Err(Unfit::Port {
            host: host.to_owned(),
            port,
        }),
        Host::DataAts { .. } | Host::Fips { .. } | Host::Other => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_forms_that_aws_documents() {
        let ats = |region: &str| Host::DataAts {
            region: region.to_owned(),
        };
        let legacy = |region: &str| Host::Legacy {
            region: region.to_owned(),
        };
        let service = |name, region: &str| Host::Service {
            name,
            region: region.to_owned(),
        };
        for (name, expected) in [
            ("a1b2-ats.iot.eu-central-1.amazonaws.com", ats("eu-central-1")),
            ("A1B2-ATS.IoT.us-gov-west-1.amazonaws.com", ats("us-gov-west-1")),
            ("a1b2.ats.iot.cn-north-1.amazonaws.com.cn", ats("cn-north-1")),
            ("a1b2.iot.us-east-1.amazonaws.com", legacy("us-east-1")),
            ("a1b2.iot.cn-north-1.amazonaws.com.cn", legacy("cn-north-1")),
            ("data.iot.us-east-1.amazonaws.com", legacy("us-east-1")),
            (
                "data.iot-fips.us-east-1.amazonaws.com",
                Host::Fips {
                    region: "us-east-1".to_owned(),
                },
            ),
            (
                "iot.us-east-1.amazonaws.com",
                service("control plane", "us-east-1"),
            ),
            (
                "c1.credentials.iot.us-east-1.amazonaws.com",
                service("credentials provider", "us-east-1"),
            ),
            (
                "data.jobs.iot.us-east-1.amazonaws.com",
                service("jobs endpoint", "us-east-1"),
            ),
            ("mqtt.example.com", Host::Other),
            ("a1b2-ats.iot.us-east-1.amazonaws.com.example.com", Host::Other),
            ("broker.elb.us-east-1.amazonaws.com", Host::Other),
            ("localhost", Host::Other),
        ] {
            assert_eq!(Host::of(name), expected, "{name}");
        }
    }

    #[test]
    fn refuses_where_no_device_would_come_up() {
        let ats = "a1b2-ats.iot.eu-central-1.amazonaws.com";
        for (host, port, is_fit) in [
            (ats, 8883, true),
            (ats, 443, true),
            (ats, 1883, false),
            ("mqtt.example.com", 1883, true),
            ("a1b2.iot.eu-central-1.amazonaws.com", 8883, false),
            ("iot.eu-central-1.amazonaws.com", 8883, false),
        ] {
            assert_eq!(refuse_unfit(host, port).is_ok(), is_fit, "{host}:{port}");
        }
        let hint = refuse_unfit("a1b2.iot.eu-central-1.amazonaws.com", 8883)
            .unwrap_err()
            .hint();
        assert!(hint.ends_with("describe-endpoint --endpoint-type iot:Data-ATS --region eu-central-1"));
    }
}
