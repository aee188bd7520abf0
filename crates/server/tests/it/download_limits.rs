use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, TestServer};

const LIMITS: &str = "/api/v1/download-limits";

/// The limits are the account's: a token of one project may not touch them.
struct Account<'a> {
    server: &'a TestServer,
    token: String,
}

impl<'a> Account<'a> {
    async fn of(server: &'a TestServer) -> Self {
        let scope = json!({"domain": {"name": "outfitter"}});
        let token = server.token_for(scope).await;
        Self { server, token }
    }

    fn request(&self, method: Method) -> reqwest::RequestBuilder {
        self.server
            .anonymous(method, LIMITS)
            .header("x-auth-token", &self.token)
    }

    async fn show(&self) -> Value {
        TestServer::send(self.request(Method::GET)).await.ok(200)
    }

    async fn set(&self, body: Value) -> Answer {
        TestServer::send(self.request(Method::PUT).json(&body)).await
    }
}

#[tokio::test]
async fn limits_of_downloads_are_set_as_a_whole_and_shown() {
    let server = TestServer::start().await;
    let account = Account::of(&server).await;
    let shown = account.show().await;
    assert_eq!(
        shown,
        json!({"time_zone": "UTC", "total": {"windows": []}, "per_desktop": {"windows": []},
            "downloading": 0, "waiting": 0})
    );
    let window = json!({"from": "22:00", "to": "06:30", "bytes_per_second": 9_000_000});
    let body = json!({"time_zone": "Asia/Kathmandu", "total": {"windows": [window]},
        "per_desktop": {"bytes_per_second": 5000}, "parallel_downloads": 3});
    account.set(body).await.ok(200);
    let shown = account.show().await;
    assert_eq!(shown["total"]["windows"], json!([window]));
    assert_eq!(
        (&shown["per_desktop_now"], &shown["parallel_downloads"]),
        (&json!(5000), &json!(3))
    );
    assert!(shown["operator"].is_string() && shown["updated_at"].is_string());

    for (body, field) in [
        (json!({"time_zone": "Mars/Olympus"}), "time_zone"),
        (
            json!({"total": {"windows": [{"from": "08:00", "to": "24:00"}]}}),
            "to",
        ),
    ] {
        account.set(body).await.refused(400, "WKS.00211102", field);
    }
    assert_eq!(account.show().await, shown);

    account.set(json!({})).await.ok(200);
    let shown = account.show().await;
    assert_eq!(shown["per_desktop"], json!({"windows": []}));
    let path = "/api/v1/audit?limit=10&action=outfitter:downloadLimits:set";
    let request = server
        .anonymous(Method::GET, path)
        .header("x-auth-token", &account.token);
    let entries = TestServer::send(request).await.ok(200);
    let change = &entries["items"][0]["detail"]["changes"][0];
    assert_eq!(change["resource"], "server:");
    let [before, after] = ["before", "after"].map(|it| &change[it]["download_limits"]);
    assert_eq!(before["time_zone"], "Asia/Kathmandu");
    assert_eq!(before["parallel_downloads"], 3);
    assert_eq!(after["parallel_downloads"], Value::Null);
    server.stop().await;
}
