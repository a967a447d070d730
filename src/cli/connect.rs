//! `certforge connect`: one device, to its real endpoint.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use certforge::bundle::encryption::DecryptError;
use certforge::bundle::{MOST_OCTETS, OpenError};
use certforge::causes::in_one_line;
use certforge::pem;
use certforge::printable;
use certforge::rehearsal::{
    Attempt, ConnectError, DEFAULT_TOPIC, Device, DeviceError, Done, Greeting, Sends, Step, Target, Told,
    connect, roots,
};
use certforge::shell::quoted;
use clap::Args;
use serde::Serialize;
use zeroize::Zeroizing;

use super::failure::Failure;
use super::identity::IdentityArgs;
use super::passwords::PasswordArgs;
use super::rehearse::{MqttVersion, own_filter};
use super::report::{Ended, Outcome, Printer};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Connect {
    /// Bundle of the device: a ZIP, the folder that it was unpacked into, or one file with its key, such as PKCS#12
    bundle: PathBuf,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    passwords: PasswordArgs,
    /// Endpoint [default: what endpoint.json in the bundle says]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Port; on 443 the device sends ALPN x-amzn-mqtt-ca [default: what endpoint.json says, or 8883]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Send ALPN x-amzn-mqtt-ca on other ports too
    #[arg(long)]
    alpn: bool,
    /// Roots that the device trusts, PEM [default: those in the bundle]
    #[arg(long, value_name = "FILE")]
    cafile: Option<PathBuf>,
    /// Client id [default: what endpoint.json says, or the certificate's CN]
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Topic of the message [default: the thing's name and /test, or JITP/test]
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Message
    #[arg(long, value_name = "TEXT", default_value = "first light")]
    message: String,
    /// Topic filter that the firmware subscribes to before it publishes, with {thing_name} and {client_id}; may be given
    /// again
    #[arg(long, value_name = "FILTER", value_parser = own_filter)]
    subscribe: Vec<String>,
    /// Connect only; publish nothing
    #[arg(long, conflicts_with_all = ["topic", "message"])]
    no_publish: bool,
    /// Version of MQTT
    #[arg(long, value_enum, default_value_t = MqttVersion::V3)]
    mqtt: MqttVersion,
    /// Send the device's certificate alone, without the CA's
    #[arg(long)]
    leaf_only: bool,
    /// Attempts, the first one included, which AWS IoT drops when it provisions the device
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    attempts: u32,
    /// Seconds that each step may take
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
    /// Print commands that do the same with mosquitto_pub; connect to nothing
    #[arg(long, conflicts_with_all = ["json", "no_publish", "subscribe"])]
    print_mosquitto: bool,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// How a device fared.
#[derive(Serialize)]
struct Connected {
    client_id: String,
    certificate_id: String,
    host: String,
    port: u16,
    comes_up: bool,
    attempts: Vec<Tried>,
    hint: Option<String>,
}

#[derive(Serialize)]
struct Tried {
    steps: Vec<Done>,
    error: Option<String>,
    failed_at: Option<Step>,
}

impl Connect {
    pub fn run(&self, printer: Printer) -> Outcome {
        let device = self.open()?;
        let target = self.target(&device)?;
        let greeting = self.greeting(&device);
        if self.print_mosquitto {
            printer.tell(self.mosquitto(&device, &target, &greeting)?);
            return Ok(Ended::silent());
        }
        let trusted = roots(&self.roots(&device)?).map_err(|error| {
            Failure::usage(&error.to_string(), "give root certificates, PEM, with --cafile")
        })?;
        let whom = format!(
            "{}, certificate {}, to {}:{}",
            greeting.client_id, device.certificate_id, target.host, target.port
        );
        printer.tell(printable::line(&whom) + "\n");
        let mut tell = |told: Told<'_>| printer.tell(describe(told));
        let attempts = connect(&device, &trusted, &target, &greeting, self.attempts, &mut tell)?;
        Ok(end(attempts, &device, target, greeting))
    }

    fn open(&self) -> Result<Device, Failure> {
        let unreadable = |error: std::io::Error| {
            Failure::usage(
                &format!("bundle {} cannot be read: {error}", self.bundle.display()),
                "give the ZIP of one device, or its folder; `certforge station claim` takes one out of a batch",
            )
        };
        let identities = self.identity.read()?;
        let passwords = self.passwords.read()?;
        let opened = if self.bundle.is_dir() {
            Device::from_files(read_folder(&self.bundle).map_err(unreadable)?, &passwords)
        } else {
            Device::open(
                &read_bounded(&self.bundle).map_err(unreadable)?,
                identities.as_ref(),
                &passwords,
            )
        };
        opened.map_err(|error| {
            Failure::usage(
                &format!("bundle {}: {error}", self.bundle.display()),
                match error {
                    DeviceError::Zip(OpenError::Pack { .. }) => {
                        "`certforge station claim --out DIR` takes a device out of it, and `connect DIR` connects as it"
                    }
                    DeviceError::Encrypted(DecryptError::SomebodyElse) => {
                        "give the identity of one of its recipients with --identity"
                    }
                    DeviceError::Zip(OpenError::Encrypted) => {
                        "give an identity by which it can be read with --identity, or in CERTFORGE_IDENTITY"
                    }
                    DeviceError::NotOpened { .. } => {
                        "give the folder in which its password or keys lie beside it, or the password with --pkcs12-password-file"
                    }
                    DeviceError::InHardware { .. } => {
                        "such a device connects by itself alone; `certforge rehearse --serve` is an endpoint for it"
                    }
                    DeviceError::NoKey => {
                        "of a C header or a file of your own the key is not read: give a bundle that has it in PEM too"
                    }
                    _ => "give the ZIP of one device, as certforge made it",
                },
            )
        })
    }

    fn target(&self, device: &Device) -> Result<Target, Failure> {
        let endpoint = device.endpoint.as_ref();
        let host = match (&self.host, endpoint.and_then(|endpoint| endpoint.host.as_deref())) {
            (Some(host), _) => host.clone(),
            (None, Some(host)) => host.to_owned(),
            (None, None) => {
                return Err(Failure::usage(
                    &format!("bundle {} names no endpoint", self.bundle.display()),
                    "name it with --host, such as a1b2c3-ats.iot.eu-west-1.amazonaws.com",
                ));
            }
        };
        let port = self
            .port
            .or(endpoint.map(|endpoint| endpoint.port))
            .unwrap_or(8883);
        Ok(Target {
            host,
            port,
            address: None,
        })
    }

    fn greeting(&self, device: &Device) -> Greeting {
        let endpoint = device.endpoint.as_ref();
        let client_id = self
            .client_id
            .clone()
            .or_else(|| device.client_id())
            .unwrap_or_else(|| device.certificate_id.clone());
        let topic = self
            .topic
            .clone()
            .or_else(|| Some(format!("{}/test", endpoint?.thing_name)))
            .unwrap_or_else(|| DEFAULT_TOPIC.to_owned());
        let thing = endpoint.map_or(client_id.as_str(), |endpoint| &endpoint.thing_name);
        let fill = |filter: &String| {
            let filter = filter.replace("{thing_name}", thing);
            filter.replace("{client_id}", &client_id)
        };
        Greeting {
            version: self.mqtt.version(),
            subscribe: self.subscribe.iter().map(fill).collect(),
            client_id,
            topic: (!self.no_publish).then_some(topic),
            payload: Bytes::from(self.message.clone()),
            sends: Sends::new(self.leaf_only),
            timeout: Duration::from_secs(self.timeout),
            alpn: self.alpn || self.port == Some(443),
        }
    }

    fn roots(&self, device: &Device) -> Result<Vec<Vec<u8>>, Failure> {
        let Some(path) = &self.cafile else {
            if device.roots.is_empty() {
                return Err(Failure::usage(
                    &format!("bundle {} holds no root certificates", self.bundle.display()),
                    "name those that the device has with --cafile, such as AmazonRootCA1.pem",
                ));
            }
            return Ok(device.roots.clone());
        };
        let text = super::rehearse::read_text(path, "--cafile")?;
        let blocks = pem::blocks(&text).unwrap_or_default();
        let certificates = blocks.iter().filter(|block| block.label == pem::CERTIFICATE);
        Ok(certificates.map(|block| block.der.to_vec()).collect())
    }

    /// The same as commands: in the bundle's folder, or of a ZIP in one that is named as the device is.
    fn mosquitto(&self, device: &Device, target: &Target, greeting: &Greeting) -> Result<String, Failure> {
        let files = &device.files;
        let missing = |what: &str| {
            Failure::usage(
                &format!(
                    "bundle {} has no {what} in PEM, which mosquitto_pub needs",
                    self.bundle.display()
                ),
                "unpack the bundle and convert it with openssl",
            )
        };
        let is_folder = self.bundle.is_dir();
        let folder = match is_folder {
            true => self.bundle.clone(),
            false => PathBuf::from(&greeting.client_id),
        };
        let member = |name: &Option<String>, what: &str| {
            let name = name.as_ref().ok_or_else(|| missing(what))?;
            Ok::<_, Failure>(word(&folder.join(name)))
        };
        let root = match &self.cafile {
            Some(path) => word(path),
            None => member(&files.root, "root certificate")?,
        };
        let certificates = match self.leaf_only {
            true => member(&files.certificate, "certificate")?,
            false => member(&files.chain, "certificate")?,
        };
        let version = match self.mqtt {
            MqttVersion::V3 => "mqttv311",
            MqttVersion::V5 => "mqttv5",
        };
        let alpn = if target.port == 443 || self.alpn {
            " --tls-alpn x-amzn-mqtt-ca"
        } else {
            ""
        };
        let topic = greeting.topic.as_deref().unwrap_or(DEFAULT_TOPIC);
        let unpack = match is_folder {
            true => String::new(),
            false => format!(
                "umask 077; unzip -o {} -d {}\n",
                word(&self.bundle),
                word(&folder)
            ),
        };
        Ok(format!(
            "{unpack}# AWS IoT drops a device's first connection: then the same once more.\n\
             mosquitto_pub -h {} -p {}{alpn} --cafile {root} --cert {certificates} --key {} -V {version} -i {} -q 1 \
             -t {} -m {} -d\n",
            quoted(&target.host),
            target.port,
            member(&files.key, "private key")?,
            quoted(&greeting.client_id),
            quoted(topic),
            quoted(&self.message),
        ))
    }
}

/// A path as a word of a command, which takes it for no option.
fn word(path: &Path) -> String {
    let text = path.display().to_string();
    match text.starts_with('-') {
        true => quoted(&format!("./{text}")),
        false => quoted(&text),
    }
}

/// A file, or as much of it as tells that it is too long.
fn read_bounded(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let file = std::fs::File::open(path)?;
    // Of full size from the start, so that it never moves and leaves a copy behind.
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut octets = Zeroizing::new(Vec::with_capacity(size.min(MOST_OCTETS) + 1));
    file.take(MOST_OCTETS as u64 + 1).read_to_end(&mut octets)?;
    Ok(octets)
}

/// The files of a folder, by name.
fn read_folder(folder: &Path) -> std::io::Result<Vec<(String, Zeroizing<Vec<u8>>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push((name, read_bounded(&entry.path())?));
        }
    }
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(files)
}

/// What is told as it happens.
fn describe(told: Told<'_>) -> String {
    match told {
        Told::Attempt(attempt) => steps(&attempt.done),
        Told::Again(pause) => format!(
            "  dropped before CONNACK, which AWS IoT does at a device's first connection; again in {} s\n",
            pause.as_secs()
        ),
    }
}

fn end(attempts: Vec<Attempt>, device: &Device, target: Target, greeting: Greeting) -> Ended {
    let tries = attempts.len();
    let last = attempts.last().and_then(|attempt| attempt.error.as_ref());
    let hint = last.map(|error| error.hint(tries));
    let failure = last.map(|error| Failure::refused(in_one_line(error), &error.hint(tries)));
    let attempts = attempts.into_iter().map(|attempt| Tried {
        error: attempt.error.as_ref().map(|error| in_one_line(error)),
        failed_at: attempt.error.as_ref().map(ConnectError::step),
        steps: attempt.done,
    });
    Ended::with(Connected {
        client_id: greeting.client_id,
        certificate_id: device.certificate_id.clone(),
        host: target.host,
        port: target.port,
        comes_up: failure.is_none(),
        attempts: attempts.collect(),
        hint,
    })
    .failed(failure)
}

/// People have seen the steps.
impl fmt::Display for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.comes_up {
            true => writeln!(f, "the device comes up"),
            false => Ok(()),
        }
    }
}

fn steps(done: &[Done]) -> String {
    let lines = done.iter().map(|done| {
        let name = match done.step {
            Step::Dns => "DNS",
            Step::Tcp => "TCP",
            Step::Tls => "TLS",
            Step::Connect => "CONNECT",
            Step::Subscribe => "SUBSCRIBE",
            Step::Publish => "PUBLISH",
        };
        let detail = printable::line(&done.detail);
        format!("  {name:9} {:8.1} ms  {detail}\n", done.milliseconds)
    });
    lines.collect()
}
