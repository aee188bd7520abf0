//! All SQL: migrations, transactions, one file per aggregate, on SQLite and PostgreSQL.
//!
//! [`Store`] is a pool of readers and a way to write. Reads are methods on [`Db`], which stands on the pool
//! or on an open transaction; writes are methods on [`Tx`], so that nothing writes outside one. The dialect
//! is matched in `dialect.rs` alone: SQL is written once, with `$1` placeholders, which both databases read.
//!
//! On SQLite there is one writer, and write transactions begin as writers (`BEGIN IMMEDIATE`), short and
//! without network or file work inside. A crash loses nothing that was committed (`synchronous=FULL`,
//! `synchronous_commit=on`), and leaves nothing of what was not.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod agent;
mod agent_release;
mod agents_online;
mod app;
mod attempt;
mod audit;
mod authorization;
mod bucket;
mod changes;
mod closure;
mod copies;
mod db;
mod deployment;
mod desktop;
mod desktop_app;
mod dialect;
mod direct_upload;
mod directory;
mod dispatch;
mod download;
mod download_limits;
mod enrollment;
mod enrollment_request;
mod error;
mod freeze;
mod group;
mod host;
mod housekeeping;
mod iam;
mod iam_identity;
mod iam_policy;
mod idempotency;
mod inventory;
mod job;
mod job_position;
mod keys;
mod logged_in;
mod lookup;
mod migration;
mod open;
mod package;
mod package_condition;
mod portal;
mod profile;
mod program_closing;
mod push;
mod query;
mod quota;
mod receipt;
mod revision;
mod rule;
mod sealed;
mod tag;
mod user;
mod why;
mod workspace_job;

pub use agent::{
    AgentIdentity, CertificateHolder, DesktopSeen, EpochRaise, HolderState, NewAgent,
    NewCertificate,
};
pub use agent_release::{
    AgentProgram, AgentRelease, AgentUpdateNote, AgentUpdateStage, FailedUpdate, NewAgentProgram,
    NewAgentRelease, RollOut, UpdateCandidate,
};
pub use agents_online::{AgentCount, OnlineSample};
pub use app::{App, AppFilter, DeletedApp, NewApp, ObjectFate};
pub use attempt::{
    AttemptClocks, AttemptSign, AttemptState, AttemptView, Connected, FinishOutcome, GoOutcome,
    GoRequest, LeasePage, LeasedTask, Receipt, ReconcileAction, ResultReport, SourceFacts,
};
pub use audit::{
    AuditActor, AuditActorKind, AuditChain, AuditCheck, AuditEntry, AuditFacts, AuditFilter,
    AuditFinding, AuditKey, AuditKind, AuditOutcome, AuditPruned, AuditReach, AuditResultsCheck,
    AuditScope, AuditSealed, AuditTarget, NewAuditEntry, NewAuditScope, WaitingResults,
    strip_link_secrets,
};
pub use authorization::AccountFilter;
pub use bucket::{Bucket, BucketObject, BucketUpload, BucketUploadPart, NewBucketUpload};
pub use changes::Changes;
pub use copies::{CopiesSet, CopiesToken, CopyOf};
pub use db::{Db, Tx};
pub use deployment::{
    DeploymentFilter, DeploymentProgress, DeploymentView, Expanded, Expansion, FailLimit,
    InstallableApp, NewDeployment, PackageAccess, Reach, ReachedDesktop, ScopeAccounts,
    SkippedDesktop, Widening,
};
pub use desktop::{
    Desktop, DesktopAgent, DesktopFilter, DesktopOrder, DesktopUser, LeftUsers, NewDesktop,
    Persistence,
};
pub use desktop_app::DesktopApp;
pub use dialect::Dialect;
pub use direct_upload::DirectUpload;
pub use directory::{
    ClaimedDirectory, DirectoryOutcome, DirectoryState, DirectoryWish, StoredDirectory,
};
pub use download_limits::StoredLimits;
pub use enrollment::{
    ClaimProof, Enrolled, EnrollmentClaim, EnrollmentTokenRecord, NewEnrollmentToken, Rival,
    SecretDigest, StoredRival,
};
pub use enrollment_request::{EnrollmentRequest, RequestAgent, RequestCopy, RequestDecision};
pub use error::{OpenFailure, StoreError};
pub use freeze::{Freeze, FreezeScope};
pub use group::{Group, GroupFilter, NewGroup};
pub use host::{DatabaseHost, DatabaseStep, HostWait, carry_out};
pub use housekeeping::{
    AbandonedUpload, CollectionClock, CollectionLock, PackageClaim, UnneededPackage,
};
pub use iam::{
    AccessKey, Domain, IamGrant, IamUser, NewIamUser, PasswordHash, Project, SigningKey,
};
pub use iam_identity::NewIdentity;
pub use iam_policy::{
    AttachedPolicy, HeldDocument, HeldPolicy, IamAttachment, IamGroup, IamPolicy, PolicyHolder,
};
pub use idempotency::IdempotencyClaim;
pub use inventory::{
    FoundDesktop, Installed, Inventory, InventoryFilter, KnownPackage, NameSearch, SoftwareChange,
    software_difference,
};
pub use job::{
    CancelOutcome, DeleteRefusal, JobCounts, JobFilter, JobLive, JobView, RetryRefusal, SweepCursor,
};
pub use keys::{
    AccessKeyKey, AgentKey, AgentReleaseKey, AppKey, AttemptKey, BucketUploadKey, DeploymentKey,
    DesktopKey, DomainKey, EnrollmentRequestKey, EnrollmentTokenKey, GroupKey, IamGroupKey,
    IamPolicyKey, IamUserKey, JobKey, PackageKey, ProjectKey, RevisionKey, RuleKey, UserKey,
    WorkspaceJobKey, WorkspaceSubJobKey,
};
pub use open::{Store, StoreOptions};
pub use package::{NewObject, ObjectPut, Package, PackageState};
pub use package_condition::{DamagedPackage, PackageCondition, PackageLook, PackageToLookAt};
pub use portal::{EndUser, PortalApp, PortalAppFilter, PortalInstalled, PortalJob};
pub use push::{AgentFacts, ClaimedPush, HostKeyOf, NetworkReach, PinnedHostKey, StoredReach};
pub use query::{Listed, Page};
pub use quota::PackageSettings;
pub use receipt::{ReceiptRecord, SignedText, SignerCertificate, TextSignature};
pub use revision::{LinkPin, NewRevision, PackageBinding, PinningDesktop, Revision};
pub use rule::{AppRule, Control, RuleContent, RuleScopeFilter};
pub use sealed::{
    SEALED_COLUMNS, SealedColumn, SealedValue, ServerKeyHolder, ServerKeyRecord, ServerKeyRole,
};
pub use tag::{DesktopTag, ProjectTag, TagMatch, TagSearch};
pub use user::{NewUser, User, UserChange, UserFilter};
pub use why::{WhyJob, WhyRecord, WhySkip};
pub use workspace_job::{NewSubJob, SubJob, SubJobFilter, SubJobOutcome, WorkspaceJob};
