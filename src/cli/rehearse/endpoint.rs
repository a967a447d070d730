//! The endpoint on the command line: which CAs, template and policies it has, and where it listens.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use certforge::causes::in_one_line;
use certforge::display::Names;
use certforge::issuer::CaCertificate;
use certforge::jitp::{
    Home, ManyHomes, Policies, Prerequisite, Template, certificate_ids, check_policy, homes_in,
};
use certforge::pem;
use certforge::rehearsal::{
    Account, Activation, Clock, Endpoint, EndpointOptions, KeyKind, Listener, Listening, Provisioning,
    SecurityPolicy, ServerIdentity,
};
use certforge::shell::quoted;
use clap::Args;
use rustls_pki_types::PrivatePkcs8KeyDer;
use time::{Duration, OffsetDateTime};

use super::assume::AssumeArgs;
use super::read_text;
use super::values::{account_id, duration, name_and_file, region, security_policy};
use crate::cli::batch::{OpenBatch, VoucherArgs};
use crate::cli::failure::Failure;
use crate::cli::issuer::certificate_at;
use crate::cli::jitp::template;

/// What nobody named.
const DEFAULT_ACCOUNT: &str = "123456789012";
const DEFAULT_REGION: &str = "us-east-1";

#[derive(Debug, Args)]
pub struct EndpointArgs {
    /// Template that is run for each new device
    #[arg(long, value_name = "FILE", required_unless_present = "jitr")]
    template: Option<PathBuf>,
    /// JITR in place of JITP: new certificates stay pending until `rehearse activate`, or as --allow-list says
    #[arg(long)]
    jitr: bool,
    /// With --jitr: activate the certificates of this batch and make all others INACTIVE, as the Lambda function of
    /// `jitp jitr-lambda` does; may be given again
    #[arg(long, value_name = "DIR|S3-URL|NAME", requires = "jitr")]
    allow_list: Vec<String>,
    /// CA that is registered and active: its folder or certificate; may be given again [default: the batch's, or ./ca]
    #[arg(long, value_name = "DIR|FILE")]
    ca: Vec<PathBuf>,
    /// Policy that exists, for templates that name one (and with --jitr, without template, for all devices); may be
    /// given again
    #[arg(long = "policy", value_name = "NAME=FILE", value_parser = name_and_file)]
    policies: Vec<(String, PathBuf)>,
    /// Refuse devices that send no server name (SNI), as AWS IoT does where the CA is registered as SNI_ONLY
    #[arg(long)]
    sni_only: bool,
    /// Set the endpoint's clock so far off: -2h is what AWS IoT sees when the factory's clock is two hours fast
    #[arg(long, value_name = "DURATION", value_parser = duration, allow_hyphen_values = true)]
    clock_skew: Option<Duration>,
    /// Account in ARNs [default: the one that the policies name, or 123456789012]
    #[arg(long, value_name = "ID", value_parser = account_id)]
    account_id: Option<String>,
    /// Region in ARNs [default: that of the batch's endpoint, or the one that the policies name, or us-east-1]
    #[arg(long, value_name = "REGION", value_parser = region)]
    iot_region: Option<String>,
    /// Keep things, policies, certificates and events in this file, also for a later rehearsal
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Address and port for devices; port 0 takes a free one [default: 127.0.0.1:8883 with --serve, else a free port]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<SocketAddr>,
    /// A further one that stands for port 443 of AWS IoT, where ALPN must say x-amzn-mqtt-ca
    #[arg(long, value_name = "ADDRESS")]
    alpn_address: Option<SocketAddr>,
    /// Serve a page that shows what happens, such as 127.0.0.1:8080. Whoever reaches it may read it
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// Name by which the page may be called, besides addresses and localhost; may be given again
    #[arg(long = "http-name", value_name = "NAME", requires = "http")]
    http_names: Vec<String>,
    /// Name or address in the endpoint's certificate, beside localhost; may be given again
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Security policy of AWS IoT: which versions of TLS and which cipher suites the endpoint takes [default: the Region's,
    /// IoTSecurityPolicy_TLS13_1_2_2022_10 as a rule]
    #[arg(long, value_name = "NAME", value_parser = security_policy)]
    tls_policy: Option<SecurityPolicy>,
    /// Certificate of the endpoint, with what is above it; given again, one with a key of the other kind, RSA or ECDSA
    /// [default: those of new roots, for this run alone]
    #[arg(long = "server-cert", value_name = "FILE", requires = "server_keys")]
    server_certs: Vec<PathBuf>,
    /// Private key of --server-cert, PKCS#8; as many as there are certificates, in the same order
    #[arg(long = "server-key", value_name = "FILE", requires = "server_certs")]
    server_keys: Vec<PathBuf>,
    /// File for the roots that devices must trust, with --serve: RSA first, then ECDSA
    #[arg(long, value_name = "FILE", default_value = "rehearsal-root.pem")]
    pub root_file: PathBuf,
    #[command(flatten)]
    assume: AssumeArgs,
    #[command(flatten)]
    voucher: VoucherArgs,
}

/// An endpoint that is ready to listen, and what people want to know of it.
pub struct Ready {
    pub endpoint: Arc<Endpoint>,
    pub listening: Listening,
    pub home: Home,
    pub authorities: Vec<CaCertificate>,
    /// The roots that devices must trust, DER.
    pub roots: Vec<Vec<u8>>,
    /// The name by which devices call the endpoint.
    pub host: String,
    /// What is taken to exist in the account.
    pub prerequisites: Vec<Prerequisite>,
}

impl EndpointArgs {
    /// Opens a batch, by its place or by its name in the ledger.
    pub fn open_batch(&self, batch: &str) -> Result<OpenBatch, Failure> {
        self.voucher.open(batch)
    }

    pub fn template_path(&self) -> Option<&Path> {
        self.template.as_deref()
    }

    pub fn state_path(&self) -> Option<&Path> {
        self.state.as_deref()
    }

    /// What things name in an account, as far as nobody said that it exists.
    pub fn taken_for_granted(&self, account: &Account) -> Result<Vec<Prerequisite>, Failure> {
        match self.assume.knows_what_exists() {
            true => Ok(Vec::new()),
            false => Ok(account.prerequisites()?),
        }
    }

    /// Whether the endpoint's certificate is made for the run.
    pub fn is_throw_away(&self) -> bool {
        self.server_certs.is_empty()
    }

    pub fn is_jitr(&self) -> bool {
        self.jitr
    }

    /// The CAs that are named.
    pub fn authorities(&self) -> Result<Vec<CaCertificate>, Failure> {
        self.ca.iter().map(|path| authority(path)).collect()
    }

    /// Whether new certificates would stay pending for ever.
    pub fn is_dead_end(&self) -> bool {
        self.jitr && self.state.is_none() && self.allow_list.is_empty()
    }

    /// What becomes of new certificates with --jitr.
    pub fn activation(&self) -> String {
        match (self.allow_list.as_slice(), &self.state) {
            ([], Some(state)) => format!(
                "certificates stay pending until `certforge rehearse activate --state {}`",
                quoted(&state.display().to_string())
            ),
            (batches, _) => format!(
                "those of {} become ACTIVE, all others INACTIVE",
                batches.join(", ")
            ),
        }
    }

    /// Puts everything together. `host` and `region`: of the endpoint in the bundles; `kinds`: of the certificates that are
    /// made, if none are given.
    pub fn prepare(
        &self,
        authorities: Vec<CaCertificate>,
        host: Option<&str>,
        region: Option<&str>,
        kinds: &[KeyKind],
        default_address: SocketAddr,
        listener: Listener,
    ) -> Result<Ready, Failure> {
        let listening = Listening {
            mqtt: Listening::bind(self.address.unwrap_or(default_address))?,
            alpn: self.alpn_address.map(Listening::bind).transpose()?,
            http: self.http.map(Listening::bind).transpose()?,
            http_names: Names::new(&self.http_names),
        };
        let template = self.template.as_deref().map(template::load).transpose()?;
        let template = template.map(|template| self.assume.apply(template)).transpose()?;
        let policies = self.read_policies()?;
        let account = Arc::new(match &self.state {
            Some(path) => Account::open(path)?,
            None => Account::in_memory()?,
        });
        for authority in &authorities {
            account.register_authority(authority, true)?;
        }
        for (name, document) in &policies {
            account.put_policy(name, document)?;
        }
        let names = policies.iter().map(|(name, _)| name.clone()).collect();
        let activation = Activation::new(template.clone(), names);
        activation.keep(&account)?;
        let home = self.home(template.as_ref(), &policies, region)?;
        let prerequisites = template.as_ref().map(Template::prerequisites).unwrap_or_default();
        let host = self
            .hosts
            .first()
            .map(String::as_str)
            .or(host)
            .unwrap_or("localhost");
        let identity = self.identity(host, kinds)?;
        let roots = identity.roots().to_vec();
        let options = EndpointOptions {
            provisioning: self.provisioning(template, activation)?,
            home: home.clone(),
            identity,
            policy: self
                .tls_policy
                .unwrap_or_else(|| SecurityPolicy::default_in(&home.region)),
            sni_only: self.sni_only,
            clock: Clock {
                skew: self.clock_skew.unwrap_or_default(),
            },
        };
        let endpoint = Arc::new(Endpoint::new(account, options, listener)?);
        Ok(Ready {
            endpoint,
            listening,
            home,
            authorities,
            roots,
            host: host.to_owned(),
            prerequisites: prerequisites
                .into_iter()
                .filter(|needed| !matches!(needed, Prerequisite::Policy(_)))
                .filter(|_| !self.assume.knows_what_exists())
                .collect(),
        })
    }

    fn provisioning(
        &self,
        template: Option<Template>,
        activation: Activation,
    ) -> Result<Provisioning, Failure> {
        if !self.jitr {
            let template = template.expect("clap asks for one");
            return Ok(Provisioning::Jitp(Box::new(template)));
        }
        Ok(Provisioning::Jitr {
            activation,
            allow_list: match self.allow_list.is_empty() {
                true => None,
                false => Some(self.read_allow_list()?),
            },
        })
    }

    fn read_allow_list(&self) -> Result<HashSet<[u8; 32]>, Failure> {
        let mut allowed = HashSet::new();
        for batch in &self.allow_list {
            let batch = self.open_batch(batch)?;
            allowed.extend(certificate_ids(&batch.vouched()?)?);
        }
        Ok(allowed)
    }

    fn read_policies(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut policies = Vec::new();
        for (name, path) in &self.policies {
            let document = read_text(path, "policy")?;
            Policies::read([(name.as_str(), document.as_str())]).map_err(|error| {
                Failure::aws(
                    format!("{}: {}", path.display(), in_one_line(&error)),
                    "correct it, or leave out what the rehearsal cannot evaluate",
                )
            })?;
            let findings = check_policy(&document);
            if let Some(error) = findings.iter().find(|finding| finding.is_error()) {
                return Err(Failure::aws(
                    format!("{}: {}", path.display(), error.message),
                    &format!(
                        "`certforge jitp policy check {}` lists what is wrong",
                        path.display()
                    ),
                ));
            }
            policies.push((name.clone(), document));
        }
        Ok(policies)
    }

    /// The account and Region of the ARNs: as they are given, or as they are named where it matters.
    fn home(
        &self,
        template: Option<&Template>,
        policies: &[(String, String)],
        region: Option<&str>,
    ) -> Result<Home, Failure> {
        let template = template.map(Template::text);
        let texts = template
            .into_iter()
            .chain(policies.iter().map(|(_, text)| text.as_str()));
        let named = texts.flat_map(homes_in).collect();
        let region = self.iot_region.as_deref().or(region);
        let home = Home::choose(
            &named,
            region,
            self.account_id.as_deref(),
            (DEFAULT_REGION, DEFAULT_ACCOUNT),
        );
        home.map_err(|error| {
            let option = match error {
                ManyHomes::Regions(_) => "--iot-region",
                ManyHomes::Accounts(_) => "--account-id",
            };
            Failure::usage(
                &error.to_string(),
                &format!("say with {option} where the devices shall connect"),
            )
        })
    }

    fn identity(&self, host: &str, kinds: &[KeyKind]) -> Result<ServerIdentity, Failure> {
        if self.is_throw_away() {
            let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
            hosts.push(host.to_owned());
            hosts.extend(self.hosts.iter().cloned());
            if let Some(address) = self.address.filter(|address| !address.ip().is_unspecified()) {
                hosts.push(address.ip().to_string());
            }
            hosts.sort();
            hosts.dedup();
            return Ok(ServerIdentity::throw_away(
                &hosts,
                kinds,
                OffsetDateTime::now_utc(),
            )?);
        }
        if self.server_certs.len() != self.server_keys.len() {
            return Err(Failure::usage(
                "there are not as many --server-key as --server-cert",
                "give each certificate its key, in the same order",
            ));
        }
        let blocks = |path: &Path, label: &str, what: &str| {
            let text = read_text(path, what)?;
            let found: Vec<_> = pem::blocks(&text)
                .unwrap_or_default()
                .into_iter()
                .filter(|block| block.label == label)
                .collect();
            match found.is_empty() {
                false => Ok(found),
                true => Err(Failure::usage(
                    &format!("{} holds no PEM block {label}", path.display()),
                    "give PEM files: --server-cert with CERTIFICATE, --server-key with PRIVATE KEY (PKCS#8)",
                )),
            }
        };
        let mut given = Vec::new();
        for (certificate, key) in self.server_certs.iter().zip(&self.server_keys) {
            let chain = blocks(certificate, pem::CERTIFICATE, "certificate")?
                .iter()
                .map(|block| block.der.to_vec().into())
                .collect();
            let key = blocks(key, pem::PRIVATE_KEY, "key")?.swap_remove(0);
            given.push((chain, PrivatePkcs8KeyDer::from(key.der.to_vec())));
        }
        Ok(ServerIdentity::own(given)?)
    }
}

/// A CA's certificate, from its folder or its file.
pub fn authority(path: &Path) -> Result<CaCertificate, Failure> {
    certificate_at(path, "name the CA's folder, or its certificate, with --ca")
}
