use std::collections::BTreeSet;
use std::sync::Arc;

use outfitter_api_types::native::audit::{AuditDifference, ShowAuditEntryResponse};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{reach, wire};
use crate::Services;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn show(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<ShowAuditEntryResponse>, ApiError> {
    let unknown = ApiError::NotFound {
        noun: "audit entry",
    };
    let Ok(id) = Uuid::try_parse(call.path("entry_id")) else {
        return Err(unknown);
    };
    let found = services.store.db().audit_find(reach(&call), id).await?;
    let entry = wire(found.ok_or(unknown)?);
    Ok(Reply::new(ShowAuditEntryResponse {
        differences: differences(&entry.detail),
        entry,
    }))
}

/// What changed, member by member.
fn differences(detail: &Map<String, Value>) -> Vec<AuditDifference> {
    let changes = detail.get("changes").and_then(Value::as_array);
    let mut found = Vec::new();
    for change in changes.into_iter().flatten() {
        let resource = change["resource"].as_str().unwrap_or_default();
        compare(
            resource,
            "",
            &change["before"],
            &change["after"],
            &mut found,
        );
    }
    found
}

fn compare(
    resource: &str,
    member: &str,
    before: &Value,
    after: &Value,
    found: &mut Vec<AuditDifference>,
) {
    if before == after {
        return;
    }
    if let (Value::Object(old), Value::Object(new)) = (before, after) {
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let escaped = name.replace('~', "~0").replace('/', "~1");
            compare(
                resource,
                &format!("{member}/{escaped}"),
                old.get(name).unwrap_or(&Value::Null),
                new.get(name).unwrap_or(&Value::Null),
                found,
            );
        }
        return;
    }
    found.push(AuditDifference {
        resource: resource.to_owned(),
        member: member.to_owned(),
        before: before.clone(),
        after: after.clone(),
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_members_that_differ_are_told() {
        let detail = json!({"changes": [
            {"resource": "app:1", "before": {"a": 1, "b": {"c/d": 2, "e": 3}}, "after": {"a": 1, "b": {"c/d": 4, "e": 3}, "f": []}},
            {"resource": "app:2", "before": null, "after": {"a": 1}},
        ]});
        let found = differences(detail.as_object().unwrap());
        let told: Vec<_> = found
            .iter()
            .map(|it| {
                (
                    it.resource.as_str(),
                    it.member.as_str(),
                    it.before.to_string(),
                    it.after.to_string(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("app:1", "/b/c~1d", "2".to_owned(), "4".to_owned()),
                ("app:1", "/f", "null".to_owned(), "[]".to_owned()),
                ("app:2", "", "null".to_owned(), r#"{"a":1}"#.to_owned()),
            ]
        );
    }
}
