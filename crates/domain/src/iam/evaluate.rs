use super::condition::{Circumstances, Truth, holds};
use super::document::{Effect, PolicyDocument, Statement};
use super::pattern::{covers_action, covers_resource};

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessRequest<'a> {
    /// Full name of the action, such as `workspace:appcenter:listApps`.
    pub action: &'a str,
    /// What it is done to, such as `app:ID`; `None` where that is not one thing: everything in the scope, or
    /// what is not known yet. A statement with narrower resources is then open.
    pub resource: Option<&'a str>,
    /// What else is known of the call.
    pub circumstances: &'a Circumstances,
}

/// How a statement counts that is open, because resource or circumstances are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// An open Deny denies, an open Allow does not allow: the last word.
    Refuses,
    /// An open Allow allows, an open Deny does not deny: whether it is worth going on.
    Passes,
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

/// A decision with what decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub decision: Decision,
    /// The first statement that decided so: place of its policy, and its place there, both from 0. `None` when
    /// no statement speaks of it.
    pub by: Option<(usize, usize)>,
}

/// Decides over all policies of a caller together: an explicit Deny wins, then an Allow; else nothing is given.
pub fn evaluate<'p>(
    policies: impl IntoIterator<Item = &'p PolicyDocument>,
    request: AccessRequest<'_>,
    doubt: Doubt,
) -> Verdict {
    let mut verdict = Verdict {
        decision: Decision::NotMentioned,
        by: None,
    };
    for (place, policy) in policies.into_iter().enumerate() {
        for (number, statement) in policy.statements().iter().enumerate() {
            if !counts(statement, request, doubt) {
                continue;
            }
            match statement.effect {
                Effect::Deny => {
                    return Verdict {
                        decision: Decision::Denied,
                        by: Some((place, number)),
                    };
                }
                Effect::Allow if verdict.by.is_none() => {
                    verdict = Verdict {
                        decision: Decision::Allowed,
                        by: Some((place, number)),
                    };
                }
                Effect::Allow => {}
            }
        }
    }
    verdict
}

fn counts(statement: &Statement, request: AccessRequest<'_>, doubt: Doubt) -> bool {
    let action = statement
        .action
        .iter()
        .any(|pattern| covers_action(pattern, request.action));
    if !action {
        return false;
    }
    let resource = match (&statement.resource, request.resource) {
        (None, _) => Truth::True,
        (Some(patterns), Some(resource)) => patterns
            .iter()
            .any(|pattern| covers_resource(pattern, resource))
            .into(),
        (Some(patterns), None) => {
            let all = |pattern: &String| pattern.chars().all(|character| character == '*');
            if patterns.iter().any(all) {
                Truth::True
            } else {
                Truth::Open
            }
        }
    };
    let condition = statement
        .condition
        .as_ref()
        .map_or(Truth::True, |conditions| {
            holds(conditions, request.circumstances)
        });
    match (resource.and(condition), statement.effect, doubt) {
        (Truth::True, _, _) => true,
        (Truth::False, _, _) => false,
        (Truth::Open, Effect::Allow, doubt) => doubt == Doubt::Passes,
        (Truth::Open, Effect::Deny, doubt) => doubt == Doubt::Refuses,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::condition::{ASSIGN_SCOPE, Operator, Pending};
    use super::*;
    use crate::Millis;

    fn circumstances(scope: Option<&str>, pending: Pending) -> Circumstances {
        Circumstances {
            source: "192.0.2.1".parse().unwrap(),
            now: Millis::new(0),
            facts: scope
                .map(|scope| (ASSIGN_SCOPE.to_owned(), scope.to_owned()))
                .into_iter()
                .collect(),
            pending,
        }
    }

    fn document(statements: &[(Effect, &str, Option<&str>)]) -> PolicyDocument {
        let statements = statements
            .iter()
            .map(|(effect, action, resource)| Statement {
                effect: *effect,
                action: vec![(*action).to_owned()],
                resource: resource.map(|pattern| vec![pattern.to_owned()]),
                condition: None,
            })
            .collect();
        PolicyDocument::new("1.1".to_owned(), statements).unwrap()
    }

    fn verdict(policies: &[&PolicyDocument], action: &str, resource: Option<&str>) -> Verdict {
        let circumstances = circumstances(None, Pending::Nothing);
        let request = AccessRequest {
            action,
            resource,
            circumstances: &circumstances,
        };
        evaluate(policies.iter().copied(), request, Doubt::Refuses)
    }

    fn decide(
        statements: &[(Effect, &str, Option<&str>)],
        action: &str,
        resource: Option<&str>,
    ) -> Decision {
        verdict(&[&document(statements)], action, resource).decision
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
    }

    #[test]
    fn the_deciding_statement_is_named() {
        use Effect::{Allow, Deny};
        let allow = document(&[(Allow, "b", None), (Allow, "*", None)]);
        let deny = document(&[(Deny, "a:*", None)]);
        let of = |policies: &[&PolicyDocument], action| verdict(policies, action, None);
        assert_eq!(of(&[&allow, &deny], "a:b").by, Some((1, 0)));
        assert_eq!(of(&[&allow, &deny], "c").by, Some((0, 1)));
        assert_eq!(of(&[&allow], "b").by, Some((0, 0)));
        assert_eq!(
            of(&[], "a"),
            Verdict {
                decision: Decision::NotMentioned,
                by: None
            }
        );
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

    #[test]
    fn what_is_open_may_go_on_and_is_refused_at_the_end() {
        let statement = |effect| Statement {
            effect,
            action: vec!["a".to_owned()],
            resource: None,
            condition: Some(BTreeMap::from([(
                Operator::StringEquals,
                BTreeMap::from([(ASSIGN_SCOPE.to_owned(), vec!["ASSIGN_USER".to_owned()])]),
            )])),
        };
        let document =
            |statements| PolicyDocument::new("1.1".to_owned(), statements).expect("it is one");
        let allow = document(vec![statement(Effect::Allow)]);
        let deny = document(vec![
            Statement {
                condition: None,
                ..statement(Effect::Allow)
            },
            statement(Effect::Deny),
        ]);
        let decide = |policy, scope, pending, doubt| {
            let circumstances = circumstances(scope, pending);
            let request = AccessRequest {
                action: "a",
                resource: None,
                circumstances: &circumstances,
            };
            evaluate([policy], request, doubt).decision.is_allowed()
        };
        for policy in [&allow, &deny] {
            assert!(decide(policy, None, Pending::Call, Doubt::Passes));
            assert!(!decide(policy, None, Pending::Call, Doubt::Refuses));
        }
        let (assign, all) = (Some("ASSIGN_USER"), Some("ALL_USER"));
        for doubt in [Doubt::Passes, Doubt::Refuses] {
            assert!(decide(&allow, assign, Pending::Nothing, doubt));
            assert!(!decide(&allow, all, Pending::Nothing, doubt));
            assert!(!decide(&deny, assign, Pending::Nothing, doubt));
            assert!(decide(&deny, all, Pending::Nothing, doubt));
        }
    }

    /// The rule once more, as a sentence rather than a loop, with a matcher of its own. What is open is tried
    /// both ways by asking with every value the generated policies can speak of.
    fn naive(
        policies: &[PolicyDocument],
        action: &str,
        resource: Option<&str>,
        known: &Circumstances,
        doubt: Doubt,
    ) -> Decision {
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
        // The ways a statement can turn out, of those that are possible.
        let ways = |statement: &Statement| -> Vec<bool> {
            let resources: Vec<bool> = match (&statement.resource, resource) {
                (None, _) => vec![true],
                (Some(patterns), Some(text)) => {
                    vec![patterns.iter().any(|pattern| matches(pattern, text))]
                }
                // U+0001 is in no pattern: only a `*` alone covers texts of both lengths.
                (Some(patterns), None) => {
                    let every = patterns
                        .iter()
                        .any(|pattern| matches(pattern, "") && matches(pattern, "\u{1}\u{1}"));
                    if every { vec![true] } else { vec![true, false] }
                }
            };
            let conditions: Vec<bool> = match &statement.condition {
                None => vec![true],
                Some(conditions) => {
                    let scopes: Vec<Option<&str>> =
                        match (known.facts.get(ASSIGN_SCOPE), known.pending) {
                            (Some(scope), _) => vec![Some(scope)],
                            (None, Pending::Call) => vec![Some("a"), Some("b"), Some("c")],
                            (None, _) => vec![None],
                        };
                    scopes
                        .into_iter()
                        .map(|scope| {
                            conditions.iter().all(|(operator, keys)| {
                                keys.values().all(|values| {
                                    let one =
                                        scope.is_some_and(|it| values.iter().any(|v| v == it));
                                    one != (*operator == Operator::StringNotEquals)
                                })
                            })
                        })
                        .collect()
                }
            };
            resources
                .iter()
                .flat_map(|&first| conditions.iter().map(move |&second| first && second))
                .collect()
        };
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
                .any(|statement| {
                    let ways = ways(statement);
                    match (effect, doubt) {
                        (Effect::Allow, Doubt::Passes) | (Effect::Deny, Doubt::Refuses) => {
                            ways.contains(&true)
                        }
                        _ => !ways.contains(&false),
                    }
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
        let condition = (
            prop_oneof![
                Just(Operator::StringEquals),
                Just(Operator::StringNotEquals)
            ],
            prop_oneof![Just("a"), Just("b")],
        )
            .prop_map(|(operator, value)| {
                let keys = BTreeMap::from([(ASSIGN_SCOPE.to_owned(), vec![value.to_owned()])]);
                BTreeMap::from([(operator, keys)])
            });
        (
            prop_oneof![Just(Effect::Allow), Just(Effect::Deny)],
            patterns(),
            proptest::option::of(patterns()),
            proptest::option::of(condition),
        )
            .prop_map(|(effect, action, resource, condition)| Statement {
                effect,
                action,
                resource,
                condition,
            })
    }

    proptest! {
        #[test]
        fn agrees_with_a_second_evaluator(
            policies in proptest::collection::vec(proptest::collection::vec(statements(), 1..4), 0..3),
            action in "[ab:]{0,5}",
            resource in proptest::option::of("[ab:]{0,5}"),
            scope in proptest::option::of(prop_oneof![Just("a"), Just("b")]),
            pending in prop_oneof![Just(Pending::Nothing), Just(Pending::Call)],
            doubt in prop_oneof![Just(Doubt::Refuses), Just(Doubt::Passes)],
        ) {
            let policies: Vec<_> = policies
                .into_iter()
                .map(|statements| PolicyDocument::new("5.0".to_owned(), statements).unwrap())
                .collect();
            let known = circumstances(scope, pending);
            let request = AccessRequest {
                action: &action,
                resource: resource.as_deref(),
                circumstances: &known,
            };
            prop_assert_eq!(
                evaluate(&policies, request, doubt).decision,
                naive(&policies, &action, resource.as_deref(), &known, doubt)
            );
        }
    }
}
