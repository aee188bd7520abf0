//! The shapes of our own routes: every schema stands on its own, and says what it is meant to say.

use std::collections::BTreeMap;

use outfitter_api_types::native::{
    attempts, deployments, desktops, detection, enrollment_tokens, iam, packages, projects,
    revisions,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use utoipa::ToSchema;

fn document<T: ToSchema>() -> Value {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    let components: BTreeMap<_, _> = schemas.into_iter().collect();
    let mut document = serde_json::to_value(T::schema()).expect("a schema is JSON");
    document["components"] = json!({"schemas": components});
    document
}

fn validator<T: ToSchema>() -> jsonschema::Validator {
    jsonschema::draft202012::new(&document::<T>())
        .unwrap_or_else(|error| panic!("{}: {error}", T::name()))
}

macro_rules! validators {
    ($($module:ident: $($name:ident),+;)+) => {
        [$($((stringify!($name), validator::<$module::$name>())),+),+]
    };
}

#[test]
fn every_schema_compiles_with_what_it_refers_to() {
    let validators = validators! {
        attempts: AttemptState, AttemptPhase, Proof, DetectionResult, PhaseMark, Receipt,
            Attempt, ListAttemptsResponse, ListAttemptsQuery;
        deployments: DeploymentKind, DeploymentState, SkipReason, DeploymentCounts,
            ReachedDesktop, SkippedDesktop, WidenedAuthorization, ReachedDesktops,
            SkippedDesktops, UnknownAccounts, WidenedAuthorizations, DeploymentSummary,
            Deployment, ShowDeploymentQuery, ListDeploymentsResponse,
            ListDeploymentsQuery;
        desktops: RegisterDesktopReq, RegisteredDesktop, DesktopAgent,
            ListRegisteredDesktopsResponse, ListRegisteredDesktopsQuery;
        detection: DetectionRule, FileRule, DebianPackageRule;
        enrollment_tokens: CreateEnrollmentTokenReq, EnrollmentToken,
            CreateEnrollmentTokenResponse, ListEnrollmentTokensResponse,
            ListEnrollmentTokensQuery;
        iam: IamRole, CreateIamUserReq, UpdateIamUserReq, IamUser, CreateIamUserResponse,
            ListIamUsersResponse, ListIamUsersQuery, AccessKey, CreateAccessKeyResponse,
            UpdateAccessKeyReq, ListAccessKeysResponse, ListAccessKeysQuery;
        packages: PackageKind, PackageUploadResponse, UploadState, ShowUploadResponse,
            ShowUploadQuery, DamagedPackage,
            ListDamagedPackagesResponse, ListDamagedPackagesQuery;
        projects: CreateProjectReq, Project, CreateProjectResponse, ListProjectsResponse,
            ListProjectsQuery;
        revisions: PackageState, PackageCondition, DetectionOrigin, RevisionPackage, AppRevision,
            SetDetectionRuleReq, ListAppRevisionsResponse, ListAppRevisionsQuery;
    };
    for (name, validator) in &validators {
        assert!(!validator.is_valid(&json!(7)), "{name} refuses a number");
    }
}

fn accepts<T: ToSchema + DeserializeOwned + serde::Serialize>(value: Value) {
    let errors: Vec<_> = validator::<T>()
        .iter_errors(&value)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{} {value}: {errors:?}", T::name());
    let read: T = serde_json::from_value(value.clone()).expect("what validates can be read");
    let written = serde_json::to_value(&read).expect("what was read can be written");
    assert!(validator::<T>().is_valid(&written), "{written}");
}

fn refuses<T: ToSchema>(value: Value) {
    assert!(!validator::<T>().is_valid(&value), "{} {value}", T::name());
}

#[test]
fn a_desktop_is_registered_by_name_and_system() {
    use desktops::RegisterDesktopReq;
    accepts::<RegisterDesktopReq>(json!({"name": "pc-01-example", "os_type": "Linux"}));
    accepts::<RegisterDesktopReq>(json!({
        "name": "a", "os_type": "Windows", "persistent": null,
        "users": ["ada"], "unknown": 1,
    }));
    for name in ["-pc", "pc-", "1pc", "pc.x", "abcdefghijklmnop"] {
        refuses::<RegisterDesktopReq>(json!({"name": name, "os_type": "Linux"}));
    }
    refuses::<RegisterDesktopReq>(json!({"name": "pc", "os_type": "Linux", "users": [""]}));
    refuses::<RegisterDesktopReq>(json!({"name": "pc", "os_type": "linux"}));
    refuses::<RegisterDesktopReq>(json!({"os_type": "Linux"}));
}

#[test]
fn an_enrollment_token_is_bounded_and_its_text_is_not_shown_in_logs() {
    use enrollment_tokens::{CreateEnrollmentTokenReq, CreateEnrollmentTokenResponse};
    accepts::<CreateEnrollmentTokenReq>(json!({"name": "floor 2", "max_uses": 5}));
    let scopes = json!({"name": "x", "networks": ["10.0.0.0/8"], "tags": [{"key": "floor"}]});
    accepts::<CreateEnrollmentTokenReq>(scopes);
    refuses::<CreateEnrollmentTokenReq>(json!({"name": "x", "max_uses": 0}));
    refuses::<CreateEnrollmentTokenReq>(json!({"name": "x", "networks": vec!["10.0.0.0/8"; 33]}));
    refuses::<CreateEnrollmentTokenReq>(
        json!({"name": "x", "tags": vec![json!({"key": "a"}); 21]}),
    );
    refuses::<CreateEnrollmentTokenReq>(json!({"name": "x", "expires_in_seconds": 59}));
    let answer = json!({
        "token": "otk-very-secret",
        "enrollment_token": {
            "id": "1", "name": "x", "uses": 0, "may_attach": false, "may_reenroll": true, "needs_approval": false,
            "networks": ["10.0.0.0/8"], "tags": [{"key": "floor", "value": "2"}],
            "created_at": "2026-01-10T08:30:15.000Z",
        },
    });
    accepts::<CreateEnrollmentTokenResponse>(answer.clone());
    let read: CreateEnrollmentTokenResponse = serde_json::from_value(answer).unwrap();
    assert_eq!(read.token.expose(), "otk-very-secret");
    assert!(!format!("{read:?}").contains("very-secret"));
}

#[test]
fn detection_rules_nest_and_refuse_misspelt_members() {
    use revisions::SetDetectionRuleReq;
    let digest = "ab".repeat(32);
    accepts::<SetDetectionRuleReq>(json!({"rule": null}));
    accepts::<SetDetectionRuleReq>(json!({"rule": {"all": [
        {"file": {"path": "/opt/x", "sha256": digest, "size_bytes": 3}},
        {"not": {"any": [{"debian_package": {"name": "hello", "version": "2.10-3"}}]}},
    ]}}));
    refuses::<SetDetectionRuleReq>(json!({"rule": {"file": {"path": "/x", "sha265": digest}}}));
    refuses::<SetDetectionRuleReq>(json!({"rule": {"file": {"path": "/x", "sha256": "AB"}}}));
    refuses::<SetDetectionRuleReq>(json!({"rule": {"not": {"registry": {}}}}));
}

#[test]
fn pages_of_deployments_are_bounded_and_have_defaults() {
    use deployments::ShowDeploymentQuery;
    let query: ShowDeploymentQuery = serde_json::from_value(json!({})).unwrap();
    assert_eq!((query.offset, query.limit), (0, 100));
    accepts::<ShowDeploymentQuery>(json!({"offset": 5, "limit": 1000}));
    refuses::<ShowDeploymentQuery>(json!({"limit": 1001}));
    refuses::<ShowDeploymentQuery>(json!({"limit": 0}));
}

#[test]
fn a_deployment_leaves_nothing_null() {
    accepts::<deployments::Deployment>(json!({
        "id": "d", "kind": "install", "state": "expanding", "assign_scope": "ASSIGN_USER",
        "app_ids": ["a"], "operator": "root",
        "created_at": "2026-01-10T08:30:15.000Z", "expires_at": "2026-02-09T08:30:15.000Z",
        "counts": {
            "jobs_init": 1, "jobs_waiting": 0, "jobs_success": 0, "jobs_unverified": 0, "jobs_fail": 0,
            "desktops_reached": 1, "desktops_skipped": 1, "accounts_unknown": 0,
            "authorizations_widened": 1,
        },
        "desktops_reached": {"count": 1, "items": [
            {"desktop_id": "1", "desktop_name": "pc", "jobs": 1, "other_users": 0}]},
        "desktops_skipped": {"count": 1, "items": [
            {"desktop_id": "2", "desktop_name": "pc2", "app_id": "a", "reason": "os_mismatch"}]},
        "accounts_unknown": {"count": 0, "items": []},
        "authorizations_widened": {"count": 1, "items": [{"app_id": "a"}]},
        "repair": false,
    }));
    refuses::<deployments::WidenedAuthorization>(json!({"app_id": "a", "account": null}));
}
