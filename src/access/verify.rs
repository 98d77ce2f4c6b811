//! Signatures of JWTs, checked by the library of cryptography that TLS uses, too.

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    crypto::{CryptoProvider, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
    signature,
};
use ring::signature::{
    self as sum, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

/// Nothing is signed here.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: |algorithm, key| verifier(*algorithm, key),
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes this the provider of the process.
pub(super) fn install() {
    // Somebody else's choice is as good.
    let _ = PROVIDER.install_default();
}

fn verifier(algorithm: Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if !is_known(algorithm) || key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(Verifier { algorithm, key: key.clone() }))
}

struct Verifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for Verifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl signature::Verifier<Vec<u8>> for Verifier {
    fn verify(&self, message: &[u8], given: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        let is_right = match self.key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => rsa(self.algorithm).is_some_and(|parameters| {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, given).is_ok()
            }),
            DecodingKeyKind::SecretOrDer(key) => curve(self.algorithm).is_some_and(|algorithm| {
                UnparsedPublicKey::new(algorithm, key).verify(message, given).is_ok()
            }),
        };
        if is_right { Ok(()) } else { Err(signature::Error::new()) }
    }
}

fn is_known(algorithm: Algorithm) -> bool {
    rsa(algorithm).is_some() || curve(algorithm).is_some()
}

fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &sum::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &sum::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &sum::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &sum::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &sum::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &sum::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn curve(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        Algorithm::ES256 => &sum::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &sum::ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDSA => &sum::ED25519,
        _ => return None,
    })
}
