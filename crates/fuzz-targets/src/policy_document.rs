//! A policy document, and what it says about a call.
//!
//! Input: action, resource and source address on lines of their own, then the document.

use std::collections::BTreeMap;

use outfitter_domain::Millis;
use outfitter_domain::iam::{
    AccessRequest, Circumstances, Decision, Doubt, Effect, Pending, PolicyDocument, evaluate,
};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut parts = text.splitn(4, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let (action, resource, source, document) = (part(), part(), part(), part());
    let Ok(policy) = PolicyDocument::parse(document) else {
        return;
    };
    let written = serde_json::to_string(&policy).expect("a document is JSON");
    let again = PolicyDocument::parse(&written).expect("what is written can be read");
    assert_eq!(policy, again);
    let has = |effect| policy.statements().iter().any(|it| it.effect == effect);
    for pending in [Pending::Nothing, Pending::Widening, Pending::Call] {
        let circumstances = Circumstances {
            source: source.parse().unwrap_or([192, 0, 2, 1].into()),
            now: Millis::new(1_768_033_815_000),
            facts: BTreeMap::from([
                ("g:ResourceTag/team".to_owned(), resource.to_owned()),
                ("workspace:AssignScope".to_owned(), action.to_owned()),
            ]),
            pending,
        };
        for resource in [None, Some(resource)] {
            let request = AccessRequest {
                action,
                resource,
                circumstances: &circumstances,
            };
            let say = |doubt| evaluate([&policy], request, doubt).decision;
            let (strict, lenient) = (say(Doubt::Refuses), say(Doubt::Passes));
            match strict {
                Decision::Allowed => {
                    assert!(has(Effect::Allow));
                    assert_eq!(lenient, Decision::Allowed, "the last word is the stricter");
                }
                Decision::Denied => assert!(has(Effect::Deny)),
                Decision::NotMentioned => {}
            }
            // Beside a document that denies everything nothing is allowed.
            let deny = PolicyDocument::parse(
                r#"{"Version":"1.1","Statement":[{"Effect":"Deny","Action":["*"]}]}"#,
            )
            .expect("a document");
            let both = evaluate([&policy, &deny], request, Doubt::Passes).decision;
            assert_eq!(both, Decision::Denied);
        }
    }
}
