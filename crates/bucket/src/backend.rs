//! The operations, each on the one object its credential is for.

use std::collections::HashMap;
use std::sync::Arc;

use http::Extensions;
use md5::{Digest as _, Md5};
use outfitter_artifacts::Sha256Digest;
use outfitter_domain::Millis;
use outfitter_ids::IdSource;
use outfitter_store::{
    AuditActor, AuditActorKind, AuditFacts, AuditKey, AuditKind, AuditScope, AuditTarget,
    BucketUpload, BucketUploadPart, DomainKey, NewAuditScope, NewBucketUpload, ProjectKey,
    StoreError,
};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CompletedPart, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, ETag, HeadObjectInput, HeadObjectOutput, ListPartsInput,
    ListPartsOutput, Metadata, Part, PutObjectInput, PutObjectOutput, Timestamp, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use uuid::Uuid;

use crate::credential::Grant;
use crate::handle::{RequestId, Source};
use crate::objects::{MAX_OBJECT_BYTES, ObjectError, Objects, Origin, step};
use crate::quota::Room;
use crate::receive::{failed, other, quota_exceeded, receive, store_failed};

/// Largest single put or part, in bytes. Source: S3.
const MAX_PUT_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// Smallest part but the last, in bytes. Source: S3.
const MIN_PART_BYTES: i64 = 5 * 1024 * 1024;

/// Most parts of an upload. Source: S3.
const MAX_PARTS: i32 = 10_000;

/// From this size on joining parts takes so long that the answer begins before it is done.
const SLOW_JOIN_BYTES: i64 = 512 * 1024 * 1024;

/// Metadata with which an uploader announces the digest of the whole object, lower-case hex.
const DIGEST_METADATA: &str = "sha256";

pub(crate) struct Backend {
    pub(crate) objects: Arc<Objects>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) audit: Arc<AuditKey>,
}

/// The object a request is about.
struct Target {
    project: ProjectKey,
    domain: DomainKey,
    object_key: String,
}

/// What a request does, as the audit log calls it. The actions are those of the credential's own policy.
struct Did {
    operation: &'static str,
    action: &'static str,
}

const PUT: Did = Did {
    operation: "PutObject",
    action: "obs:object:PutObject",
};
const COMPLETE: Did = Did {
    operation: "CompleteMultipartUpload",
    action: "obs:object:PutObject",
};
const ABORT: Did = Did {
    operation: "AbortMultipartUpload",
    action: "obs:object:AbortMultipartUpload",
};

/// What became of a part that came in.
enum Recorded {
    /// It is recorded, in place of these bytes.
    Instead(Option<Uuid>),
    /// Its upload ended meanwhile.
    NoUpload,
    /// The project's packages would take more than this many bytes.
    OverQuota(u64),
}

impl Backend {
    async fn room(&self, target: &Target) -> S3Result<Room> {
        self.objects
            .room(target.project, MAX_PUT_BYTES)
            .await
            .map_err(|error| store_error(&error))
    }

    async fn target(&self, extensions: &Extensions) -> S3Result<Target> {
        let grant = extensions
            .get::<Arc<Grant>>()
            .ok_or(S3ErrorCode::AccessDenied)?;
        let bucket = self
            .objects
            .store
            .db()
            .bucket_find(grant.project)
            .await
            .map_err(|error| store_error(&error))?
            .filter(|bucket| bucket.authorized)
            .ok_or_else(|| s3_error!(NoSuchBucket, "The project has no bucket."))?;
        Ok(Target {
            project: bucket.project,
            domain: bucket.domain,
            object_key: grant.object_key.clone(),
        })
    }

    /// The audit log's entry of a request: who uploads, from where.
    fn audited<I>(&self, request: &S3Request<I>, target: &Target, did: Did) -> Arc<AuditScope> {
        let uploader = request
            .extensions
            .get::<Arc<Grant>>()
            .and_then(|grant| grant.uploader.clone());
        let access = request
            .credentials
            .as_ref()
            .map_or("", |credentials| &credentials.access_key);
        let credential = format!("bucket_key {access}");
        let actor = match uploader {
            Some(uploader) => AuditActor {
                kind: AuditActorKind::IamUser,
                id: Some(uploader.id),
                name: Some(uploader.name),
                credential,
            },
            None => AuditActor {
                credential,
                ..AuditActor::nobody()
            },
        };
        AuditScope::new(NewAuditScope {
            key: Arc::clone(&self.audit),
            ids: Arc::clone(&self.ids),
            facts: AuditFacts {
                domain: Some(target.domain),
                project: Some(target.project),
                at: self.objects.clock.now(),
                action: did.action.to_owned(),
                operation: did.operation.to_owned(),
                actor,
                on_behalf_of: None,
                address: request
                    .extensions
                    .get::<Source>()
                    .map(|source| source.0.to_string()),
                request_id: request.extensions.get::<RequestId>().map(|id| id.0.clone()),
            },
            kind: AuditKind::Change,
            targets: vec![AuditTarget {
                kind: "object".to_owned(),
                id: target.object_key.clone(),
            }],
            request: serde_json::Value::Null,
        })
    }

    async fn upload(&self, target: &Target, id: &str) -> S3Result<BucketUpload> {
        self.upload_if_there(target, id)
            .await?
            .ok_or_else(no_upload)
    }

    async fn upload_if_there(&self, target: &Target, id: &str) -> S3Result<Option<BucketUpload>> {
        let Ok(id) = Uuid::try_parse(id) else {
            return Ok(None);
        };
        self.objects
            .store
            .db()
            .bucket_upload_find(target.project, &target.object_key, id)
            .await
            .map_err(|error| store_error(&error))
    }

    async fn parts(&self, upload: &BucketUpload) -> S3Result<Vec<BucketUploadPart>> {
        self.objects
            .store
            .db()
            .bucket_upload_parts(upload.key)
            .await
            .map_err(|error| store_error(&error))
    }
}

#[async_trait::async_trait]
impl S3 for Backend {
    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let target = self.target(&request.extensions).await?;
        let audited = self.audited(&request, &target, PUT);
        let input = request.input;
        if input.sse_customer_algorithm.is_some() {
            return Err(no_customer_keys());
        }
        let expected = announced_digest(input.metadata.as_ref())?;
        let existing = || async {
            self.objects
                .store
                .db()
                .bucket_object_find(target.project, &target.object_key)
                .await
                .map_err(|error| store_error(&error))
        };
        if input.if_none_match.is_some() && existing().await?.is_some() {
            return Err(S3ErrorCode::PreconditionFailed.into());
        }
        let room = self.room(&target).await?;
        let received = receive(
            &self.objects.packages,
            &request.headers,
            input.body,
            request.trailing_headers,
            room,
        )
        .await?;
        check_digest(expected, received.staged.sha256)?;
        let recorded = self.objects.record_from(
            target.project,
            &target.object_key,
            received.staged,
            Origin {
                etag: Some(&received.md5),
                upload: None,
            },
        );
        Box::pin(audited.run(recorded))
            .await
            .map_err(|error| object_error(&error))?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(received.md5)),
            checksum_crc32: received.checksum.checksum_crc32,
            checksum_crc32c: received.checksum.checksum_crc32c,
            checksum_crc64nvme: received.checksum.checksum_crc64nvme,
            checksum_sha1: received.checksum.checksum_sha1,
            checksum_sha256: received.checksum.checksum_sha256,
            ..PutObjectOutput::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let target = self.target(&request.extensions).await?;
        let object = self
            .objects
            .store
            .db()
            .bucket_object_find(target.project, &target.object_key)
            .await
            .map_err(|error| store_error(&error))?
            .ok_or(S3ErrorCode::NoSuchKey)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(object.size_bytes),
            e_tag: Some(ETag::Strong(
                object.etag.unwrap_or_else(|| object.sha256.clone()),
            )),
            last_modified: Some(timestamp(object.created_at)),
            metadata: Some(Metadata::from([(
                DIGEST_METADATA.to_owned(),
                object.sha256,
            )])),
            ..HeadObjectOutput::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let target = self.target(&request.extensions).await?;
        let input = request.input;
        if input.sse_customer_algorithm.is_some() {
            return Err(no_customer_keys());
        }
        let expected = announced_digest(input.metadata.as_ref())?.map(|digest| digest.to_string());
        let now = self.objects.clock.now();
        let id = self.ids.uuid(now.get());
        let inserted = async {
            let tx = self.objects.store.write().await?;
            tx.bucket_upload_insert(
                &NewBucketUpload {
                    id,
                    project: target.project,
                    object_key: &target.object_key,
                    expected_sha256: expected.as_deref(),
                },
                now,
            )
            .await?;
            tx.commit().await
        };
        inserted.await.map_err(|error| store_error(&error))?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id.simple().to_string()),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let target = self.target(&request.extensions).await?;
        let input = request.input;
        if !(1..=MAX_PARTS).contains(&input.part_number) {
            return Err(s3_error!(
                InvalidArgument,
                "A part has a number from 1 to 10000."
            ));
        }
        let upload = self.upload(&target, &input.upload_id).await?;
        let received = receive(
            &self.objects.packages,
            &request.headers,
            input.body,
            request.trailing_headers,
            self.room(&target).await?,
        )
        .await?;
        let now = self.objects.clock.now();
        let part = BucketUploadPart {
            number: i64::from(input.part_number),
            name: self.ids.uuid(now.get()),
            size_bytes: i64::try_from(received.staged.size_bytes)
                .expect("a part has at most MAX_PUT_BYTES"),
            md5: received.md5.clone(),
            created_at: now,
        };
        step("part received");
        received
            .staged
            .keep_as_part(part.name)
            .await
            .map_err(|error| store_failed(&error))?;
        step("part kept");
        let recorded = async {
            let tx = self.objects.store.write().await?;
            let quota = tx.quota_lock(target.project).await?;
            if !tx.bucket_upload_lock(upload.key, now).await? {
                return Ok(Recorded::NoUpload);
            }
            let replaced = tx.bucket_upload_part_put(upload.key, &part).await?;
            if let Some(quota_bytes) = self.objects.overstepped(&tx, target.project, quota).await? {
                return Ok(Recorded::OverQuota(quota_bytes));
            }
            tx.commit().await?;
            Ok(Recorded::Instead(replaced))
        };
        match recorded.await {
            Ok(Recorded::Instead(replaced)) => {
                step("part recorded");
                self.objects.remove_parts(replaced).await;
            }
            Ok(Recorded::NoUpload) => {
                self.objects.remove_parts([part.name]).await;
                return Err(no_upload());
            }
            Ok(Recorded::OverQuota(quota_bytes)) => {
                self.objects.remove_parts([part.name]).await;
                return Err(quota_exceeded(quota_bytes));
            }
            // Whether it was recorded is not known: the bytes stay, and are collected where no row names them.
            Err(error) => return Err(store_error(&error)),
        }
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(received.md5)),
            checksum_crc32: received.checksum.checksum_crc32,
            checksum_crc32c: received.checksum.checksum_crc32c,
            checksum_crc64nvme: received.checksum.checksum_crc64nvme,
            checksum_sha1: received.checksum.checksum_sha1,
            checksum_sha256: received.checksum.checksum_sha256,
            ..UploadPartOutput::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let target = self.target(&request.extensions).await?;
        let audited = self.audited(&request, &target, COMPLETE);
        let input = request.input;
        let wanted = input
            .multipart_upload
            .and_then(|upload| upload.parts)
            .unwrap_or_default();
        let etag = combined_etag(&wanted)?;
        let answer = CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(etag.clone())),
            ..CompleteMultipartUploadOutput::default()
        };
        let Some(upload) = self.upload_if_there(&target, &input.upload_id).await? else {
            // Asked again because the first answer was lost: what is there is what was asked for.
            let there = self
                .objects
                .store
                .db()
                .bucket_object_find(target.project, &target.object_key)
                .await
                .map_err(|error| store_error(&error))?
                .is_some_and(|object| object.etag.as_deref() == Some(&etag));
            return if there {
                Ok(S3Response::new(answer))
            } else {
                Err(no_upload())
            };
        };
        let parts = chosen(&wanted, self.parts(&upload).await?)?;
        let size_bytes: i64 = parts.iter().map(|part| part.size_bytes).sum();
        if u64::try_from(size_bytes).is_ok_and(|size| size > MAX_OBJECT_BYTES) {
            return Err(s3_error!(
                EntityTooLarge,
                "The object exceeds the maximum allowed size."
            ));
        }
        if input.mpu_object_size.is_some_and(|said| said != size_bytes) {
            return Err(s3_error!(
                InvalidRequest,
                "The parts together have another size than x-amz-mp-object-size says."
            ));
        }
        // Joining takes its time: nobody gives the upload up meanwhile.
        let touched = async {
            let tx = self.objects.store.write().await?;
            let there = tx
                .bucket_upload_lock(upload.key, self.objects.clock.now())
                .await?;
            tx.commit().await?;
            Ok(there)
        };
        if !touched.await.map_err(|error| store_error(&error))? {
            return Err(no_upload());
        }
        let objects = Arc::clone(&self.objects);
        let finished = async move {
            Box::pin(audited.run(finish(objects, target, upload, parts, etag))).await
        };
        if size_bytes < SLOW_JOIN_BYTES {
            finished.await?;
            return Ok(S3Response::new(answer));
        }
        let later = async move { finished.await.map(|()| answer) };
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            future: Some(Box::pin(later)),
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let target = self.target(&request.extensions).await?;
        let upload = self.upload(&target, &request.input.upload_id).await?;
        let forgotten = async {
            let tx = self.objects.store.write().await?;
            let parts = tx.bucket_upload_delete(upload.key).await?;
            tx.commit().await?;
            Ok(parts)
        };
        let audited = self.audited(&request, &target, ABORT);
        let parts = audited
            .run(forgotten)
            .await
            .map_err(|error| store_error(&error))?;
        self.objects.remove_parts(parts).await;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn list_parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        let target = self.target(&request.extensions).await?;
        let input = request.input;
        let upload = self.upload(&target, &input.upload_id).await?;
        let limit = input.max_parts.unwrap_or(1000).clamp(0, 1000);
        let after = i64::from(input.part_number_marker.unwrap_or(0));
        let mut parts = self.parts(&upload).await?;
        parts.retain(|part| part.number > after);
        let is_truncated = parts.len() > usize::try_from(limit).unwrap_or(0);
        parts.truncate(usize::try_from(limit).unwrap_or(0));
        let number = |part: &BucketUploadPart| {
            i32::try_from(part.number).expect("a part has a number up to MAX_PARTS")
        };
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: Some(limit),
            part_number_marker: input.part_number_marker,
            next_part_number_marker: parts.last().map(number),
            is_truncated: Some(is_truncated),
            parts: Some(
                parts
                    .iter()
                    .map(|part| Part {
                        part_number: Some(number(part)),
                        size: Some(part.size_bytes),
                        e_tag: Some(ETag::Strong(part.md5.clone())),
                        last_modified: Some(timestamp(part.created_at)),
                        ..Part::default()
                    })
                    .collect(),
            ),
            ..ListPartsOutput::default()
        }))
    }
}

/// Joins the parts and makes them the object.
async fn finish(
    objects: Arc<Objects>,
    target: Target,
    upload: BucketUpload,
    parts: Vec<BucketUploadPart>,
    etag: String,
) -> S3Result<()> {
    let staged = objects
        .join(&parts)
        .await
        .map_err(|error| failed("join the parts of an upload", &error))?;
    step("parts joined");
    let expected = upload
        .expected_sha256
        .and_then(|digest| digest.parse().ok());
    check_digest(expected, staged.sha256)?;
    objects
        .record_from(
            target.project,
            &target.object_key,
            staged,
            Origin {
                etag: Some(&etag),
                upload: Some(upload.key),
            },
        )
        .await
        .map(drop)
        .map_err(|error| object_error(&error))
}

/// The entity tag of an object made of parts: the MD5 of their MD5s, and how many there are.
fn combined_etag(parts: &[CompletedPart]) -> S3Result<String> {
    if parts.is_empty() {
        return Err(S3ErrorCode::MalformedXML.into());
    }
    let mut md5 = Md5::new();
    for part in parts {
        let etag = part.e_tag.as_ref().map(ETag::value).unwrap_or_default();
        let bytes = hex::decode(etag).map_err(|_| S3Error::from(S3ErrorCode::InvalidPart))?;
        md5.update(bytes);
    }
    Ok(format!("{}-{}", hex::encode(md5.finalize()), parts.len()))
}

/// The stored parts that a client names, in its order, which must be theirs.
fn chosen(
    wanted: &[CompletedPart],
    stored: Vec<BucketUploadPart>,
) -> S3Result<Vec<BucketUploadPart>> {
    let mut stored: HashMap<i64, BucketUploadPart> =
        stored.into_iter().map(|part| (part.number, part)).collect();
    let mut parts: Vec<BucketUploadPart> = Vec::with_capacity(wanted.len());
    for named in wanted {
        let number = i64::from(named.part_number.unwrap_or(0));
        if parts.last().is_some_and(|last| last.number >= number) {
            return Err(S3ErrorCode::InvalidPartOrder.into());
        }
        let part = stored
            .remove(&number)
            .filter(|part| {
                named
                    .e_tag
                    .as_ref()
                    .is_some_and(|etag| etag.value() == part.md5)
            })
            .ok_or(S3ErrorCode::InvalidPart)?;
        parts.push(part);
    }
    let all_but_last = parts.len().saturating_sub(1);
    if parts[..all_but_last]
        .iter()
        .any(|part| part.size_bytes < MIN_PART_BYTES)
    {
        return Err(S3ErrorCode::EntityTooSmall.into());
    }
    Ok(parts)
}

fn announced_digest(metadata: Option<&Metadata>) -> S3Result<Option<Sha256Digest>> {
    metadata
        .and_then(|metadata| metadata.get(DIGEST_METADATA))
        .map(|digest| {
            digest.parse().map_err(|_| {
                s3_error!(
                    InvalidDigest,
                    "x-amz-meta-sha256 is no lower-case hex SHA-256."
                )
            })
        })
        .transpose()
}

fn check_digest(expected: Option<Sha256Digest>, actual: Sha256Digest) -> S3Result<()> {
    match expected {
        Some(expected) if expected != actual => Err(other("x-amz-meta-sha256")),
        _ => Ok(()),
    }
}

fn timestamp(at: Millis) -> Timestamp {
    let millis = u64::try_from(at.get()).unwrap_or(0);
    Timestamp::from(std::time::UNIX_EPOCH + std::time::Duration::from_millis(millis))
}

fn no_upload() -> S3Error {
    s3_error!(NoSuchUpload, "The upload does not exist.")
}

fn no_customer_keys() -> S3Error {
    s3_error!(
        NotImplemented,
        "Encryption with keys of the customer is not offered."
    )
}

fn store_error(error: &StoreError) -> S3Error {
    failed("use the database for an upload", error)
}

fn object_error(error: &ObjectError) -> S3Error {
    match error {
        ObjectError::NoUpload => no_upload(),
        ObjectError::QuotaExceeded { quota_bytes } => quota_exceeded(*quota_bytes),
        ObjectError::Collected => s3_error!(
            ServiceUnavailable,
            "Equal bytes are being removed right now. Please try again."
        ),
        ObjectError::Packages(error) => store_failed(error),
        ObjectError::Inspect(_)
        | ObjectError::Facts(_)
        | ObjectError::Interrupted(_)
        | ObjectError::Store(_) => failed("record an uploaded object", error),
    }
}
