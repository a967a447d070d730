//! Refusals: what to do about a word that AWS says no by, whichever of its services it is.

use std::error::Error;

use aws_smithy_types::error::metadata::ErrorMetadata;

use super::Source;
use crate::causes::causes;

/// What a service answered, code and message, when one of the causes is its answer.
pub(super) fn refused(error: &(dyn Error + 'static)) -> Option<(String, String)> {
    let metadata = causes(error).find_map(|cause| cause.downcast_ref::<ErrorMetadata>())?;
    Some((
        metadata.code().unwrap_or("no code").to_owned(),
        metadata.message().unwrap_or("no message").to_owned(),
    ))
}

/// Whether a code says that the caller lacks a right.
pub(crate) fn is_denied(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied"
            | "AccessDeniedException"
            | "UnauthorizedException"
            | "UnauthorizedOperation"
            | "AuthorizationError"
            | "AllAccessDisabled"
    )
}

/// Whether a code is about credentials, so that every other request would be refused alike.
#[cfg(feature = "aws")]
pub(crate) fn is_of_credentials(code: &str) -> bool {
    is_expired(code) || is_unknown(code) || is_clock(code) || code == "SignatureDoesNotMatch"
}

fn is_expired(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "InvalidToken"
    )
}

fn is_unknown(code: &str) -> bool {
    matches!(
        code,
        "InvalidClientTokenId" | "InvalidAccessKeyId" | "UnrecognizedClientException" | "AuthFailure"
    )
}

fn is_clock(code: &str) -> bool {
    matches!(
        code,
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture"
    )
}

/// What the user can do about a refusal; nothing, when the code says nothing of credentials and rights.
pub(crate) fn hint_for(code: &str, message: &str, operation: &str, source: &Source) -> Option<String> {
    if is_expired(code) {
        return Some(format!(
            "the session is over; {}, then run the same command again",
            source.renewal()
        ));
    }
    // AWS has signatures that are too old, or of the future, under this code too.
    let is_late = code == "SignatureDoesNotMatch"
        && ["Signature expired", "Signature not yet current"]
            .iter()
            .any(|sign| message.contains(sign));
    if is_clock(code) || is_late {
        return Some(format!(
            "this machine's clock is wrong; it says {}: set it right (timedatectl set-ntp true)",
            crate::sdk::now()
        ));
    }
    if is_unknown(code) {
        let temporary = std::env::var("AWS_ACCESS_KEY_ID").is_ok_and(|key| key.starts_with("ASIA"))
            && std::env::var_os("AWS_SESSION_TOKEN").is_none();
        return Some(match (source, temporary) {
            (Source::Environment, true) => {
                "a key that begins with ASIA is of a session: set AWS_SESSION_TOKEN too".to_owned()
            }
            _ => format!(
                "the server does not know the access key: it was deleted or deactivated, or is of another account's server \
                 or partition; {}",
                source.renewal()
            ),
        });
    }
    match code {
        "SignatureDoesNotMatch" | "IncompleteSignature" => Some(format!(
            "the secret is not that of the access key, or this machine's clock is wrong (it says {}); {}",
            crate::sdk::now(),
            source.renewal()
        )),
        "AuthorizationHeaderMalformed" => {
            Some("the Region is another one than the server's: name it with --region".to_owned())
        }
        _ if message.contains("MultiFactorAuthentication failed") => Some(
            "the code was wrong, or was used before: wait for the device's next one, and run the same command again"
                .to_owned(),
        ),
        code if is_denied(code) => Some(denied(message, operation)),
        _ => None,
    }
}

/// What a denial says: who may not do what, to what, and what stands in the way.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>
struct Denial<'a> {
    who: &'a str,
    action: &'a str,
    resource: Option<&'a str>,
    /// The kind of policy that forbids it.
    forbids: Option<&'a str>,
    /// The kind of policy that would have to allow it.
    lacks: Option<&'a str>,
}

impl<'a> Denial<'a> {
    /// `User: ARN is not authorized to perform: ACTION on resource: ARN because no KIND allows …`, or `with an explicit
    /// deny in KIND`.
    fn read(message: &'a str) -> Option<Self> {
        let (before, rest) = message.split_once(" is not authorized to perform: ")?;
        let who = before.rsplit_once("User: ").map_or(before, |(_, who)| who);
        let mut words = rest.split_whitespace();
        let action = words.next()?;
        let resource = rest.split_once(" on resource: ").map(|(_, resource)| {
            let end = resource.split_whitespace().next().unwrap_or_default();
            end.trim_matches('"').trim_end_matches('.')
        });
        let after = |sign| {
            rest.split_once(sign)
                .map(|(_, after)| after.trim_end_matches('.'))
        };
        let lacks =
            after(" because no ").map(|kind| kind.split_once(" allows ").map_or(kind, |(kind, _)| kind));
        Some(Self {
            who: who.trim(),
            action: action.trim_end_matches(['.', ',']),
            resource,
            forbids: after(" explicit deny in "),
            lacks,
        })
    }
}

fn denied(message: &str, operation: &str) -> String {
    let Some(denial) = Denial::read(message) else {
        return format!(
            "the caller must be allowed {operation}; `aws sts get-caller-identity` tells who that is"
        );
    };
    let Denial {
        who,
        action,
        resource,
        forbids,
        lacks,
    } = denial;
    let on = resource.map_or_else(String::new, |resource| format!(" on {resource}"));
    if let Some(policy) = forbids {
        return format!(
            "{policy} forbids {who} the action {action}{on}, whatever else allows it: ask who manages that policy"
        );
    }
    if let Some(policy) = lacks.filter(|policy| *policy != "identity-based policy") {
        return format!("the {policy} that applies to {who} must allow {action}{on} too: ask who manages it");
    }
    if action == "sts:AssumeRole" {
        return format!(
            "the trust policy of the role{on} must name {who}, and {who} must be allowed {action}; a role that wants MFA needs mfa_serial in its profile"
        );
    }
    format!("attach to {who} a policy that allows {action}{on}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(kind: super::super::Kind) -> Source {
        Source::Profile {
            name: "line".to_owned(),
            base: "corp".to_owned(),
            kind,
        }
    }

    #[test]
    fn each_cause_has_a_hint_of_its_own() {
        use super::super::Kind;
        let sso = profile(Kind::Sso);
        let login = profile(Kind::Login);
        let user = "User: arn:aws:iam::123456789012:user/jane is not authorized to perform: ";
        for (code, message, source, hint) in [
            ("ExpiredToken", "", &sso, "aws sso login --profile corp"),
            ("ExpiredTokenException", "", &login, "aws login --profile corp"),
            (
                "InvalidClientTokenId",
                "",
                &Source::Environment,
                "does not know the access key",
            ),
            (
                "InvalidAccessKeyId",
                "",
                &Source::Environment,
                "does not know the access key",
            ),
            (
                "SignatureDoesNotMatch",
                "",
                &Source::Environment,
                "the secret is not that of the access key",
            ),
            (
                "SignatureDoesNotMatch",
                "Signature expired: 20260101T000000Z is now earlier than 20261129T000000Z",
                &Source::Environment,
                "clock is wrong",
            ),
            ("RequestTimeTooSkewed", "", &Source::Environment, "clock is wrong"),
            (
                "AccessDenied",
                &format!(
                    "{user}s3:PutObject on resource: \"arn:aws:s3:::b/k\" because no identity-based policy allows the s3:PutObject action"
                ),
                &Source::Environment,
                "attach to arn:aws:iam::123456789012:user/jane a policy that allows s3:PutObject on arn:aws:s3:::b/k",
            ),
            (
                "AccessDeniedException",
                &format!("{user}iot:GetRegistrationCode"),
                &Source::Environment,
                "attach to arn:aws:iam::123456789012:user/jane a policy that allows iot:GetRegistrationCode",
            ),
            (
                "AccessDenied",
                &format!(
                    "{user}iot:GetPolicy on resource: arn:x with an explicit deny in a service control policy"
                ),
                &Source::Environment,
                "a service control policy forbids",
            ),
            (
                "AccessDenied",
                &format!(
                    "{user}iot:GetPolicy on resource: arn:x because no permissions boundary allows the iot:GetPolicy action"
                ),
                &Source::Environment,
                "the permissions boundary that applies to arn:aws:iam::123456789012:user/jane must allow",
            ),
            (
                "AccessDenied",
                &format!("{user}sts:AssumeRole on resource: arn:aws:iam::123456789012:role/Factory"),
                &Source::Environment,
                "the trust policy of the role on arn:aws:iam::123456789012:role/Factory must name",
            ),
            (
                "AccessDenied",
                "MultiFactorAuthentication failed with invalid MFA one time pass code.",
                &Source::Environment,
                "the device's next one",
            ),
            (
                "AccessDenied",
                "Access Denied",
                &Source::Environment,
                "must be allowed iot:X",
            ),
        ] {
            let told = hint_for(code, message, "iot:X", source).unwrap();
            assert!(told.contains(hint), "{code} {message}\n{told}");
        }
        assert_eq!(hint_for("NoSuchKey", "", "s3:GetObject", &sso), None);
    }
}
