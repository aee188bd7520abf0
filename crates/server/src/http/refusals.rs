//! Who is refused what: for every operation of the route table, what each kind of caller is answered. The tests hold
//! the server against it, and `docs/security/operations.md` is written from it.

use std::fmt::Write as _;

use super::operation::{Access, Family, Operation};
use super::routes::Routes;

/// How an operation is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Without anything.
    NoCredential,
    /// Signed with another secret.
    BadSignature,
    /// Signed rightly, sixteen minutes ago.
    SkewedDate,
    /// With a token whose time is over.
    ExpiredToken,
    /// With a credential for another project.
    OtherProject,
    /// By somebody whose policies do not name the action.
    MissingAction,
    /// By somebody whose one policy names exactly this action.
    ExactAction,
}

/// Every way.
pub const WAYS: [Way; 7] = [
    Way::NoCredential,
    Way::BadSignature,
    Way::SkewedDate,
    Way::ExpiredToken,
    Way::OtherProject,
    Way::MissingAction,
    Way::ExactAction,
];

/// What the contract says; `None`: anything but a refusal of credential or permission.
pub fn expected(way: Way, operation: &Operation) -> Option<(u16, &'static str)> {
    if matches!(operation.access, Access::Open | Access::TokenInBody) {
        return None;
    }
    let unauthorized = match operation.family {
        Family::Iam | Family::Discovery => "401",
        _ => "APIGW.0301",
    };
    let forbidden = match operation.family {
        Family::AppCenter | Family::Native => "WKS.00081102",
        Family::Workspace => "WKS.0403",
        Family::Iam | Family::Discovery => "403",
        Family::Sts => "IAM.0003",
    };
    // Whatever an IAM user shows: it is for others.
    if operation.access == Access::EndUser && way != Way::NoCredential {
        return Some((403, forbidden));
    }
    match way {
        Way::NoCredential | Way::BadSignature | Way::SkewedDate | Way::ExpiredToken => {
            Some((401, unauthorized))
        }
        // A credential for one project does not reach what belongs to none either.
        Way::OtherProject => (operation.in_project()
            || matches!(operation.access, Access::Action(_)))
        .then_some((403, forbidden)),
        Way::MissingAction => operation.access.action().map(|_| (403, forbidden)),
        Way::ExactAction => None,
    }
}

/// `docs/security/operations.md`.
pub fn document(routes: &Routes) -> String {
    let mut text = String::from(
        "# Who is refused what\n\n\
         Written by `cargo xtask gen` from the route table; do not edit. The test \
         `every_operation_refuses_and_admits_as_the_table_says` asks a server for every cell.\n\n\
         Columns: no credential; a bad signature; a date that is sixteen minutes off; an expired token; a credential for another \
         project; a user without the action; a user with exactly this action. A code is what the refusal carries; `-` is no \
         refusal of credential or permission (the call goes on to be judged by its fields and by what is there).\n\n\
         | operation | call | action | none | signature | date | expired | other project | no action | exact action |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let mut operations: Vec<_> = routes.entries().iter().map(|it| &it.operation).collect();
    operations.sort_by_key(|operation| operation.id);
    for operation in operations {
        let action = match operation.access {
            Access::Open => "anyone may".to_owned(),
            Access::TokenInBody => "a token, in the body or the header".to_owned(),
            Access::EndUser => "an end user's session".to_owned(),
            Access::Credential => "any credential".to_owned(),
            Access::Action(action) => format!("`{action}`"),
            Access::ActionSomewhere(action) => format!("`{action}`, in any project"),
        };
        write!(
            text,
            "| {} | `{} {}` | {action} |",
            operation.id, operation.method, operation.path
        )
        .expect("a text takes every text");
        for way in WAYS {
            match expected(way, operation) {
                Some((status, code)) if code == status.to_string() => write!(text, " {status} |"),
                Some((status, code)) => write!(text, " {status} {code} |"),
                None => write!(text, " - |"),
            }
            .expect("a text takes every text");
        }
        text.push('\n');
    }
    text
}
