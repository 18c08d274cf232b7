//! Signatures of JWT, checked by `ring`, the cryptography that TLS has: `jsonwebtoken` brings none.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    jwk::{AlgorithmParameters, Jwk},
};
use ring::signature::{self as of_ring, UnparsedPublicKey, VerificationAlgorithm};
use signature::Verifier;

/// Makes `jsonwebtoken` check signatures with `ring`. Again is fine.
pub(super) fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |_: &Algorithm, _: &EncodingKey| -> Result<Box<dyn JwtSigner>, Error> {
            Err(ErrorKind::UnsupportedAlgorithm.into())
        },
        verifier_factory: |algorithm, key| {
            let check = check_of(*algorithm).ok_or_else(|| Error::from(ErrorKind::UnsupportedAlgorithm))?;
            Ok(Box::new(RingVerifier { algorithm: *algorithm, check, key: key.clone() }))
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    // Only an earlier call of this can have been before.
    if PROVIDER.install_default().is_err() {
        tracing::trace!("signatures are checked already");
    }
}

/// Algorithms with a shared secret have none: whoever checks one can make one.
fn check_of(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        Algorithm::RS256 => &of_ring::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &of_ring::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &of_ring::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &of_ring::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &of_ring::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &of_ring::RSA_PSS_2048_8192_SHA512,
        Algorithm::ES256 => &of_ring::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &of_ring::ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDSA => &of_ring::ED25519,
        _ => return None,
    })
}

/// Returns the key of a JWK in the form [`install`]'s checks read.
pub(super) fn key(jwk: &Jwk) -> Option<DecodingKey> {
    let AlgorithmParameters::RSA(numbers) = &jwk.algorithm else { return DecodingKey::from_jwk(jwk).ok() };
    let [modulus, exponent] = [&numbers.n, &numbers.e].map(|text| BASE64_URL_SAFE_NO_PAD.decode(text));
    Some(DecodingKey::from_rsa_der(&rsa_public_key(&modulus.ok()?, &exponent.ok()?)))
}

/// Writes an RSA key as ASN.1 in DER (RFC 8017, A.1.1): a sequence of two integers.
fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    let integer = |number: &[u8]| {
        let leading = number.iter().take_while(|byte| **byte == 0).count();
        let digits = number.get(leading..).unwrap_or_default();
        // A first bit that is set would say that it is negative.
        let is_high = digits.first().is_none_or(|first| *first >= 0x80);
        tagged(INTEGER, &[if is_high { &[0][..] } else { &[] }, digits].concat())
    };
    tagged(SEQUENCE, &[integer(modulus), integer(exponent)].concat())
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = length.get(length.iter().take_while(|byte| **byte == 0).count()..).unwrap_or_default();
    let mut written = vec![tag];
    match length {
        [] => written.push(0),
        [short] if *short < 0x80 => written.push(*short),
        // At most eight bytes.
        long => {
            written.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            written.extend_from_slice(long);
        }
    }
    written.extend_from_slice(content);
    written
}

struct RingVerifier {
    algorithm: Algorithm,
    check: &'static dyn VerificationAlgorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let key = self.key.try_get_as_bytes().map_err(|_| signature::Error::new())?;
        UnparsedPublicKey::new(self.check, key).verify(message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
