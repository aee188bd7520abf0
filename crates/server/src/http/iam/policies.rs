use std::sync::Arc;

use outfitter_api_types::native::iam_policies::{
    CreateIamPolicyReq, ExplainIamQuery, ExplainIamResponse, IamAttachment, IamAttachmentReq,
    IamPolicy, IamPolicyDocument, ListIamAttachmentsResponse, ListIamPoliciesResponse,
    ListIamQuery, UpdateIamPolicyReq,
};
use outfitter_api_types::time::WireTime;
use outfitter_domain::Millis;
use outfitter_domain::iam::{PolicyDocument, ReadyMadePolicy};
use outfitter_store as store;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::page;
use crate::app::iam_policies::{
    Attachment, AttachmentChange, Explained, attachment_change, explain as explain_access,
    policy_add, policy_change, policy_delete, policy_find,
};
use crate::http::error::chain;
use crate::http::{ApiError, Call, Reply};
use crate::services::Services;

pub(super) async fn create(
    services: Arc<Services>,
    call: Call<CreateIamPolicyReq>,
) -> Result<Reply<IamPolicy>, ApiError> {
    let document = read(&call.body.document)?;
    let description = call.body.description.as_deref().unwrap_or_default();
    let made = policy_add(
        &services,
        call.caller(),
        &call.body.name,
        description,
        &document,
    )
    .await?;
    Ok(Reply::new(written(made)?))
}

pub(super) async fn list(
    services: Arc<Services>,
    call: Call<(), ListIamQuery>,
) -> Result<Reply<ListIamPoliciesResponse>, ApiError> {
    let own = services
        .store
        .db()
        .iam_policy_list(call.caller().domain)
        .await?;
    let all = own
        .into_iter()
        .map(written)
        .chain(ReadyMadePolicy::ALL.iter().copied().map(ready_made))
        .collect::<Result<Vec<_>, _>>()?;
    let (count, items) = page(all, call.query.offset, call.query.limit);
    Ok(Reply::new(ListIamPoliciesResponse {
        count,
        items: items.collect(),
    }))
}

pub(super) async fn show(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<IamPolicy>, ApiError> {
    let id = call.path("policy_id");
    let policy = match ReadyMadePolicy::parse(id) {
        Some(policy) => ready_made(policy)?,
        None => written(policy_find(&services, call.caller().domain, id).await?)?,
    };
    Ok(Reply::new(policy))
}

pub(super) async fn update(
    services: Arc<Services>,
    call: Call<UpdateIamPolicyReq>,
) -> Result<Reply<IamPolicy>, ApiError> {
    let document = call.body.document.as_ref().map(read).transpose()?;
    let changed = policy_change(
        &services,
        call.caller(),
        call.path("policy_id"),
        call.body.description.as_deref(),
        document.as_ref(),
    )
    .await?;
    Ok(Reply::new(written(changed)?))
}

pub(super) async fn delete(services: Arc<Services>, call: Call) -> Result<Reply<()>, ApiError> {
    policy_delete(&services, call.caller(), call.path("policy_id")).await?;
    Ok(Reply::empty())
}

pub(super) async fn attach(
    services: Arc<Services>,
    call: Call<IamAttachmentReq>,
) -> Result<Reply<()>, ApiError> {
    change(&services, &call, AttachmentChange::Attach).await
}

pub(super) async fn detach(
    services: Arc<Services>,
    call: Call<IamAttachmentReq>,
) -> Result<Reply<()>, ApiError> {
    change(&services, &call, AttachmentChange::Detach).await
}

async fn change(
    services: &Services,
    call: &Call<IamAttachmentReq>,
    change: AttachmentChange,
) -> Result<Reply<()>, ApiError> {
    let wanted = Attachment {
        policy: &call.body.policy,
        user_id: call.body.user_id.as_deref(),
        group_id: call.body.group_id.as_deref(),
        project_id: call.body.project_id.as_deref(),
    };
    attachment_change(services, call.caller(), &wanted, change).await?;
    Ok(Reply::empty())
}

pub(super) async fn list_attachments(
    services: Arc<Services>,
    call: Call<(), ListIamQuery>,
) -> Result<Reply<ListIamAttachmentsResponse>, ApiError> {
    let all = services
        .store
        .db()
        .iam_attachment_list(call.caller().domain)
        .await?;
    let (count, items) = page(all, call.query.offset, call.query.limit);
    Ok(Reply::new(ListIamAttachmentsResponse {
        count,
        items: items.map(attachment).collect(),
    }))
}

pub(super) async fn explain(
    services: Arc<Services>,
    call: Call<(), ExplainIamQuery>,
) -> Result<Reply<ExplainIamResponse>, ApiError> {
    let query = &call.query;
    let source = match &query.source_ip {
        None => call.context.source,
        Some(text) => text
            .parse()
            .map_err(|_| ApiError::invalid("source_ip", "must be an IP address"))?,
    };
    let asked = Explained {
        user: &query.user,
        action: &query.action,
        resource: query.resource.as_deref(),
        source,
        assign_scope: query.assign_scope.as_deref(),
        widens: query.widens_authorization,
    };
    let (user, ruling) = explain_access(&services, call.caller(), call.project(), &asked).await?;
    let allowed = ruling.decision.is_allowed();
    let may = if allowed { "may" } else { "may not" };
    let what = match &query.resource {
        Some(resource) => format!("{} on {resource}", query.action),
        None => query.action.clone(),
    };
    let why = match &ruling.by {
        None => "no statement speaks of it".to_owned(),
        Some(by) => format!(
            "statement {} of {}{} says so",
            by.number,
            by.policy,
            by.through
                .as_ref()
                .map(|group| format!(" (through group {group})"))
                .unwrap_or_default()
        ),
    };
    let (policy, through_group, statement_number, statement) = match ruling.by {
        None => (None, None, None, None),
        Some(by) => (
            Some(by.policy),
            by.through,
            i64::try_from(by.number).ok(),
            Some(reshape(&by.statement)?),
        ),
    };
    Ok(Reply::new(ExplainIamResponse {
        allowed,
        reason: format!("{} {may} {what}: {why}", user.name),
        policy,
        through_group,
        statement_number,
        statement,
    }))
}

fn read(document: &IamPolicyDocument) -> Result<PolicyDocument, ApiError> {
    let json = serde_json::to_string(document)
        .map_err(|error| ApiError::internal("write a policy", error))?;
    PolicyDocument::parse(&json).map_err(|error| ApiError::invalid("document", chain(&error)))
}

/// Domain and wire write a policy the same way.
fn reshape<T: DeserializeOwned>(value: &impl Serialize) -> Result<T, ApiError> {
    serde_json::to_value(value)
        .and_then(serde_json::from_value)
        .map_err(|error| ApiError::internal("write a policy", error))
}

fn written(policy: store::IamPolicy) -> Result<IamPolicy, ApiError> {
    let time = |instant: Millis| Some(WireTime::from_unix_millis(instant.get()));
    Ok(IamPolicy {
        id: policy.id.to_string(),
        name: policy.name,
        description: policy.description,
        ready_made: false,
        document: reshape(&policy.document)?,
        created_at: time(policy.created_at),
        updated_at: time(policy.updated_at),
    })
}

fn ready_made(policy: ReadyMadePolicy) -> Result<IamPolicy, ApiError> {
    Ok(IamPolicy {
        id: policy.as_str().to_owned(),
        name: policy.as_str().to_owned(),
        description: policy.description().to_owned(),
        ready_made: true,
        document: reshape(policy.document())?,
        created_at: None,
        updated_at: None,
    })
}

fn attachment(row: store::IamAttachment) -> IamAttachment {
    let (user_id, user_name) = row.user.map(|(id, name)| (id.to_string(), name)).unzip();
    let (group_id, group_name) = row.group.map(|(id, name)| (id.to_string(), name)).unzip();
    IamAttachment {
        policy: row
            .policy_id
            .map_or_else(|| row.policy.clone(), |id| id.to_string()),
        policy_name: row.policy,
        user_id,
        user_name,
        group_id,
        group_name,
        project_id: row.project.map(|id| id.to_string()),
    }
}
