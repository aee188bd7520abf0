//! Permission on each resource that a call names, asked before anybody learns whether it exists.
//!
//! A resource is `kind:id`: every `{kind_id}` of the path (`app:..`, `desktop:..`, `userGroup:..`), and what the
//! operation's row says that the body names. Users and user groups that are named by their account are
//! `user:NAME` and `userGroup:NAME`. A call that names nothing is about everything in the project.

use std::collections::BTreeMap;

use outfitter_domain::iam::condition::{ASSIGN_SCOPE, RESOURCE_TAG};
use outfitter_domain::iam::{Doubt, Pending};
use outfitter_ids::DesktopId;
use outfitter_store::{DesktopFilter, DesktopOrder, Page, ProjectKey};
use serde_json::Value;

use super::error::ApiError;
use super::operation::{Authorizes, Family, Named, Operation};
use crate::auth::{Question, Rights, WideningCheck};
use crate::services::Services;

/// Prefix of desktops among resources.
const DESKTOP: &str = "desktop:";

/// Checks everything that is known when the body is; answers what is left to check for an operation that may
/// widen authorizations.
pub(super) async fn check(
    services: &Services,
    operation: &Operation,
    action: &'static str,
    rights: Rights,
    project: Option<ProjectKey>,
    path: &BTreeMap<String, String>,
    body: &Value,
) -> Result<WideningCheck, ApiError> {
    let resources = named(operation, path, body);
    let facts = facts(operation, body);
    let (pending, doubt) = match operation.authorizes {
        Authorizes::Nobody => (Pending::Nothing, Doubt::Refuses),
        Authorizes::MayWiden => (Pending::Widening, Doubt::Passes),
    };
    let tags = match project {
        Some(project) if rights.asks_for_tags() => tags(services, project, &resources).await?,
        _ => BTreeMap::new(),
    };
    let ask = |resource: Option<&str>| {
        let own = resource.and_then(|name| tags.get(name));
        let mut facts = facts.clone();
        facts.extend(own.into_iter().flatten().cloned());
        rights.check(&Question {
            action,
            resource,
            facts: &facts,
            pending,
            doubt,
        })
    };
    if resources.is_empty() {
        ask(None)?;
    }
    for resource in &resources {
        ask(Some(resource))?;
    }
    Ok(WideningCheck {
        rights,
        action,
        facts,
        resources,
    })
}

/// What a call names, in the order of path and body.
pub(super) fn named(
    operation: &Operation,
    path: &BTreeMap<String, String>,
    body: &Value,
) -> Vec<String> {
    let of_path = operation
        .path_parameters()
        .filter(|name| *name != "project_id")
        .filter_map(|name| Some(format!("{}:{}", kind(operation, name)?, path.get(name)?)));
    let of_body = operation.named.iter().flat_map(|named| match *named {
        Named::Ids(kind, place) => found(body, place)
            .into_iter()
            .filter_map(|value| Some(format!("{kind}:{}", value.as_str()?)))
            .collect::<Vec<_>>(),
        Named::Accounts(place) => found(body, place)
            .into_iter()
            .filter_map(|account| {
                let kind = match account["account_type"].as_str()? {
                    "USER_GROUP" => "userGroup",
                    _ => "user",
                };
                Some(format!("{kind}:{}", account["account"].as_str()?))
            })
            .collect(),
    });
    of_path.chain(of_body).collect()
}

/// The kind of resource that a path parameter names; `None` where it is no id.
fn kind(operation: &Operation, parameter: &'static str) -> Option<&'static str> {
    let is_iam = operation.family == Family::Native && operation.path.contains("/iam/");
    match parameter {
        "user_id" if is_iam => Some("iamUser"),
        "group_id" if is_iam => Some("iamGroup"),
        "group_id" => Some("userGroup"),
        other => other.strip_suffix("_id"),
    }
}

/// The values at a place such as `desktops[].desktop_id`.
fn found<'v>(body: &'v Value, place: &str) -> Vec<&'v Value> {
    place.split('.').fold(vec![body], |values, step| {
        let (member, each) = match step.strip_suffix("[]") {
            Some(member) => (member, true),
            None => (step, false),
        };
        values
            .into_iter()
            .filter_map(|value| value.get(member))
            .flat_map(|value| match value {
                Value::Array(items) if each => items.iter().collect(),
                value => vec![value],
            })
            .collect()
    })
}

/// What the body says about the audience of a call that may widen authorizations.
fn facts(operation: &Operation, body: &Value) -> BTreeMap<String, String> {
    if operation.authorizes == Authorizes::Nobody {
        return BTreeMap::new();
    }
    let word = ["assign_scope", "authorization_type"]
        .iter()
        .find_map(|member| body[member].as_str());
    // InstallApp has no word for it: without accounts it reaches everyone who may have the app.
    let scope = word.unwrap_or(match body.get("users") {
        Some(Value::Array(_)) => "ASSIGN_USER",
        // Named desktops are not everyone's either.
        _ if body.get("desktop_ids").is_some_and(Value::is_array) => "ASSIGN_USER",
        _ => "ALL_USER",
    });
    BTreeMap::from([(ASSIGN_SCOPE.to_owned(), scope.to_owned())])
}

/// The tags of the desktops among the resources, as facts. A desktop that does not exist has none.
pub(crate) async fn tags(
    services: &Services,
    project: ProjectKey,
    resources: &[String],
) -> Result<BTreeMap<String, Vec<(String, String)>>, ApiError> {
    let ids: Vec<DesktopId> = resources
        .iter()
        .filter_map(|name| DesktopId::lookup(name.strip_prefix(DESKTOP)?))
        .collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let db = services.store.db();
    let filter = DesktopFilter {
        ids: Some(ids),
        ..DesktopFilter::default()
    };
    let desktops = db
        .desktop_list(project, &filter, DesktopOrder::NewestFirst, Page::ALL)
        .await?
        .items;
    let keys: Vec<_> = desktops.iter().map(|desktop| desktop.key).collect();
    let mut tags = db.tags_of(&keys).await?;
    Ok(desktops
        .into_iter()
        .map(|desktop| {
            let own = tags.remove(&desktop.key).unwrap_or_default();
            let facts = own
                .into_iter()
                .map(|tag| (format!("{RESOURCE_TAG}{}", tag.key), tag.value))
                .collect();
            (format!("{DESKTOP}{}", desktop.id), facts)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::routes;
    use super::*;

    fn operation(id: &str) -> Operation {
        let table = routes();
        let entry = table.entries().iter().find(|it| it.operation.id == id);
        entry.unwrap().operation.clone()
    }

    fn path(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_call_names_what_stands_in_its_path_and_body() {
        let install = json!({"users": [
            {"account": "ana", "account_type": "SIMPLE"},
            {"account": "finance", "account_type": "USER_GROUP"},
        ]});
        assert_eq!(
            named(
                &operation("InstallApp"),
                &path(&[("project_id", "p"), ("app_id", "a")]),
                &install
            ),
            ["app:a", "user:ana", "userGroup:finance"]
        );
        assert_eq!(
            named(
                &operation("BatchInstallAgent"),
                &path(&[]),
                &json!({"desktop_ids": ["1", "2"]})
            ),
            ["desktop:1", "desktop:2"]
        );
        assert_eq!(
            named(
                &operation("BatchDetachInstances"),
                &path(&[]),
                &json!({"desktops": [{"desktop_id": "1"}]})
            ),
            ["desktop:1"]
        );
        assert_eq!(
            named(
                &operation("UpdateIamUser"),
                &path(&[("user_id", "u")]),
                &Value::Null
            ),
            ["iamUser:u"]
        );
        assert!(named(&operation("ListApps"), &path(&[]), &Value::Null).is_empty());
    }

    /// A body member that holds ids and is not declared would be a way around every policy with resources.
    #[test]
    fn every_list_of_ids_in_a_body_is_declared() {
        let table = routes();
        let mut missing = Vec::new();
        for entry in table.entries() {
            let Some(body) = &entry.body else { continue };
            let members = body.root["properties"].as_object().into_iter().flatten();
            for (member, _) in members {
                let is_named = ["items", "users", "del_users", "desktops"]
                    .contains(&member.as_str())
                    || member.ends_with("_ids");
                let declared = entry.operation.named.iter().any(|named| {
                    let (Named::Ids(_, place) | Named::Accounts(place)) = *named;
                    place.split(['[', '.']).next() == Some(member.as_str())
                });
                if is_named && !declared {
                    missing.push(format!("{}: {member}", entry.operation.id));
                }
            }
        }
        // New desktops and users have no id yet, and who is attached to a new one is not a resource.
        missing.retain(|it| {
            ![
                "RegisterDesktop: users",
                "BatchCreateUsers: users",
                "BatchAttachInstances: users",
            ]
            .contains(&it.as_str())
        });
        assert_eq!(missing, Vec::<String>::new());
    }
}
