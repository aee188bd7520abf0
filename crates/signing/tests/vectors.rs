//! The contract's vectors, computed by the signer of the official Python SDK (huaweicloudsdkcore 3.1.219).

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use outfitter_signing::{
    CanonicalRequest, ParsedAuthorization, Payload, RequestToSign, Signer, parse_sdk_date,
    payload_hash, verify,
};

const ACCESS_KEY: &str = "EXAMPLEAK00000000001";
const SECRET_KEY: &str = "ExampleSecretKey0000000000000000000000001";

struct Vector {
    name: &'static str,
    method: &'static str,
    target: &'static str,
    body: &'static str,
    headers: &'static [(&'static str, &'static str)],
    canonical: &'static str,
    string_to_sign: &'static str,
    authorization: &'static str,
}

impl Vector {
    fn header(&self, name: &str) -> Option<&'static str> {
        self.headers
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    fn canonical_as_verified(&self, body: &[u8]) -> CanonicalRequest {
        let authorization = ParsedAuthorization::parse(self.authorization).unwrap();
        let hash = payload_hash(
            Payload::Bytes(body),
            self.header("x-sdk-content-sha256").map(str::as_bytes),
            self.header("content-type").map(str::as_bytes),
        )
        .unwrap();
        CanonicalRequest::new(
            self.method,
            self.target,
            self.headers
                .iter()
                .map(|(name, value)| (*name, value.as_bytes())),
            &authorization.signed_headers,
            &hash,
        )
        .unwrap()
    }
}

#[test]
fn every_vector_verifies() {
    for vector in VECTORS {
        let authorization = ParsedAuthorization::parse(vector.authorization).unwrap();
        assert_eq!(authorization.access_key, ACCESS_KEY, "{}", vector.name);
        let canonical = vector.canonical_as_verified(vector.body.as_bytes());
        assert_eq!(
            str::from_utf8(canonical.as_bytes()).unwrap(),
            vector.canonical,
            "{}",
            vector.name
        );
        let string_to_sign = canonical.string_to_sign();
        assert_eq!(string_to_sign, vector.string_to_sign, "{}", vector.name);
        let verified = |secret: &[u8]| verify(secret, &string_to_sign, &authorization.signature);
        assert!(verified(SECRET_KEY.as_bytes()), "{}", vector.name);
        assert!(!verified(b"another secret"), "{}", vector.name);
    }
}

#[test]
fn every_vector_is_signed_alike() {
    for vector in VECTORS {
        let made = [
            "host",
            "x-sdk-date",
            "x-security-token",
            "x-sdk-content-sha256",
        ];
        let headers: Vec<(&str, &[u8])> = vector
            .headers
            .iter()
            .filter(|(name, _)| !made.contains(&name.to_ascii_lowercase().as_str()))
            .map(|(name, value)| (*name, value.as_bytes()))
            .chain([("not_signed", &b"passed over"[..])])
            .collect();
        let mut signer = Signer::new(ACCESS_KEY, SECRET_KEY);
        if let Some(token) = vector.header("x-security-token") {
            signer = signer.with_security_token(token);
        }
        let date = vector.header("x-sdk-date").unwrap();
        let added = signer
            .sign(
                &RequestToSign {
                    method: vector.method,
                    target: vector.target,
                    host: vector.header("host").unwrap(),
                    headers: &headers,
                    payload: Payload::Bytes(vector.body.as_bytes()),
                },
                parse_sdk_date(date).unwrap() + 999,
            )
            .unwrap();
        let mut expected = vec![("x-sdk-date", date)];
        for name in ["x-security-token", "x-sdk-content-sha256"] {
            expected.extend(vector.header(name).map(|value| (name, value)));
        }
        expected.push(("authorization", vector.authorization));
        let added: Vec<_> = added
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(added, expected, "{}", vector.name);
    }
}

#[test]
fn a_body_on_get_is_signed() {
    let vector = VECTORS
        .iter()
        .find(|vector| vector.method == "GET")
        .unwrap();
    let authorization = ParsedAuthorization::parse(vector.authorization).unwrap();
    let canonical = vector.canonical_as_verified(b"{}");
    assert!(
        canonical
            .as_bytes()
            .ends_with(b"\n44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")
    );
    assert!(!verify(
        SECRET_KEY.as_bytes(),
        &canonical.string_to_sign(),
        &authorization.signature
    ));
}

/// As the Terraform provider signs: no host, three headers added after signing.
#[test]
fn unsigned_host_and_later_headers_do_not_matter() {
    let list = ["accept", "content-type", "user-agent", "x-sdk-date"].map(str::to_owned);
    let signed: [(&str, &[u8]); 4] = [
        ("Accept", b"application/json"),
        ("Content-Type", b"application/json"),
        ("User-Agent", b"terraform"),
        ("X-Sdk-Date", b"20260110T083015Z"),
    ];
    let later: [(&str, &[u8]); 3] = [
        ("Host", b"other:8080"),
        ("X-Project-Id", b"p"),
        ("X-Security-Token", b"t"),
    ];
    let build = |headers: &[(&'static str, &'static [u8])]| {
        CanonicalRequest::new(
            "GET",
            "/v3/projects?name=r",
            headers.iter().copied(),
            &list,
            "H",
        )
        .unwrap()
    };
    assert_eq!(build(&signed), build(&[&later[..], &signed[..]].concat()));
}

#[test]
fn streamed_uploads_are_signed_without_their_bytes() {
    let request = RequestToSign {
        method: "PUT",
        target: "/upload",
        host: "h",
        headers: &[("content-type", b"application/octet-stream")],
        payload: Payload::Streamed,
    };
    let signer = Signer::new(ACCESS_KEY, SECRET_KEY);
    let added = signer.sign(&request, 0).unwrap();
    assert!(added.contains(&("x-sdk-content-sha256", "UNSIGNED-PAYLOAD".to_owned())));
    let json = RequestToSign {
        headers: &[("content-type", b"application/json")],
        ..request
    };
    assert!(signer.sign(&json, 0).is_err());
}

#[test]
fn debug_output_hides_the_secrets() {
    let signer = Signer::new(ACCESS_KEY, SECRET_KEY).with_security_token("token-text");
    let text = format!("{signer:?}");
    assert!(text.contains(ACCESS_KEY));
    assert!(
        !text.contains(SECRET_KEY) && !text.contains("token-text"),
        "{text}"
    );
}

const VECTORS: &[Vector] = &[
    Vector {
        name: "POST with JSON body",
        method: "POST",
        target: "/v1/0a1b2c3d4e5f60718293a4b5c6d7e8f9/app-center/apps/actions/batch-auto-install",
        body: r#"{"app_ids": ["3f791197-d166-4c8e-81e4-38c40ffc1989"], "assign_scope": "ALL_USER"}"#,
        headers: &[
            ("Content-Type", "application/json"),
            ("User-Agent", "contract-vector/1.0"),
            ("X-Sdk-Date", "20260110T083015Z"),
            ("X-Project-Id", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
            ("Host", "workspace.example-1.appcenter.test"),
        ],
        canonical: "\
POST\n\
/v1/0a1b2c3d4e5f60718293a4b5c6d7e8f9/app-center/apps/actions/batch-auto-install/\n\
\n\
content-type:application/json\n\
host:workspace.example-1.appcenter.test\n\
user-agent:contract-vector/1.0\n\
x-project-id:0a1b2c3d4e5f60718293a4b5c6d7e8f9\n\
x-sdk-date:20260110T083015Z\n\
\n\
content-type;host;user-agent;x-project-id;x-sdk-date\n\
dac9f22c35d49744992bec253551b9248a70d7ab54e67c56fc99af5d4d7ad189",
        string_to_sign: "\
SDK-HMAC-SHA256\n\
20260110T083015Z\n\
4dbccb7b38e2e95125ab5cca299f642f09445a5050e56f0156ddeabbe2744b12",
        authorization: "SDK-HMAC-SHA256 Access=EXAMPLEAK00000000001, SignedHeaders=content-type;host;user-agent;x-project-id;x-sdk-date, Signature=541d1a356f93420aff1ce4d64b2d4ce6b6434e4a50726e73d6c32f32bc45ada0",
    },
    Vector {
        name: "GET, query with special characters",
        method: "GET",
        target: "/v1/0a1b2c3d4e5f60718293a4b5c6d7e8f9/app-center/apps?limit=100&name=a%20b%2Bc%2Fd%26e%3Df~%C3%A9%2A&offset=0",
        body: r#""#,
        headers: &[
            ("Content-Type", "application/json"),
            ("User-Agent", "contract-vector/1.0"),
            ("X-Sdk-Date", "20260110T083015Z"),
            ("X-Project-Id", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
            ("Host", "workspace.example-1.appcenter.test"),
        ],
        canonical: "\
GET\n\
/v1/0a1b2c3d4e5f60718293a4b5c6d7e8f9/app-center/apps/\n\
limit=100&name=a%20b%2Bc%2Fd%26e%3Df~%C3%A9%2A&offset=0\n\
content-type:application/json\n\
host:workspace.example-1.appcenter.test\n\
user-agent:contract-vector/1.0\n\
x-project-id:0a1b2c3d4e5f60718293a4b5c6d7e8f9\n\
x-sdk-date:20260110T083015Z\n\
\n\
content-type;host;user-agent;x-project-id;x-sdk-date\n\
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        string_to_sign: "\
SDK-HMAC-SHA256\n\
20260110T083015Z\n\
e5f65ddf28184ff706c9d6cf1d3d1bf59ebeb1b4d43408056b4473aac124a200",
        authorization: "SDK-HMAC-SHA256 Access=EXAMPLEAK00000000001, SignedHeaders=content-type;host;user-agent;x-project-id;x-sdk-date, Signature=c47e5d6d2011bb929928aba03801303746b58399efc3f0f77ac9361e989653fb",
    },
    Vector {
        name: "GET, empty body, security token",
        method: "GET",
        target: "/v1/0a1b2c3d4e5f60718293a4b5c6d7e8f9/app-center/app-catalogs",
        body: r#""#,
        headers: &[
            ("Content-Type", "application/json"),
            ("User-Agent", "contract-vector/1.0"),
            ("X-Sdk-Date", "20260110T083015Z"),
            ("X-Project-Id", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
            ("X-Security-Token", "EXAMPLE-SECURITY-TOKEN"),
            ("Host", "workspace.example-1.appcenter.test"),
        ],
        canonical: "\
GET\n\
/v1/0a1b2c3d4e5f60718293a4b5c6d7e8f9/app-center/app-catalogs/\n\
\n\
content-type:application/json\n\
host:workspace.example-1.appcenter.test\n\
user-agent:contract-vector/1.0\n\
x-project-id:0a1b2c3d4e5f60718293a4b5c6d7e8f9\n\
x-sdk-date:20260110T083015Z\n\
x-security-token:EXAMPLE-SECURITY-TOKEN\n\
\n\
content-type;host;user-agent;x-project-id;x-sdk-date;x-security-token\n\
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        string_to_sign: "\
SDK-HMAC-SHA256\n\
20260110T083015Z\n\
8050d7cced79e4870aad1bd9511b42bc8817499ecfa681864642ccef22c9d38e",
        authorization: "SDK-HMAC-SHA256 Access=EXAMPLEAK00000000001, SignedHeaders=content-type;host;user-agent;x-project-id;x-sdk-date;x-security-token, Signature=989c351911f21984725e43166f70c3d854660901e1f2acb376ba55ec05b3d072",
    },
    Vector {
        name: "DELETE, encoded unicode path segment",
        method: "DELETE",
        target: "/v2/0a1b2c3d4e5f60718293a4b5c6d7e8f9/desktops/d-0001/tags/%E5%8C%BA%E5%9F%9F%2FA%20B",
        body: r#""#,
        headers: &[
            ("Content-Type", "application/json"),
            ("User-Agent", "contract-vector/1.0"),
            ("X-Sdk-Date", "20260110T083015Z"),
            ("X-Project-Id", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
            ("Host", "workspace.example-1.appcenter.test"),
        ],
        canonical: "\
DELETE\n\
/v2/0a1b2c3d4e5f60718293a4b5c6d7e8f9/desktops/d-0001/tags/%E5%8C%BA%E5%9F%9F/A%20B/\n\
\n\
content-type:application/json\n\
host:workspace.example-1.appcenter.test\n\
user-agent:contract-vector/1.0\n\
x-project-id:0a1b2c3d4e5f60718293a4b5c6d7e8f9\n\
x-sdk-date:20260110T083015Z\n\
\n\
content-type;host;user-agent;x-project-id;x-sdk-date\n\
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        string_to_sign: "\
SDK-HMAC-SHA256\n\
20260110T083015Z\n\
e7b5f021ac36b4455b22752d69d9a0a43659ce098bbb0d9ba297eba53502cc0b",
        authorization: "SDK-HMAC-SHA256 Access=EXAMPLEAK00000000001, SignedHeaders=content-type;host;user-agent;x-project-id;x-sdk-date, Signature=10dd7c05d042575f94a801e5302329daf50aaff12b497aeef8268d1a1ffe9b09",
    },
    Vector {
        name: "POST, unicode body",
        method: "POST",
        target: "/v2/0a1b2c3d4e5f60718293a4b5c6d7e8f9/groups",
        body: r#"{"group_name": "研发组", "platform_type": "LOCAL", "description": "é"}"#,
        headers: &[
            ("Content-Type", "application/json"),
            ("User-Agent", "contract-vector/1.0"),
            ("X-Sdk-Date", "20260110T083015Z"),
            ("X-Project-Id", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
            ("Host", "workspace.example-1.appcenter.test"),
        ],
        canonical: "\
POST\n\
/v2/0a1b2c3d4e5f60718293a4b5c6d7e8f9/groups/\n\
\n\
content-type:application/json\n\
host:workspace.example-1.appcenter.test\n\
user-agent:contract-vector/1.0\n\
x-project-id:0a1b2c3d4e5f60718293a4b5c6d7e8f9\n\
x-sdk-date:20260110T083015Z\n\
\n\
content-type;host;user-agent;x-project-id;x-sdk-date\n\
7366e790ae2f6c2061003d401504f8b30dd35b723bc01b83373f050fbe743010",
        string_to_sign: "\
SDK-HMAC-SHA256\n\
20260110T083015Z\n\
f4976f212ecdcf748e87a77e32abe54fe657b9a181f9705094575ebfbfa51cf3",
        authorization: "SDK-HMAC-SHA256 Access=EXAMPLEAK00000000001, SignedHeaders=content-type;host;user-agent;x-project-id;x-sdk-date, Signature=3031745f7168f3dea8a47058fa35917557f44cf8be996efe071c15ac3d0b4319",
    },
    Vector {
        name: "POST, non-JSON content type (UNSIGNED-PAYLOAD)",
        method: "POST",
        target: "/v2/0a1b2c3d4e5f60718293a4b5c6d7e8f9/users/desktop-users/action/import",
        body: "--xyz--\r\n",
        headers: &[
            ("Content-Type", "multipart/form-data; boundary=xyz"),
            ("User-Agent", "contract-vector/1.0"),
            ("X-Sdk-Date", "20260110T083015Z"),
            ("X-Project-Id", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
            ("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD"),
            ("Host", "workspace.example-1.appcenter.test"),
        ],
        canonical: "\
POST\n\
/v2/0a1b2c3d4e5f60718293a4b5c6d7e8f9/users/desktop-users/action/import/\n\
\n\
content-type:multipart/form-data; boundary=xyz\n\
host:workspace.example-1.appcenter.test\n\
user-agent:contract-vector/1.0\n\
x-project-id:0a1b2c3d4e5f60718293a4b5c6d7e8f9\n\
x-sdk-content-sha256:UNSIGNED-PAYLOAD\n\
x-sdk-date:20260110T083015Z\n\
\n\
content-type;host;user-agent;x-project-id;x-sdk-content-sha256;x-sdk-date\n\
UNSIGNED-PAYLOAD",
        string_to_sign: "\
SDK-HMAC-SHA256\n\
20260110T083015Z\n\
c7e2bc6e04e2a4692d9dd763c7b188ca9c4d3419780c0cc9281397698a36fd9a",
        authorization: "SDK-HMAC-SHA256 Access=EXAMPLEAK00000000001, SignedHeaders=content-type;host;user-agent;x-project-id;x-sdk-content-sha256;x-sdk-date, Signature=a56fe8a891b2d3723a9d5ea305d14101fb4f190df0b397de5717b44b3bec5a80",
    },
];
