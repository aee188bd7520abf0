//! Credentials end to end, with the contract's signature vectors (`auth.md`, section 5).

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use outfitter_domain::iam::ReadyMadePolicy;
use outfitter_store::SigningKey;

use super::*;
use crate::app::iam::{WantedScope, WhoLogsIn, login};
use crate::testing::{As, TestServer};

const ACCESS: &str = "EXAMPLEAK00000000001";
const SECRET: &str = "ExampleSecretKey0000000000000000000000001";
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

#[derive(Clone)]
struct Vector {
    method: Method,
    target: &'static str,
    body: &'static str,
    content_type: &'static str,
    further: &'static [(&'static str, &'static str)],
    signed: &'static str,
    signature: &'static str,
}

const SIGNED: &str = "content-type;host;user-agent;x-project-id;x-sdk-date";
const JSON: &str = "application/json";

/// The third carries a security token, which none of our keys has yet.
const VECTORS: [Vector; 6] = [
    Vector {
        method: Method::POST,
        target: "/v1/0a1b2c3d4e5f60718293a4b5c6d7e8f9/app-center/apps/actions/batch-auto-install",
        body: r#"{"app_ids": ["3f791197-d166-4c8e-81e4-38c40ffc1989"], "assign_scope": "ALL_USER"}"#,
        content_type: JSON,
        further: &[],
        signed: SIGNED,
        signature: "541d1a356f93420aff1ce4d64b2d4ce6b6434e4a50726e73d6c32f32bc45ada0",
    },
    Vector {
        method: Method::GET,
        target: "/v1/0a1b2c3d4e5f60718293a4b5c6d7e8f9/app-center/apps?limit=100&name=a%20b%2Bc%2Fd%26e%3Df~%C3%A9%2A&offset=0",
        body: "",
        content_type: JSON,
        further: &[],
        signed: SIGNED,
        signature: "c47e5d6d2011bb929928aba03801303746b58399efc3f0f77ac9361e989653fb",
    },
    Vector {
        method: Method::GET,
        target: "/v1/0a1b2c3d4e5f60718293a4b5c6d7e8f9/app-center/app-catalogs",
        body: "",
        content_type: JSON,
        further: &[("x-security-token", "EXAMPLE-SECURITY-TOKEN")],
        signed: "content-type;host;user-agent;x-project-id;x-sdk-date;x-security-token",
        signature: "989c351911f21984725e43166f70c3d854660901e1f2acb376ba55ec05b3d072",
    },
    Vector {
        method: Method::DELETE,
        target: "/v2/0a1b2c3d4e5f60718293a4b5c6d7e8f9/desktops/d-0001/tags/%E5%8C%BA%E5%9F%9F%2FA%20B",
        body: "",
        content_type: JSON,
        further: &[],
        signed: SIGNED,
        signature: "10dd7c05d042575f94a801e5302329daf50aaff12b497aeef8268d1a1ffe9b09",
    },
    Vector {
        method: Method::POST,
        target: "/v2/0a1b2c3d4e5f60718293a4b5c6d7e8f9/groups",
        body: r#"{"group_name": "研发组", "platform_type": "LOCAL", "description": "é"}"#,
        content_type: JSON,
        further: &[],
        signed: SIGNED,
        signature: "3031745f7168f3dea8a47058fa35917557f44cf8be996efe071c15ac3d0b4319",
    },
    Vector {
        method: Method::POST,
        target: "/v2/0a1b2c3d4e5f60718293a4b5c6d7e8f9/users/desktop-users/action/import",
        body: "--xyz--\r\n",
        content_type: "multipart/form-data; boundary=xyz",
        further: &[("x-sdk-content-sha256", "UNSIGNED-PAYLOAD")],
        signed: "content-type;host;user-agent;x-project-id;x-sdk-content-sha256;x-sdk-date",
        signature: "a56fe8a891b2d3723a9d5ea305d14101fb4f190df0b397de5717b44b3bec5a80",
    },
];

const SECURITY_TOKEN_VECTOR: usize = 2;
const STREAMED_VECTOR: usize = 5;

impl Vector {
    fn headers(&self, access: &str) -> HeaderMap {
        let authorization = format!(
            "SDK-HMAC-SHA256 Access={access}, SignedHeaders={}, Signature={}",
            self.signed, self.signature
        );
        [
            ("content-type", self.content_type),
            ("user-agent", "contract-vector/1.0"),
            ("x-sdk-date", "20260110T083015Z"),
            ("x-project-id", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
            ("host", "workspace.example-1.appcenter.test"),
            ("authorization", &authorization),
        ]
        .iter()
        .chain(self.further)
        .map(|(name, value)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
    }
}

/// A server whose administrator also has the vectors' key.
async fn server() -> (TestServer, SigningKey) {
    let server = TestServer::start().await;
    let services = &server.services;
    let user = services
        .store
        .db()
        .signing_key(&server.bootstrap.access_key)
        .await
        .unwrap()
        .unwrap()
        .user;
    let sealed = services
        .auth
        .sealer()
        .seal(state::ACCESS_KEY_PURPOSE, ACCESS, SECRET.as_bytes());
    let tx = services.store.write().await.unwrap();
    tx.access_key_insert(user.key, ACCESS, sealed, services.clock.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let key = services
        .store
        .db()
        .signing_key(ACCESS)
        .await
        .unwrap()
        .unwrap();
    (server, key)
}

async fn ask(
    server: &TestServer,
    vector: &Vector,
    headers: &HeaderMap,
    body: &str,
    source: IpAddr,
) -> Result<Caller, AuthRefusal> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let request = AuthRequest {
        method: &vector.method,
        path_and_query: vector.target,
        headers,
        body: AuthBody::Buffered(&body),
        source,
    };
    authenticate(&server.services, &request).await
}

/// A call as it is in the vector.
async fn replay(server: &TestServer, vector: &Vector) -> Result<Caller, AuthRefusal> {
    ask(server, vector, &vector.headers(ACCESS), vector.body, HERE).await
}

/// A call with nothing but these headers.
async fn bare(
    server: &TestServer,
    headers: &[(&'static str, &str)],
) -> Result<Caller, AuthRefusal> {
    let headers = headers
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect();
    ask(server, &VECTORS[1], &headers, "", HERE).await
}

async fn token(server: &TestServer, scope: WantedScope) -> String {
    use secrecy::ExposeSecret as _;

    let who = WhoLogsIn::Name {
        domain: server.bootstrap.domain_name.clone(),
        user: server.bootstrap.user_name.clone(),
    };
    let password = server.bootstrap.password.expose().into();
    let login = login(&server.services, &who, password, &scope, HERE)
        .await
        .unwrap();
    login.token.text.expose_secret().to_owned()
}

fn own_project(server: &TestServer) -> WantedScope {
    WantedScope::Project {
        project: crate::app::iam::ByIdOrName::Id(server.bootstrap.project_id.clone()),
        domain: None,
    }
}

#[tokio::test]
async fn every_vector_of_a_permanent_key_is_its_owners_call() {
    let (server, key) = server().await;
    for (number, vector) in VECTORS.iter().enumerate() {
        let answer = replay(&server, vector).await;
        if number == SECURITY_TOKEN_VECTOR {
            assert!(matches!(answer, Err(AuthRefusal::WrongSignature)));
            continue;
        }
        let caller = answer.unwrap_or_else(|error| panic!("{}: {error}", vector.target));
        assert_eq!(caller.user, key.user.key);
        assert_eq!(caller.scope, Scope::Domain);
        assert_eq!(caller.credential, Credential::AccessKey(ACCESS.to_owned()));
    }
    // A poller's two calls in one second carry the same signature.
    assert!(replay(&server, &VECTORS[1]).await.is_ok());
}

#[tokio::test]
async fn whatever_is_signed_cannot_be_changed() {
    let (server, _) = server().await;
    let vector = &VECTORS[0];
    let wrong = |answer| matches!(answer, Err(AuthRefusal::WrongSignature));
    assert!(wrong(
        ask(&server, vector, &vector.headers(ACCESS), "{}", HERE).await
    ));
    let moved = Vector {
        target: "/v1/0a1b2c3d4e5f60718293a4b5c6d7e8f9/app-center/apps",
        ..VECTORS[0].clone()
    };
    assert!(wrong(replay(&server, &moved).await));
    for name in [
        "host",
        "user-agent",
        "content-type",
        "x-project-id",
        "x-sdk-date",
    ] {
        let mut headers = vector.headers(ACCESS);
        headers.insert(name, HeaderValue::from_static("20260110T083016Z"));
        let changed = ask(&server, vector, &headers, vector.body, ELSEWHERE).await;
        assert!(wrong(changed), "{name} changed");
        headers.remove(name);
        let removed = ask(&server, vector, &headers, vector.body, ELSEWHERE).await;
        assert!(wrong(removed), "{name} removed");
    }
}

#[tokio::test]
async fn a_streamed_body_must_be_signed_as_unsigned() {
    let (server, _) = server().await;
    let streamed = async |vector: &Vector| {
        let headers = vector.headers(ACCESS);
        let request = AuthRequest {
            method: &vector.method,
            path_and_query: vector.target,
            headers: &headers,
            body: AuthBody::Streamed,
            source: HERE,
        };
        authenticate(&server.services, &request).await
    };
    assert!(streamed(&VECTORS[STREAMED_VECTOR]).await.is_ok());
    assert!(matches!(
        streamed(&VECTORS[0]).await,
        Err(AuthRefusal::WrongSignature)
    ));
}

#[tokio::test]
async fn a_signature_counts_for_fifteen_minutes_and_an_old_one_does_not_lock() {
    let (server, _) = server().await;
    server.clock.advance(Duration::from_secs(15 * 60));
    assert!(replay(&server, &VECTORS[0]).await.is_ok());
    server.clock.advance(Duration::from_millis(1));
    for _ in 0..10 {
        assert!(matches!(
            replay(&server, &VECTORS[0]).await,
            Err(AuthRefusal::WrongSignature)
        ));
    }
}

#[tokio::test]
async fn six_wrong_signatures_lock_the_key_for_their_address_alone() {
    let (server, _) = server().await;
    let vector = &VECTORS[1];
    let wrong = Vector {
        signature: "00",
        ..VECTORS[1].clone()
    };
    for _ in 0..5 {
        assert!(matches!(
            replay(&server, &wrong).await,
            Err(AuthRefusal::WrongSignature)
        ));
    }
    assert!(replay(&server, vector).await.is_ok(), "five are forgiven");
    for _ in 0..6 {
        assert!(matches!(
            replay(&server, &wrong).await,
            Err(AuthRefusal::WrongSignature)
        ));
    }
    assert!(matches!(
        replay(&server, vector).await,
        Err(AuthRefusal::LockedAccessKey)
    ));
    let headers = vector.headers(ACCESS);
    assert!(ask(&server, vector, &headers, "", ELSEWHERE).await.is_ok());
    server.clock.advance(Duration::from_secs(5 * 60));
    assert!(replay(&server, vector).await.is_ok());
}

#[tokio::test]
async fn an_unknown_or_disabled_key_is_named_by_its_head_only() {
    let (server, key) = server().await;
    let vector = &VECTORS[1];
    let message = async |access: &str| {
        ask(&server, vector, &vector.headers(access), "", HERE)
            .await
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        message("NOBODYSKEY0000000001").await,
        "Incorrect IAM authentication information: Get secretKey failed,ak:NOBO****,err:ak not exist"
    );
    let tx = server.services.store.write().await.unwrap();
    tx.access_key_set_enabled(key.user.key, ACCESS, false)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(message(ACCESS).await.contains("ak:EXAM****"));
}

#[tokio::test]
async fn a_disabled_user_is_told_so_only_with_the_right_signature() {
    let (server, key) = server().await;
    let tx = server.services.store.write().await.unwrap();
    tx.iam_user_set_enabled(key.user.key, false, server.services.clock.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(
        replay(&server, &VECTORS[0]).await,
        Err(AuthRefusal::DisabledUser)
    ));
    let wrong = Vector {
        signature: "00",
        ..VECTORS[0].clone()
    };
    assert!(matches!(
        replay(&server, &wrong).await,
        Err(AuthRefusal::WrongSignature)
    ));
}

#[tokio::test]
async fn other_schemes_are_refused_and_nothing_is_no_credential() {
    let (server, _) = server().await;
    for headers in [
        &[][..],
        &[("x-auth-token", "")],
        &[("authorization", ""), ("x-auth-token", "")],
    ] {
        assert!(matches!(
            bare(&server, headers).await,
            Err(AuthRefusal::NoCredential)
        ));
    }
    for scheme in [
        "Basic YTpi",
        "SDK-HMAC-SHA256 Access=a",
        "SDK-HMAC-SM3 Access=a, SignedHeaders=b, Signature=c",
        "V11-HMAC-SHA256 Credential=a/b/c/d, SignedHeaders=b, Signature=c",
    ] {
        assert!(matches!(
            bare(&server, &[("authorization", scheme)]).await,
            Err(AuthRefusal::WrongSignature)
        ));
    }
}

#[tokio::test]
async fn a_token_counts_for_a_day_and_outranks_a_signature() {
    let (server, key) = server().await;
    let text = token(&server, own_project(&server)).await;
    let both = [
        ("x-auth-token", text.as_str()),
        ("authorization", "nonsense"),
    ];
    let caller = bare(&server, &both).await.unwrap();
    assert_eq!(caller.user, key.user.key);
    assert_eq!(caller.credential, Credential::Token);
    assert!(
        matches!(caller.scope, Scope::Project(_, id) if id.to_string() == server.bootstrap.project_id)
    );

    let damaged = text.replace(text.chars().last().unwrap(), "");
    assert!(matches!(
        bare(&server, &[("x-auth-token", &damaged)]).await,
        Err(AuthRefusal::DamagedToken)
    ));

    server
        .clock
        .advance(token::LIFETIME - Duration::from_millis(1));
    assert!(bare(&server, &both).await.is_ok());
    server.clock.advance(Duration::from_millis(1));
    let refusal = bare(&server, &both).await.unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "Incorrect IAM authentication information: token expires, expires_at: 2026-01-11T08:30:15.000000Z"
    );
}

#[tokio::test]
async fn a_token_ends_with_the_password_and_with_its_user() {
    let (server, key) = server().await;
    let services = &server.services;
    let change = async |password: bool| {
        let tx = services.store.write().await.unwrap();
        let now = services.clock.now();
        if password {
            let hash = services
                .auth
                .passwords()
                .hash(server.bootstrap.password.expose().into())
                .await
                .unwrap();
            tx.iam_user_set_password(key.user.key, &hash, now)
                .await
                .unwrap();
        } else {
            tx.iam_user_set_enabled(key.user.key, false, now)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
    };
    for password in [true, false] {
        // Within the same millisecond, too: the clock stands.
        let text = token(&server, WantedScope::Account).await;
        let headers = [("x-auth-token", text.as_str())];
        assert_eq!(bare(&server, &headers).await.unwrap().scope, Scope::Domain);
        change(password).await;
        assert!(matches!(
            bare(&server, &headers).await,
            Err(AuthRefusal::RevokedToken)
        ));
    }
}

#[tokio::test]
async fn refusals_have_the_contracts_codes() {
    use http::StatusCode;

    for (refusal, status, code) in [
        (AuthRefusal::NoCredential, 401, "APIGW.0301"),
        (AuthRefusal::WrongSignature, 401, "APIGW.0301"),
        (AuthRefusal::LockedAccessKey, 401, "APIGW.0301"),
        (AuthRefusal::DisabledUser, 403, "APIGW.0302"),
        (AuthRefusal::RevokedToken, 401, "APIGW.0307"),
    ] {
        let text = refusal.to_string();
        let ApiError::Gateway(error) = refusal.into() else {
            panic!("{text}: not a gateway refusal");
        };
        assert_eq!(error.status, StatusCode::from_u16(status).unwrap());
        assert_eq!((error.code, error.message.as_ref()), (code, text.as_str()));
    }
}

#[tokio::test]
async fn a_project_is_entered_with_rights_in_it_only() {
    let (server, key) = server().await;
    let services = &server.services;
    let made = server
        .call(
            server.administrator(),
            "POST",
            "/api/v1/projects",
            Some(serde_json::json!({"name": "second"})),
        )
        .await;
    let second = made.body["project"]["id"].as_str().unwrap();
    let first = server.bootstrap.project_id.as_str();
    let administrator = replay(&server, &VECTORS[0]).await.unwrap();
    for project in [first, second] {
        let access = authorize_project(services, &administrator, project)
            .await
            .unwrap();
        assert_eq!(access.id.to_string(), project);
        assert!(
            access
                .rights
                .check_action("workspace:appcenter:createApp")
                .is_ok()
        );
    }
    let forbidden = async |caller: &Caller, project: &str| {
        matches!(
            authorize_project(services, caller, project).await,
            Err(ApiError::Forbidden { .. })
        )
    };
    for unknown in ["", "local-1", "01890a5d-ac96-774b-bcce-b302099a8057"] {
        assert!(forbidden(&administrator, unknown).await, "{unknown}");
    }
    let text = token(&server, own_project(&server)).await;
    let narrow = bare(&server, &[("x-auth-token", &text)]).await.unwrap();
    assert!(forbidden(&narrow, second).await);
    assert!(
        rights_in_domain(services, &narrow)
            .await
            .unwrap()
            .check_action("outfitter:projects:create")
            .is_err()
    );
    assert!(
        rights_in_domain(services, &administrator)
            .await
            .unwrap()
            .check_action("outfitter:projects:create")
            .is_ok()
    );

    // Rights in one project give none in another.
    let other = made.body["access_key"]["access_key"].as_str().unwrap();
    let other = services
        .store
        .db()
        .signing_key(other)
        .await
        .unwrap()
        .unwrap()
        .user;
    let other = caller(other, Scope::Domain, Credential::Token, HERE);
    assert!(
        authorize_project(services, &other, second)
            .await
            .unwrap()
            .rights
            .check_action("workspace:appcenter:createApp")
            .is_ok()
    );
    assert!(
        authorize_project(services, &other, first)
            .await
            .unwrap()
            .rights
            .check_action("workspace:appcenter:listApps")
            .is_err()
    );
    assert!(
        rights_in_domain(services, &other)
            .await
            .unwrap()
            .check_action("outfitter:projects:create")
            .is_err()
    );

    let access = authorize_project(services, &administrator, second)
        .await
        .unwrap();
    let tx = services.store.write().await.unwrap();
    tx.project_set_enabled(access.project, false).await.unwrap();
    tx.iam_grant_insert(key.user.key, None, ReadyMadePolicy::ReadOnly)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let Err(ApiError::Gateway(error)) = authorize_project(services, &administrator, second).await
    else {
        panic!("a suspended project was entered");
    };
    assert_eq!(error.code, "APIGW.0310");
}

#[tokio::test]
async fn times_of_last_use_are_written_in_one_go() {
    let (server, key) = server().await;
    let services = &server.services;
    let used = async || {
        services
            .store
            .db()
            .signing_key(ACCESS)
            .await
            .unwrap()
            .unwrap()
            .access_key
            .last_used_at
    };
    for _ in 0..3 {
        replay(&server, &VECTORS[0]).await.unwrap();
    }
    assert_eq!(key.access_key.last_used_at, None);
    assert_eq!(used().await, None);
    let flush = || services.auth.flush_last_used(&services.store);
    assert_eq!(flush().await.unwrap(), 1);
    assert_eq!(used().await, Some(services.clock.now()));
    assert_eq!(flush().await.unwrap(), 0);
}

#[tokio::test]
async fn a_refused_call_reads_the_reason_and_its_request_id() {
    let server = TestServer::start().await;
    let target = format!("/api/v1/{}/iam/users", server.bootstrap.project_id);
    let answer = server.call(As::Nobody, "GET", &target, None).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.body["error_code"], "APIGW.0301");
    assert_eq!(
        answer.body["request_id"],
        answer.headers["x-request-id"].to_str().unwrap()
    );
}
