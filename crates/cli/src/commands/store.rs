use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use outfitter_artifacts::{
    DirectUploads, MIN_CREDENTIAL_LIFE, PackageCondition, PackageFile, PackageStore, Scrutiny,
    Sha256Digest,
};
use outfitter_ids::{IdSource, SystemIds};
use outfitter_server::config::{Config, PackagePlace};
use serde::Serialize;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::Session;
use crate::args::store::{StoreCheckArgs, StoreCommand, StoreImportArgs};
use crate::outcome::{CommandError, Outcome};
use crate::printer::{Printer, Shade};

/// Size of the large probe: more than one part of an upload in parts, and no whole number of them.
const LARGE_BYTES: usize = 9 * 1024 * 1024 + 13;

/// Where uploads past the server are tried: named like a project's bucket, so that what is allowed for those is allowed here.
const CHECK_BUCKET: &str = "wks-appcenter-store-check";

/// Longest time for one step.
const PATIENCE: Duration = Duration::from_secs(120);

/// One step of the proof.
#[derive(Debug, Serialize)]
struct Step {
    step: &'static str,
    ok: bool,
    detail: String,
}

pub(super) async fn run(
    command: StoreCommand,
    printer: Printer,
    session: impl FnOnce() -> Result<Session, CommandError>,
) -> Result<Outcome, CommandError> {
    match command {
        StoreCommand::Check(args) => check(args, printer).await,
        StoreCommand::Import(args) => import(args, printer).await,
        StoreCommand::Collect(args) => super::store_collect::run(args, &session()?).await,
    }
}

async fn open(config: &Config) -> Result<PackageStore, CommandError> {
    match &config.packages {
        // A server may be using the folder: what it is writing stays.
        PackagePlace::Folder => Ok(PackageStore::join_local(config.data_dir.join("packages"))),
        place @ PackagePlace::Object(_) => place
            .open(&config.data_dir, Arc::new(SystemIds))
            .await
            .map_err(|error| CommandError::because("cannot open the package store", error)),
    }
}

/// A package of a folder, and what became of it.
#[derive(Debug, Serialize)]
struct Imported {
    sha256: String,
    size_bytes: u64,
    ok: bool,
    detail: String,
}

async fn import(args: StoreImportArgs, printer: Printer) -> Result<Outcome, CommandError> {
    let config = args.options.resolve()?;
    let store = open(&config).await?;
    store
        .ping()
        .await
        .map_err(|error| CommandError::because("the package store cannot be used", error))?;
    let folder = PackageStore::join_local(&args.folder);
    folder
        .ping()
        .await
        .map_err(|error| CommandError::file("use", &args.folder, error))?;
    let packages = folder
        .packages()
        .await
        .map_err(|error| CommandError::file("list", &args.folder, error))?;
    let mut imported = Vec::with_capacity(packages.len());
    for package in packages {
        let told = copy(&folder, &store, &package).await;
        let ok = told.is_ok();
        let (Ok(detail) | Err(detail)) = told;
        imported.push(Imported {
            sha256: package.sha256.to_string(),
            size_bytes: package.size_bytes,
            ok,
            detail,
        });
    }
    printer.show(&imported, || {
        super::table(
            &["package", "bytes", "result", "detail"],
            imported
                .iter()
                .map(|package| {
                    vec![
                        package.sha256.clone().into(),
                        package.size_bytes.to_string().into(),
                        if package.ok {
                            Shade::Good("well".to_owned())
                        } else {
                            Shade::Bad("wrong".to_owned())
                        },
                        package.detail.clone().into(),
                    ]
                })
                .collect(),
            "the folder holds no packages",
        )
    });
    let good = imported.iter().filter(|package| package.ok).count();
    Ok(Outcome::of_counts(good, imported.len()))
}

/// Copies one package; what is not what its name says does not get in.
async fn copy(from: &PackageStore, to: &PackageStore, package: &PackageFile) -> Told {
    let there = to
        .condition(&package.sha256, package.size_bytes, Scrutiny::Size)
        .await;
    if there.map_err(words)? == PackageCondition::Intact {
        return Ok("was there already".to_owned());
    }
    let bytes = from
        .open_range(&package.sha256, 0..u64::MAX)
        .await
        .map_err(words)?;
    let staged = to
        .stage(ReaderStream::new(bytes), package.size_bytes)
        .await
        .map_err(words)?;
    if staged.sha256 != package.sha256 {
        return Err("its bytes are others than its name says: it stays out".to_owned());
    }
    staged.place().await.map_err(words)?;
    Ok("is copied".to_owned())
}

async fn check(args: StoreCheckArgs, printer: Printer) -> Result<Outcome, CommandError> {
    let config = args.options.resolve()?;
    let ids = SystemIds;
    let store = open(&config).await?;
    let ca_pem = match &config.packages {
        PackagePlace::Folder => None,
        PackagePlace::Object(place) => place.ca.as_deref(),
    };
    let client = client(ca_pem)?;
    let mut proof = Proof {
        store,
        client,
        steps: Vec::new(),
    };
    proof.run(&ids).await;
    let steps = proof.steps;
    printer.show(&steps, || {
        super::table(
            &["step", "result", "detail"],
            steps
                .iter()
                .map(|step| {
                    vec![
                        step.step.into(),
                        if step.ok {
                            Shade::Good("well".to_owned())
                        } else {
                            Shade::Bad("wrong".to_owned())
                        },
                        step.detail.clone().into(),
                    ]
                })
                .collect(),
            "nothing was tried",
        )
    });
    Ok(if steps.iter().all(|step| step.ok) {
        Outcome::Done
    } else {
        Outcome::Failed
    })
}

/// As a desktop would ask.
fn client(ca: Option<&std::path::Path>) -> Result<reqwest::Client, CommandError> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(15))
        .read_timeout(Duration::from_secs(60));
    if let Some(path) = ca {
        let pem = std::fs::read(path).map_err(|error| CommandError::file("read", path, error))?;
        let roots = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|error| CommandError::file("use", path, error))?;
        builder = builder.tls_certs_merge(roots);
    }
    builder
        .build()
        .map_err(|error| CommandError::because("cannot make an HTTP client", error))
}

/// A credential for one object puts that one and no other.
async fn past_the_server(direct: &DirectUploads, tag: &str) -> Told {
    let (own, other) = (format!("app-file/{tag}"), format!("app-file/{tag}-other"));
    direct.make_bucket(CHECK_BUCKET).await.map_err(words)?;
    let credential = direct
        .credential(CHECK_BUCKET, &own, MIN_CREDENTIAL_LIFE)
        .await
        .map_err(words)?;
    let put = async |key| {
        let bytes = Bytes::copy_from_slice(tag.as_bytes());
        direct
            .put_as_uploader(&credential, CHECK_BUCKET, key, bytes)
            .await
            .map_err(words)
    };
    let (own_put, other_put) = (put(&own).await, put(&other).await);
    let seen = direct.look(CHECK_BUCKET, &own).await.map_err(words);
    for key in [&own, &other] {
        direct.remove(CHECK_BUCKET, key).await.map_err(words)?;
    }
    match (own_put?, other_put?, seen?) {
        (false, _, _) => {
            Err("the credential may not put its own object: look at the role's policy".to_owned())
        }
        (_, true, _) => Err(
            "the credential puts other objects too: the store does not judge by session policies"
                .to_owned(),
        ),
        (_, _, None) => Err("what was put is not there".to_owned()),
        (true, false, Some(_)) => Ok("a credential puts its own object and no other".to_owned()),
    }
}

struct Proof {
    store: PackageStore,
    client: reqwest::Client,
    steps: Vec<Step>,
}

type Told = Result<String, String>;

impl Proof {
    /// Goes as far as it makes sense, and takes away what it wrote.
    async fn run(&mut self, ids: &dyn IdSource) {
        let store = self.store.clone();
        let name = store.description();
        let reached = self
            .step("reach", async {
                store.ping().await.map_err(words)?;
                Ok(format!("{name} answers"))
            })
            .await;
        if !reached {
            return;
        }
        let tag = ids.uuid(0).to_string();
        if let Some(direct) = store.direct_uploads() {
            self.step("upload past the server", past_the_server(direct, &tag))
                .await;
        }
        for (step, content) in [
            ("small package", small(&tag)),
            ("package in parts", large(&tag)),
        ] {
            let sha256 = Sha256Digest::of(&content);
            let wrote = self
                .step(step, async {
                    put(&store, &content).await?;
                    Ok(format!("{} bytes are written", content.len()))
                })
                .await;
            if wrote {
                self.look(&sha256, &content).await;
            }
            self.step("remove", async {
                // After a failure too: an answer that was lost may have been a success.
                store.remove(&sha256).await.map_err(words)?;
                match store.exists(&sha256).await.map_err(words)? {
                    false => Ok("nothing is left of it".to_owned()),
                    true => Err("it is still there".to_owned()),
                }
            })
            .await;
        }
    }

    async fn look(&mut self, sha256: &Sha256Digest, content: &[u8]) {
        let store = self.store.clone();
        let client = self.client.clone();
        let (from, to) = (content.len() / 2, content.len() / 2 + 10);
        self.step("read a range", async {
            let range = from as u64..to as u64;
            let mut reader = store.open_range(sha256, range).await.map_err(words)?;
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).await.map_err(words)?;
            same(&bytes, &content[from..to])?;
            Ok(format!("bytes {from} to {to} are what was written"))
        })
        .await;
        self.step("read and digest all", async {
            let size = content.len() as u64;
            let condition = store.condition(sha256, size, Scrutiny::Digest).await;
            match condition.map_err(words)? {
                PackageCondition::Intact => Ok("the digest is right".to_owned()),
                PackageCondition::Missing => Err("it is not there".to_owned()),
                PackageCondition::Altered => Err("the digest is another".to_owned()),
            }
        })
        .await;
        self.step("fetch as a desktop", async {
            let Some(address) = store.download_address(sha256).await.map_err(words)? else {
                return Ok("desktops get packages through the server: nothing to sign".to_owned());
            };
            let range = format!("bytes={from}-{}", to - 1);
            let answer = client
                .get(&address.url)
                .header("range", range)
                .send()
                .await
                .map_err(|error| words(error.without_url()))?;
            let status = answer.status();
            let host = answer.url().host_str().unwrap_or_default().to_owned();
            if status.as_u16() != 206 {
                return Err(format!("{host} answered {status} instead of 206"));
            }
            let bytes = answer
                .bytes()
                .await
                .map_err(|error| words(error.without_url()))?;
            same(&bytes, &content[from..to])?;
            Ok(format!(
                "{host} gave the range at a signed address that holds {} s",
                address.life.as_secs()
            ))
        })
        .await;
    }

    async fn step(&mut self, step: &'static str, work: impl Future<Output = Told>) -> bool {
        let told = tokio::time::timeout(PATIENCE, work)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
        let ok = told.is_ok();
        let (Ok(detail) | Err(detail)) = told;
        self.steps.push(Step { step, ok, detail });
        ok
    }
}

async fn put(store: &PackageStore, content: &[u8]) -> Result<(), String> {
    let chunks: Vec<Result<Bytes, std::convert::Infallible>> = content
        .chunks(64 * 1024)
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    let stored = store
        .put(stream::iter(chunks), content.len() as u64)
        .await
        .map_err(words)?;
    if stored.sha256 == Sha256Digest::of(content) {
        Ok(())
    } else {
        Err("what was written has another digest".to_owned())
    }
}

/// Content that no other package has.
fn small(tag: &str) -> Vec<u8> {
    format!("outfitter store check {tag}\n").into_bytes()
}

fn large(tag: &str) -> Vec<u8> {
    let line = format!("outfitter store check {tag} in parts\n");
    line.bytes().cycle().take(LARGE_BYTES).collect()
}

fn same(found: &[u8], wanted: &[u8]) -> Result<(), String> {
    if found == wanted {
        Ok(())
    } else {
        Err(format!(
            "{} bytes came, and they are others than were written",
            found.len()
        ))
    }
}

fn words(error: impl std::error::Error) -> String {
    with_causes(&error)
}

/// An error with its causes, each said once.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    text
}
