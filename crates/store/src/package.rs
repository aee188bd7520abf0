//! Packages and the objects of project buckets that hold them. Content is stored once, whoever has it.

use outfitter_agent_protocol::DetectionRule;
use outfitter_domain::Millis;
use sea_orm::FromQueryResult;

use crate::query::{json, word};
use crate::revision::rule_text;
use crate::{Db, PackageKey, ProjectKey, StoreError, Tx};

/// Whether a package may be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageState {
    /// Not checked yet.
    Pending,
    /// May be handed out.
    Ready,
    /// Must not be handed out.
    Refused,
    /// Nothing needs it: its bytes are being removed.
    Collecting,
    /// Its bytes were removed; revisions of the past still name it.
    Gone,
}

impl PackageState {
    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Refused => "refused",
            Self::Collecting => "collecting",
            Self::Gone => "gone",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "pending" => Some(Self::Pending),
            "ready" => Some(Self::Ready),
            "refused" => Some(Self::Refused),
            "collecting" => Some(Self::Collecting),
            "gone" => Some(Self::Gone),
            _ => None,
        }
    }
}

/// Content of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Key.
    pub key: PackageKey,
    /// Lower-case hex SHA-256 of the content.
    pub sha256: String,
    /// Size of the content in bytes.
    pub size_bytes: i64,
    /// Whether it may be handed out.
    pub state: PackageState,
    /// What the content is (`PackageFacts` of outfitter-packages), JSON.
    pub facts: String,
    /// Rule that the content gives.
    pub derived_rule: Option<DetectionRule>,
    /// When the content came first.
    pub created_at: Millis,
}

/// An object that was written to a project's bucket; its content lies in the package store already.
#[derive(Debug)]
pub struct NewObject<'a> {
    /// Whose bucket.
    pub project: ProjectKey,
    /// Full key.
    pub object_key: &'a str,
    /// Lower-case hex SHA-256 of the content.
    pub sha256: &'a str,
    /// Size of the content in bytes.
    pub size_bytes: i64,
    /// What the content is (`PackageFacts` of outfitter-packages), JSON.
    pub facts: &'a str,
    /// Rule that the content gives.
    pub derived_rule: Option<&'a DetectionRule>,
    /// S3's entity tag, as the uploader was told it.
    pub etag: Option<&'a str>,
}

/// What writing an object did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectPut {
    /// The package the object holds now.
    pub package: PackageKey,
    /// Revisions that waited for the object.
    pub revisions_bound: u64,
}

#[derive(FromQueryResult)]
struct PackageRow {
    id: i64,
    sha256: String,
    size_bytes: i64,
    state: String,
    facts: String,
    derived_rule: Option<String>,
    created_at: i64,
}

const PACKAGE_COLUMNS: &str =
    "p.id, p.sha256, p.size_bytes, p.state, p.facts, p.derived_rule, p.created_at";

impl PackageRow {
    fn read(self) -> Result<Package, StoreError> {
        Ok(Package {
            key: PackageKey::new(self.id),
            state: word(
                "package",
                "state",
                self.id,
                &self.state,
                PackageState::parse,
            )?,
            derived_rule: self
                .derived_rule
                .map(|text| json("package", "derived_rule", self.id, &text))
                .transpose()?,
            sha256: self.sha256,
            size_bytes: self.size_bytes,
            facts: self.facts,
            created_at: Millis::new(self.created_at),
        })
    }
}

impl Db<'_> {
    /// Reads a package.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn package_get(&self, key: PackageKey) -> Result<Option<Package>, StoreError> {
        self.one::<PackageRow>(
            "read a package",
            &format!("SELECT {PACKAGE_COLUMNS} FROM package p WHERE p.id = $1"),
            [key.into()],
        )
        .await?
        .map(PackageRow::read)
        .transpose()
    }

    /// Finds the package that an object of a project's bucket holds.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn object_find(
        &self,
        project: ProjectKey,
        object_key: &str,
    ) -> Result<Option<Package>, StoreError> {
        self.one::<PackageRow>(
            "find an object of the bucket",
            &format!(
                "SELECT {PACKAGE_COLUMNS} FROM bucket_object o JOIN package p ON p.id = o.package_id \
                 WHERE o.project_id = $1 AND o.object_key = $2"
            ),
            [project.into(), object_key.into()],
        )
        .await?
        .map(PackageRow::read)
        .transpose()
    }
}

impl Tx {
    /// Records an object: what was there under its key is replaced, revisions that waited for it are bound,
    /// and the project has its bucket from now on. The package's row is locked from here to the end of the
    /// transaction, so that nobody collects its bytes meanwhile.
    ///
    /// `None`, and nothing recorded, unless [`Tx::package_claim`] holds the bytes still: they may be gone.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn object_put(
        &self,
        object: &NewObject<'_>,
        now: Millis,
    ) -> Result<Option<ObjectPut>, StoreError> {
        const DOING: &str = "record an object of the bucket";
        // The same content gives the same facts, but a later version may read more out of it.
        let package: Option<i64> = self
            .db()
            .scalar(
                "record a package",
                "UPDATE package SET facts = $2, derived_rule = $3, state = $4, size_bytes = $5, \
                 unreferenced_at = NULL, condition = 'intact', digested_at = NULL \
                 WHERE sha256 = $1 AND state <> 'collecting' AND claimed_until >= $6 RETURNING id",
                [
                    object.sha256.into(),
                    object.facts.into(),
                    object.derived_rule.map(rule_text).into(),
                    PackageState::Ready.as_str().into(),
                    object.size_bytes.into(),
                    now.get().into(),
                ],
            )
            .await?;
        let Some(package) = package.map(PackageKey::new) else {
            return Ok(None);
        };
        let there: Option<i64> = self
            .db()
            .scalar(
                "look for an object of the bucket",
                "SELECT id FROM bucket_object WHERE project_id = $1 AND object_key = $2",
                [object.project.into(), object.object_key.into()],
            )
            .await?;
        match there {
            Some(row) => self.changes("object", &[row]).await?,
            None => self.made("object", object.object_key),
        }
        self.run(
            DOING,
            "INSERT INTO bucket_object (project_id, object_key, package_id, created_at, etag) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project_id, object_key) DO UPDATE \
             SET package_id = excluded.package_id, created_at = excluded.created_at, etag = excluded.etag",
            [
                object.project.into(),
                object.object_key.into(),
                package.into(),
                now.get().into(),
                object.etag.map(str::to_owned).into(),
            ],
        )
        .await?;
        self.bucket_authorize(object.project).await?;
        let revisions_bound = self
            .revision_bind_object(object.project, object.object_key)
            .await?;
        Ok(Some(ObjectPut {
            package,
            revisions_bound,
        }))
    }
}
