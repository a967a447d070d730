//! Revocation: the certificates of a batch that must never come up, at the rate that the account has.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::api::Iot;
use super::call::{AwsError, if_found, refusal};
use super::cloud::Cloud;
use crate::issuer::CaCertificate;
use crate::sdk::Server;

/// Requests that wait for an answer, at most.
const AT_ONCE: usize = 32;

/// Attempts at one certificate while AWS asks for patience, and the pause after the first.
const ATTEMPTS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(500);

/// What became of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Revoked {
    /// It was known, and is revoked now.
    Updated,
    /// It was not known, and is known as revoked now: a device that shows it is refused.
    Registered,
}

/// A certificate that is to be revoked.
#[derive(Debug, Clone)]
pub(super) struct Condemned {
    pub certificate_id: [u8; 32],
    /// The certificate, PEM; without it, only one that AWS knows can be revoked.
    pub certificate: Option<String>,
}

/// Revokes certificates of one CA.
#[derive(Debug, Clone, Copy)]
pub(super) struct Revocation<'a> {
    pub cloud: &'a Cloud,
    pub ca: &'a CaCertificate,
    /// Certificates a second, at most.
    pub rate: u32,
}

impl Cloud {
    /// Stops AWS IoT from registering devices of a CA by themselves.
    pub(super) fn stop_registration(&self, ca: &[u8; 32]) -> Result<(), AwsError> {
        let id = HEXLOWER.encode(ca);
        let settings = [("newAutoRegistrationStatus", "DISABLE")];
        let request = self.iot.update_ca_certificate(&id, &settings, None);
        self.ask("iot:UpdateCACertificate", request).map(drop)
    }
}

impl Revocation<'_> {
    /// Revokes some certificates, and says of each what became of it, in their order; when it is cancelled, of
    /// those only that it had begun with.
    #[must_use]
    pub fn revoke(
        &self,
        certificates: Vec<Condemned>,
        is_cancelled: &(dyn Fn() -> bool + Sync),
        done: &(dyn Fn() + Sync),
    ) -> Vec<Result<Revoked, AwsError>> {
        self.cloud
            .runtime
            .block_on(self.revoke_all(certificates, is_cancelled, done))
    }

    async fn revoke_all(
        &self,
        certificates: Vec<Condemned>,
        is_cancelled: &(dyn Fn() -> bool + Sync),
        done: &(dyn Fn() + Sync),
    ) -> Vec<Result<Revoked, AwsError>> {
        let ca: Arc<str> = self.ca.to_pem().into();
        let gate = Arc::new(Semaphore::new(AT_ONCE));
        let mut clock = interval(Duration::from_secs(1) / self.rate.max(1));
        // A pause is not made up for by a burst.
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tasks = Vec::with_capacity(certificates.len());
        for certificate in certificates {
            clock.tick().await;
            if is_cancelled() {
                break;
            }
            let permit = gate.clone().acquire_owned().await.expect("it is never closed");
            let one = One {
                iot: self.cloud.iot.clone(),
                server: self.cloud.server.clone(),
                ca: ca.clone(),
                certificate,
            };
            tasks.push(tokio::spawn(async move {
                let outcome = one.revoke().await;
                drop(permit);
                outcome
            }));
        }
        let mut outcomes = Vec::with_capacity(tasks.len());
        for task in tasks {
            outcomes.push(task.await.expect("a task does not panic"));
            done();
        }
        outcomes
    }
}

/// One certificate that is to be revoked.
struct One {
    iot: Iot,
    server: Server,
    ca: Arc<str>,
    certificate: Condemned,
}

impl One {
    async fn revoke(&self) -> Result<Revoked, AwsError> {
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            match self.attempt().await {
                Err(error) if error.is_passing() && attempt < ATTEMPTS => {
                    let spread = Duration::from_millis(fastrand::u64(..250));
                    sleep(pause + spread).await;
                    pause *= 2;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    async fn attempt(&self) -> Result<Revoked, AwsError> {
        if let Some(revoked) = self.update().await? {
            return Ok(revoked);
        }
        let Some(certificate) = &self.certificate.certificate else {
            return Err(AwsError::NoCertificate);
        };
        let asked = json!({
            "certificatePem": certificate,
            "caCertificatePem": &*self.ca,
            "status": "REVOKED",
        });
        let answer = self.iot.register_certificate(&asked).await;
        match answer.map_err(refusal(&self.server, "iot:RegisterCertificate")) {
            Ok(_) => Ok(Revoked::Registered),
            // A device was faster.
            Err(AwsError::Refused { code, .. }) if code == "ResourceAlreadyExistsException" => {
                Ok(self.update().await?.unwrap_or(Revoked::Registered))
            }
            Err(error) => Err(error),
        }
    }

    /// Revokes a certificate that AWS knows; `None`: it knows none.
    async fn update(&self) -> Result<Option<Revoked>, AwsError> {
        let id = HEXLOWER.encode(&self.certificate.certificate_id);
        let answer = self.iot.update_certificate(&id, "REVOKED").await;
        let answer = answer.map_err(refusal(&self.server, "iot:UpdateCertificate"));
        Ok(if_found(answer)?.map(|_| Revoked::Updated))
    }
}
