//! What a token's answers mean for what comes next.

use cryptoki::error::{Error, RvError};

use crate::signer::access::AccessError;

/// What was lost with a call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// The session, or the login: a new session signs on.
    Session,
    /// There is no session more than there are.
    Full,
    /// The token, or the key: it is not known which, until the token is asked.
    Doubt,
    /// Nothing: it will say the same again.
    Nothing,
}

/// What was lost, by the code. `SoftHSM` says `CKR_OBJECT_HANDLE_INVALID` for a key that was deleted and for a token that is
/// gone, and other tokens have codes of their own for it.
fn loss(error: &Error) -> Loss {
    let Error::Pkcs11(code, _) = error else {
        return Loss::Doubt;
    };
    match code {
        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::UserNotLoggedIn
        | RvError::OperationActive
        | RvError::OperationNotInitialized
        | RvError::FunctionCanceled => Loss::Session,
        RvError::SessionCount => Loss::Full,
        RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::KeyTypeInconsistent
        | RvError::KeyFunctionNotPermitted
        | RvError::KeySizeRange
        | RvError::DataInvalid
        | RvError::DataLenRange
        | RvError::ArgumentsBad
        | RvError::FunctionNotSupported
        | RvError::AttributeValueInvalid
        | RvError::AttributeTypeInvalid
        | RvError::TemplateIncomplete
        | RvError::TemplateInconsistent
        | RvError::TokenWriteProtected
        | RvError::UserPinNotInitialized
        | RvError::PinExpired => Loss::Nothing,
        _ => Loss::Doubt,
    }
}

/// A failure, and what was lost with it.
#[derive(Debug)]
pub(super) struct Fault {
    pub access: AccessError,
    pub loss: Loss,
}

impl Fault {
    /// Of a call for what stands at a place.
    pub(super) fn of(place: &str, error: Error) -> Self {
        Self {
            loss: loss(&error),
            access: unreachable(place, error),
        }
    }
}

impl From<AccessError> for Fault {
    fn from(access: AccessError) -> Self {
        let loss = match access {
            AccessError::NoToken { .. } | AccessError::NoKey { .. } => Loss::Doubt,
            _ => Loss::Nothing,
        };
        Self { access, loss }
    }
}

impl From<Fault> for AccessError {
    fn from(fault: Fault) -> Self {
        fault.access
    }
}

/// A call that failed, in the words of the standard: its function and code.
#[derive(Debug, thiserror::Error)]
#[error("{function}: {code}")]
struct Call {
    function: String,
    code: String,
}

/// Says that a key cannot be reached.
fn unreachable(place: &str, error: Error) -> AccessError {
    AccessError::Unreachable {
        place: place.to_owned(),
        is_passing: loss(&error) != Loss::Nothing,
        source: said(error),
    }
}

/// What a call said, in the words of the standard.
pub(super) fn said(error: Error) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        // The library's own texts are whole paragraphs.
        Error::Pkcs11(code, function) => Box::new(Call {
            // It calls them Function::Sign.
            function: format!("C_{}", function.to_string().trim_start_matches("Function::")),
            code: name(code),
        }),
        error => error.into(),
    }
}

/// The name that the standard has for a code: `CKR_DEVICE_REMOVED`.
fn name(code: RvError) -> String {
    let word = match code {
        RvError::VendorDefined(code) | RvError::UnknownErrorCode(code) => return format!("{code:#010x}"),
        code => format!("{code:?}"),
    };
    let mut name = "CKR".to_owned();
    for c in word.chars() {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn what_is_lost_is_known_by_the_code() {
        for (code, lost, named) in [
            (
                RvError::SessionHandleInvalid,
                Loss::Session,
                "CKR_SESSION_HANDLE_INVALID",
            ),
            (RvError::UserNotLoggedIn, Loss::Session, "CKR_USER_NOT_LOGGED_IN"),
            (
                RvError::ObjectHandleInvalid,
                Loss::Doubt,
                "CKR_OBJECT_HANDLE_INVALID",
            ),
            (RvError::DeviceRemoved, Loss::Doubt, "CKR_DEVICE_REMOVED"),
            (RvError::VendorDefined(0x8000_0001), Loss::Doubt, "0x80000001"),
            (RvError::MechanismInvalid, Loss::Nothing, "CKR_MECHANISM_INVALID"),
        ] {
            let error = Error::Pkcs11(code, Function::Sign);
            assert_eq!(loss(&error), lost, "{code:?}");
            let said = unreachable("token forge", error);
            assert_eq!(said.is_passing(), lost != Loss::Nothing);
            let source = std::error::Error::source(&said).unwrap().to_string();
            assert_eq!(source, format!("C_Sign: {named}"));
        }
    }
}
