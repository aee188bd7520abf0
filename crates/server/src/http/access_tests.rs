//! The table: every operation, with no credential, a bad signature, a skewed date, an expired token, another
//! project, a missing action and exactly its action. Made from the route table, so a new operation is in it.

use std::collections::BTreeMap;
use std::time::Duration;

use outfitter_domain::iam::{
    AccessRequest, Circumstances, Doubt, Pending, PolicyDocument, ReadyMadePolicy, evaluate,
};
use outfitter_ids::{DomainId, IamPolicyId, IamUserId};
use outfitter_signing::Signer;
use outfitter_store::{AttachedPolicy, IamPolicyKey, IamUser, NewIamUser, PolicyHolder};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::operation::{Access, BodyRule, Operation};
use super::refusals::{WAYS, Way, expected};
use super::routes;
use crate::auth::TokenScope;
use crate::testing::{Answer, As, TestServer};

/// An id of nothing.
const UNKNOWN: &str = "5f0c7b43-8ea7-4a8f-9dd0-1d6a8a2b9a10";

struct Scene {
    server: TestServer,
    expired: String,
    other_project: String,
    nobody: String,
    exact: String,
    policy: IamPolicyKey,
}

fn document(action: &str) -> PolicyDocument {
    let json = json!({"Version": "1.1", "Statement": [{"Effect": "Allow", "Action": [action]}]});
    PolicyDocument::parse(&json.to_string()).unwrap()
}

/// A user with one policy, attached in the whole domain.
async fn user(server: &TestServer, name: &str) -> (IamUser, IamPolicyKey) {
    let services = &server.services;
    let db = services.store.db();
    let first = db
        .iam_user_by_name(&server.bootstrap.domain_name, &server.bootstrap.user_name)
        .await
        .unwrap()
        .unwrap();
    let now = services.clock.now();
    let id = IamUserId::new(services.ids.uuid(now.get()));
    let tx = services.store.write().await.unwrap();
    let key = tx
        .iam_user_insert(NewIamUser {
            id,
            domain: first.domain.key,
            name,
            password_hash: first.password_hash.as_ref().unwrap(),
            created_at: now,
        })
        .await
        .unwrap();
    let policy = tx
        .iam_policy_insert(
            first.domain.key,
            IamPolicyId::new(services.ids.uuid(now.get())),
            name,
            "",
            &document("nothing:at:all"),
            now,
        )
        .await
        .unwrap();
    tx.iam_attach(
        AttachedPolicy::Written(policy),
        PolicyHolder::User(key),
        None,
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let user = services.store.db().iam_user_by_id(id).await.unwrap();
    (user.unwrap(), policy)
}

impl Scene {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let (nobody, _) = user(&server, "nobody").await;
        let (exact, policy) = user(&server, "exact").await;
        let other = server
            .call(
                server.administrator(),
                "POST",
                "/api/v1/projects",
                Some(json!({"name": "other"})),
            )
            .await;
        let other = other.body["project"]["id"].as_str().unwrap().to_owned();
        let services = &server.services;
        let token = |user: &IamUser, scope: TokenScope| {
            let issued = services.auth.issue_token(user, scope, services.clock.now());
            issued.text.expose_secret().to_owned()
        };
        let domain = |user: &IamUser| TokenScope::Domain(DomainId::new(user.domain.id.uuid()));
        let expired = token(&exact, domain(&exact));
        server.clock.advance(Duration::from_secs(24 * 60 * 60));
        let token = |user: &IamUser, scope: TokenScope| {
            let issued = services.auth.issue_token(user, scope, services.clock.now());
            issued.text.expose_secret().to_owned()
        };
        let administrator = services
            .store
            .db()
            .iam_user_by_name(&server.bootstrap.domain_name, &server.bootstrap.user_name)
            .await
            .unwrap()
            .unwrap();
        let elsewhere = outfitter_ids::ProjectId::lookup(&other).unwrap();
        Self {
            expired,
            other_project: token(&administrator, TokenScope::Project(elsewhere)),
            nobody: token(&nobody, domain(&nobody)),
            exact: token(&exact, domain(&exact)),
            policy,
            server,
        }
    }

    fn target(&self, operation: &Operation) -> String {
        operation
            .path_parameters()
            .fold(operation.path.to_owned(), |path, name| {
                let value = match name {
                    "project_id" => self.server.bootstrap.project_id.as_str(),
                    _ => UNKNOWN,
                };
                path.replace(&format!("{{{name}}}"), value)
            })
    }

    async fn call(&self, way: Way, operation: &Operation) -> Answer {
        let bootstrap = &self.server.bootstrap;
        let now = self.server.services.clock.now().get();
        let caller = match way {
            Way::NoCredential => As::Nobody,
            Way::BadSignature => As::Key(&bootstrap.access_key, "guessed"),
            Way::SkewedDate => As::SignedAt(
                Signer::new(bootstrap.access_key.as_str(), bootstrap.secret_key.expose()),
                now - 16 * 60 * 1000,
            ),
            Way::ExpiredToken => As::Token(&self.expired),
            Way::OtherProject => As::Token(&self.other_project),
            Way::MissingAction => As::Token(&self.nobody),
            Way::ExactAction => As::Token(&self.exact),
        };
        let body = (operation.body != BodyRule::None).then(|| json!({}));
        let method = operation.method.as_str();
        self.server
            .call(caller, method, &self.target(operation), body)
            .await
    }

    /// Lets the one user do exactly this.
    async fn allow(&self, action: &str) {
        self.allow_all_of(&document(action)).await;
    }

    /// Lets the one user do what a document says.
    async fn allow_all_of(&self, document: &PolicyDocument) {
        let services = &self.server.services;
        let tx = services.store.write().await.unwrap();
        tx.iam_policy_update(self.policy, None, Some(document), services.clock.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
}

/// Code of a refusal in the shape of its family.
fn code(answer: &Answer) -> String {
    match &answer.body["error_code"] {
        Value::String(code) => code.clone(),
        _ => answer.body["error"]["code"].to_string(),
    }
}

#[tokio::test]
async fn every_operation_refuses_and_admits_as_the_table_says() {
    let scene = Scene::new().await;
    let table = routes();
    let (mut asked, mut wrong) = (0, Vec::new());
    for entry in table.entries() {
        let operation = &entry.operation;
        if matches!(operation.access, Access::Open | Access::TokenInBody) {
            continue;
        }
        if let Some(action) = operation.access.action() {
            scene.allow(action).await;
        }
        for way in WAYS {
            let answer = scene.call(way, operation).await;
            asked += 1;
            let is_right = match expected(way, operation) {
                Some((status, code_wanted)) => {
                    answer.status.as_u16() == status && code(&answer) == code_wanted
                }
                // Another project and a missing action mean nothing where there is none to check.
                None => !matches!(answer.status.as_u16(), 401 | 403 | 500..),
            };
            if !is_right {
                wrong.push(format!(
                    "{} {way:?}: {} {}",
                    operation.id, answer.status, answer.body
                ));
            }
            if way == Way::BadSignature {
                // A right signature ends the row, or the sixth operation would find the key locked.
                let right = scene.server.administrator();
                let answer = scene.server.call(right, "GET", "/v3/projects", None).await;
                assert_eq!(answer.status, 200);
            }
        }
    }
    println!("{asked} cells of {} operations", table.entries().len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What belongs to managing the account itself: whoever may do it can give rights away, directly or in two steps.
fn manages_access(action: &str) -> bool {
    [
        "outfitter:iam",
        "outfitter:projects:",
        "outfitter:accessKeys:",
        "iam:",
    ]
    .iter()
    .any(|prefix| action.starts_with(prefix))
}

#[tokio::test]
async fn no_ready_made_role_gets_through_a_route_that_its_policy_does_not_name() {
    let scene = Scene::new().await;
    let services = &scene.server.services;
    let circumstances = Circumstances {
        source: [127, 0, 0, 1].into(),
        now: services.clock.now(),
        facts: BTreeMap::new(),
        pending: Pending::Call,
    };
    let table = routes();
    let (mut refused, mut managing) = (0, 0);
    for role in [
        ReadyMadePolicy::ReadOnly,
        ReadyMadePolicy::HelpDesk,
        ReadyMadePolicy::AppOperator,
    ] {
        scene.allow_all_of(role.document()).await;
        for entry in table.entries() {
            let operation = &entry.operation;
            let Some(action) = operation.access.action() else {
                continue;
            };
            let request = AccessRequest {
                action,
                resource: None,
                circumstances: &circumstances,
            };
            let named = evaluate([role.document()], request, Doubt::Passes);
            let answer = scene.call(Way::ExactAction, operation).await;
            if named.decision.is_allowed() {
                let changes = operation.method != http::Method::GET;
                assert!(
                    !(changes && manages_access(action)),
                    "{role:?} may {action}: {}",
                    operation.id
                );
                continue;
            }
            refused += 1;
            managing += usize::from(manages_access(action));
            let wanted = expected(Way::MissingAction, operation);
            let heard = (answer.status.as_u16(), code(&answer));
            assert_eq!(
                Some((heard.0, heard.1.as_str())),
                wanted,
                "{role:?} {}: {}",
                operation.id,
                answer.body
            );
        }
    }
    println!("{refused} routes refused to roles, {managing} of them managing access");
    assert!(managing > 20, "{managing}");
}
