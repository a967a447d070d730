//! A token, and the one key in it that a URI means; found anew whenever what was known of them is gone.

use std::path::PathBuf;
use std::sync::Arc;

use cryptoki::context::Pkcs11;
use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::{Limit, Slot, TokenInfo};

use super::fault::{Fault, Loss};
use super::module::{Module, Within};
use super::pin::Pin;
use crate::signer::AskPin;
use crate::signer::access::AccessError;
use crate::signer::uri::{KeyUri, Pkcs11Uri};

/// The variable that names the module of URIs that name none.
const MODULE: &str = "CERTFORGE_PKCS11_MODULE";

/// Objects of which a message tells at most.
const TOLD: usize = 8;

/// A token that was found, and who we are to it.
#[derive(Debug)]
pub(super) struct Token {
    pub module: Arc<Module>,
    uri: Pkcs11Uri,
    place: String,
    pin: Pin,
    /// Sessions that it has for us at most.
    pub most_sessions: usize,
}

/// A session that is logged in, and the key in it.
#[derive(Debug)]
pub(super) struct Open {
    /// Not closed when it is dropped: in another generation its number may be that of somebody else's.
    pub session: Session,
    pub key: ObjectHandle,
    pub generation: u64,
}

impl Token {
    /// Finds a token, and asks for its PIN; the key is not looked for yet.
    pub(super) fn find(uri: &Pkcs11Uri, ask: AskPin<'_>) -> Result<Self, AccessError> {
        let place = KeyUri::Pkcs11(uri.clone()).to_string();
        let place = place.split('?').next().unwrap_or_default().to_owned();
        let path = uri
            .module_path
            .clone()
            .or_else(|| std::env::var_os(MODULE).map(PathBuf::from));
        let Some(path) = path else {
            return Err(AccessError::NoModule { uri: place });
        };
        let module = Module::load(&path)?;
        let (pin, most_sessions) = {
            let within = module.within();
            let (_, info) = find_slot(within.context, uri, &place)?;
            let most_sessions = match info.max_session_count() {
                Limit::Max(count) => {
                    let taken = info.session_count().unwrap_or(0);
                    usize::try_from(count.saturating_sub(taken)).unwrap_or(usize::MAX)
                }
                Limit::Unavailable | Limit::Infinite => usize::MAX,
            };
            (Pin::of(&info, uri.pin_source.as_deref(), ask)?, most_sessions)
        };
        Ok(Self {
            module,
            uri: uri.clone(),
            place,
            pin,
            most_sessions,
        })
    }

    /// The key as a person reads it.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn uri(&self) -> &Pkcs11Uri {
        &self.uri
    }

    /// A session that is logged in, which may write or not, and where.
    pub(super) fn session(&self, within: &Within<'_>, may_write: bool) -> Result<Session, Fault> {
        let (slot, _) = find_slot(within.context, &self.uri, &self.place)?;
        let context = within.context;
        let session = match may_write {
            true => context.open_rw_session_no_drop(slot),
            false => context.open_ro_session_no_drop(slot),
        };
        let session = session.map_err(|error| self.fault(error))?;
        match self.pin.log_in(context, slot, &session) {
            Ok(()) => Ok(session),
            Err(error) => {
                let _ = session.close();
                Err(error)
            }
        }
    }

    /// A session that can sign with the key. It is looked for each time: a token forgets its handles with the login, and
    /// that with the last session.
    pub(super) fn open(&self, within: &Within<'_>) -> Result<Open, Fault> {
        let session = self.session(within, false)?;
        match self.find_key(&session) {
            Ok(key) => Ok(Open {
                session,
                key,
                generation: *within.generation,
            }),
            Err(fault) => {
                let _ = session.close();
                Err(fault)
            }
        }
    }

    /// After a call has failed: looks at what is there, and begins anew with the module when that is the only way left. Says
    /// what is there then.
    pub(super) fn look_again(&self, lost: Loss, generation: u64) -> Result<(), AccessError> {
        if lost != Loss::Doubt {
            return Ok(());
        }
        let look = || -> Result<(), AccessError> {
            let within = self.module.within();
            let open = self.open(&within)?;
            let _ = open.session.close();
            Ok(())
        };
        if let Ok(()) = look() {
            return Ok(());
        }
        self.module.begin_anew(generation);
        look().map_err(|error| match error {
            // It was there; so it may be again. A key that is not in a token that is there was deleted.
            error @ AccessError::NoToken { .. } => AccessError::Unreachable {
                place: self.place.clone(),
                is_passing: true,
                source: error.into(),
            },
            error => error,
        })
    }

    pub(super) fn fault(&self, error: Error) -> Fault {
        Fault::of(&self.place, error)
    }

    /// What the URI says of an object of this class.
    pub(super) fn template(&self, class: ObjectClass) -> Vec<Attribute> {
        let mut template = vec![Attribute::Class(class)];
        template.extend(
            self.uri
                .object
                .iter()
                .map(|label| Attribute::Label(label.clone().into())),
        );
        template.extend(self.uri.id.iter().map(|id| Attribute::Id(id.clone())));
        template
    }

    /// The one private key that is meant.
    pub(super) fn find_key(&self, session: &Session) -> Result<ObjectHandle, Fault> {
        let found = session
            .find_objects(&self.template(ObjectClass::PRIVATE_KEY))
            .map_err(|error| self.fault(error))?;
        let (token, wanted) = (self.uri.token(), self.uri.key());
        let none = match found[..] {
            [key] => return Ok(key),
            [] => AccessError::NoKey {
                there: Self::private_keys(session).map_err(|error| self.fault(error))?,
                token,
                wanted,
            },
            _ => AccessError::ManyKeys {
                token,
                wanted,
                count: found.len(),
            },
        };
        Err(none.into())
    }

    /// The names of the private keys that there are.
    fn private_keys(session: &Session) -> Result<Vec<String>, Error> {
        let keys = session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])?;
        let mut names = Vec::new();
        for key in keys.iter().take(TOLD) {
            for attribute in session.get_attributes(*key, &[AttributeType::Label])? {
                if let Attribute::Label(label) = attribute {
                    names.push(String::from_utf8_lossy(&label).into_owned());
                }
            }
        }
        names.sort();
        Ok(names)
    }
}

/// The slot of the one token that is meant.
fn find_slot(context: &Pkcs11, uri: &Pkcs11Uri, place: &str) -> Result<(Slot, TokenInfo), Fault> {
    let slots = context
        .get_slots_with_token()
        .map_err(|error| Fault::of(place, error))?;
    let mut there = Vec::new();
    let mut found = Vec::new();
    for slot in slots {
        // A token that does not say what it is, is another's trouble.
        let Ok(info) = context.get_token_info(slot) else {
            continue;
        };
        if !info.token_initialized() {
            continue;
        }
        there.push(info.label().to_owned());
        let is =
            |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        if is(&uri.token, info.label())
            && is(&uri.manufacturer, info.manufacturer_id())
            && is(&uri.serial, info.serial_number())
            && is(&uri.model, info.model())
            && uri.slot_id.is_none_or(|id| id == slot.id())
        {
            found.push((slot, info));
        }
    }
    there.truncate(TOLD);
    there.sort();
    let wanted = uri.token();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(AccessError::NoToken { wanted, there }.into()),
        count => Err(AccessError::ManyTokens { wanted, count }.into()),
    }
}
