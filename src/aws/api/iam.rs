//! IAM: forms that are answered in XML.

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::metadata::ErrorMetadata;
use aws_smithy_xml::decode::{Document, ScopedDecoder, XmlDecodeError, try_data};
use aws_types::region::Region;

use super::{Client, Refusal, Request, endpoint};

const VERSION: &str = "2010-05-08";

/// A client of IAM.
#[derive(Debug, Clone)]
pub(in super::super) struct Iam(Client);

/// What IAM answers; it says nothing when it is no XML.
type Answer = Result<Xml, Refusal>;

impl Iam {
    pub fn new(config: &SdkConfig, region: &Region) -> Self {
        Self(Client {
            name: "iam",
            place: endpoint::of_iam(config, region),
            read_refusal,
            is_answer,
            config: config.clone(),
        })
    }

    pub async fn get_role(&self, name: &str) -> Answer {
        self.ask("GetRole", &[("RoleName", name)]).await
    }

    /// A page of what is attached to a role; `marker`: where the page before ended.
    pub async fn list_attached_role_policies(&self, role: &str, marker: Option<&str>) -> Answer {
        let mut fields = vec![("RoleName", role)];
        fields.extend(marker.map(|marker| ("Marker", marker)));
        self.ask("ListAttachedRolePolicies", &fields).await
    }

    pub async fn create_role(&self, name: &str, trust: &str, description: &str) -> Answer {
        let fields = [
            ("RoleName", name),
            ("AssumeRolePolicyDocument", trust),
            ("Description", description),
        ];
        self.ask("CreateRole", &fields).await
    }

    pub async fn update_assume_role_policy(&self, role: &str, trust: &str) -> Answer {
        let fields = [("RoleName", role), ("PolicyDocument", trust)];
        self.ask("UpdateAssumeRolePolicy", &fields).await
    }

    pub async fn attach_role_policy(&self, role: &str, policy_arn: &str) -> Answer {
        let fields = [("RoleName", role), ("PolicyArn", policy_arn)];
        self.ask("AttachRolePolicy", &fields).await
    }

    async fn ask(&self, operation: &'static str, fields: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", operation)
            .append_pair("Version", VERSION);
        form.extend_pairs(fields);
        let request = Request {
            operation,
            method: "POST",
            target: "/".to_owned(),
            content_type: "application/x-www-form-urlencoded",
            body: form.finish(),
        };
        let answer = self.0.ask(request).await?;
        Ok(Xml::read(&answer).unwrap_or_default())
    }
}

/// The elements whose texts are looked at.
const TEXTS: [&str; 7] = [
    "Arn",
    "AssumeRolePolicyDocument",
    "Code",
    "IsTruncated",
    "Marker",
    "Message",
    "PolicyArn",
];

/// Elements within elements, at most.
const DEPTH: usize = 16;

/// An answer: what its elements say, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Xml(Vec<(String, String)>);

impl Xml {
    fn read(body: &[u8]) -> Result<Self, XmlDecodeError> {
        let mut document = Document::try_from(body)?;
        let mut texts = Vec::new();
        collect(&mut document.root_element()?, DEPTH, &mut texts)?;
        Ok(Self(texts))
    }

    /// What the first element of that name says.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(element, _)| element == name)
            .map(|(_, text)| text.as_str())
    }

    /// What the elements of that name say.
    pub fn all(&self, name: &str) -> Vec<String> {
        let of_name = self.0.iter().filter(|(element, _)| element == name);
        of_name.map(|(_, text)| text.clone()).collect()
    }
}

/// The element around an answer is the operation's name and `Response`.
fn is_answer(body: &[u8]) -> bool {
    let is_response = |body| -> Result<bool, XmlDecodeError> {
        let mut document = Document::try_from(body)?;
        Ok(document.root_element()?.start_el().local().ends_with("Response"))
    };
    is_response(body).unwrap_or(false) && Xml::read(body).is_ok()
}

fn collect(
    element: &mut ScopedDecoder<'_, '_>,
    depth: usize,
    texts: &mut Vec<(String, String)>,
) -> Result<(), XmlDecodeError> {
    while let Some(mut inner) = element.next_tag() {
        let name = inner.start_el().local().to_owned();
        if TEXTS.contains(&name.as_str()) {
            let text = try_data(&mut inner)?.into_owned();
            texts.push((name, text));
        } else if depth > 0 {
            collect(&mut inner, depth - 1, texts)?;
        }
    }
    Ok(())
}

/// `<ErrorResponse><Error><Code>…</Code><Message>…</Message></Error></ErrorResponse>`.
fn read_refusal(answer: &HttpResponse) -> ErrorMetadata {
    let said = Xml::read(answer.body().bytes().unwrap_or_default()).unwrap_or_default();
    let mut refusal = ErrorMetadata::builder();
    if let Some(code) = said.first("Code") {
        refusal = refusal.code(code);
    }
    if let Some(message) = said.first("Message") {
        refusal = refusal.message(message);
    }
    refusal.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_elements_say_is_found_wherever_they_are() {
        let answer = "<ListAttachedRolePoliciesResponse xmlns='https://iam.amazonaws.com/doc/2010-05-08/'>\
            <ListAttachedRolePoliciesResult><AttachedPolicies>\
            <member><PolicyName>a</PolicyName><PolicyArn>arn:a&amp;b</PolicyArn></member>\
            <member><PolicyArn>arn:c</PolicyArn></member>\
            </AttachedPolicies><IsTruncated>true</IsTruncated><Marker>m+/=</Marker></ListAttachedRolePoliciesResult>\
            </ListAttachedRolePoliciesResponse>";
        let read = Xml::read(answer.as_bytes()).unwrap();
        assert_eq!(read.all("PolicyArn"), ["arn:a&b", "arn:c"]);
        assert_eq!(read.first("Marker"), Some("m+/="));
        assert_eq!(read.first("Arn"), None);
    }

    #[test]
    fn a_page_of_a_proxy_is_no_answer() {
        assert!(is_answer(b"<?xml version='1.0'?><GetRoleResponse xmlns='x'/>"));
        for body in [
            "<html></html>",
            "<Response",
            "GetRoleResponse",
            "<a><GetRoleResponse/></a>",
            "{}",
        ] {
            assert!(!is_answer(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn what_is_no_answer_says_nothing_or_is_refused() {
        for body in ["", "no XML", "<a>", "<a></b>", "\u{feff}", "{\"Code\": 1}"] {
            let read = Xml::read(body.as_bytes()).unwrap_or_default();
            assert_eq!(read, Xml::default(), "{body}");
        }
        assert!(Xml::read(&[0xff, 0xfe]).is_err());
        // Depth that no stack would bear.
        let deep = "<a>".repeat(100_000);
        assert_eq!(Xml::read(deep.as_bytes()).unwrap_or_default(), Xml::default());
    }
}
