//! The PIN of a token: where it comes from, and that a wrong one is tried once.
//!
//! Tokens lock after a few wrong PINs, so what a token has refused is never shown to it again, by whichever session.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use super::fault::Fault;
use crate::bounded;
use crate::exposure;
use crate::signer::AskPin;
use crate::signer::access::AccessError;

/// What a token is shown when it wants to know who is there.
#[derive(Debug)]
pub(super) struct Pin {
    token: String,
    shown: Mutex<Shown>,
}

enum Shown {
    /// The token asks for nothing, or at its own keypad.
    Nothing,
    Pin(AuthPin),
    /// The token has refused what was shown, and what it said then.
    Refused {
        is_last_try: bool,
    },
    Locked,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PIN elided")
    }
}

impl Pin {
    /// From the file that the URI names, or from whoever answers.
    pub(super) fn of(token: &TokenInfo, source: Option<&Path>, ask: AskPin<'_>) -> Result<Self, AccessError> {
        let name = token.label().to_owned();
        if token.user_pin_locked() {
            return Err(AccessError::PinLocked { token: name });
        }
        let is_asked = token.login_required() && !token.protected_authentication_path();
        let pin = match (is_asked, source) {
            (false, _) => Ok(None),
            (true, Some(path)) => read(path).map(Some),
            (true, None) => ask(&name).map(Some),
        };
        let pin = pin.map_err(|source| AccessError::NoPin {
            token: name.clone(),
            source,
        })?;
        let shown = pin.map_or(Shown::Nothing, |pin| {
            Shown::Pin(AuthPin::from(pin.as_str().to_owned()))
        });
        Ok(Self {
            token: name,
            shown: Mutex::new(shown),
        })
    }

    /// Logs a session in, unless it is: the login is the whole process's.
    pub(super) fn log_in(&self, context: &Pkcs11, slot: Slot, session: &Session) -> Result<(), Fault> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let token = || self.token.clone();
        let call = |error| Fault::of(&format!("token {}", self.token), error);
        let wrong = |is_last_try| AccessError::WrongPin {
            token: token(),
            is_last_try,
        };
        let pin = match &*shown {
            Shown::Pin(pin) => Some(pin),
            Shown::Nothing => None,
            Shown::Refused { is_last_try } => return Err(wrong(*is_last_try).into()),
            Shown::Locked => return Err(AccessError::PinLocked { token: token() }.into()),
        };
        let state = session.get_session_info().map_err(call)?.session_state();
        if matches!(state, SessionState::RoUser | SessionState::RwUser) {
            return Ok(());
        }
        let info = context.get_token_info(slot).map_err(call)?;
        if !info.login_required() {
            return Ok(());
        }
        match session.login(UserType::User, pin) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(RvError::PinLocked, _)) => {
                *shown = Shown::Locked;
                Err(AccessError::PinLocked { token: token() }.into())
            }
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
                let info = context.get_token_info(slot);
                let is_last_try = info.is_ok_and(|info| info.user_pin_final_try());
                *shown = Shown::Refused { is_last_try };
                Err(wrong(is_last_try).into())
            }
            Err(error) => Err(call(error)),
        }
    }
}

/// The first line of a file that nobody else may read.
fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(named)?;
    if let Some(exposure) = exposure::of_secret(&file.metadata().map_err(named)?) {
        let message = format!("{} {exposure}; {}", path.display(), exposure.hint(path));
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    let text = bounded::read_file_text(file).map_err(named)?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}
