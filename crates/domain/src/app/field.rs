/// A member that breaks a rule: the caller is told its name and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct FieldProblem {
    /// Name as on the wire, with a dot before a nested member.
    pub field: &'static str,
    /// What is wrong, in plain words.
    pub reason: String,
}

impl FieldProblem {
    /// Names a member and what is wrong with it.
    pub fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self {
            field,
            reason: reason.into(),
        }
    }
}

/// What no text member may hold: U+0000, which PostgreSQL cannot store.
pub fn text_problem(field: &'static str, text: &str) -> Option<FieldProblem> {
    text.contains('\0')
        .then(|| FieldProblem::new(field, "must not contain the character U+0000"))
}
