//! Stand-ins: what CloudFormation and Terraform would fill in, of which only the form is known here.

/// The text for a name such as `AWS::Region`, `data.aws_caller_identity.current.account_id` or `aws_iam_role.jitp.arn`.
pub(super) fn stand_in(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let ends = |ends: &[&str]| ends.iter().any(|end| lower.ends_with(end));
    if ends(&["accountid", "account_id", "account"]) {
        "123456789012".to_owned()
    } else if ends(&["partition"]) {
        "aws".to_owned()
    } else if ends(&["region"]) || (lower.contains("aws_region") && ends(&[".name", ".id"])) {
        "us-east-1".to_owned()
    } else if ends(&["arn"]) {
        "arn:aws:iam::123456789012:role/x".to_owned()
    } else {
        "x".to_owned()
    }
}

/// Whether a text is a document, or stands for one that comes from elsewhere: from a file, or from another resource.
pub(super) fn is_document(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Fills in the `${…}` of a text, as `value` says; an escape, which is `${` with a sign before it or behind, stands for itself.
pub(super) fn interpolate(text: &str, escape: Escape, value: &mut dyn FnMut(&str) -> String) -> String {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("${") {
        let is_doubled = escape == Escape::Doubled && rest[..at].ends_with('$');
        filled.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let Some(end) = inner.find('}') else {
            filled.push_str(&rest[at..]);
            return filled;
        };
        let name = &inner[..end];
        match (escape, name.strip_prefix('!')) {
            // The sign before it has been taken already.
            (Escape::Doubled, _) if is_doubled => filled.extend(["{", name, "}"]),
            (Escape::Exclaimed, Some(name)) => filled.extend(["${", name, "}"]),
            _ => filled.push_str(&value(name.trim())),
        }
        rest = &inner[end + 1..];
    }
    filled.push_str(rest);
    filled
}

/// How `${` is written where it is to stand for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// `${!name}`, in CloudFormation.
    Exclaimed,
    /// `$${name}`, in Terraform.
    Doubled,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_and_leaves_what_is_escaped() {
        let mut value = |name: &str| stand_in(name);
        for (text, escape, expected) in [
            ("a${AWS::Region}b", Escape::Exclaimed, "aus-east-1b"),
            ("${!iot:ClientId}/${Site}", Escape::Exclaimed, "${iot:ClientId}/x"),
            (
                "$${iot:ClientId}/${var.account_id}",
                Escape::Doubled,
                "${iot:ClientId}/123456789012",
            ),
            ("${data.aws_region.current.name}", Escape::Doubled, "us-east-1"),
            ("${open", Escape::Doubled, "${open"),
        ] {
            assert_eq!(interpolate(text, escape, &mut value), expected, "{text}");
        }
    }
}
