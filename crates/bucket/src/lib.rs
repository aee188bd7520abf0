//! The package bucket: uploaders put packages with any client that speaks S3 or OBS.
//!
//! **Guarantees.** A credential ([`Keys::issue`]) puts exactly one object, until it expires: PutObject, HeadObject
//! and multipart on its key, and nothing else. An object is in the bucket with all its bytes, its digest and its
//! type known, or not at all, also after a crash. What the uploader said about the bytes (length, MD5, SHA-256,
//! CRC, signatures of chunks) is checked before they count. Memory does not grow with the size of an object.
//!
//! **Who wakes it.** Requests, and the server's background task that collects garbage ([`Objects::collect`]).
//! **On a crash** parts that were acknowledged stay, so that the upload goes on; what nothing needs is collected. A request that
//! began while its credential was valid may finish. **Does not** list, read or delete objects for anyone, and
//! decides nothing about who gets a credential.
//!
//! [`Bucket::handle`] answers requests: first `adapt` turns what the protocol crate does not know (OBS
//! signatures, the older signatures with tokens) into what it knows, then the protocol crate checks signatures and
//! speaks XML, then `backend` does the work on [`Objects`].

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod access;
mod adapt;
mod backend;
mod collect;
mod credential;
mod direct;
mod handle;
mod legacy;
mod objects;
mod quota;
mod receive;

pub use collect::{CollectMode, CollectReason, Collectable, CollectionReport, Retention, Tally};
pub use credential::{Grant, IssuedCredential, Keys, Uploader};
pub use direct::{DirectError, STAYS, Taken};
pub use handle::{Bucket, BucketParts, Source};
pub use objects::{MAX_OBJECT_BYTES, Object, ObjectError, Objects, package_facts};
pub use quota::Room;
