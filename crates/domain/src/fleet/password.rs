//! What a desktop user's first password must be.

/// Kinds of characters a password must hold at least. Source: the vendor's console.
const KINDS_MIN: usize = 3;

/// Shortest user name that a password must not hold, in characters: shorter ones stand in most words. Source:
/// the Windows password policy.
const NAME_MIN: usize = 3;

/// Whether a password is not too simple for a user: at least three of capitals, small letters, digits and other
/// characters, and neither the user's name nor the name reversed in it, whatever the case.
pub fn is_password_strong(password: &str, user_name: &str) -> bool {
    let holds = |kind: fn(char) -> bool| password.chars().any(kind);
    let kinds = [
        holds(|c| c.is_ascii_uppercase()),
        holds(|c| c.is_ascii_lowercase()),
        holds(|c| c.is_ascii_digit()),
        holds(|c| !c.is_ascii_alphanumeric()),
    ];
    let password = password.to_lowercase();
    let name = user_name.to_lowercase();
    let reversed: String = name.chars().rev().collect();
    kinds.into_iter().filter(|held| *held).count() >= KINDS_MIN
        && (name.chars().count() < NAME_MIN
            || !password.contains(&name) && !password.contains(&reversed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_two_letters_may_stand_in_a_password() {
        assert!(is_password_strong("Passw0rd", "pa"));
        assert!(!is_password_strong("Passw0rd", "pas"));
    }

    #[test]
    fn a_password_mixes_kinds_and_hides_no_name() {
        for strong in ["Passw0rd", "abc-1234", "ABC-1234", "Abc-defg"] {
            assert!(is_password_strong(strong, "li"), "{strong}");
        }
        for weak in ["password1", "12345678", "PASSWORD", "Wang-123", "gnaW-123"] {
            assert!(!is_password_strong(weak, "wang"), "{weak}");
        }
    }
}
