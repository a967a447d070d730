//! The cloud side of JITP on MiniStack, which speaks as AWS IoT and IAM do, and holds the verification
//! certificate against the CA and the registration code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::process::{Output, Stdio};

use crate::cloud::Cloud;
use crate::real_server::Server;
use crate::support::{Workplace, tool};
use serde_json::{Value, json};

const ACCOUNT: &str = "123456789012";
const SECRET: &str = "secret of the test";

/// A CA and a template, and an account that knows neither.
struct Desk {
    workplace: Workplace,
    server: Server,
    cloud: Cloud,
}

impl Desk {
    fn new() -> Self {
        let workplace = Workplace::new();
        workplace.succeed(&["ca", "new", "--no-passphrase"]);
        let template = workplace.succeed(&["jitp", "template", "new"]);
        fs::write(workplace.join("template.json"), template).unwrap();
        let server = Server::ministack();
        Self {
            cloud: Cloud::new(&server.url, ACCOUNT, "eu-central-1"),
            workplace,
            server,
        }
    }

    fn jitp(&self, arguments: &[&str]) -> Output {
        let mut command = self.workplace.command(&["jitp"]);
        command
            .args(arguments)
            .args(["--endpoint-url", &self.server.url])
            .env("AWS_ACCESS_KEY_ID", ACCOUNT)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_REGION", "eu-central-1")
            .stdin(Stdio::null());
        command.output().unwrap()
    }

    /// Runs a command of `jitp` that must end with this code; its standard output.
    fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.jitp(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}\n{text}\n{errors}"
        );
        text
    }

    fn errors(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.jitp(arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{errors}");
        errors
    }

    /// The SHA-256 of the CA's certificate.
    fn ca_id(&self, folder: &str) -> String {
        let text = self.workplace.succeed(&["ca", "show", folder, "--json"]);
        let shown: Value = serde_json::from_str(&text).unwrap();
        shown["ca_certificate_id"].as_str().unwrap().to_owned()
    }

    fn described(&self, folder: &str) -> Option<Value> {
        self.cloud.ca(&self.ca_id(folder))
    }

    fn write_template(&self, change: impl Fn(&mut Value)) {
        let path = self.workplace.join("template.json");
        let mut template: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut template);
        fs::write(&path, template.to_string()).unwrap();
    }
}

const REGISTER: [&str; 4] = ["register", "--template", "template.json", "--yes"];

#[test]
fn a_ca_is_registered_once_and_its_devices_know_where_to_connect() {
    let desk = Desk::new();
    let plan = desk.ends(0, &["register", "--template", "template.json", "--dry-run"]);
    assert!(plan.contains("to do   create role certforge-jitp"), "{plan}");
    assert!(desk.described("ca").is_none(), "a plan changes nothing");
    assert!(!desk.workplace.join("ca/endpoint.json").exists());
    let missing = desk.ends(1, &["status"]);
    assert!(missing.contains("the CA is not registered"), "{missing}");

    let text = desk.ends(0, &REGISTER);
    assert!(text.ends_with("done: devices of this CA may connect\n"), "{text}");
    let described = desk.described("ca").unwrap();
    let ca = &described["certificateDescription"];
    assert_eq!(ca["status"], "ACTIVE");
    assert_eq!(ca["autoRegistrationStatus"], "ENABLE");
    assert_eq!(ca["certificateMode"], "DEFAULT");
    let config = &described["registrationConfig"];
    assert_eq!(config["roleArn"], "arn:aws:iam::123456789012:role/certforge-jitp");
    let sent: Value = serde_json::from_str(config["templateBody"].as_str().unwrap()).unwrap();
    let written = fs::read(desk.workplace.join("template.json")).unwrap();
    assert_eq!(sent, serde_json::from_slice::<Value>(&written).unwrap());

    let again = desk.ends(0, &REGISTER);
    assert!(again.contains("nothing to do: everything is there"), "{again}");
    assert!(!again.contains("to do "), "{again}");
    let ready = desk.ends(0, &["status"]);
    assert!(ready.contains("ready"), "{ready}");

    // The next run takes the endpoint from where it was noted.
    let noted: Value =
        serde_json::from_slice(&fs::read(desk.workplace.join("ca/endpoint.json")).unwrap()).unwrap();
    let host = noted["host"].as_str().unwrap();
    assert!(host.contains("-ats.iot.eu-central-1."), "{host}");
    desk.workplace.manifest(2);
    let made = desk.workplace.succeed(&["run", "devices.csv"]);
    assert!(made.contains(&format!("endpoint     {host}")), "{made}");
    let other = desk.workplace.succeed(&[
        "run",
        "devices.csv",
        "--batch",
        "b",
        "--reissue",
        "--endpoint",
        "a.example",
    ]);
    assert!(other.contains("endpoint     a.example"), "{other}");
}

#[test]
fn a_batch_that_was_begun_before_the_endpoint_was_noted_goes_on_as_it_began() {
    let workplace = Workplace::new();
    workplace.manifest(3);
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    workplace.succeed(&["run", "devices.csv", "--no-endpoint"]);
    fs::write(workplace.join("ca/endpoint.json"), r#"{"host": "a.example"}"#).unwrap();
    let output = workplace.run(&["run", "devices.csv"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    assert!(text.contains("nothing: 3 devices made before"), "{text}");
    assert!(errors.contains("begun without an endpoint"), "{errors}");
    // What is otherwise different is still refused.
    workplace.fail(&["run", "devices.csv", "--endpoint", "b.example"], 7);
    workplace.fail(&["run", "devices.csv", "--profile", "aws-iot-p384"], 7);
    fs::write(workplace.join("ca/endpoint.json"), "{}").unwrap();
    let errors = workplace.fail(&["run", "devices.csv"], 5);
    assert!(errors.contains("endpoint.json names no endpoint"), "{errors}");
}

#[test]
fn what_differs_is_shown_and_changed_on_demand_only() {
    let desk = Desk::new();
    desk.ends(0, &REGISTER);
    desk.write_template(|template| {
        template["Resources"]["thing"]["Properties"]["ThingTypeName"] = "pump".into();
    });
    // The thing type must exist: that is said before anything else.
    let blocked = desk.ends(8, &REGISTER);
    assert!(
        blocked.contains(
            "thing type pump, which must exist first: aws iot create-thing-type --thing-type-name pump"
        ),
        "{blocked}"
    );
    desk.cloud.iot("POST", "/thing-types/pump", &json!({})).unwrap();

    let before = desk.described("ca").unwrap();
    let shown = desk.ends(8, &REGISTER);
    assert!(
        shown.contains("template $.Resources.thing.Properties.ThingTypeName"),
        "{shown}"
    );
    assert!(shown.contains("is      none"), "{shown}");
    assert!(shown.contains("wanted  \"pump\""), "{shown}");
    assert!(desk.errors(8, &REGISTER).contains("--update changes it"));
    assert_eq!(
        desk.described("ca").unwrap()["registrationConfig"],
        before["registrationConfig"]
    );

    let mut update = REGISTER.to_vec();
    update.push("--update");
    desk.ends(0, &update);
    let body = desk.described("ca").unwrap();
    let body = body["registrationConfig"]["templateBody"].as_str().unwrap();
    assert!(body.contains("pump"), "{body}");
    assert!(desk.ends(0, &REGISTER).contains("nothing to do"));

    // What AWS cannot change is said so.
    let mut other_mode = update.clone();
    other_mode.extend(["--mode", "sni-only"]);
    let errors = desk.errors(8, &other_mode);
    assert!(errors.contains("a CA keeps its mode"), "{errors}");

    // An auto-registration that somebody stopped is a difference too.
    let ca = format!(
        "/cacertificate/{}?newAutoRegistrationStatus=DISABLE",
        desk.ca_id("ca")
    );
    desk.cloud.iot("PUT", &ca, &json!({})).unwrap();
    assert!(desk.ends(1, &["status"]).contains("auto-registration is off"));
    assert!(desk.ends(8, &REGISTER).contains("auto-registration"));
    desk.ends(0, &update);
    desk.ends(0, &["status"]);
}

#[test]
fn a_named_template_is_made_kept_and_gets_versions() {
    let desk = Desk::new();
    let mut register = REGISTER.to_vec();
    register.extend(["--template-name", "pumps"]);
    desk.ends(0, &register);
    let describe = || desk.cloud.get("/provisioning-templates/pumps");
    let first = describe();
    assert_eq!(
        (&first["type"], &first["enabled"]),
        (&json!("JITP"), &json!(true))
    );
    let described = desk.described("ca").unwrap();
    assert_eq!(described["registrationConfig"]["templateName"], "pumps");
    assert!(desk.ends(0, &register).contains("nothing to do"));
    let status = desk.ends(0, &["status"]);
    assert!(status.contains("template           pumps"), "{status}");

    desk.write_template(|template| {
        template["Resources"]["certificate"]["Properties"]["Status"] = "INACTIVE".into();
    });
    desk.ends(8, &register);
    assert_eq!(describe()["defaultVersionId"], first["defaultVersionId"]);
    register.push("--update");
    desk.ends(0, &register);
    let second = describe();
    assert_ne!(second["defaultVersionId"], first["defaultVersionId"]);
    assert!(second["templateBody"].as_str().unwrap().contains("INACTIVE"));

    // A second CA of the same product takes the same template.
    desk.workplace
        .succeed(&["ca", "new", "--no-passphrase", "--to", "ca2"]);
    register.extend(["--ca", "ca2"]);
    let text = desk.ends(0, &register);
    assert!(text.contains("exists  provisioning template pumps"), "{text}");
}

#[test]
fn a_ca_that_accounts_share_is_registered_without_its_key() {
    let desk = Desk::new();
    fs::remove_file(desk.workplace.join("ca/key.pem")).unwrap();
    let errors = desk.errors(5, &REGISTER);
    assert!(errors.contains("key.pem cannot be read"), "{errors}");
    assert!(desk.described("ca").is_none());
    let mut register = REGISTER.to_vec();
    register.extend(["--mode", "sni-only"]);
    desk.ends(0, &register);
    let described = desk.described("ca").unwrap();
    let mode = &described["certificateDescription"]["certificateMode"];
    assert_eq!(mode, "SNI_ONLY");
}

#[test]
fn nothing_is_changed_without_a_yes() {
    let desk = Desk::new();
    let errors = desk.errors(2, &["register", "--template", "template.json"]);
    assert!(errors.contains("nothing was changed"), "{errors}");
    assert!(errors.contains("--yes"), "{errors}");
    let roles = desk.ends(
        0,
        &["register", "--template", "template.json", "--dry-run", "--json"],
    );
    let plan: Value = serde_json::from_str(&roles).unwrap();
    assert_eq!(plan["plan"]["steps"][0]["state"], "missing");
    assert_eq!(plan["done"], false);
}

#[test]
fn a_role_is_completed_or_taken_as_it_is() {
    let desk = Desk::new();
    let mut register = REGISTER.to_vec();
    register.extend(["--role-arn", "arn:aws:iam::123456789012:role/theirs"]);
    let text = desk.ends(0, &register);
    assert!(!text.contains("create role"), "{text}");
    let config = desk.described("ca").unwrap();
    assert_eq!(
        config["registrationConfig"]["roleArn"],
        "arn:aws:iam::123456789012:role/theirs"
    );
    // The role is not there, which `status` finds.
    assert!(desk.ends(1, &["status"]).contains("role theirs is not there"));

    // With the role of certforge in its place the CA differs.
    let differs = desk.ends(8, &REGISTER);
    assert!(
        differs.contains("wanted  arn:aws:iam::123456789012:role/certforge-jitp"),
        "{differs}"
    );
}

#[test]
fn a_role_is_for_this_account_and_its_conditions_stay() {
    let desk = Desk::new();
    desk.ends(0, &REGISTER);
    let aws_trust = |change: Option<&str>| {
        let iam = |fields: &[(&str, &str)]| {
            let mut form = form_urlencoded::Serializer::new("Version=2010-05-08".to_owned());
            let form = form
                .append_pair("RoleName", "certforge-jitp")
                .extend_pairs(fields)
                .finish();
            desk.cloud.ask("iam", "POST", "/", &form).unwrap()
        };
        if let Some(document) = change {
            iam(&[("Action", "UpdateAssumeRolePolicy"), ("PolicyDocument", document)]);
        }
        let answer = iam(&[("Action", "GetRole")]);
        let (_, document) = answer.split_once("<AssumeRolePolicyDocument>").unwrap();
        let (document, _) = document.split_once('<').unwrap();
        let document = document.replace("&quot;", "\"").replace("&amp;", "&");
        let document = percent_encoding::percent_decode_str(&document)
            .decode_utf8_lossy()
            .into_owned();
        serde_json::from_str::<Value>(&document).unwrap()
    };
    let made = aws_trust(None);
    let condition = &made["Statement"][0]["Condition"];
    assert_eq!(condition["StringEquals"]["aws:SourceAccount"], ACCOUNT);
    assert_eq!(
        condition["ArnLike"]["aws:SourceArn"],
        format!("arn:aws:iot:*:{ACCOUNT}:*")
    );
    assert!(desk.ends(0, &REGISTER).contains("nothing to do"));
    // Conditions that say more are as good.
    let mut narrow = made.clone();
    narrow["Statement"][0]["Condition"]["ArnLike"]["aws:SourceArn"] =
        format!("arn:aws:iot:eu-central-1:{ACCOUNT}:*").into();
    aws_trust(Some(&narrow.to_string()));
    assert!(desk.ends(0, &REGISTER).contains("nothing to do"));
    let update = [&REGISTER[..], &["--update"]].concat();
    desk.ends(0, &update);
    assert_eq!(aws_trust(None), narrow, "it is as it was");
    // A role for anybody is bound, and keeps whom else it serves.
    let mut open = made.clone();
    open["Statement"][0]["Principal"]["Service"] =
        serde_json::json!(["iot.amazonaws.com", "ec2.amazonaws.com"]);
    open["Statement"][0]
        .as_object_mut()
        .unwrap()
        .shift_remove("Condition");
    aws_trust(Some(&open.to_string()));
    assert!(desk.ends(8, &REGISTER).contains("trust policy"));
    desk.ends(0, &update);
    open["Statement"][0]["Condition"] = made["Statement"][0]["Condition"].clone();
    assert_eq!(aws_trust(None), open);
}

#[test]
fn the_same_as_commands_of_the_aws_cli() {
    let desk = Desk::new();
    let text = desk.ends(0, &["register", "--template", "template.json", "--print-cli"]);
    for (command, times) in [
        ("aws iam create-role --role-name certforge-jitp ", 1),
        ("aws iam attach-role-policy ", 3),
        ("aws iot get-registration-code --region eu-central-1 ", 1),
        ("aws iot register-ca-certificate --region eu-central-1 ", 1),
        ("--registration-config '{\"templateBody\":", 1),
        ("> ca/endpoint.json", 1),
    ] {
        assert_eq!(text.matches(command).count(), times, "{command}\n{text}");
    }
    assert!(desk.described("ca").is_none(), "printing changes nothing");
    // A shell reads it.
    let script = desk.workplace.join("register.sh");
    fs::write(&script, &text).unwrap();
    let read = tool("sh", &["-n", "register.sh"], desk.workplace.path());
    assert!(read.status.success(), "{text}");

    // What the plan warns of is told beside the commands.
    desk.write_template(|template| {
        let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:eu-west-1:123456789012:client/*"}}"#;
        template["Resources"]["policy"]["Properties"] = serde_json::json!({ "PolicyDocument": policy });
    });
    let register = ["register", "--template", "template.json", "--print-cli"];
    let output = desk.jitp(&register);
    let (commands, said) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let warning = "a policy of the template is of Region eu-west-1, and this is eu-central-1";
    assert!(
        said.contains(warning) && !commands.contains(warning),
        "{said}{commands}"
    );

    let function = "arn:aws:lambda:eu-central-1:123456789012:function:activate";
    let text = desk.ends(
        0,
        &[
            "register",
            "--flow",
            "jitr",
            "--lambda-arn",
            function,
            "--print-cli",
        ],
    );
    for command in ["aws iot create-topic-rule ", "aws lambda add-permission "] {
        assert_eq!(text.matches(command).count(), 1, "{command}\n{text}");
    }
}

/// What is declared is judged by cfn-lint and by python-hcl2, and read back as it was meant.
#[test]
fn the_same_as_infrastructure_that_is_declared() {
    let desk = Desk::new();
    let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let cfn_lint = match python.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/cfn-lint"),
        None => "cfn-lint".to_owned(),
    };
    let judged = |program: &str, arguments: &[&str]| {
        let output = tool(program, arguments, desk.workplace.path());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{arguments:?}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    };
    let function = "arn:aws:lambda:eu-central-1:000000000000:function:activate";
    let jitp = ["--template", "template.json"];
    for (options, kinds) in [
        (
            jitp.to_vec(),
            &["iam_role", "iam_role_policy_attachment", "iot_ca_certificate"][..],
        ),
        (
            [&jitp[..], &["--template-name", "lamps", "--mode", "sni-only"]].concat(),
            &[
                "iam_role",
                "iam_role_policy_attachment",
                "iot_ca_certificate",
                "iot_provisioning_template",
            ],
        ),
        (
            vec!["--flow", "jitr", "--lambda-arn", function],
            &["iot_ca_certificate", "iot_topic_rule", "lambda_permission"],
        ),
    ] {
        let print = |form: &str| desk.ends(0, &[&["register", "--print", form][..], &options].concat());
        fs::write(desk.workplace.join("stack.json"), print("cloudformation")).unwrap();
        fs::write(desk.workplace.join("main.tf"), print("terraform")).unwrap();
        judged(&cfn_lint, &["stack.json"]);
        let parse = "import hcl2, json; \
             print(json.dumps([list(r)[0].strip('\"') for r in hcl2.load(open('main.tf'))['resource']]))";
        let mut found: Vec<String> = serde_json::from_str(&judged(&python, &["-c", parse])).unwrap();
        found.sort();
        let kinds: Vec<String> = kinds.iter().map(|kind| format!("aws_{kind}")).collect();
        assert_eq!(found, kinds);
        if options.contains(&"--template") {
            for file in ["stack.json", "main.tf"] {
                let read = desk.workplace.run(&["jitp", "template", "check", file, "--json"]);
                let read: Value = serde_json::from_slice(&read.stdout).unwrap();
                assert_eq!(read["errors"], 0, "{file}: {read:#}");
            }
        }
    }
    assert!(desk.described("ca").is_none(), "printing changes nothing");
}

#[test]
fn what_cannot_be_is_said_before_anything_is_changed() {
    let desk = Desk::new();
    for (arguments, code, message) in [
        (
            &["--template", "absent.json"][..],
            2,
            "template absent.json cannot be read",
        ),
        (
            &["--template", "template.json", "--template-name", "a b"],
            2,
            "no name of a template",
        ),
        (
            &["--template", "template.json", "--role-arn", "x"],
            2,
            "no ARN of iam",
        ),
        (
            &["--template", "template.json", "--ca", "nowhere"],
            5,
            "nowhere/certificate.pem cannot be read",
        ),
        (&["--flow", "jitr"], 2, "--lambda-arn"),
        (&[], 2, "--template"),
    ] {
        let mut all = vec!["register", "--yes"];
        all.extend(arguments);
        let errors = desk.errors(code, &all);
        assert!(errors.contains(message), "{arguments:?}\n{errors}");
    }
    desk.write_template(|template| {
        let properties = &mut template["Resources"]["certificate"]["Properties"];
        properties.as_object_mut().unwrap().remove("CertificateId");
    });
    let errors = desk.errors(8, &REGISTER);
    assert!(errors.contains("CertificateId is missing"), "{errors}");
    assert!(desk.described("ca").is_none());
}

#[test]
fn an_account_that_cannot_be_asked_is_said_plainly() {
    let workplace = Workplace::new();
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    let command = |variables: &[(&str, &str)]| {
        let mut command = workplace.command(&["jitp", "status", "--endpoint-url", "http://127.0.0.1:1"]);
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_PROFILE",
            "AWS_REGION",
        ] {
            command.env_remove(name);
        }
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(8));
        String::from_utf8(output.stderr).unwrap()
    };
    let account = [("AWS_ACCESS_KEY_ID", ACCOUNT), ("AWS_SECRET_ACCESS_KEY", SECRET)];
    let errors = command(&[("AWS_REGION", "eu-central-1")]);
    assert!(errors.contains("no AWS credentials"), "{errors}");
    let errors = command(&account);
    assert!(errors.contains("no AWS Region is set"), "{errors}");
    let errors = command(&[account[0], account[1], ("AWS_REGION", "eu-central-1")]);
    assert!(
        errors.contains("http://127.0.0.1:1 cannot be reached for sts:GetCallerIdentity"),
        "{errors}"
    );
}

#[test]
fn openssl_accepts_the_proof_of_every_type_of_ca() {
    let workplace = Workplace::new();
    let code = "0123456789abcdef".repeat(4);
    workplace.succeed(&["ca", "new", "--no-passphrase", "--to", "root"]);
    for (folder, key, parent) in [
        ("p256", "P-256", None),
        ("p384", "P-384", None),
        ("rsa", "RSA-2048", None),
        ("below", "P-256", Some("root")),
    ] {
        let mut new = vec!["ca", "new", "--no-passphrase", "--to", folder, "--key", key];
        new.extend(parent.iter().flat_map(|parent| ["--parent", parent]));
        workplace.succeed(&new);
        let proof = format!("proof-{folder}");
        workplace.succeed(&[
            "jitp",
            "proof",
            "--ca",
            folder,
            "--registration-code",
            &code,
            "--to",
            &proof,
        ]);
        let certificate = format!("{proof}/verification.pem");
        let verified = tool(
            "openssl",
            &[
                "verify",
                "-x509_strict",
                "-partial_chain",
                "-trusted",
                &format!("{folder}/certificate.pem"),
                &certificate,
            ],
            workplace.path(),
        );
        assert!(verified.status.success(), "{folder}: {verified:?}");
        let request = tool(
            "openssl",
            &[
                "req",
                "-verify",
                "-noout",
                "-subject",
                "-in",
                &format!("{proof}/verification.csr"),
            ],
            workplace.path(),
        );
        let subject = String::from_utf8_lossy(&request.stdout).into_owned();
        assert!(request.status.success() && subject.contains(&code), "{request:?}");
        let public = |arguments: &[&str]| tool("openssl", arguments, workplace.path()).stdout;
        let key = format!("{proof}/verification.key");
        assert_eq!(
            public(&["x509", "-in", &certificate, "-noout", "-pubkey"]),
            public(&["pkey", "-in", &key, "-pubout"]),
            "the certificate is for the key"
        );
        let again = workplace.fail(
            &[
                "jitp",
                "proof",
                "--ca",
                folder,
                "--registration-code",
                &code,
                "--to",
                &proof,
            ],
            2,
        );
        assert!(again.contains("nothing is written over"), "{again}");
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(workplace.join("proof-p256/verification.key"))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let errors = workplace.fail(&["jitp", "proof", "--ca", "p256", "--registration-code", ""], 2);
    assert!(errors.contains("64 hexadecimal digits"), "{errors}");
    let long = "x".repeat(65);
    workplace.fail(
        &["jitp", "proof", "--ca", "p256", "--registration-code", &long],
        2,
    );
}

/// A command of `jitp register` as somebody runs it who has set up nothing.
fn without_account(workplace: &Workplace, arguments: &[&str]) -> std::process::Command {
    let mut command = workplace.command(&["jitp", "register", "--template", "template.json"]);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null());
    command
}

#[test]
fn a_plan_needs_no_account_and_no_network() {
    let workplace = Workplace::new();
    workplace.succeed(&["ca", "new", "--no-passphrase"]);
    let template = workplace.succeed(&["jitp", "template", "new"]);
    fs::write(workplace.join("template.json"), template).unwrap();
    let text = |output: &Output| {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // Nobody has set up credentials; nobody answers; and nobody is to be asked.
    let nothing_set_up = without_account(&workplace, &["--dry-run"]);
    let mut no_network = without_account(&workplace, &["--dry-run", "--endpoint-url", "http://127.0.0.1:1"]);
    no_network
        .env("AWS_ACCESS_KEY_ID", ACCOUNT)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_REGION", "eu-central-1");
    let mut not_to_ask = without_account(&workplace, &["--dry-run", "--offline"]);
    not_to_ask
        .env("AWS_PROFILE", "nobody")
        .env("AWS_REGION", "eu-central-1");
    for (mut command, region, why) in [
        (nothing_set_up, "REGION", "there are no AWS credentials"),
        (
            no_network,
            "eu-central-1",
            "cannot be reached for sts:GetCallerIdentity",
        ),
        (not_to_ask, "eu-central-1", "--offline"),
    ] {
        let plan = text(&command.output().unwrap());
        assert!(
            plan.starts_with(&format!("account ACCOUNT_ID, {region}: AWS was not asked\n")),
            "{plan}"
        );
        assert!(
            plan.contains("to do   register the CA (DEFAULT), prove its key"),
            "{plan}"
        );
        assert!(
            plan.contains("ask for the endpoint, and note it in ca/endpoint.json"),
            "{plan}"
        );
        assert!(
            plan.contains("warning AWS was not asked") && plan.contains(why),
            "{plan}"
        );
        let document = text(&command.arg("--json").output().unwrap());
        let document: Value = serde_json::from_str(&document).unwrap();
        assert_eq!(document["plan"]["asked"], false);
        assert_eq!(document["done"], false);
    }
    assert!(!workplace.join("ca/endpoint.json").exists());

    let commands = text(&without_account(&workplace, &["--print-cli"]).output().unwrap());
    assert!(commands.contains("# AWS was not asked"), "{commands}");
    assert!(
        commands.contains("aws iot get-registration-code --region REGION"),
        "{commands}"
    );
    assert!(
        commands.contains("arn:aws:iam::ACCOUNT_ID:role/certforge-jitp"),
        "{commands}"
    );
    fs::write(workplace.join("commands.sh"), &commands).unwrap();
    let checked = tool("sh", &["-n", "commands.sh"], workplace.path());
    assert!(checked.status.success(), "{checked:?}");

    // Whoever wants more than to look must be able to ask.
    for (arguments, code, said) in [
        (&["--yes", "--offline"][..], 2, "AWS must be asked"),
        (&["--yes"][..], 8, "there are no AWS credentials"),
    ] {
        let output = without_account(&workplace, arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(errors.contains(said), "{errors}");
    }
}
