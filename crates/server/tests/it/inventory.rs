//! What agents tell of their desktops, with agents that the test plays.

use outfitter_agent::channel::driver::Channel as _;
use outfitter_agent::channel::websocket::WebSocketChannel;
use outfitter_agent_protocol::{
    AgentMessage, InventoryAddress, InventoryAsk, InventoryDisk, InventoryFacts, InventoryPart,
    InventoryReport, InventorySoftware, MAX_INVENTORY_SOFTWARE, ServerMessage,
};
use reqwest::Method;
use serde_json::json;

use crate::hostile::{channel, enrolled_as, hello};
use crate::server::TestServer;

async fn welcomed(channel: &mut WebSocketChannel) -> (String, InventoryAsk) {
    channel.send(hello()).await.unwrap();
    let ServerMessage::Welcome(welcome) = channel.receive().await.unwrap() else {
        panic!("no welcome");
    };
    (welcome.desktop.to_string(), welcome.inventory.unwrap())
}

async fn tell(channel: &mut WebSocketChannel, digest: &str, part: InventoryPart) {
    let report = InventoryReport {
        digest: digest.to_owned(),
        part,
    };
    channel
        .send(AgentMessage::Inventory(Box::new(report)))
        .await
        .unwrap();
    assert_eq!(
        channel.receive().await.unwrap(),
        ServerMessage::InventoryNoted {
            digest: digest.to_owned()
        }
    );
}

fn facts() -> InventoryPart {
    InventoryPart::Facts(Box::new(InventoryFacts {
        os_name: Some("Debian GNU/Linux 12\u{1b}[2J (bookworm)\0".to_owned()),
        processors: Some(8),
        addresses: vec![InventoryAddress {
            interface: "eth0".to_owned(),
            address: "192.0.2.7".to_owned(),
        }],
        users: vec!["ana".to_owned(); 500],
        disks: vec![InventoryDisk {
            path: "/".to_owned(),
            total_bytes: u64::MAX,
            free_bytes: 1_000_000,
        }],
        reboot_pending: Some(true),
        ..InventoryFacts::default()
    }))
}

fn software(packages: &[(&str, &str)]) -> InventoryPart {
    let packages = packages
        .iter()
        .map(|(name, version)| ((*name).to_owned(), (*version).to_owned()))
        .collect();
    InventoryPart::Software(InventorySoftware {
        packages: [("dpkg".to_owned(), packages)].into(),
        left_off: 0,
    })
}

#[tokio::test]
async fn what_an_agent_tells_is_shown_found_and_asked_for_only_when_it_differs() {
    let server = TestServer::start().await;
    let credentials = enrolled_as(&server, "desk").await;
    let mut first = channel(&credentials).await;
    let (desktop, ask) = welcomed(&mut first).await;
    assert_eq!((ask.facts.as_str(), ask.software.as_str()), ("", ""));
    assert!(ask.within_secs > 0);
    let path = format!("/api/v1/{{p}}/desktops/{desktop}/inventory");
    let shown = server.get(&path).await.ok(200);
    assert_eq!(
        shown,
        json!({"desktop_id": desktop, "desktop_name": "desk", "software_left_off": 0,
            "facts": {"addresses": [], "users": [], "users_at_desktop": [], "disks": []}})
    );

    tell(&mut first, "f1", facts()).await;
    tell(
        &mut first,
        "s1",
        software(&[("bash", "5.2"), ("Firefox", "128")]),
    )
    .await;
    let shown = server.get(&path).await.ok(200);
    assert_eq!(
        shown["facts"],
        json!({
            // Nothing that a terminal would follow.
            "os_name": "Debian GNU/Linux 12[2J (bookworm)\u{fffd}", "processors": 8, "reboot_pending": true,
            "addresses": [{"interface": "eth0", "address": "192.0.2.7"}], "users": ["ana"],
            "users_at_desktop": [],
            "disks": [{"path": "/", "total_bytes": i64::MAX, "free_bytes": 1_000_000}],
        })
    );
    assert!(shown["facts_at"].is_string() && shown["software_at"].is_string());
    let listed = server
        .get(&format!(
            "/api/v1/{{p}}/desktops/{desktop}/software?name=fire"
        ))
        .await
        .ok(200);
    assert_eq!(
        listed,
        json!({"count": 1, "items": [{"source": "dpkg", "name": "Firefox", "version": "128"}]})
    );

    // A channel that comes back is told what is there: its agent has nothing to say.
    let mut second = channel(&credentials).await;
    let (_, ask) = welcomed(&mut second).await;
    assert_eq!((ask.facts.as_str(), ask.software.as_str()), ("f1", "s1"));
    tell(&mut second, "s2", software(&[("bash", "5.3")])).await;
    for (query, count) in [
        ("software=firefox", 0),
        ("software=BASH", 1),
        ("software=ba*", 1),
        ("software=*", 1),
        ("software=bas", 0),
        ("software=bash&version=5.3", 1),
        ("software=bash&version=5.2", 0),
        ("os=debian", 1),
        ("os=fedora", 0),
        ("user=ANA", 1),
        ("user=an", 0),
        ("reboot_pending=true", 1),
        ("reboot_pending=false", 0),
        ("disk_free_below=1000001", 1),
        ("disk_free_below=1000000", 0),
        ("software=bash&user=ana&os=12", 1),
    ] {
        let found = server
            .get(&format!("/api/v1/{{p}}/inventory?{query}"))
            .await
            .ok(200);
        assert_eq!(found["count"], count, "{query}");
        assert_eq!(found["items"].as_array().unwrap().len(), count, "{query}");
    }
    let found = server
        .get("/api/v1/{p}/inventory?software=bash")
        .await
        .ok(200);
    let item = &found["items"][0];
    assert_eq!(item["desktop_name"], "desk");
    assert_eq!(
        item["software"],
        json!([{"source": "dpkg", "name": "bash", "version": "5.3"}])
    );
    assert_eq!(
        (&item["disk_free_bytes"], &item["reboot_pending"]),
        (&json!(1_000_000), &json!(true))
    );
    server
        .get("/api/v1/{p}/inventory?version=5.3")
        .await
        .refused(400, "WKS.00211102", "version");
    server
        .get("/api/v1/{p}/inventory?disk_free_below=-1")
        .await
        .refused(400, "WKS.00211102", "disk_free_below");

    // Another project sees none of it.
    let domain = server
        .token_for(json!({"domain": {"name": "outfitter"}}))
        .await;
    let made = server
        .anonymous(Method::POST, "/api/v1/projects")
        .header("x-auth-token", domain)
        .json(&json!({"name": "other"}));
    let other = TestServer::send(made).await.ok(201);
    let other = other["project"]["id"].as_str().unwrap();
    let token = server.token_for(json!({"project": {"id": other}})).await;
    let theirs = async |path: &str| {
        let request = server.anonymous(Method::GET, &path.replace("{p}", other));
        TestServer::send(request.header("x-auth-token", &token)).await
    };
    assert_eq!(
        theirs("/api/v1/{p}/inventory?software=bash").await.ok(200),
        json!({"count": 0, "items": []})
    );
    theirs(&path).await.refused(404, "WKS.00211902", "desktop");

    // With the desktop goes what was told of it.
    server
        .delete(&format!("/api/v1/{{p}}/desktops/{desktop}"))
        .await
        .ok(204);
    server
        .get(&path)
        .await
        .refused(404, "WKS.00211902", "desktop");
    let found = server
        .get("/api/v1/{p}/inventory?software=bash")
        .await
        .ok(200);
    assert_eq!(found["count"], 0);
    server.stop().await;
}

#[tokio::test]
async fn more_than_is_allowed_is_counted_and_left_off() {
    let server = TestServer::start().await;
    let credentials = enrolled_as(&server, "desk").await;
    let mut agent = channel(&credentials).await;
    let (desktop, _) = welcomed(&mut agent).await;
    let packages: Vec<(String, String)> = (0..MAX_INVENTORY_SOFTWARE + 7)
        .map(|number| (format!("package-{number:05}"), "1".to_owned()))
        .collect();
    let part = InventoryPart::Software(InventorySoftware {
        packages: [("dpkg".to_owned(), packages)].into(),
        left_off: 3,
    });
    tell(&mut agent, "many", part).await;
    let shown = server
        .get(&format!("/api/v1/{{p}}/desktops/{desktop}/inventory"))
        .await
        .ok(200);
    assert_eq!(shown["software_left_off"], 10);
    let listed = server
        .get(&format!(
            "/api/v1/{{p}}/desktops/{desktop}/software?offset=3999&limit=10"
        ))
        .await
        .ok(200);
    assert_eq!(listed["count"], MAX_INVENTORY_SOFTWARE);
    assert_eq!(listed["items"][0]["name"], "package-03999");
    // Fewer again: the rest is taken away.
    tell(&mut agent, "few", software(&[("package-00001", "1")])).await;
    let found = server
        .get("/api/v1/{p}/inventory?software=package-0*")
        .await
        .ok(200);
    assert_eq!(
        found["items"][0]["software"],
        json!([{"source": "dpkg", "name": "package-00001", "version": "1"}])
    );
    server.stop().await;
}

/// Tells who sits at the desktop.
async fn sits(channel: &mut WebSocketChannel, digest: &str, accounts: &[&str]) {
    let facts = InventoryFacts {
        at_desktop: accounts.iter().map(|name| (*name).to_owned()).collect(),
        ..InventoryFacts::default()
    };
    tell(channel, digest, InventoryPart::Facts(Box::new(facts))).await;
}

/// The users of the only desktop.
async fn users_of(server: &TestServer) -> Vec<String> {
    let listed = server.get("/api/v1/{p}/desktops").await.ok(200);
    listed["items"][0]["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["account"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn whoever_logs_in_becomes_the_user_of_a_desktop_without_one_where_the_project_wants_it() {
    const SETTING: &str = "/api/v1/{p}/logged-in-users";
    let server = TestServer::start().await;
    let credentials = enrolled_as(&server, "desk").await;
    let mut channel = channel(&credentials).await;
    let (desktop, _) = welcomed(&mut channel).await;
    assert_eq!(server.get(SETTING).await.ok(200), json!({"mode": "ignore"}));
    sits(&mut channel, "1", &["ana"]).await;
    assert!(users_of(&server).await.is_empty());

    server.put(SETTING, json!({"mode": "known"})).await.ok(200);
    // She was there before; and nobody knows her, nor whoever comes of two.
    sits(&mut channel, "2", &["ana"]).await;
    sits(&mut channel, "3", &[]).await;
    sits(&mut channel, "4", &["ana"]).await;
    sits(&mut channel, "5", &["ana", "bo"]).await;
    assert!(users_of(&server).await.is_empty());
    server
        .post(
            "/v2/{p}/users",
            json!({"user_name": "Ana", "user_email": "ana@example.org"}),
        )
        .await
        .ok(201);
    sits(&mut channel, "6", &[]).await;
    sits(&mut channel, "7", &["ana"]).await;
    assert_eq!(users_of(&server).await, ["Ana"]);

    // Nobody takes it from her.
    server.put(SETTING, json!({"mode": "any"})).await.ok(200);
    sits(&mut channel, "8", &["bo"]).await;
    assert_eq!(users_of(&server).await, ["Ana"]);
    server
        .post(
            "/v2/{p}/desktops/batch-detach",
            json!({"desktops": [{"desktop_id": desktop, "is_detach_all_users": true}]}),
        )
        .await
        .ok(200);
    sits(&mut channel, "9", &["bo"]).await;
    assert!(users_of(&server).await.is_empty(), "he was there before");
    sits(&mut channel, "10", &["root"]).await;
    assert!(users_of(&server).await.is_empty());
    sits(&mut channel, "11", &["cem"]).await;
    assert_eq!(users_of(&server).await, ["cem"]);

    let audit = server.get("/api/v1/{p}/audit?limit=100").await.ok(200);
    let done: Vec<_> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["operation"] == "AttachLoggedInUser")
        .collect();
    assert_eq!(done.len(), 2, "{done:?}");
    assert!(done[0].to_string().contains("cem"), "{}", done[0]);
    server.stop().await;
}
