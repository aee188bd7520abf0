use rand::Rng as _;

/// Where secrets come from. A seam: the simulator hands out a seeded sequence.
pub trait Randomness: Send + Sync {
    /// Fills `bytes` so that nobody can guess them.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's randomness, through a generator that it seeds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where the seam meets the real source"
        )]
        rand::rng().fill_bytes(bytes);
    }
}

/// Text of `length` characters of `alphabet`, each as likely as the other.
///
/// # Panics
/// When the alphabet is empty or longer than 256.
pub(crate) fn random_text(randomness: &dyn Randomness, alphabet: &[u8], length: usize) -> String {
    assert!(
        (1..=256).contains(&alphabet.len()),
        "an alphabet has 1 to 256 letters"
    );
    // Bytes above the last whole multiple are thrown away: else the first letters would come more often.
    let fair = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 64];
    while text.len() < length {
        randomness.fill(&mut bytes);
        text.extend(
            bytes
                .iter()
                .map(|byte| usize::from(*byte))
                .filter(|byte| *byte < fair)
                .map(|byte| char::from(alphabet[byte % alphabet.len()]))
                .take(length - text.len()),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_of_the_alphabet_and_length_and_new_each_time() {
        let make = || random_text(&SystemRandomness, b"abc", 200);
        let text = make();
        assert_eq!(text.len(), 200);
        assert!(text.bytes().all(|byte| b"abc".contains(&byte)));
        assert_ne!(text, make());
    }
}
