//! `certforge job kubernetes`: an Indexed Job, whose pods have no privilege and write to nothing but what they are given.
//!
//! What the run names is mounted where it names it, counted from [`WORK`]: the CA from a Secret, manifest and profile from a
//! ConfigMap or a volume. So the command is the one that was typed.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use certforge::bundle::Content;
use certforge::issuer::{
    CERTIFICATE_FILE, CHAIN_FILE, ENDPOINT_FILE, FOR_BATCH_FILE, KEY_FILE, KEY_URI_FILE, REGISTRATION_FILE,
    WRAPPED_KEY_FILE,
};
use certforge::profile::Profile;
use certforge::shell::quoted;
use clap::Args;

use super::command::{Accounts, Command};
use super::{Array, Printed};
use crate::cli::Failure;
use crate::cli::report::{Ended, Outcome};

/// The working folder of a pod.
const WORK: &str = "/factory";

/// Where the volume for ledgers is.
const LEDGERS: &str = "/ledgers";

/// What a ConfigMap holds at most.
const CONFIG_MAP: u64 = 1 << 20;

#[derive(Debug, Args)]
pub struct Kubernetes {
    #[command(flatten)]
    array: Array,
    /// Image that has certforge, such as registry.factory/certforge:0.1.0
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// Secret with the files of the CA [default: NAME-ca]
    #[arg(long, value_name = "NAME", value_parser = super::name)]
    ca_secret: Option<String>,
    /// Secret whose keys are variables of the pods, such as PGPASSWORD; it need not be there [default: NAME-environment]
    #[arg(long, value_name = "NAME", value_parser = super::name)]
    environment_secret: Option<String>,
    /// Claim of a volume that has the manifest, and a profile, by their names, in place of the ConfigMap NAME-input, which
    /// takes 1 MiB
    #[arg(long, value_name = "NAME", value_parser = super::name)]
    input_claim: Option<String>,
    /// Claim of a volume that many pods may write to, for the ledgers of shards [default: NAME-ledgers]
    #[arg(long, value_name = "NAME", value_parser = super::name)]
    ledger_claim: Option<String>,
    /// Service account of the pods, which may write to the bucket
    #[arg(long, value_name = "NAME", value_parser = super::name)]
    service_account: Option<String>,
}

/// A file that the run names.
struct Input {
    /// As it was typed.
    path: PathBuf,
    /// Where a pod has it.
    at: String,
    /// Its name in the ConfigMap, or the volume.
    key: String,
}

impl Kubernetes {
    pub fn run(&self) -> Outcome {
        let command = Command::parse(&self.array.run)?;
        command.refuse_local_place()?;
        refuse_what_pods_have_not(&command)?;
        let ca = within(&command.ca_folder(), "the CA")?;
        let inputs = self.inputs(&command)?;
        let words = command.of_task(&self.array, LEDGERS);
        let accounts = command.accounts();
        let file = format!("{}.yaml", self.array.name);
        let submit = format!("kubectl apply -f {file}");
        let mut text = self.about(&command, &inputs, &submit);
        text.push_str(&self.job());
        text.push_str(&self.pod(&words));
        text.push_str(&self.volumes(&ca, &inputs, accounts));
        Ok(Ended::with(Printed {
            scheduler: "kubernetes",
            tasks: self.array.tasks,
            shared_ledger: accounts == Accounts::Shared,
            command: words,
            file,
            text,
            submit,
            job_definition: None,
            submit_job: None,
        }))
    }

    /// The files that the run reads, but for the CA's.
    fn inputs(&self, command: &Command) -> Result<Vec<Input>, Failure> {
        let mut named = vec![(command.run.manifest.clone(), "the manifest")];
        if let Some(profile) = command.profile() {
            named.extend(
                own_files(&profile)?
                    .into_iter()
                    .map(|path| (path, "the profile's file")),
            );
            named.push((profile, "the profile"));
        }
        let recipients = command.recipients().into_iter();
        named.extend(recipients.map(|path| (path, "the file of recipients")));
        let mut inputs: Vec<Input> = Vec::new();
        for (path, what) in named {
            let key = path.file_name().and_then(OsStr::to_str).filter(|key| is_key(key));
            let Some(key) = key.filter(|key| inputs.iter().all(|input| input.key != *key)) else {
                return Err(Failure::usage(
                    &format!(
                        "{what} {} has a name that no file of a pod can have, or that another has",
                        path.display()
                    ),
                    "use A-Z a-z 0-9 . _ - for its name",
                ));
            };
            inputs.push(Input {
                at: within(&path, what)?,
                key: key.to_owned(),
                path,
            });
        }
        if self.input_claim.is_none() {
            refuse_what_is_too_long(&inputs)?;
        }
        Ok(inputs)
    }

    fn named(&self, given: Option<&String>, suffix: &str) -> String {
        given.map_or_else(|| format!("{}-{suffix}", self.array.name), Clone::clone)
    }

    /// What must be there before, as comments.
    fn about(&self, command: &Command, inputs: &[Input], submit: &str) -> String {
        let folder = command.ca_folder();
        let secret = self.named(self.ca_secret.as_ref(), "ca");
        let is_elsewhere = [KEY_URI_FILE, WRAPPED_KEY_FILE]
            .iter()
            .any(|name| folder.join(name).exists());
        let is_there = |name: &&str| match *name {
            CERTIFICATE_FILE => true,
            KEY_FILE => !is_elsewhere,
            name => folder.join(name).exists(),
        };
        let of_ca = [
            CERTIFICATE_FILE,
            KEY_FILE,
            KEY_URI_FILE,
            WRAPPED_KEY_FILE,
            FOR_BATCH_FILE,
            CHAIN_FILE,
            ENDPOINT_FILE,
            REGISTRATION_FILE,
        ]
        .into_iter()
        .filter(is_there);
        let of_ca: String = of_ca.map(|name| from_file(&folder.join(name))).collect();
        let environment = self.named(self.environment_secret.as_ref(), "environment");
        let keys: Vec<&str> = inputs.iter().map(|input| input.key.as_str()).collect();
        let files: String = inputs.iter().map(|input| from_file(&input.path)).collect();
        let input = match &self.input_claim {
            Some(claim) => format!("in the volume of claim {claim}: {}", keys.join(", ")),
            None => format!("kubectl create configmap {}-input{files}", self.array.name),
        };
        let how = match command.accounts() {
            Accounts::Shared => {
                "# The pods share the ledger: each makes what nobody has yet, and the last one seals.\n"
                    .to_owned()
            }
            Accounts::Shards => format!(
                "#   the claim {}, of a volume that many pods may write to (ReadWriteMany) and whose folder is user 65532's\n\
                 # Each pod makes a shard of the batch, with a ledger of its own in that volume, which outlives the job. When all\n\
                 # are made, seal the batch: the log of each pod has the command.\n",
                self.named(self.ledger_claim.as_ref(), "ledgers")
            ),
        };
        format!(
            "# Hand it in with: {submit}\n\
             # What must be there before:\n\
             #   kubectl create secret generic {secret}{of_ca}\n\
             #   kubectl create secret generic {environment} --from-env-file=FILE\n\
             #     with PGPASSWORD=… and CERTFORGE_CA_PASSPHRASE=…, as far as there are such\n\
             #   {input}\n\
             {how}"
        )
    }

    fn job(&self) -> String {
        let Array { name, tasks, .. } = &self.array;
        format!(
            r#"apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  completionMode: Indexed
  completions: {tasks}
  parallelism: {tasks}
  backoffLimitPerIndex: 10
  # A pod that is replaced goes on where the other one stopped, and not before it has ended.
  podReplacementPolicy: Failed
  podFailurePolicy:
    rules:
      # A node that is drained is no failure.
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
      # What another attempt cannot mend: usage, manifest, profile, issuer.
      - action: FailJob
        onExitCodes:
          containerName: certforge
          operator: In
          values: [2, 3, 4, 5]
"#
        )
    }

    fn pod(&self, words: &[String]) -> String {
        let Array { cpus, memory, .. } = &self.array;
        let account = self.service_account.as_ref();
        let account = account.map_or_else(String::new, |name| format!("\n      serviceAccountName: {name}"));
        let image = yaml(&self.image);
        let args: String = words[1..]
            .iter()
            .map(|word| format!("\n            - {}", argument(word)))
            .collect();
        let environment = self.named(self.environment_secret.as_ref(), "environment");
        format!(
            r#"  template:
    spec:
      restartPolicy: Never{account}
      automountServiceAccountToken: false
      # Variables CERTFORGE_… are settings, and no names of services.
      enableServiceLinks: false
      terminationGracePeriodSeconds: 120
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: certforge
          image: {image}
          workingDir: {WORK}
          command: ["certforge"]
          args:{args}
          envFrom:
            - secretRef:
                name: {environment}
                optional: true
          resources:
            requests:
              cpu: "{cpus}"
              memory: {memory}Mi
            limits:
              cpu: "{cpus}"
              memory: {memory}Mi
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: ["ALL"]
"#
        )
    }

    fn volumes(&self, ca: &str, inputs: &[Input], accounts: Accounts) -> String {
        let mut mounts = format!(
            "          volumeMounts:\n            - name: ca\n              mountPath: {}\n              readOnly: true\n",
            yaml(ca)
        );
        for Input { at, key, .. } in inputs {
            write!(
                mounts,
                "            - name: input\n              mountPath: {}\n              subPath: {}\n              readOnly: true\n",
                yaml(at),
                yaml(key)
            )
            .expect("text grows");
        }
        mounts.push_str("            - name: tmp\n              mountPath: /tmp\n");
        let secret = self.named(self.ca_secret.as_ref(), "ca");
        let input = match &self.input_claim {
            Some(claim) => {
                format!(
                    "          persistentVolumeClaim:\n            claimName: {claim}\n            readOnly: true\n"
                )
            }
            None => format!(
                "          configMap:\n            name: {}-input\n",
                self.array.name
            ),
        };
        let mut volumes = format!(
            r"      volumes:
        - name: ca
          secret:
            secretName: {secret}
            # 0400
            defaultMode: 256
        - name: input
{input}        - name: tmp
          emptyDir:
            sizeLimit: 1Gi
"
        );
        if accounts == Accounts::Shards {
            let claim = self.named(self.ledger_claim.as_ref(), "ledgers");
            write!(
                mounts,
                "            - name: ledgers\n              mountPath: {LEDGERS}\n"
            )
            .expect("text grows");
            write!(
                volumes,
                "        - name: ledgers\n          persistentVolumeClaim:\n            claimName: {claim}\n"
            )
            .expect("text grows");
        }
        mounts + &volumes
    }
}

/// The files of the user's own that a profile names, if it is on this machine.
fn own_files(profile: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !profile.exists() {
        return Ok(Vec::new());
    }
    let folder = profile.parent().unwrap_or(Path::new(""));
    let profile = Profile::load(&profile.display().to_string(), None)?;
    let files = profile.config().bundle.files.iter().flatten();
    let contents = files.flat_map(|file| &file.content.0);
    let own = contents.filter_map(|content| match content {
        Content::File(file) => Some(folder.join(file.path())),
        _ => None,
    });
    let recipients = profile.recipient_files().iter().map(|path| folder.join(path));
    Ok(own.chain(recipients).collect())
}

/// Refuses options whose files a pod does not have.
fn refuse_what_pods_have_not(command: &Command) -> Result<(), Failure> {
    if command.is_given("ca_certificate") {
        return Err(Failure::usage(
            "on Kubernetes the CA is a folder, which is mounted from a Secret",
            "put its certificate.pem and key.pem into one, and name that with --ca",
        ));
    }
    if command.is_given("passphrase_file") {
        return Err(Failure::usage(
            "pods do not have the file of --passphrase-file",
            "leave it out: the Secret of the pods' variables has CERTFORGE_CA_PASSPHRASE",
        ));
    }
    Ok(())
}

/// A ConfigMap takes a mebibyte, and says so only when it is made.
fn refuse_what_is_too_long(inputs: &[Input]) -> Result<(), Failure> {
    let size = |input: &Input| input.path.metadata().map_or(0, |metadata| metadata.len());
    let octets: u64 = inputs.iter().map(size).sum();
    match octets > CONFIG_MAP {
        false => Ok(()),
        true => Err(Failure::usage(
            &format!(
                "{} has {octets} octets, and a ConfigMap takes {CONFIG_MAP}",
                inputs[0].path.display()
            ),
            "put it into a volume, and name that volume's claim with --input-claim",
        )),
    }
}

/// Where a pod has what is named by a path.
fn within(path: &Path, what: &str) -> Result<String, Failure> {
    let is_below = path.components().all(|part| {
        matches!(
            part,
            Component::Normal(_) | Component::RootDir | Component::CurDir
        )
    });
    let whole: PathBuf = Path::new(WORK).join(path).components().collect();
    match whole.to_str().filter(|whole| {
        is_below && *whole != "/" && *whole != WORK && !whole.chars().any(|c| c == ':' || c.is_control())
    }) {
        Some(whole) => Ok(whole.to_owned()),
        None => Err(Failure::usage(
            &format!(
                "{what} is {}, which cannot be mounted there in a pod",
                path.display()
            ),
            "name it by a plain path without .. and :, from the working folder or from /",
        )),
    }
}

fn is_key(name: &str) -> bool {
    name.len() <= 253
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn from_file(path: &Path) -> String {
    format!(" --from-file={}", quoted(&path.display().to_string()))
}

/// A text of YAML, which takes what JSON has for one.
fn yaml(text: &str) -> String {
    serde_json::to_string(text).expect("a text can be written")
}

/// A word of a command, in which Kubernetes fills in nothing.
fn argument(word: &str) -> String {
    yaml(&word.replace("$(", "$$("))
}
