/// What verifying the signature of a receipt said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verification {
    /// Nobody signed it.
    Unsigned,
    /// It was not verified yet.
    Pending,
    /// The device signed it.
    Valid,
    /// It is not what it says.
    Invalid,
}

impl Verification {
    /// Every one.
    pub const ALL: &[Self] = &[Self::Unsigned, Self::Pending, Self::Valid, Self::Invalid];

    /// The number in the database. Never reused.
    pub const fn number(self) -> i64 {
        match self {
            Self::Unsigned => 0,
            Self::Pending => 1,
            Self::Valid => 2,
            Self::Invalid => 3,
        }
    }

    /// Reads the number; `None` for any other.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|verification| verification.number() == number)
    }
}
