//! Lists page by page, and finding one thing by name or id.

use outfitter_api_types::apps::Application;
use outfitter_api_types::groups::UserGroupInfo;
use outfitter_api_types::native::desktops::RegisteredDesktop;
use outfitter_api_types::native::enrollment_requests::EnrollmentRequest;
use outfitter_api_types::native::iam::IamUser;
use outfitter_api_types::native::iam_policies::{IamGroup, IamPolicy};
use outfitter_api_types::rules::AppRule;
use outfitter_api_types::users::User;
use outfitter_client::{Client, ClientError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::outcome::CommandError;
use crate::paths;

/// Largest page that every list allows.
const PAGE: usize = 100;

/// What was found, and how much there is.
#[derive(Debug, Serialize)]
pub(crate) struct Listing<T> {
    /// How many there are, shown or not.
    pub(crate) count: i64,
    /// Those that were asked for.
    pub(crate) items: Vec<T>,
}

/// A list's address and the names of its members.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List {
    path: &'static str,
    count: &'static str,
    items: &'static str,
}

pub(crate) const APPS: List = List::ours(paths::APPS);
pub(crate) const DELETED_APPS: List = List::ours(paths::DELETED_APPS);
pub(crate) const JOBS: List = List::ours(paths::JOBS);
pub(crate) const APP_JOBS: List = List::ours(paths::APP_JOBS);
pub(crate) const DESKTOPS: List = List::ours(paths::DESKTOPS);
pub(crate) const INVENTORY: List = List::ours(paths::INVENTORY);
pub(crate) const TOKENS: List = List::ours(paths::TOKENS);
pub(crate) const ENROLLMENT_REQUESTS: List = List::ours(paths::ENROLLMENT_REQUESTS);
pub(crate) const DEPLOYMENTS: List = List::ours(paths::DEPLOYMENTS);
pub(crate) const AGENT_RELEASES: List = List::ours(paths::AGENT_RELEASES);
pub(crate) const PROJECTS: List = List::ours(paths::PROJECTS);
pub(crate) const IAM_USERS: List = List::ours(paths::IAM_USERS);
pub(crate) const RULES: List = List::ours(paths::RULES);
pub(crate) const CONTROLLED_RULES: List = List::ours(paths::CONTROLLED_RULES);
pub(crate) const AGENTS: List = List {
    path: paths::AGENTS,
    count: "total_count",
    items: "agents_condition",
};
pub(crate) const SUB_JOBS: List = List {
    path: paths::SUB_JOBS,
    count: "total_count",
    items: "jobs",
};
pub(crate) const DESKTOPS_DETAIL: List = List {
    path: paths::DESKTOPS_DETAIL,
    count: "total_count",
    items: "desktops",
};
pub(crate) const TAGS: List = List {
    path: paths::TAGS,
    count: "totalCount",
    items: "tags",
};
pub(crate) const IAM_POLICIES: List = List::ours(paths::IAM_POLICIES);
pub(crate) const IAM_ATTACHMENTS: List = List::ours(paths::IAM_ATTACHMENTS);
pub(crate) const IAM_GROUPS: List = List::ours(paths::IAM_GROUPS);
pub(crate) const USERS: List = List {
    path: paths::USERS,
    count: "total_count",
    items: "users",
};
pub(crate) const GROUPS: List = List {
    path: paths::GROUPS,
    count: "total_count",
    items: "user_groups",
};

impl List {
    const fn ours(path: &'static str) -> Self {
        Self {
            path,
            count: "count",
            items: "items",
        }
    }

    /// The first `limit` things, newest first.
    pub(crate) async fn fetch<T: DeserializeOwned>(
        self,
        client: &Client,
        filters: &[(&str, String)],
        limit: usize,
    ) -> Result<Listing<T>, ClientError> {
        fetch(client, self.path, (self.count, self.items), filters, limit).await
    }
}

/// The first `limit` things of a list below one thing.
pub(crate) async fn fetch_below<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    limit: usize,
) -> Result<Listing<T>, ClientError> {
    fetch(client, path, ("count", "items"), &[], limit).await
}

/// The first `limit` things that are installed on a desktop.
pub(crate) async fn desktop_software<T: DeserializeOwned>(
    client: &Client,
    desktop_id: &str,
    filters: &[(&str, String)],
    limit: usize,
) -> Result<Listing<T>, ClientError> {
    let path = paths::below(paths::DESKTOPS, desktop_id, "software");
    fetch(client, &path, ("count", "items"), filters, limit).await
}

/// The first `limit` members of a user group.
pub(crate) async fn group_users<T: DeserializeOwned>(
    client: &Client,
    group_id: &str,
    limit: usize,
) -> Result<Listing<T>, ClientError> {
    let path = paths::below(paths::GROUPS, group_id, "users");
    fetch(client, &path, ("total_count", "users"), &[], limit).await
}

/// The first `limit` accounts that are authorized for an application by name.
pub(crate) async fn authorizations<T: DeserializeOwned>(
    client: &Client,
    app_id: &str,
    filters: &[(&str, String)],
    limit: usize,
) -> Result<Listing<T>, ClientError> {
    let path = paths::below(paths::APPS, app_id, "authorizations");
    fetch(client, &path, ("count", "items"), filters, limit).await
}

async fn fetch<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    (count_name, items_name): (&str, &str),
    filters: &[(&str, String)],
    limit: usize,
) -> Result<Listing<T>, ClientError> {
    let mut items = Vec::new();
    loop {
        let wanted = PAGE.min(limit - items.len()).max(1);
        let mut query = vec![
            ("limit", wanted.to_string()),
            ("offset", items.len().to_string()),
        ];
        query.extend_from_slice(filters);
        let mut page: Value = client.get(path, &query).await?;
        let wrong = |what: String| ClientError::Answer {
            address: client.endpoint().url.origin().ascii_serialization(),
            what,
        };
        let count = page[count_name]
            .as_i64()
            .ok_or_else(|| wrong(format!("{path} answers no {count_name}")))?;
        let found: Vec<T> = serde_json::from_value(page[items_name].take())
            .map_err(|error| wrong(format!("{path}: {error}")))?;
        let more = found.len() == wanted;
        items.extend(found);
        if !more || items.len() >= limit || i64::try_from(items.len()).is_ok_and(|n| n >= count) {
            items.truncate(limit);
            return Ok(Listing { count, items });
        }
    }
}

/// Something that has a name and an id.
pub(crate) trait Named {
    /// What it is called in sentences.
    const NOUN: &'static str;
    fn id(&self) -> &str;
    fn name(&self) -> &str;
}

/// Finds one thing by its id or its exact name.
///
/// # Errors
/// None, or several of that name.
pub(crate) async fn find<T: Named + DeserializeOwned>(
    client: &Client,
    list: List,
    filters: &[(&str, String)],
    wanted: &str,
) -> Result<T, CommandError> {
    let all = if looks_like_id(wanted) { &[] } else { filters };
    let listing: Listing<T> = list.fetch(client, all, usize::MAX).await?;
    let mut found: Vec<T> = listing
        .items
        .into_iter()
        .filter(|item| item.id() == wanted || item.name() == wanted)
        .collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(CommandError::failed(format!(
            "there is no {} named {wanted}",
            T::NOUN
        ))),
        (Some(last), false) => Err(CommandError::failed(format!(
            "several are named {wanted}; say which by id: {}",
            found
                .iter()
                .chain([&last])
                .map(Named::id)
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

/// The id of an application that is given by id or name.
pub(crate) async fn app_id(client: &Client, wanted: &str) -> Result<String, CommandError> {
    if looks_like_id(wanted) {
        return Ok(wanted.to_owned());
    }
    Ok(app(client, wanted).await?.id)
}

/// The ids of applications that are given by id or name.
pub(crate) async fn app_ids(
    client: &Client,
    wanted: &[String],
) -> Result<Vec<String>, CommandError> {
    let mut ids = Vec::with_capacity(wanted.len());
    for name in wanted {
        ids.push(app_id(client, name).await?);
    }
    Ok(ids)
}

/// The application of that id or name.
pub(crate) async fn app(client: &Client, wanted: &str) -> Result<Application, CommandError> {
    find(client, APPS, &[("name", wanted.to_owned())], wanted).await
}

/// The id of a desktop that is given by id or name.
pub(crate) async fn desktop_id(client: &Client, wanted: &str) -> Result<String, CommandError> {
    if looks_like_id(wanted) {
        return Ok(wanted.to_owned());
    }
    let filter = [("name", wanted.to_owned())];
    let desktop: RegisteredDesktop = find(client, DESKTOPS, &filter, wanted).await?;
    Ok(desktop.id)
}

/// The id of a user that is given by id or name.
pub(crate) async fn user_id(client: &Client, wanted: &str) -> Result<String, CommandError> {
    if looks_like_id(wanted) {
        return Ok(wanted.to_owned());
    }
    let filter = [("user_name", wanted.to_owned())];
    let user: User = find(client, USERS, &filter, wanted).await?;
    Ok(user.id().to_owned())
}

/// The id of a user group that is given by id or name.
pub(crate) async fn group_id(client: &Client, wanted: &str) -> Result<String, CommandError> {
    if looks_like_id(wanted) {
        return Ok(wanted.to_owned());
    }
    Ok(group(client, wanted).await?.id().to_owned())
}

/// The user group of that id or name.
pub(crate) async fn group(client: &Client, wanted: &str) -> Result<UserGroupInfo, CommandError> {
    let filter = [("keyword", wanted.to_owned())];
    find(client, GROUPS, &filter, wanted).await
}

/// The id of an enrollment that is given by id, or by the name of a machine that waits.
pub(crate) async fn enrollment_request_id(
    client: &Client,
    wanted: &str,
) -> Result<String, CommandError> {
    if looks_like_id(wanted) {
        return Ok(wanted.to_owned());
    }
    let filter = [("state", "WAITING".to_owned())];
    let request: EnrollmentRequest = find(client, ENROLLMENT_REQUESTS, &filter, wanted).await?;
    Ok(request.id)
}

/// The ids of desktops that are given by id or name.
pub(crate) async fn desktop_ids(
    client: &Client,
    wanted: &[String],
) -> Result<Vec<String>, CommandError> {
    let mut ids = Vec::with_capacity(wanted.len());
    for name in wanted {
        ids.push(desktop_id(client, name).await?);
    }
    Ok(ids)
}

/// The ids of users that are given by id or name.
pub(crate) async fn user_ids(
    client: &Client,
    wanted: &[String],
) -> Result<Vec<String>, CommandError> {
    let mut ids = Vec::with_capacity(wanted.len());
    for name in wanted {
        ids.push(user_id(client, name).await?);
    }
    Ok(ids)
}

/// The ids of user groups that are given by id or name.
pub(crate) async fn group_ids(
    client: &Client,
    wanted: &[String],
) -> Result<Vec<String>, CommandError> {
    let mut ids = Vec::with_capacity(wanted.len());
    for name in wanted {
        ids.push(group_id(client, name).await?);
    }
    Ok(ids)
}

/// The rule of that id or name.
pub(crate) async fn rule(client: &Client, wanted: &str) -> Result<AppRule, CommandError> {
    find(client, RULES, &[("name", wanted.to_owned())], wanted).await
}

/// The ids of rules that are given by id or name.
pub(crate) async fn rule_ids(
    client: &Client,
    wanted: &[String],
) -> Result<Vec<String>, CommandError> {
    let mut ids = Vec::with_capacity(wanted.len());
    for name in wanted {
        ids.push(if looks_like_id(name) {
            name.clone()
        } else {
            rule(client, name).await?.id
        });
    }
    Ok(ids)
}

/// The id of an IAM user that is given by id or name.
pub(crate) async fn iam_user_id(client: &Client, wanted: &str) -> Result<String, CommandError> {
    if looks_like_id(wanted) {
        return Ok(wanted.to_owned());
    }
    let user: IamUser = find(client, IAM_USERS, &[], wanted).await?;
    Ok(user.id)
}

/// Whether the text has the form of our ids (UUID), with or without hyphens.
fn looks_like_id(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    digits == 32 && text.len() == digits + text.matches('-').count()
}

macro_rules! named {
    ($type:ty, $noun:literal, |$item:ident| $id:expr, $name:expr) => {
        impl Named for $type {
            const NOUN: &'static str = $noun;
            fn id(&self) -> &str {
                let $item = self;
                $id
            }
            fn name(&self) -> &str {
                let $item = self;
                $name
            }
        }
    };
}

named!(Application, "application", |app| &app.id, &app.name);
named!(
    RegisteredDesktop,
    "desktop",
    |desktop| &desktop.id,
    &desktop.name
);
named!(
    EnrollmentRequest,
    "machine that waits for approval",
    |request| &request.id,
    &request.name
);
named!(AppRule, "rule", |rule| &rule.id, &rule.name);
named!(IamPolicy, "IAM policy", |policy| &policy.id, &policy.name);
named!(IamGroup, "IAM group", |group| &group.id, &group.name);
named!(IamUser, "IAM user", |user| &user.id, &user.name);
named!(
    User,
    "user",
    |user| user.id.as_deref().unwrap_or_default(),
    user.user_name.as_deref().unwrap_or_default()
);
named!(
    UserGroupInfo,
    "user group",
    |group| group.id.as_deref().unwrap_or_default(),
    group.name.as_deref().unwrap_or_default()
);

#[cfg(test)]
mod tests {
    use super::looks_like_id;

    #[test]
    fn ids_are_told_from_names() {
        assert!(looks_like_id("0193e2a4-7c1e-7abc-8def-0123456789ab"));
        assert!(looks_like_id("0193e2a47c1e7abc8def0123456789ab"));
        assert!(!looks_like_id("editor"));
        assert!(!looks_like_id("0193e2a4-7c1e-7abc-8def-0123456789ag"));
    }
}
