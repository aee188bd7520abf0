use super::document::{Effect, PolicyDocument, Statement};
use super::pattern::{covers_action, covers_resource};

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessRequest<'a> {
    /// Full name of the action, such as `workspace:appcenter:listApps`.
    pub action: &'a str,
    /// What it is done to; `None` stands for everything in the scope. Only an Allow without a narrower
    /// resource gives that, and any Deny of the action takes it.
    pub resource: Option<&'a str>,
}

/// What the policies say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Some statement allows it and none denies it.
    Allowed,
    /// A statement denies it.
    Denied,
    /// No statement speaks of it.
    NotMentioned,
}

impl Decision {
    /// Whether it may be done.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed)
    }
}

/// Decides over all policies of a caller together: an explicit Deny wins, then an Allow; else nothing is given.
pub fn evaluate<'p>(
    policies: impl IntoIterator<Item = &'p PolicyDocument>,
    request: AccessRequest<'_>,
) -> Decision {
    let mut decision = Decision::NotMentioned;
    for statement in policies
        .into_iter()
        .flat_map(|policy| policy.statements())
        .filter(|statement| applies(statement, request))
    {
        match statement.effect {
            Effect::Deny => return Decision::Denied,
            Effect::Allow => decision = Decision::Allowed,
        }
    }
    decision
}

fn applies(statement: &Statement, request: AccessRequest<'_>) -> bool {
    let action = statement
        .action
        .iter()
        .any(|pattern| covers_action(pattern, request.action));
    action
        && match (&statement.resource, request.resource) {
            (None, _) => true,
            (Some(patterns), Some(resource)) => patterns
                .iter()
                .any(|pattern| covers_resource(pattern, resource)),
            (Some(patterns), None) => match statement.effect {
                Effect::Deny => true,
                Effect::Allow => patterns
                    .iter()
                    .any(|pattern| pattern.chars().all(|character| character == '*')),
            },
        }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn document(statements: &[(Effect, &str, Option<&str>)]) -> PolicyDocument {
        let statements = statements
            .iter()
            .map(|(effect, action, resource)| Statement {
                effect: *effect,
                action: vec![(*action).to_owned()],
                resource: resource.map(|pattern| vec![pattern.to_owned()]),
            })
            .collect();
        PolicyDocument::new("1.1".to_owned(), statements).unwrap()
    }

    fn decide(
        statements: &[(Effect, &str, Option<&str>)],
        action: &str,
        resource: Option<&str>,
    ) -> Decision {
        evaluate([&document(statements)], AccessRequest { action, resource })
    }

    #[test]
    fn an_explicit_deny_wins_in_any_order() {
        use Effect::{Allow, Deny};
        for statements in [
            [(Allow, "*", None), (Deny, "a:b:c", None)],
            [(Deny, "a:b:c", None), (Allow, "*", None)],
        ] {
            assert_eq!(decide(&statements, "a:b:c", None), Decision::Denied);
            assert_eq!(decide(&statements, "A:B:C", None), Decision::Denied);
            assert_eq!(decide(&statements, "a:b:d", None), Decision::Allowed);
        }
        let (allow, deny) = (
            document(&[(Allow, "*", None)]),
            document(&[(Deny, "a:*", None)]),
        );
        let request = AccessRequest {
            action: "a:b:c",
            resource: None,
        };
        assert_eq!(evaluate([&allow, &deny], request), Decision::Denied);
        assert_eq!(evaluate([], request), Decision::NotMentioned);
    }

    #[test]
    fn a_narrow_allow_does_not_give_everything() {
        use Effect::{Allow, Deny};
        let narrow = [(Allow, "a", Some("desktop:*"))];
        assert_eq!(decide(&narrow, "a", None), Decision::NotMentioned);
        assert_eq!(decide(&narrow, "a", Some("desktop:1")), Decision::Allowed);
        assert_eq!(decide(&narrow, "a", Some("app:1")), Decision::NotMentioned);
        let wide = [(Allow, "a", Some("*")), (Deny, "a", Some("desktop:1"))];
        assert_eq!(decide(&wide, "a", None), Decision::Denied);
        assert_eq!(decide(&wide, "a", Some("desktop:2")), Decision::Allowed);
    }

    /// The rule once more, as a sentence rather than a loop, with a matcher of its own.
    fn naive(policies: &[PolicyDocument], action: &str, resource: Option<&str>) -> Decision {
        fn matches(pattern: &str, text: &str) -> bool {
            // Dynamic programme over prefixes: reached[i] says the pattern so far covers text[..i].
            let text: Vec<char> = text.chars().collect();
            let mut reached = vec![false; text.len() + 1];
            reached[0] = true;
            for wanted in pattern.chars() {
                let before = reached.clone();
                for end in 0..=text.len() {
                    reached[end] = match wanted {
                        '*' => before[..=end].contains(&true),
                        '?' => end > 0 && before[end - 1],
                        character => end > 0 && before[end - 1] && text[end - 1] == character,
                    };
                }
            }
            reached[text.len()]
        }
        let speaks = |effect: Effect| {
            policies
                .iter()
                .flat_map(PolicyDocument::statements)
                .filter(|statement| statement.effect == effect)
                .filter(|statement| {
                    statement
                        .action
                        .iter()
                        .any(|pattern| matches(pattern, action))
                })
                .any(|statement| match (&statement.resource, resource, effect) {
                    (Some(patterns), Some(text), _) => {
                        patterns.iter().any(|pattern| matches(pattern, text))
                    }
                    // U+0001 is in no pattern: only a `*` alone covers texts of both lengths.
                    (Some(patterns), None, Effect::Allow) => patterns
                        .iter()
                        .any(|pattern| matches(pattern, "") && matches(pattern, "\u{1}\u{1}")),
                    _ => true,
                })
        };
        match (speaks(Effect::Deny), speaks(Effect::Allow)) {
            (true, _) => Decision::Denied,
            (false, true) => Decision::Allowed,
            (false, false) => Decision::NotMentioned,
        }
    }

    fn statements() -> impl Strategy<Value = Statement> {
        let patterns = || proptest::collection::vec("[ab:*?]{1,5}", 1..3);
        (
            prop_oneof![Just(Effect::Allow), Just(Effect::Deny)],
            patterns(),
            proptest::option::of(patterns()),
        )
            .prop_map(|(effect, action, resource)| Statement {
                effect,
                action,
                resource,
            })
    }

    proptest! {
        #[test]
        fn agrees_with_a_second_evaluator(
            policies in proptest::collection::vec(proptest::collection::vec(statements(), 1..4), 0..3),
            action in "[ab:]{0,5}",
            resource in proptest::option::of("[ab:]{0,5}"),
        ) {
            let policies: Vec<_> = policies
                .into_iter()
                .map(|statements| PolicyDocument::new("5.0".to_owned(), statements).unwrap())
                .collect();
            prop_assert_eq!(
                evaluate(&policies, AccessRequest { action: &action, resource: resource.as_deref() }),
                naive(&policies, &action, resource.as_deref())
            );
        }
    }
}
