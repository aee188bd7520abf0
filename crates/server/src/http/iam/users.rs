use std::sync::Arc;

use outfitter_api_types::native::iam::{
    CreateIamUserReq, CreateIamUserResponse, IamUser, ListIamUsersQuery, ListIamUsersResponse,
    UpdateIamUserReq,
};
use outfitter_api_types::secret::SecretText;
use outfitter_store::Page;
use secrecy::SecretString;

use super::{first_key, policy, shown_once, user};
use crate::app::iam::{UserAmendment, role_in, user_add, user_change};
use crate::http::{ApiError, Call, Reply};
use crate::services::Services;

pub(super) const UPDATE: &str = "outfitter:iamUsers:update";

pub(super) async fn create(
    services: Arc<Services>,
    call: Call<CreateIamUserReq>,
) -> Result<Reply<CreateIamUserResponse>, ApiError> {
    let made = user_add(
        &services,
        call.caller(),
        call.project(),
        &call.body.name,
        policy(call.body.role),
        call.body.password.as_ref().map(secret),
    )
    .await?;
    Ok(Reply::new(CreateIamUserResponse {
        user: user(&made.user, made.policy),
        password: made.password.as_ref().map(shown_once),
        access_key: first_key(&made),
    }))
}

pub(super) async fn list(
    services: Arc<Services>,
    call: Call<(), ListIamUsersQuery>,
) -> Result<Reply<ListIamUsersResponse>, ApiError> {
    let project = call.project().project;
    let page = Page {
        offset: call.query.offset,
        limit: call.query.limit,
    };
    let listed = services
        .store
        .db()
        .iam_user_list(call.caller().domain, project, page)
        .await?;
    Ok(Reply::new(ListIamUsersResponse {
        count: listed.total,
        items: listed
            .items
            .iter()
            .map(|(row, grants)| user(row, role_in(project, grants)))
            .collect(),
    }))
}

pub(super) async fn update(
    services: Arc<Services>,
    call: Call<UpdateIamUserReq>,
) -> Result<Reply<IamUser>, ApiError> {
    let amendment = UserAmendment {
        policy: call.body.role.map(policy),
        enabled: call.body.enabled,
        password: call.body.password.as_ref().map(secret),
    };
    let (changed, policy) = user_change(
        &services,
        call.caller(),
        call.project(),
        call.path("user_id"),
        amendment,
        UPDATE,
    )
    .await?;
    Ok(Reply::new(user(&changed, policy)))
}

fn secret(text: &SecretText) -> SecretString {
    SecretString::from(text.expose())
}
