//! `kill -9` at every step of uploads and collections: a child process lives through [`story`] and kills itself at
//! its n-th step, for each n, over one database and one folder. Steps are the statements that the database logs and
//! what the bucket says about its own at trace level. After each kill the next start must find every object that was
//! acknowledged, with its bytes, and its collection must leave nothing else.

#![expect(
    clippy::print_stdout,
    reason = "the child tells what it was promised, the parent how often it killed"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outfitter_artifacts::{PackageStore, Sha256Digest};
use outfitter_bucket::{CollectMode, CollectionReport, Objects, Retention};
use outfitter_domain::{Clock as _, Millis, SystemClock};
use outfitter_ids::ProjectId;
use outfitter_store::{PackageKey, PackageState, ProjectKey, Store, StoreOptions};
use outfitter_test_support::store::{empty_postgres, execute, id};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::{Client, TestClock};

/// The test that is the child when its environment says so.
const CHILD: &str = "kills::a_kill_at_any_step_loses_nothing_and_leaves_nothing_on_sqlite";
/// What the child is told.
const FOLDER: &str = "KILLS_FOLDER";
const DATABASE: &str = "KILLS_DATABASE";
const PROJECT: &str = "KILLS_PROJECT";
const KILL_AT: &str = "KILLS_AT";
const NOW: &str = "KILLS_NOW";

/// Longer than every period of [`Retention::STANDARD`].
const LONG: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Where a database and a folder are, for parent and child alike.
#[derive(Clone)]
struct Place {
    folder: PathBuf,
    database: String,
    project: ProjectId,
}

impl Place {
    fn options(&self) -> StoreOptions {
        if self.database.starts_with("postgres") {
            StoreOptions::Postgres {
                url: self.database.clone(),
            }
        } else {
            StoreOptions::Sqlite {
                path: PathBuf::from(&self.database),
            }
        }
    }

    /// What a server has after its start.
    async fn open(&self, now: Millis) -> Server {
        let store = Store::open(&self.options()).await.unwrap();
        let packages = PackageStore::open_local(&self.folder).await.unwrap();
        let clock = Arc::new(TestClock::default());
        clock.set(now);
        let objects = Arc::new(Objects::new(
            store.clone(),
            packages.clone(),
            clock.clone(),
            Retention::STANDARD,
        ));
        Server {
            store,
            packages,
            clock,
            objects,
        }
    }

    fn address(&self) -> String {
        if self.database.starts_with("postgres") {
            self.database.clone()
        } else {
            format!("sqlite://{}?mode=rw", self.database)
        }
    }

    async fn sql(&self, sql: &str) {
        execute(&self.address(), sql).await;
    }
}

struct Server {
    store: Store,
    packages: PackageStore,
    clock: Arc<TestClock>,
    objects: Arc<Objects>,
}

impl Server {
    /// Collects, once the database has noticed that a killed process does so no more.
    async fn collect(&self) -> CollectionReport {
        tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                let report = self.objects.collect(CollectMode::Remove).await.unwrap();
                if !report.busy {
                    return report;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .unwrap()
    }
}

/// Everything that puts or removes bytes, once. What was acknowledged is printed.
async fn story(place: &Place, server: &Server, tag: &str) {
    let client = Client::new(
        Arc::clone(&server.objects),
        Arc::clone(&server.clock),
        place.project,
    );
    let body = |what: &str| format!("{what} of {tag}").into_bytes();
    let whole = format!("app-file/whole-{tag}");
    client.ok("PUT", &whole, "", body("whole")).await;
    println!("has {whole}");
    // The same bytes under another key, and other bytes under the same.
    client
        .ok("PUT", &format!("{whole}-copy"), "", body("whole"))
        .await;
    println!("has {whole}-copy");
    client.ok("PUT", &whole, "", body("replaced")).await;

    let parts = format!("app-file/parts-{tag}");
    let begun = client.ok("POST", &parts, "?uploads", Vec::new()).await;
    let (_, rest) = begun.split_once("<UploadId>").unwrap();
    let (upload, _) = rest.split_once("</UploadId>").unwrap();
    let part = format!("?partNumber=1&uploadId={upload}");
    client
        .ok("PUT", &parts, &part, body("a part that comes again"))
        .await;
    let etag = client.put_part(&parts, &part, body("part")).await;
    let complete = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    client
        .ok(
            "POST",
            &parts,
            &format!("?uploadId={upload}"),
            complete.into_bytes(),
        )
        .await;
    println!("has {parts}");

    let abandoned = format!("app-file/abandoned-{tag}");
    let begun = client.ok("POST", &abandoned, "?uploads", Vec::new()).await;
    let (_, rest) = begun.split_once("<UploadId>").unwrap();
    let (upload, _) = rest.split_once("</UploadId>").unwrap();
    let part = format!("?partNumber=1&uploadId={upload}");
    client
        .ok("PUT", &abandoned, &part, body("abandoned part"))
        .await;

    println!("gone {whole}");
    place
        .sql(&format!(
            "DELETE FROM bucket_object WHERE object_key = '{whole}'"
        ))
        .await;
    let stray = futures_util::stream::iter([Ok::<_, std::io::Error>(body("stray").into())]);
    server.packages.put(stray, 1000).await.unwrap();
    server.collect().await;
    server.clock.turn(LONG);
    let collected = server.collect().await;
    // An upload, the bytes that replaced others, the stray (at once: the clock is ahead of the disk's).
    assert!(collected.due.count >= 2, "{collected:?}");
    // What was collected comes back.
    client.ok("PUT", &whole, "", body("replaced")).await;
    println!("has {whole}");
}

/// Kills the process at a step.
struct Killer {
    at: u64,
    steps: AtomicU64,
}

impl<S: tracing_subscriber::registry::LookupSpan<'static> + tracing::Subscriber> Layer<S>
    for Killer
{
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let is_step =
            metadata.target() == "sqlx::query" || metadata.fields().field("step").is_some();
        if is_step && self.steps.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL)
                .unwrap();
        }
    }
}

/// What the child process does: the test of [`CHILD`] again, told so by its environment.
async fn child() {
    let given = |name: &str| std::env::var(name).unwrap();
    let place = Place {
        folder: given(FOLDER).into(),
        database: given(DATABASE),
        project: ProjectId::lookup(&given(PROJECT)).unwrap(),
    };
    let at = given(KILL_AT);
    let server = place.open(Millis::new(given(NOW).parse().unwrap())).await;
    let killer = Killer {
        at: at.parse().unwrap(),
        steps: AtomicU64::new(0),
    };
    let levels = tracing_subscriber::EnvFilter::new("sqlx=debug,outfitter_bucket=trace");
    tracing::subscriber::set_global_default(
        tracing_subscriber::registry().with(killer.with_filter(levels)),
    )
    .unwrap();
    story(&place, &server, &at).await;
}

/// Runs the child; answers how it ended and what it printed.
async fn run_child(place: &Place, at: u64, now: Millis) -> (ExitStatus, String) {
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture"])
        .env(FOLDER, &place.folder)
        .env(DATABASE, &place.database)
        .env(PROJECT, place.project.to_string())
        .env(KILL_AT, at.to_string())
        .env(NOW, now.get().to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await
        .unwrap();
    (
        output.status,
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

async fn assert_sound(server: &Server, folder: &Path, expected: &BTreeMap<String, bool>, at: u64) {
    for (key, must) in expected {
        let object = server
            .store
            .db()
            .object_find(ProjectKey::new(1), key)
            .await
            .unwrap();
        assert!(
            object.is_some() || !must,
            "kill {at}: {key} was acknowledged"
        );
        if let Some(object) = object {
            let digest: Sha256Digest = object.sha256.parse().unwrap();
            assert_eq!(object.state, PackageState::Ready, "kill {at}: {key}");
            assert!(
                server.packages.exists(&digest).await.unwrap(),
                "kill {at}: {key} has no bytes"
            );
        }
    }
    let states = server
        .store
        .db()
        .package_states(PackageKey::new(0), 100_000)
        .await
        .unwrap();
    let mut recorded: Vec<String> = states
        .into_iter()
        .map(|(_, sha256, state)| {
            assert_eq!(state, PackageState::Ready, "kill {at}: {sha256}");
            sha256
        })
        .collect();
    let mut there: Vec<String> = server
        .packages
        .packages()
        .await
        .unwrap()
        .into_iter()
        .map(|file| file.sha256.to_string())
        .collect();
    recorded.sort();
    there.sort();
    assert_eq!(recorded, there, "kill {at}: database and folder differ");
    assert!(
        server.packages.parts().await.unwrap().is_empty(),
        "kill {at}"
    );
    let incoming = std::fs::read_dir(folder)
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with('.')
        })
        .count();
    assert_eq!(incoming, 0, "kill {at}: unfinished bytes are left");
}

/// Kills at every `stride`-th step until the story comes to its end.
async fn kill_at_every_step(place: &Place, stride: usize) {
    let start = SystemClock.now();
    let now = start.plus(LONG);
    place.open(now).await.store.close().await;
    let id = if place.database.starts_with("postgres") {
        format!("'{}'", place.project.uuid())
    } else {
        format!("x'{}'", place.project.uuid().simple())
    };
    place
        .sql(&format!(
            "INSERT INTO domain (id, public_id, name, name_folded, created_at) VALUES (1, {id}, 'd', 'd', 0)"
        ))
        .await;
    place
        .sql(&format!(
            "INSERT INTO project (id, public_id, domain_id, name, bucket_authorized, created_at) \
             VALUES (1, {id}, 1, 'p', 1, 0)"
        ))
        .await;
    let mut now = now;
    let mut expected: BTreeMap<String, bool> = BTreeMap::new();
    for at in (1..).step_by(stride) {
        let (status, printed) = run_child(place, at, now).await;
        for line in printed.lines() {
            match line.split_once(' ') {
                Some(("has", key)) => drop(expected.insert(key.to_owned(), true)),
                Some(("gone", key)) => drop(expected.insert(key.to_owned(), false)),
                _ => {}
            }
        }
        now = now.plus(LONG * 3);
        let server = place.open(now).await;
        server.collect().await;
        server.clock.turn(LONG);
        let last = server.collect().await;
        assert_eq!(last.missing, Vec::<String>::new(), "kill {at}");
        assert_sound(&server, &place.folder, &expected, at).await;
        server.store.close().await;
        if status.success() {
            println!("{} kills", (at - 1) / u64::try_from(stride).unwrap());
            assert!(at > 60, "the story has more steps than {at}");
            return;
        }
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(9), "kill {at}: {printed}");
    }
}

#[tokio::test]
async fn a_kill_at_any_step_loses_nothing_and_leaves_nothing_on_sqlite() {
    if std::env::var_os(KILL_AT).is_some() {
        return child().await;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = Place {
        folder: folder.path().join("packages"),
        database: folder.path().join("store.db").display().to_string(),
        project: ProjectId::new(id()),
    };
    kill_at_every_step(&place, stride(4)).await;
}

#[tokio::test]
async fn a_kill_at_any_step_loses_nothing_and_leaves_nothing_on_postgres() {
    let folder = tempfile::tempdir().unwrap();
    let database = empty_postgres().await;
    let place = Place {
        folder: folder.path().join("packages"),
        database: database.url().to_owned(),
        project: ProjectId::new(id()),
    };
    kill_at_every_step(&place, stride(9)).await;
}

/// Every step in the full size; a sample in the small one, which begins and ends alike.
fn stride(small: usize) -> usize {
    if std::env::var("OUTFITTER_PROOF_SIZE").is_ok_and(|size| size == "full") {
        1
    } else {
        small
    }
}
