//! What AWS IoT and IAM say, asked without certforge and without the SDK: plain requests to a server of the test's own,
//! which looks at whom a signature is of and not at the signature.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

#[derive(Debug, Clone)]
pub struct Cloud {
    address: String,
    account: String,
    region: String,
}

impl Cloud {
    pub fn new(url: &str, account: &str, region: &str) -> Self {
        Self {
            address: url.trim_start_matches("http://").trim_end_matches('/').to_owned(),
            account: account.to_owned(),
            region: region.to_owned(),
        }
    }

    /// The body of an answer, or the code that a request was refused with.
    pub fn ask(&self, service: &str, method: &str, target: &str, body: &str) -> Result<String, String> {
        let Self {
            address,
            account,
            region,
        } = self;
        let kind = match service {
            "iam" => "application/x-www-form-urlencoded",
            _ => "application/json",
        };
        let mut stream = TcpStream::connect(address).expect("the server listens");
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             X-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential={account}/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=00\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).expect("a status");
        if status.starts_with('2') {
            return Ok(body.to_owned());
        }
        let said: Value = serde_json::from_str(body).unwrap_or_default();
        let code = said["__type"].as_str().or_else(|| said["code"].as_str());
        Err(code.unwrap_or(&answer).to_owned())
    }

    /// What AWS IoT answers, JSON.
    pub fn iot(&self, method: &str, target: &str, body: &Value) -> Result<Value, String> {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let answer = self.ask("iot", method, target, &body)?;
        Ok(serde_json::from_str(&answer).unwrap_or_default())
    }

    /// The same, of what must be there.
    #[track_caller]
    pub fn get(&self, target: &str) -> Value {
        self.iot("GET", target, &Value::Null).unwrap()
    }

    /// A CA that is registered: `certificateDescription` and `registrationConfig`.
    pub fn ca(&self, id: &str) -> Option<Value> {
        self.if_there(&format!("/cacertificate/{id}"))
    }

    /// The status of a certificate that AWS IoT knows.
    pub fn status(&self, certificate_id: &str) -> Option<String> {
        let said = self.if_there(&format!("/certificates/{certificate_id}"))?;
        let status = said["certificateDescription"]["status"].as_str();
        Some(status.expect("a status").to_owned())
    }

    /// Registers the certificate of a device.
    #[track_caller]
    pub fn register(&self, certificate: &str, ca: &str, status: &str) {
        let body = serde_json::json!({
            "certificatePem": certificate, "caCertificatePem": ca, "status": status,
        });
        self.iot("POST", "/certificate/register", &body).unwrap();
    }

    #[track_caller]
    fn if_there(&self, target: &str) -> Option<Value> {
        match self.iot("GET", target, &Value::Null) {
            Ok(said) => Some(said),
            Err(code) => {
                assert_eq!(code, "ResourceNotFoundException", "{target}");
                None
            }
        }
    }
}
