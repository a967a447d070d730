//! Credentials, however they are set up, and what is said when there are none or AWS refuses them: of `jitp`, and of a
//! bucket, alike.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use certforge::digest::sha256;
use data_encoding::HEXLOWER;

use crate::real_server::Server;
use crate::support::{Workplace, tool};

const SESSION: &str = "arn:aws:iam::123456789012:user/jane";

/// A server that answers each request, head and body, as it is told to.
struct Answering {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Answering {
    fn new(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (answer, keeps) = (Arc::new(answer), heard.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, keeps) = (answer.clone(), keeps.clone());
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let request = read_request(&mut stream);
                    let (status, body) = answer(&request);
                    keeps.lock().unwrap().push(request);
                    let head = format!(
                        "HTTP/1.1 {status} Said\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all((head + &body).as_bytes());
                });
            }
        });
        Self { url, heard }
    }

    /// One that refuses everything with this word, as STS and S3 say it.
    fn refusing(code: &'static str, message: &'static str) -> Self {
        Self::new(move |request| {
            let error =
                format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
            match request.contains("Action=") {
                true => (
                    403,
                    format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"),
                ),
                false => (403, error),
            }
        })
    }

    fn heard(&self) -> String {
        self.heard.lock().unwrap().join("\n")
    }
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut octets = Vec::new();
    let mut some = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&octets).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.trim().parse::<usize>().ok()).flatten()
            });
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match stream.read(&mut some) {
            Ok(0) | Err(_) => return text,
            Ok(n) => octets.extend_from_slice(&some[..n]),
        }
    }
}

/// A workplace with a CA and profiles of AWS.
struct Desk {
    place: Workplace,
}

impl Desk {
    fn new(config: &str) -> Self {
        let place = Workplace::new();
        place.succeed(&["ca", "new", "--no-passphrase"]);
        fs::write(place.join("config"), config).unwrap();
        Self { place }
    }

    /// A command with these variables and no others of AWS.
    fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = self.place.command(arguments);
        self.set(&mut command, variables);
        command
    }

    fn set(&self, command: &mut Command, variables: &[(&str, &str)]) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", self.place.path())
            .env("AWS_CONFIG_FILE", self.place.join("config"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
    }

    /// What `jitp` and a bucket say alike: error and hint of each.
    fn refusals(&self, variables: &[(&str, &str)]) -> [String; 2] {
        [(&["jitp", "status"][..], 8), (&["status", "s3://factory/b"], 6)].map(|(arguments, code)| {
            let output = self.command(arguments, variables).output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{errors}");
            assert!(!errors.contains("Error {"), "nothing is said in Rust\n{errors}");
            errors
        })
    }
}

const KEYS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("AWS_REGION", "eu-central-1"),
];

#[test]
fn what_is_set_up_and_gives_no_credentials_is_told_with_the_way_out() {
    let desk = Desk::new(
        "[profile sso]\nregion=eu-central-1\nsso_session=corp\nsso_account_id=123456789012\nsso_role_name=Factory\n\
         [sso-session corp]\nsso_region=eu-central-1\nsso_start_url=https://example.awsapps.com/start\n\
         [profile role]\nrole_arn=arn:aws:iam::123456789012:role/Line\nsource_profile=sso\n\
         [profile login]\nregion=eu-central-1\nlogin_session=arn:aws:iam::123456789012:user/jane\n\
         [profile program]\ncredential_process=echo no vault >&2; false\n\
         [profile token]\nrole_arn=arn:aws:iam::123456789012:role/Line\nweb_identity_token_file=/nowhere/token\n\
         [profile lost]\nrole_arn=arn:aws:iam::123456789012:role/Line\nsource_profile=nobody\n\
         [profile round]\nrole_arn=arn:aws:iam::123456789012:role/Line\nsource_profile=trip\n\
         [profile trip]\nrole_arn=arn:aws:iam::123456789012:role/Line\nsource_profile=round\n\
         [profile mfa]\nregion=eu-central-1\nrole_arn=arn:aws:iam::123456789012:role/Line\nsource_profile=base\n\
         mfa_serial=arn:aws:iam::123456789012:mfa/jane\n\
         [profile base]\naws_access_key_id=AKIAEXAMPLE\naws_secret_access_key=secret\n",
    );
    let cache = desk.place.join(".aws/sso/cache");
    fs::create_dir_all(&cache).unwrap();
    let token = r#"{"accessToken":"t","expiresAt":"2020-01-01T00:00:00Z","region":"eu-central-1","startUrl":"https://example.awsapps.com/start"}"#;
    // The SHA-1 of the session's name, "corp".
    let name = "ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
    fs::write(cache.join(name), token).unwrap();
    for (profile, error, hint) in [
        ("sso", "of profile sso (SSO)", "aws sso login --profile sso"),
        (
            "role",
            "of profile role, by those of profile sso (SSO)",
            "aws sso login --profile sso",
        ),
        (
            "login",
            "of profile login (aws login)",
            "aws login --profile login",
        ),
        (
            "program",
            "no vault",
            "run what credential_process of profile program says by hand",
        ),
        (
            "token",
            "of profile token (web_identity_token_file)",
            "see that /nowhere/token is there",
        ),
        (
            "lost",
            "profile nobody, which profile lost names as its source_profile, is not there",
            "correct source_profile of profile lost",
        ),
        ("round", "profiles name one another", "credentials of its own"),
        (
            "mfa",
            "profile mfa wants a code of MFA device arn:aws:iam::123456789012:mfa/jane, and there is no terminal",
            "eval \"$(aws configure export-credentials --profile mfa --format env)\"",
        ),
        (
            "typo",
            "AWS_PROFILE typo is no profile",
            "there are base, login, lost, mfa",
        ),
    ] {
        let variables = [("AWS_PROFILE", profile), ("AWS_REGION", "eu-central-1")];
        for told in desk.refusals(&variables) {
            assert!(told.contains(error) && told.contains(hint), "{profile}\n{told}");
        }
    }
}

#[test]
fn what_is_not_set_up_or_by_half_is_told_with_the_way_out() {
    let desk = Desk::new("");
    let region = ("AWS_REGION", "eu-central-1");
    for (variables, error, hint) in [
        (
            &[region][..],
            "there are no AWS credentials: neither",
            "set AWS_ACCESS_KEY_ID",
        ),
        (
            &[region, ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")],
            "AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not",
            "set both",
        ),
        (
            &[
                region,
                ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token"),
                ("AWS_ROLE_ARN", "arn:aws:iam::1:role/x"),
            ],
            "by AWS_WEB_IDENTITY_TOKEN_FILE",
            "see that /nowhere/token is there",
        ),
        (
            &[
                region,
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/"),
            ],
            "of the container",
            "see that the task or the pod has a role",
        ),
        (
            &[
                region,
                ("AWS_EC2_METADATA_DISABLED", "false"),
                ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"),
            ],
            "this machine has no role (instance metadata)",
            "set AWS_ACCESS_KEY_ID",
        ),
        (&KEYS[..2], "no AWS Region is set", "--region"),
    ] {
        for told in desk.refusals(variables) {
            assert!(
                told.contains(error) && told.contains(hint),
                "{variables:?}\n{told}"
            );
        }
    }
    fs::write(desk.place.join("config"), "[profile\nx\n").unwrap();
    for told in desk.refusals(&[region]) {
        assert!(
            told.contains("the profiles of AWS cannot be read") && told.contains("~/.aws/config"),
            "{told}"
        );
    }
}

#[test]
fn what_aws_says_no_by_has_a_hint_of_its_own_whichever_service_says_it() {
    let desk = Desk::new("");
    let denied = "User: arn:aws:iam::123456789012:user/jane is not authorized to perform: \
                  s3:GetObject on resource: arn:aws:s3:::factory/b because no identity-based policy allows it";
    for (code, message, hint) in [
        (
            "ExpiredToken",
            "The provided token has expired",
            "the session is over; set AWS_ACCESS_KEY_ID",
        ),
        (
            "InvalidClientTokenId",
            "The security token is invalid",
            "does not know the access key",
        ),
        (
            "InvalidAccessKeyId",
            "The key does not exist",
            "does not know the access key",
        ),
        (
            "SignatureDoesNotMatch",
            "Check your key",
            "the secret is not that of the access key",
        ),
        (
            "SignatureDoesNotMatch",
            "Signature expired: 20200101T000000Z is now earlier than 20261129T000000Z",
            "this machine's clock is wrong",
        ),
        (
            "RequestTimeTooSkewed",
            "The difference is too large",
            "this machine's clock is wrong",
        ),
        (
            "AccessDenied",
            denied,
            "attach to arn:aws:iam::123456789012:user/jane a policy that allows s3:GetObject on arn:aws:s3:::factory/b",
        ),
    ] {
        let server = Answering::refusing(code, message);
        let mut variables = KEYS.to_vec();
        variables.push(("AWS_ENDPOINT_URL", &server.url));
        for told in desk.refusals(&variables) {
            assert!(told.contains(code) && told.contains(hint), "{code}\n{told}");
        }
    }
    // A key of a session lacks its third part.
    let server = Answering::refusing("InvalidClientTokenId", "The security token is invalid");
    let variables = [
        ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"),
        KEYS[1],
        KEYS[2],
        ("AWS_ENDPOINT_URL", server.url.as_str()),
    ];
    for told in desk.refusals(&variables) {
        assert!(told.contains("set AWS_SESSION_TOKEN too"), "{told}");
    }
}

#[test]
fn a_role_that_may_not_be_taken_is_told_with_who_and_what() {
    let desk = Desk::new(
        "[profile line]\nregion=eu-central-1\nrole_arn=arn:aws:iam::123456789012:role/Line\nsource_profile=base\n\
         [profile base]\naws_access_key_id=AKIAEXAMPLE\naws_secret_access_key=secret\n",
    );
    let server = Answering::refusing(
        "AccessDenied",
        "User: arn:aws:iam::123456789012:user/jane is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/Line",
    );
    for told in desk.refusals(&[("AWS_PROFILE", "line"), ("AWS_ENDPOINT_URL", &server.url)]) {
        assert!(
            told.contains("is not authorized to perform: sts:AssumeRole")
                && told.contains("the trust policy of the role on arn:aws:iam::123456789012:role/Line must name arn:aws:iam::123456789012:user/jane")
                && told.contains("mfa_serial"),
            "{told}"
        );
    }
}

#[test]
fn a_session_that_is_over_or_is_not_for_the_role_is_told_as_that() {
    let desk = Desk::new(&format!(
        "[profile sso]\nregion=eu-central-1\nsso_session=corp\nsso_account_id=123456789012\nsso_role_name=Factory\n\
         [sso-session corp]\nsso_region=eu-central-1\nsso_start_url=https://example.awsapps.com/start\n\
         [profile login]\nregion=eu-central-1\nlogin_session={SESSION}\n"
    ));
    let (sso, login) = (
        desk.place.join(".aws/sso/cache"),
        desk.place.join(".aws/login/cache"),
    );
    fs::create_dir_all(&sso).unwrap();
    fs::create_dir_all(&login).unwrap();
    let token = r#"{"accessToken":"t","expiresAt":"2099-01-01T00:00:00Z","region":"eu-central-1","startUrl":"https://example.awsapps.com/start"}"#;
    fs::write(sso.join("ee0bfd2552fbd840c02cc48b6e823320543c450f.json"), token).unwrap();
    let key = tool(
        "openssl",
        &["ecparam", "-name", "prime256v1", "-genkey", "-noout"],
        desk.place.path(),
    );
    let name = format!("{}.json", HEXLOWER.encode(&sha256(SESSION.as_bytes())));
    let key = String::from_utf8(key.stdout).unwrap();
    fs::write(login.join(name), login_token("2020-01-01T00:00:00Z", &key)).unwrap();

    let server = Answering::new(
        |request| match request.starts_with("GET /federation/credentials") {
            true => (
                403,
                r#"{"__type":"ForbiddenException","message":"No access"}"#.to_owned(),
            ),
            false => (
                400,
                r#"{"__type":"AccessDeniedException","error":"TOKEN_EXPIRED","message":"it is over"}"#
                    .to_owned(),
            ),
        },
    );
    for (profile, error, hint) in [
        (
            "sso",
            "No access (ForbiddenException)",
            "is not assigned to the account and the role",
        ),
        (
            "login",
            "there are no AWS credentials of profile login (aws login)",
            "log in again: aws login --profile login",
        ),
    ] {
        let variables = [
            ("AWS_PROFILE", profile),
            ("AWS_ENDPOINT_URL", server.url.as_str()),
        ];
        for told in desk.refusals(&variables) {
            assert!(told.contains(error) && told.contains(hint), "{profile}\n{told}");
        }
        let away = [
            ("AWS_PROFILE", profile),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ];
        for told in desk.refusals(&away) {
            assert!(told.contains(&format!("login --profile {profile}")), "{told}");
        }
    }
}

/// What `aws login` keeps.
fn login_token(expires_at: &str, key: &str) -> String {
    serde_json::json!({
        "accessToken": {
            "accessKeyId": "ASIAEXAMPLE",
            "secretAccessKey": "secret",
            "sessionToken": "token",
            "accountId": "123456789012",
            "expiresAt": expires_at,
        },
        "tokenType": "aws_sigv4",
        "refreshToken": "refresh",
        "clientId": "arn:aws:signin:::devtools/same-device",
        "dpopKey": key,
    })
    .to_string()
}

/// Registers a CA on MiniStack, in a plan, with the credentials of a profile.
fn plans(desk: &Desk, server: &Server, profile: &str) -> Command {
    let template = desk.place.succeed(&["jitp", "template", "new"]);
    fs::write(desk.place.join("template.json"), template).unwrap();
    desk.command(
        &["jitp", "register", "--template", "template.json", "--dry-run"],
        &[("AWS_PROFILE", profile), ("AWS_ENDPOINT_URL", &server.url)],
    )
}

#[test]
fn a_profile_of_aws_login_works() {
    let desk = Desk::new(&format!(
        "[profile login]\nregion=eu-central-1\nlogin_session={SESSION}\n"
    ));
    let cache = desk.place.join(".aws/login/cache");
    fs::create_dir_all(&cache).unwrap();
    let token = format!("{}.json", HEXLOWER.encode(&sha256(SESSION.as_bytes())));
    let session = login_token("2099-01-01T00:00:00Z", "not used before it is renewed");
    fs::write(cache.join(token), session).unwrap();
    let server = Server::ministack();
    let output = plans(&desk, &server, "login").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let plan = String::from_utf8_lossy(&output.stdout);
    assert!(
        plan.contains("register the CA (DEFAULT)") && !plan.contains("AWS was not asked"),
        "{plan}"
    );
}

/// Runs a command at a terminal of its own, and types a line when it is asked for a code.
const AT_A_TERMINAL: &str = r#"
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])
said, typed = b"", 0
while True:
    try:
        more = os.read(terminal, 4096)
    except OSError:
        break
    if not more:
        break
    said += more
    lines = sys.argv[1].split(",")
    while typed < min(said.count(b"code of MFA device"), len(lines)):
        os.write(terminal, lines[typed].encode() + b"\n")
        typed += 1
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

#[test]
fn a_code_is_asked_for_at_a_terminal_and_the_role_is_taken_with_it() {
    let desk = Desk::new(
        "[profile mfa]\nregion=eu-central-1\nrole_arn=arn:aws:iam::123456789012:role/Line\nsource_profile=base\n\
         mfa_serial=arn:aws:iam::123456789012:mfa/jane\nexternal_id=line 7\nduration_seconds=7200\n\
         [profile base]\naws_access_key_id=AKIAEXAMPLE\naws_secret_access_key=secret\n",
    );
    let server = Answering::new(|request| {
        match request.contains("TokenCode=123456") {
        true => (
            200,
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIATAKEN</AccessKeyId>\
             <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
             </Credentials></AssumeRoleResult></AssumeRoleResponse>"
                .to_owned(),
        ),
        false => (
            403,
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>MultiFactorAuthentication failed with invalid \
             MFA one time pass code.</Message></Error></ErrorResponse>"
                .to_owned(),
        ),
    }
    });
    let python = std::env::var("CERTFORGE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let run = |typed: &str| {
        let mut command = Command::new(&python);
        command
            .args([
                "-c",
                AT_A_TERMINAL,
                typed,
                env!("CARGO_BIN_EXE_certforge"),
                "status",
                "s3://factory/b",
            ])
            .current_dir(desk.place.path());
        desk.set(
            &mut command,
            &[("AWS_PROFILE", "mfa"), ("AWS_ENDPOINT_URL", &server.url)],
        );
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // What is no code is asked for again; the first that is one is sent.
    let said = run("12 34,123456");
    assert!(
        said.contains("code of MFA device arn:aws:iam::123456789012:mfa/jane: "),
        "{said}"
    );
    let heard = server.heard();
    for sent in [
        "SerialNumber=arn%3Aaws%3Aiam%3A%3A123456789012%3Amfa%2Fjane",
        "ExternalId=line%207",
        "DurationSeconds=7200",
        // With the role's credentials the bucket is asked.
        "Credential=ASIATAKEN/",
    ] {
        assert!(heard.contains(sent), "{sent}\n{heard}");
    }
    let said = run("000000");
    assert!(said.contains("wait for the device's next one"), "{said}");
    let said = run("x,y,z");
    assert!(said.contains("type the six digits"), "{said}");
}
