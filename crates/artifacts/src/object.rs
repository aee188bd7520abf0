//! Packages in an S3-compatible store.
//!
//! Bytes go under an opaque name as they come, before their digest is known, and are never copied or renamed: an
//! object store has no atomic rename, and its copy ends at 5 GB. What makes them a package is a small pointer, written
//! in one request, at the name of the digest.
//!
//! | key below the prefix | what |
//! | --- | --- |
//! | `objects/{uuid}` | bytes, written once |
//! | `sha256/{digest}` | pointer of a package to its bytes, with their size and the store's tag |
//! | `parts/{uuid}` | pointer of a part of an unfinished upload to its bytes |
//! | `staging/{uuid}` | note of a multipart upload that is not completed; goes with it |
//!
//! A crash leaves bytes that no pointer names and multipart uploads whose notes stay: [`ObjectFolder::sweep`] takes both.
//! Several processes share a store; what one writes the others see at once, as S3 promises since 2020.

use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredentialProvider};
use object_store::client::Certificate;
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::signer::Signer as _;
use object_store::{
    ClientOptions, GetOptions, ObjectMeta, ObjectStore as _, ObjectStoreExt as _, PutPayload,
    RetryConfig,
};
use outfitter_ids::IdSource;
use outfitter_packages::{Digester, FileDigest, Sha256Digest};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;
use tokio_util::io::StreamReader;
use uuid::Uuid;

use crate::credentials::{Credentials, ObjectCredentials, of_the_machine};
use crate::direct::DirectUploads;
use crate::{
    DownloadAddress, PackageCondition, PackageFile, PackageReader, PackageStoreError, PutError,
    StrayPart, Swept,
};

/// Bytes of a part of a multipart upload, the last excepted. 10,000 parts, the most there may be, are 78 GiB then; one
/// size for all because some stores want that (Cloudflare R2). Source: S3, "Multipart upload limits".
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Parts of one upload that are on their way to the store while the next is gathered.
const PARTS_UNDER_WAY: usize = 1;

/// Uploads into the store at once; the others wait unread. Together with the two constants above it bounds memory:
/// at most 16 MiB an upload.
const UPLOADS_AT_ONCE: usize = 16;

/// Bytes fetched at once by whoever looks into a package.
const WINDOW_BYTES: u64 = 256 * 1024;

/// Largest pointer or note that is read, in bytes.
const POINTER_LIMIT_BYTES: u64 = 4096;

/// Requests at once while many pointers are read.
const LOOK_UPS_AT_ONCE: usize = 16;

/// Longest silence of the store within one answer. Servers that put parts together by copying say nothing meanwhile.
const SILENCE: Duration = Duration::from_secs(120);

/// Longest time in which a request is tried again.
const RETRY_LIMIT: Duration = Duration::from_secs(60);

/// Longest life of an address that is signed in advance. Source: S3, Signature Version 4.
pub const MAX_ADDRESS_SECS: u32 = 7 * 24 * 60 * 60;

/// Where an S3-compatible store is and how it is used.
#[derive(Debug, Clone)]
pub struct ObjectStoreOptions {
    /// The bucket, which must exist.
    pub bucket: String,
    /// Prefix of every key, without slashes at its ends; may be empty.
    pub prefix: String,
    /// `http://` or `https://` address; `None` for AWS.
    pub endpoint: Option<String>,
    /// Region that requests are signed for.
    pub region: String,
    /// How buckets are addressed.
    pub style: AddressStyle,
    /// Who asks.
    pub credentials: ObjectCredentials,
    /// Certificates to trust beside the system's, PEM.
    pub ca_pem: Option<String>,
    /// How desktops get packages.
    pub downloads: Downloads,
    /// How uploaders bring them.
    pub uploads: Uploads,
}

/// How uploaders bring packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uploads {
    /// Through the server's bucket listener.
    Gateway,
    /// Into the store itself (`docs/adr/0022`).
    Direct {
        /// ARN of the role whose credentials uploaders get.
        role: String,
        /// Where the store's STS answers.
        sts: String,
        /// Where uploaders reach the store.
        endpoint: String,
    },
}

/// How a request names the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressStyle {
    /// In the path.
    Path,
    /// In the host name.
    VirtualHost,
}

/// How desktops get packages out of an object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Downloads {
    /// From the store, at an address that is signed in advance.
    Presigned {
        /// How desktops reach the store, where that differs from the endpoint.
        endpoint: Option<String>,
        /// How long an address holds.
        life: Duration,
    },
    /// Through the server's agent listener.
    Relayed,
}

/// An S3-compatible store that is shared by processes.
#[derive(Clone)]
pub(crate) struct ObjectFolder {
    shared: Arc<Shared>,
}

struct Shared {
    store: AmazonS3,
    /// Signs addresses for desktops, and how long they hold.
    signer: Option<(AmazonS3, Duration)>,
    ca_pem: Option<String>,
    prefix: String,
    description: String,
    ids: Arc<dyn IdSource>,
    uploads: Semaphore,
    direct: Option<DirectUploads>,
}

/// What lies at the name of a package or part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pointer {
    object: Uuid,
    size_bytes: u64,
    /// The store's tag of the bytes when they came.
    tag: Option<String>,
}

/// What is kept of a multipart upload until it is completed.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    upload: String,
}

/// Bytes in the store that are no package yet; they go when this is dropped.
#[derive(Debug)]
pub(crate) struct StagedObject {
    folder: ObjectFolder,
    pointer: Pointer,
    keeps: bool,
}

/// What clients of the store are made from.
#[derive(Clone, Copy)]
pub(crate) struct StorePlace<'a> {
    pub(crate) options: &'a ObjectStoreOptions,
    pub(crate) certificates: &'a [Certificate],
    /// `None`: what the machine gives.
    pub(crate) credentials: Option<&'a AwsCredentialProvider>,
}

impl StorePlace<'_> {
    /// How HTTP is spoken to an address; `None`: to AWS.
    pub(crate) fn http(&self, endpoint: Option<&str>) -> ClientOptions {
        self.certificates
            .iter()
            .cloned()
            .fold(ClientOptions::new(), ClientOptions::with_root_certificate)
            // A large package takes as long as it takes; a store that falls silent does not get that long.
            .with_timeout_disabled()
            .with_read_timeout(SILENCE)
            .with_allow_http(endpoint.is_some_and(|address| address.starts_with("http://")))
    }

    /// What every client of a bucket is made from.
    pub(crate) fn builder(&self, bucket: &str, endpoint: Option<&str>) -> AmazonS3Builder {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&self.options.region)
            .with_virtual_hosted_style_request(self.options.style == AddressStyle::VirtualHost)
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig {
                max_retries: 4,
                retry_timeout: RETRY_LIMIT,
                ..RetryConfig::default()
            })
            .with_client_options(self.http(endpoint));
        builder = match self.credentials {
            Some(credentials) => builder.with_credentials(Arc::clone(credentials)),
            None => of_the_machine(builder),
        };
        if let Some(endpoint) = endpoint {
            let address = match self.options.style {
                AddressStyle::Path => endpoint.trim_end_matches('/').to_owned(),
                AddressStyle::VirtualHost => with_bucket_host(endpoint, bucket),
            };
            builder = builder.with_endpoint(address);
        }
        builder
    }

    fn client(&self, bucket: &str, endpoint: Option<&str>) -> object_store::Result<AmazonS3> {
        self.builder(bucket, endpoint).build()
    }
}

impl fmt::Debug for ObjectFolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("ObjectFolder")
            .field(&self.shared.description)
            .finish()
    }
}

impl ObjectFolder {
    pub(crate) fn open(
        options: ObjectStoreOptions,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, PackageStoreError> {
        let description = format!("s3://{}/{}", options.bucket, options.prefix);
        let failed = |source: object_store::Error| PackageStoreError::Remote {
            action: "open",
            object: description.clone(),
            source: source.into(),
        };
        Path::parse(&options.prefix).map_err(|error| failed(error.into()))?;
        let certificates = match &options.ca_pem {
            None => Vec::new(),
            Some(pem) => Certificate::from_pem_bundle(pem.as_bytes()).map_err(failed)?,
        };
        let given = match &options.credentials {
            ObjectCredentials::Machine => None,
            given @ (ObjectCredentials::Given(_) | ObjectCredentials::File(_)) => {
                Some(Arc::new(Credentials::new(given.clone())) as AwsCredentialProvider)
            }
        };
        let endpoint = options.endpoint.as_deref();
        let place = StorePlace {
            options: &options,
            certificates: &certificates,
            credentials: given.as_ref(),
        };
        let store = place.client(&options.bucket, endpoint).map_err(failed)?;
        // What the machine gives is asked for once and kept for all.
        let credentials = Arc::clone(store.credentials());
        let place = StorePlace {
            credentials: Some(&credentials),
            ..place
        };
        let signer = match &options.downloads {
            Downloads::Relayed => None,
            Downloads::Presigned {
                endpoint: public,
                life,
            } => {
                let endpoint = public.as_deref().or(endpoint);
                let signer = place.client(&options.bucket, endpoint).map_err(failed)?;
                Some((signer, *life))
            }
        };
        let direct = DirectUploads::open(&place).map_err(failed)?;
        Ok(Self {
            shared: Arc::new(Shared {
                store,
                signer,
                ca_pem: options.ca_pem,
                prefix: options.prefix,
                description,
                ids,
                uploads: Semaphore::new(UPLOADS_AT_ONCE),
                direct,
            }),
        })
    }

    pub(crate) fn direct_uploads(&self) -> Option<&DirectUploads> {
        self.shared.direct.as_ref()
    }

    pub(crate) fn description(&self) -> &str {
        &self.shared.description
    }

    fn store(&self) -> &AmazonS3 {
        &self.shared.store
    }

    /// A key of ours. Its parts need no escaping.
    fn key(&self, kind: &str, name: &str) -> Path {
        let prefix = &self.shared.prefix;
        let key = if prefix.is_empty() {
            format!("{kind}/{name}")
        } else {
            format!("{prefix}/{kind}/{name}")
        };
        Path::parse(key).expect("the prefix was checked when the store was opened")
    }

    /// Where all keys of a kind lie.
    fn below(&self, kind: &str) -> Path {
        let prefix = Path::parse(&self.shared.prefix);
        prefix.expect("the prefix was checked").join(kind)
    }

    fn bytes_key(&self, object: Uuid) -> Path {
        self.key("objects", &object.to_string())
    }

    fn package_key(&self, sha256: &Sha256Digest) -> Path {
        self.key("sha256", &sha256.to_string())
    }

    fn part_key(&self, name: Uuid) -> Path {
        self.key("parts", &name.to_string())
    }

    fn note_key(&self, object: Uuid) -> Path {
        self.key("staging", &object.to_string())
    }

    /// Whether bucket and key can be used at all.
    pub(crate) async fn ping(&self) -> Result<(), PackageStoreError> {
        let root = Path::parse(&self.shared.prefix).expect("the prefix was checked");
        self.store()
            .list_with_delimiter(Some(&root))
            .await
            .map(drop)
            .map_err(failed("list", &root))
    }

    /// What a pointer names; `None` where there is no pointer.
    async fn pointer(&self, at: &Path) -> Result<Option<Pointer>, PackageStoreError> {
        Ok(self.small(at).await?.map(|(pointer, _)| pointer))
    }

    /// A small object of ours, as it was written.
    async fn small<T: serde::de::DeserializeOwned>(
        &self,
        at: &Path,
    ) -> Result<Option<(T, ObjectMeta)>, PackageStoreError> {
        let found = match self.store().get(at).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(failed("read", at))?,
        };
        let meta = found.meta.clone();
        if meta.size > POINTER_LIMIT_BYTES {
            return Err(unreadable(at, "it is too large"));
        }
        let bytes = found.bytes().await.map_err(failed("read", at))?;
        let value = serde_json::from_slice(&bytes).map_err(|error| unreadable(at, error))?;
        Ok(Some((value, meta)))
    }

    async fn write_small(
        &self,
        at: &Path,
        value: &impl Serialize,
    ) -> Result<(), PackageStoreError> {
        let bytes = serde_json::to_vec(value).map_err(|error| unreadable(at, error))?;
        self.store()
            .put(at, PutPayload::from(bytes))
            .await
            .map(drop)
            .map_err(failed("write", at))
    }

    async fn head(&self, object: Uuid) -> Result<Option<ObjectMeta>, PackageStoreError> {
        let at = self.bytes_key(object);
        match self.store().head(&at).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("look at", &at)(error)),
        }
    }

    async fn delete(&self, at: &Path) -> Result<(), PackageStoreError> {
        match self.store().delete(at).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("remove", at)(error)),
        }
    }

    pub(crate) async fn stage<S, E>(
        &self,
        bytes: S,
        limit_bytes: u64,
    ) -> Result<(StagedObject, FileDigest), PutError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let permit = self.shared.uploads.acquire().await;
        let _permit: SemaphorePermit<'_> = permit.expect("the semaphore is never closed");
        let mut upload = Upload::new(self.clone());
        let mut digester = Digester::new();
        let mut bytes = pin!(bytes);
        while let Some(chunk) = bytes.next().await {
            let mut chunk = chunk.map_err(|error| PutError::Source(error.into()))?;
            if digester.size_bytes().saturating_add(chunk.len() as u64) > limit_bytes {
                return Err(PutError::TooLarge { limit_bytes });
            }
            digester.update(&chunk);
            while !chunk.is_empty() {
                let room = PART_BYTES - upload.gathered.len();
                upload
                    .gathered
                    .extend_from_slice(&chunk.split_to(room.min(chunk.len())));
                if upload.gathered.len() == PART_BYTES {
                    upload.send_part().await?;
                }
            }
        }
        let digest = digester.finish();
        let mut staged = StagedObject {
            folder: self.clone(),
            pointer: Pointer {
                object: upload.object,
                size_bytes: digest.size_bytes,
                tag: None,
            },
            keeps: false,
        };
        upload.finish().await?;
        // The tag as it is told later: answers to completing differ in its form.
        let at = self.bytes_key(staged.pointer.object);
        let meta = self.head(staged.pointer.object).await?;
        match meta {
            Some(meta) if meta.size == digest.size_bytes => staged.pointer.tag = meta.e_tag,
            _ => return Err(unreadable(&at, "the store has another size than was written").into()),
        }
        Ok((staged, digest))
    }

    pub(crate) async fn open_part(&self, name: Uuid) -> Result<PackageReader, PackageStoreError> {
        let at = self.part_key(name);
        let pointer = self.pointer(&at).await?;
        let pointer = pointer.ok_or_else(|| unreadable(&at, "it is not there"))?;
        match self.read(&pointer, 0..pointer.size_bytes).await? {
            Some(reader) => Ok(reader),
            None => Err(unreadable(&at, "its bytes are not there")),
        }
    }

    pub(crate) async fn remove_part(&self, name: Uuid) -> Result<bool, PackageStoreError> {
        self.remove_at(&self.part_key(name)).await
    }

    pub(crate) async fn remove(&self, sha256: &Sha256Digest) -> Result<bool, PackageStoreError> {
        self.remove_at(&self.package_key(sha256)).await
    }

    /// The pointer first: it never names what is gone.
    async fn remove_at(&self, at: &Path) -> Result<bool, PackageStoreError> {
        let Some(pointer) = self.pointer(at).await? else {
            return Ok(false);
        };
        self.delete(at).await?;
        self.delete(&self.bytes_key(pointer.object)).await?;
        Ok(true)
    }

    pub(crate) async fn parts(&self) -> Result<Vec<StrayPart>, PackageStoreError> {
        let found = self.pointers("parts").await?;
        Ok(found
            .into_iter()
            .filter_map(|(meta, pointer)| {
                Some(StrayPart {
                    name: meta.location.filename()?.parse().ok()?,
                    size_bytes: pointer.size_bytes,
                    modified: meta.last_modified.into(),
                })
            })
            .collect())
    }

    pub(crate) async fn packages(&self) -> Result<Vec<PackageFile>, PackageStoreError> {
        let sizes: std::collections::HashMap<Uuid, u64> = self
            .listed("objects")
            .await?
            .into_iter()
            .filter_map(|meta| Some((meta.location.filename()?.parse().ok()?, meta.size)))
            .collect();
        let found = self.pointers("sha256").await?;
        Ok(found
            .into_iter()
            .filter_map(|(meta, pointer)| {
                Some(PackageFile {
                    sha256: meta.location.filename()?.parse().ok()?,
                    size_bytes: sizes.get(&pointer.object).copied().unwrap_or(0),
                    modified: meta.last_modified.into(),
                })
            })
            .collect())
    }

    async fn listed(&self, kind: &str) -> Result<Vec<ObjectMeta>, PackageStoreError> {
        let at = self.below(kind);
        let listing = self.store().list(Some(&at));
        listing.try_collect().await.map_err(failed("list", &at))
    }

    /// Every pointer of a kind; one that goes meanwhile is left out.
    async fn pointers(&self, kind: &str) -> Result<Vec<(ObjectMeta, Pointer)>, PackageStoreError> {
        let listed = self.listed(kind).await?;
        stream::iter(listed)
            .map(|meta| async move {
                let pointer = self.pointer(&meta.location).await?;
                Ok(pointer.map(|pointer| (meta, pointer)))
            })
            .buffer_unordered(LOOK_UPS_AT_ONCE)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await
    }

    pub(crate) async fn open_range(
        &self,
        sha256: &Sha256Digest,
        range: Range<u64>,
    ) -> Result<PackageReader, PackageStoreError> {
        let absent = || PackageStoreError::NotFound { sha256: *sha256 };
        let pointer = self.pointer(&self.package_key(sha256)).await?;
        let pointer = pointer.ok_or_else(absent)?;
        let size_bytes = pointer.size_bytes;
        let end = range.end.min(size_bytes);
        let is_empty_whole = range.start == 0 && size_bytes == 0;
        if range.start >= end && !is_empty_whole {
            return Err(PackageStoreError::RangeOutside {
                sha256: *sha256,
                range,
                size_bytes,
            });
        }
        self.read(&pointer, range.start..end)
            .await?
            .ok_or_else(absent)
    }

    /// A package, to look into from a thread that may wait.
    pub(crate) async fn view(
        &self,
        sha256: &Sha256Digest,
    ) -> Result<ObjectView, PackageStoreError> {
        let pointer = self.pointer(&self.package_key(sha256)).await?;
        pointer
            .map(|pointer| ObjectView::new(self.clone(), &pointer))
            .ok_or(PackageStoreError::NotFound { sha256: *sha256 })
    }

    /// Reads a range that lies within the bytes; `None` where they are gone.
    async fn read(
        &self,
        pointer: &Pointer,
        range: Range<u64>,
    ) -> Result<Option<PackageReader>, PackageStoreError> {
        if range.is_empty() {
            // No range is within an empty object.
            let there = self.head(pointer.object).await?.is_some();
            return Ok(there.then(|| PackageReader::new(tokio::io::empty(), 0, pointer.size_bytes)));
        }
        let at = self.bytes_key(pointer.object);
        let length_bytes = range.end - range.start;
        let options = GetOptions::new().with_range(Some(range));
        let found = match self.store().get_opts(&at, options).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(failed("read", &at))?,
        };
        let bytes = found.into_stream().map_err(io::Error::other);
        Ok(Some(PackageReader::new(
            StreamReader::new(bytes),
            length_bytes,
            pointer.size_bytes,
        )))
    }

    pub(crate) async fn size(
        &self,
        sha256: &Sha256Digest,
    ) -> Result<Option<u64>, PackageStoreError> {
        let Some(pointer) = self.pointer(&self.package_key(sha256)).await? else {
            return Ok(None);
        };
        Ok(self.head(pointer.object).await?.map(|meta| meta.size))
    }

    /// What size and tag say about a package, without reading it.
    pub(crate) async fn condition(
        &self,
        sha256: &Sha256Digest,
        recorded_bytes: u64,
    ) -> Result<PackageCondition, PackageStoreError> {
        match self.pointer(&self.package_key(sha256)).await? {
            None => {
                // A bucket that is not there answers as an object that is not.
                self.ping().await?;
                Ok(PackageCondition::Missing)
            }
            Some(pointer) if pointer.size_bytes != recorded_bytes => Ok(PackageCondition::Altered),
            Some(pointer) => self.condition_of(&pointer).await,
        }
    }

    async fn condition_of(&self, pointer: &Pointer) -> Result<PackageCondition, PackageStoreError> {
        Ok(match self.head(pointer.object).await? {
            None => PackageCondition::Missing,
            Some(meta) if meta.size != pointer.size_bytes => PackageCondition::Altered,
            Some(meta) if pointer.tag.is_some() && meta.e_tag != pointer.tag => {
                PackageCondition::Altered
            }
            Some(_) => PackageCondition::Intact,
        })
    }

    pub(crate) async fn download_address(
        &self,
        sha256: &Sha256Digest,
    ) -> Result<Option<DownloadAddress>, PackageStoreError> {
        let Some((signer, life)) = &self.shared.signer else {
            return Ok(None);
        };
        let pointer = self.pointer(&self.package_key(sha256)).await?;
        let pointer = pointer.ok_or(PackageStoreError::NotFound { sha256: *sha256 })?;
        let at = self.bytes_key(pointer.object);
        let url = signer
            .signed_url(http::Method::GET, &at, *life)
            .await
            .map_err(failed("sign an address of", &at))?;
        Ok(Some(DownloadAddress {
            url: url.into(),
            life: *life,
            ca_pem: self.shared.ca_pem.clone(),
        }))
    }

    /// Ends multipart uploads and removes bytes that nothing names, both older than `grace`.
    pub(crate) async fn sweep(
        &self,
        now: SystemTime,
        grace: Duration,
    ) -> Result<Swept, PackageStoreError> {
        let is_old = |meta: &ObjectMeta| {
            now.duration_since(meta.last_modified.into())
                .is_ok_and(|age| age >= grace)
        };
        let mut swept = Swept::default();
        for meta in self.listed("staging").await?.into_iter().filter(is_old) {
            let Some(object) = meta.location.filename().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if let Some((note, _)) = self.small::<Note>(&meta.location).await? {
                self.abort(object, &note.upload).await?;
                swept.uploads += 1;
            }
            self.delete(&meta.location).await?;
        }
        let mut unnamed: HashSet<Uuid> = self
            .listed("objects")
            .await?
            .into_iter()
            .filter(is_old)
            .filter_map(|meta| meta.location.filename()?.parse().ok())
            .collect();
        if unnamed.is_empty() {
            return Ok(swept);
        }
        for kind in ["sha256", "parts"] {
            for (_, pointer) in self.pointers(kind).await? {
                unnamed.remove(&pointer.object);
            }
        }
        for object in unnamed {
            self.delete(&self.bytes_key(object)).await?;
            swept.objects += 1;
        }
        Ok(swept)
    }

    async fn abort(&self, object: Uuid, upload: &str) -> Result<(), PackageStoreError> {
        let at = self.bytes_key(object);
        match self.store().abort_multipart(&at, &upload.to_owned()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("end the upload of", &at)(error)),
        }
    }
}

impl StagedObject {
    /// Makes the bytes a package.
    pub(crate) async fn place(self, sha256: Sha256Digest) -> Result<(), PackageStoreError> {
        self.carry_through(move |mut staged| async move {
            let folder = staged.folder.clone();
            let at = folder.package_key(&sha256);
            let before = folder.pointer(&at).await?;
            if let Some(before) = &before
                && folder.condition_of(before).await? == PackageCondition::Intact
            {
                // The bytes that are there stay: desktops may be reading them.
                return Ok(());
            }
            // From here on the pointer may be there, whatever the answer; what is not named then is swept.
            staged.keeps = true;
            folder.write_small(&at, &staged.pointer).await?;
            if let Some(before) = before {
                folder.delete(&folder.bytes_key(before.object)).await?;
            }
            Ok(())
        })
        .await
    }

    /// Keeps the bytes as a part.
    pub(crate) async fn keep_as_part(self, name: Uuid) -> Result<(), PackageStoreError> {
        self.carry_through(move |mut staged| async move {
            let at = staged.folder.part_key(name);
            staged.keeps = true;
            staged.folder.write_small(&at, &staged.pointer).await
        })
        .await
    }

    /// Does the work even when nobody waits for it any more.
    async fn carry_through<F>(
        self,
        work: impl FnOnce(Self) -> F + Send + 'static,
    ) -> Result<(), PackageStoreError>
    where
        F: Future<Output = Result<(), PackageStoreError>> + Send + 'static,
    {
        let at = self.folder.bytes_key(self.pointer.object);
        match tokio::spawn(work(self)).await {
            Ok(done) => done,
            Err(cancelled) => Err(unreadable(&at, cancelled)),
        }
    }

    /// The bytes, to look into from a thread that may wait.
    pub(crate) fn view(&self) -> ObjectView {
        ObjectView::new(self.folder.clone(), &self.pointer)
    }
}

impl Drop for StagedObject {
    fn drop(&mut self) {
        if self.keeps {
            return;
        }
        let (folder, object) = (self.folder.clone(), self.pointer.object);
        beside(async move {
            // What stays is swept.
            if let Err(error) = folder.delete(&folder.bytes_key(object)).await {
                tracing::warn!(%error, "bytes that became no package are left over");
            }
        });
    }
}

/// Cleans up beside what goes on, where a runtime is left to do it.
fn beside(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(work);
    }
}

/// Bytes on their way into the store.
struct Upload {
    folder: ObjectFolder,
    object: Uuid,
    gathered: BytesMut,
    multipart: Option<Multipart>,
}

struct Multipart {
    id: String,
    sent: usize,
    done: Vec<Option<PartId>>,
    under_way: JoinSet<Result<(usize, PartId), object_store::Error>>,
}

impl Upload {
    fn new(folder: ObjectFolder) -> Self {
        // The name says nothing, not even when.
        let object = folder.shared.ids.uuid(0);
        Self {
            folder,
            object,
            gathered: BytesMut::new(),
            multipart: None,
        }
    }

    /// Sends what is gathered as the next part.
    async fn send_part(&mut self) -> Result<(), PackageStoreError> {
        let at = self.folder.bytes_key(self.object);
        if self.multipart.is_none() {
            let id = self
                .folder
                .store()
                .create_multipart(&at)
                .await
                .map_err(failed("begin", &at))?;
            self.multipart = Some(Multipart {
                id: id.clone(),
                sent: 0,
                done: Vec::new(),
                under_way: JoinSet::new(),
            });
            let note = Note { upload: id };
            self.folder
                .write_small(&self.folder.note_key(self.object), &note)
                .await?;
        }
        let multipart = self.multipart.as_mut().expect("it was just begun");
        let number = multipart.sent;
        multipart.sent += 1;
        multipart.done.push(None);
        let payload = PutPayload::from(self.gathered.split().freeze());
        let (folder, key, id) = (self.folder.clone(), at.clone(), multipart.id.clone());
        multipart.under_way.spawn(async move {
            let part = folder.store().put_part(&key, &id, number, payload).await?;
            Ok((number, part))
        });
        multipart.settle(PARTS_UNDER_WAY, &at).await
    }

    /// Makes the object whole.
    async fn finish(mut self) -> Result<(), PackageStoreError> {
        let at = self.folder.bytes_key(self.object);
        if self.multipart.is_none() {
            let payload = PutPayload::from(self.gathered.split().freeze());
            let put = self.folder.store().put(&at, payload).await;
            return put.map(drop).map_err(failed("write", &at));
        }
        if !self.gathered.is_empty() {
            self.send_part().await?;
        }
        let multipart = self.multipart.as_mut().expect("it was begun");
        multipart.settle(0, &at).await?;
        let parts = multipart.done.drain(..).flatten().collect();
        self.folder
            .store()
            .complete_multipart(&at, &multipart.id, parts)
            .await
            .map_err(failed("complete", &at))?;
        self.multipart = None;
        self.folder.delete(&self.folder.note_key(self.object)).await
    }
}

impl Multipart {
    /// Waits until at most `limit` parts are under way.
    async fn settle(&mut self, limit: usize, at: &Path) -> Result<(), PackageStoreError> {
        while self.under_way.len() > limit {
            let Some(ended) = self.under_way.join_next().await else {
                return Ok(());
            };
            let (number, part) = ended
                .map_err(|cancelled| unreadable(at, cancelled))?
                .map_err(failed("write a part of", at))?;
            self.done[number] = Some(part);
        }
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(mut multipart) = self.multipart.take() else {
            return;
        };
        let (folder, object) = (self.folder.clone(), self.object);
        beside(async move {
            // A part that arrived after the end of its upload would stay.
            multipart.under_way.shutdown().await;
            let ended = async {
                folder.abort(object, &multipart.id).await?;
                folder.delete(&folder.note_key(object)).await
            };
            if let Err(error) = ended.await {
                tracing::warn!(%error, "an upload that broke off is left over");
            }
        });
    }
}

/// Bytes in the store as a file of a thread that may wait; a window of them is kept.
pub(crate) struct ObjectView {
    folder: ObjectFolder,
    object: Uuid,
    size_bytes: u64,
    position: u64,
    window: Bytes,
    window_start: u64,
    runtime: tokio::runtime::Handle,
}

impl ObjectView {
    fn new(folder: ObjectFolder, pointer: &Pointer) -> Self {
        Self {
            folder,
            object: pointer.object,
            size_bytes: pointer.size_bytes,
            position: 0,
            window: Bytes::new(),
            window_start: 0,
            runtime: tokio::runtime::Handle::current(),
        }
    }
}

impl Read for ObjectView {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.size_bytes || buffer.is_empty() {
            return Ok(0);
        }
        let within = self.position.checked_sub(self.window_start);
        let offset = match within.filter(|offset| *offset < self.window.len() as u64) {
            Some(offset) => offset,
            None => {
                let end = self.size_bytes.min(self.position + WINDOW_BYTES);
                let at = self.folder.bytes_key(self.object);
                self.window = self
                    .runtime
                    .block_on(self.folder.store().get_range(&at, self.position..end))
                    .map_err(io::Error::other)?;
                self.window_start = self.position;
                if self.window.is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                0
            }
        };
        let offset = usize::try_from(offset).expect("a window fits into memory");
        let rest = &self.window[offset..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for ObjectView {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.size_bytes.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// The endpoint with the bucket as its first label.
fn with_bucket_host(endpoint: &str, bucket: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    match endpoint.split_once("://") {
        Some((scheme, host)) => format!("{scheme}://{bucket}.{host}"),
        None => format!("{bucket}.{endpoint}"),
    }
}

/// Names the action and object of a failure.
fn failed(
    action: &'static str,
    at: &Path,
) -> impl FnOnce(object_store::Error) -> PackageStoreError {
    let object = at.to_string();
    move |source| PackageStoreError::Remote {
        action,
        object,
        source: source.into(),
    }
}

/// Something of ours in the store is not as we write it.
fn unreadable(at: &Path, reason: impl Into<Box<dyn Error + Send + Sync>>) -> PackageStoreError {
    PackageStoreError::Remote {
        action: "use",
        object: at.to_string(),
        source: reason.into(),
    }
}
