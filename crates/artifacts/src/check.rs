//! Proves a store end to end: writes, reads by range, digests, fetches as a desktop does, in parts too, and removes what it
//! wrote. Where it is broken off, what it wrote goes with the next collection: nothing needs it.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use outfitter_ids::IdSource;
use serde::Serialize;
use tokio::io::AsyncReadExt as _;

use crate::{
    DirectUploads, MIN_CREDENTIAL_LIFE, PackageCondition, PackageStore, Scrutiny, Sha256Digest,
};

/// Size of the large probe: more than one part of an upload in parts, and no whole number of them.
const LARGE_BYTES: usize = 9 * 1024 * 1024 + 13;

/// Where uploads past the server are tried: named like a project's bucket, so that what is allowed for those is allowed here.
const CHECK_BUCKET: &str = "wks-appcenter-store-check";

/// Longest times for a connection to the store and for a pause in its answer, as a desktop waits.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
const READ_LIMIT: Duration = Duration::from_secs(60);

/// Longest time for one step.
const PATIENCE: Duration = Duration::from_secs(120);

/// One step of a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofStep {
    /// What was tried, in a few words.
    pub step: &'static str,
    /// Whether it went well.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
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

/// Proves a store, step by step, as far as it makes sense: where it does not answer, nothing more is tried. `ids` names what
/// is written, so that no other package has the same bytes.
pub async fn prove(store: &PackageStore, ids: &dyn IdSource) -> Vec<ProofStep> {
    let mut proof = Proof {
        store: store.clone(),
        steps: Vec::new(),
    };
    proof.run(ids).await;
    proof.steps
}

struct Proof {
    store: PackageStore,
    steps: Vec<ProofStep>,
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
            let answer = client(address.ca_pem.as_deref())?
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
        self.steps.push(ProofStep { step, ok, detail });
        ok
    }
}

/// As a desktop would ask.
fn client(ca_pem: Option<&str>) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_LIMIT)
        .read_timeout(READ_LIMIT);
    if let Some(pem) = ca_pem {
        let roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(words)?;
        builder = builder.tls_certs_merge(roots);
    }
    builder.build().map_err(words)
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

fn words(error: impl Error) -> String {
    with_causes(&error)
}

/// An error with its causes, each said once.
pub fn with_causes(error: &dyn Error) -> String {
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
