use reqwest::Method;
use serde_json::{Value, json};

use crate::apps::{linked, upload};
use crate::server::TestServer;

const BATCH: &str = "/v1/{p}/app-center/apps/actions/batch-auto-install";
const CANCEL: &str = "/api/v1/{p}/jobs/actions/cancel";

async fn desktops(server: &TestServer, names: &[&str]) {
    for name in names {
        let body = json!({"name": name, "os_type": "Windows"});
        server.post("/api/v1/{p}/desktops", body).await.ok(201);
    }
}

/// Installs a new app for everyone; answers the id of the deployment.
async fn deploy(server: &TestServer) -> String {
    let app = upload(server, linked("a")).await;
    let answer = server
        .request(Method::POST, BATCH)
        .json(&json!({"app_ids": [app], "assign_scope": "ALL_USER"}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    answer.headers()["x-deployment-id"]
        .to_str()
        .unwrap()
        .to_owned()
}

async fn jobs(server: &TestServer) -> Vec<Value> {
    let listed = server
        .get("/v1/{p}/app-center/jobs?limit=100")
        .await
        .ok(200);
    listed["items"].as_array().unwrap().clone()
}

/// An open stream of events.
struct Events {
    answer: reqwest::Response,
    text: String,
}

impl Events {
    async fn open(server: &TestServer) -> Self {
        let answer = server
            .request(Method::GET, "/api/v1/{p}/events")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut events = Self {
            answer,
            text: String::new(),
        };
        let (name, data) = events.next().await;
        assert_eq!(name, "ready");
        assert!(data["server_time"].as_str().unwrap().ends_with('Z'));
        events
    }

    async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let mut lines = event.lines();
                let name = lines.next().and_then(|line| line.strip_prefix("event: "));
                let data = lines.next().and_then(|line| line.strip_prefix("data: "));
                let found = name
                    .zip(data)
                    .map(|(name, data)| (name.to_owned(), serde_json::from_str(data).unwrap()));
                self.text = rest.to_owned();
                // A comment keeps the stream alive and says nothing.
                if let Some(found) = found {
                    return found;
                }
                continue;
            }
            let chunk = self
                .answer
                .chunk()
                .await
                .unwrap()
                .expect("the stream goes on");
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Waits for an event of that name whose data satisfies.
    async fn find(&mut self, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (found, data) = self.next().await;
            if found == name && is_it(&data) {
                return data;
            }
        }
    }
}

#[tokio::test]
async fn whoever_listens_hears_of_jobs_deployments_and_freezes() {
    let server = TestServer::start().await;
    desktops(&server, &["d1", "d2"]).await;
    let mut events = Events::open(&server).await;
    let deployment = deploy(&server).await;
    let heard = events
        .find("deployment", |data| data["counts"]["jobs_init"] == 2)
        .await;
    assert_eq!(heard["id"], deployment.as_str());
    assert_eq!(heard["state"], "running");

    let ids: Vec<Value> = jobs(&server)
        .await
        .iter()
        .map(|job| job["id"].clone())
        .collect();
    let answer = server
        .post(CANCEL, json!({"items": [ids[0]]}))
        .await
        .ok(200);
    assert_eq!(answer, json!({"cancelled": 1, "stopping": 0, "ended": 0}));
    let heard = events.find("job", |data| data["id"] == ids[0]).await;
    assert_eq!(heard["job_status"], "FAIL");
    assert_eq!(heard["reason"], "cancelled");
    assert_eq!(heard["error_message"], "The installation was cancelled.");
    assert_eq!(heard["deployment_id"], deployment.as_str());

    // The rest of it by its deployment, and again without effect.
    let path = format!("/api/v1/{{p}}/deployments/{deployment}/actions/cancel");
    for cancelled in [1, 0] {
        let answer = server.post(&path, Value::Null).await.ok(200);
        assert_eq!(answer["cancelled"], cancelled);
    }
    let heard = events
        .find("deployment", |data| data["counts"]["jobs_fail"] == 2)
        .await;
    assert_eq!(heard["state"], "ended");
    server
        .post(
            CANCEL,
            json!({"items": [ids[0], "5f0c7b43-8ea7-4a8f-9dd0-1d6a8a2b9a10"]}),
        )
        .await
        .refused(404, "WKS.00211902", "job");

    let frozen = server
        .request(Method::PUT, "/api/v1/{p}/freeze")
        .json(&json!({"frozen": true, "reason": "audit week"}));
    let frozen = TestServer::send(frozen).await.ok(200);
    events.find("freeze", |_| true).await;
    assert_eq!(frozen["frozen"], true);
    assert_eq!(frozen["project"]["reason"], "audit week");
    assert!(frozen.get("server").is_none());
    let lifted = server
        .request(Method::PUT, "/api/v1/{p}/freeze")
        .json(&json!({"frozen": false}));
    assert_eq!(
        TestServer::send(lifted).await.ok(200),
        json!({"frozen": false})
    );
    assert_eq!(
        server.get("/api/v1/{p}/freeze").await.ok(200),
        json!({"frozen": false})
    );
    // A stream does not hold up the end of the server.
    server.stop().await;
}

#[tokio::test]
async fn the_server_is_frozen_by_who_may_act_in_the_whole_domain() {
    let server = TestServer::start().await;
    let token = server
        .token_for(json!({"domain": {"name": "outfitter"}}))
        .await;
    let request = server
        .anonymous(Method::PUT, "/api/v1/freeze")
        .header("x-auth-token", token)
        .json(&json!({"frozen": true}));
    let answer = TestServer::send(request).await.ok(200);
    assert_eq!(answer["frozen"], true);
    let seen = server.get("/api/v1/{p}/freeze").await.ok(200);
    assert_eq!(seen["frozen"], true);
    assert!(seen["server"]["operator"].is_string() && seen.get("project").is_none());
    server.stop().await;
}
