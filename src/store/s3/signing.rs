//! Signatures over digests that are known already.

use aws_runtime::auth::PayloadSigningOverride;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use data_encoding::HEXLOWER;

/// Has a request signed over the SHA-256 of its body, without working it out once more.
#[derive(Debug)]
pub(super) struct SignedDigest(String);

impl SignedDigest {
    pub(super) fn of(sha256: &[u8; 32]) -> Self {
        Self(HEXLOWER.encode(sha256))
    }
}

#[dyn_dispatch_hint]
impl Intercept for SignedDigest {
    fn name(&self) -> &'static str {
        "SignedDigest"
    }

    fn modify_before_signing(
        &self,
        _context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config
            .interceptor_state()
            .store_put(PayloadSigningOverride::Precomputed(self.0.clone()));
        Ok(())
    }
}
