use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Computes the signature of a string to sign, lower-case hex. The secret key itself is the HMAC key.
pub fn sign(secret_key: &[u8], string_to_sign: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret_key).expect("HMAC takes keys of every length");
    mac.update(string_to_sign.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Tells whether `signature` is the one of the string to sign, in time that does not depend on where they differ.
pub fn verify(secret_key: &[u8], string_to_sign: &str, signature: &str) -> bool {
    let expected = sign(secret_key, string_to_sign);
    expected.as_bytes().ct_eq(signature.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_signature_verifies() {
        let signature = sign(b"secret", "text");
        assert!(verify(b"secret", "text", &signature));
        assert!(!verify(b"Secret", "text", &signature));
        assert!(!verify(b"secret", "texts", &signature));
        assert!(!verify(b"secret", "text", ""));
        assert!(!verify(b"secret", "text", &signature[..63]));
        assert!(!verify(b"secret", "text", &format!("{signature}0")));
        assert!(!verify(b"secret", "text", &signature.to_uppercase()));
    }

    /// RFC 4231, test cases 2 (short key) and 6 (key longer than a block).
    #[test]
    fn known_answers() {
        assert_eq!(
            sign(b"Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            sign(
                &[0xaa; 131],
                "Test Using Larger Than Block-Size Key - Hash Key First"
            ),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
