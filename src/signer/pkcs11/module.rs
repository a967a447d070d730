//! PKCS#11 modules: the library that speaks to tokens, one of each for the whole process.
//!
//! A module is initialised once, however many signers use it, and is never finalised while anybody is within a call.
//! Finalising it takes all sessions and handles away, so everybody who holds some looks at the generation first.
//! It is not unloaded: what else is in the process may use it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use super::fault::said;
use crate::exposure;
use crate::signer::access::AccessError;

static LOADED: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

/// A module that is loaded.
#[derive(Debug)]
pub(super) struct Module {
    context: Pkcs11,
    /// How often it was initialised.
    generation: RwLock<u64>,
}

/// Somebody is within calls to the module, and it is not finalised meanwhile.
pub(super) struct Within<'a> {
    pub context: &'a Pkcs11,
    pub generation: RwLockReadGuard<'a, u64>,
}

impl Module {
    /// Loads and initialises a module, unless it is there.
    pub(super) fn load(path: &Path) -> Result<Arc<Self>, AccessError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = loaded.get(path) {
            return Ok(Arc::clone(module));
        }
        let unloadable = |source: Box<dyn std::error::Error + Send + Sync>| AccessError::Module {
            path: path.to_owned(),
            source,
        };
        // What others can write to runs as we do, and is told the PIN.
        let metadata = fs::metadata(path).map_err(|error| unloadable(error.into()))?;
        if let Some(exposure) = exposure::of_file(&metadata) {
            return Err(AccessError::Exposed {
                path: path.to_owned(),
                exposure,
            });
        }
        let context = Pkcs11::new(path).map_err(|error| unloadable(error.into()))?;
        initialize(&context).map_err(|error| unloadable(said(error)))?;
        let module = Arc::new(Self {
            context,
            generation: RwLock::new(0),
        });
        loaded.insert(path.to_owned(), Arc::clone(&module));
        Ok(module)
    }

    /// For calls.
    pub(super) fn within(&self) -> Within<'_> {
        Within {
            context: &self.context,
            generation: self.generation.read().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Finalises and initialises it, unless somebody has done so since the generation that was seen: a token that was gone
    /// and is back shows its keys only then. A failure is found by whoever calls next.
    pub(super) fn begin_anew(&self, seen: u64) {
        let mut generation = self.generation.write().unwrap_or_else(PoisonError::into_inner);
        if *generation == seen {
            *generation += 1;
            let _ = self.context.clone().finalize();
            let _ = initialize(&self.context);
        }
    }
}

/// Somebody else in the process may have done it.
fn initialize(context: &Pkcs11) -> Result<(), Error> {
    match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        other => other,
    }
}
