//! The endpoint: where a device connects, and as whom.

use super::config::EndpointConfig;
use super::host::{Host, Unfit, refuse_unfit};
use super::{ProfileError, Template};

/// MQTT over TLS with client certificates (IANA `secure-mqtt`).
const DEFAULT_PORT: u16 = 8883;

pub(super) const HOST_FIELD: &str = "endpoint.host";

/// What `endpoint.json` says for every device; client id and thing name are filled per row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `None`: the bundles name no endpoint.
    pub host: Option<String>,
    pub port: u16,
    pub region: Option<String>,
    pub thing_name: Template,
    pub client_id: Template,
}

impl Endpoint {
    pub(super) fn from_config(config: &EndpointConfig, id_column: &str) -> Result<Self, ProfileError> {
        let device_id = format!("{{{id_column}}}");
        let template = |field: &str, text: &str| {
            Template::parse(text).map_err(|source| ProfileError::Template {
                field: format!("endpoint.{field}"),
                source,
            })
        };
        let thing_name = config.thing_name.as_deref().unwrap_or(&device_id);
        let client_id = config.client_id.as_deref().unwrap_or(thing_name);
        if let Some(host) = &config.host {
            check_host(host)?;
        }
        Ok(Self {
            host: config.host.clone(),
            port: config.port.unwrap_or(DEFAULT_PORT),
            region: config
                .region
                .clone()
                .or_else(|| Host::of(config.host.as_deref()?).region().map(str::to_owned)),
            thing_name: template("thing_name", thing_name)?,
            client_id: template("client_id", client_id)?,
        })
    }
}

impl Endpoint {
    /// Sees that devices would come up there, as far as its name tells. A profile that is only read back need not be fit.
    ///
    /// # Errors
    ///
    /// When they would not.
    pub fn refuse_unfit(&self) -> Result<(), Unfit> {
        match &self.host {
            Some(host) => refuse_unfit(host, self.port),
            None => Ok(()),
        }
    }
}

fn check_host(host: &str) -> Result<(), ProfileError> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if host.len() <= 253 && host.split('.').all(is_label) {
        return Ok(());
    }
    Err(ProfileError::Field {
        field: HOST_FIELD.to_owned(),
        reason: format!("{host:?} is no host name"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_url_for_a_host() {
        for host in ["https://a.b", "a.b:8883", "", "a..b", "-a.b"] {
            assert!(check_host(host).is_err(), "{host}");
        }
    }
}
