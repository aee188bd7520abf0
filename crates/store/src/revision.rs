//! Revisions: immutable installable content of apps. Only a package that becomes known is written later.

use std::collections::BTreeMap;

use outfitter_agent_protocol::{DetectionRule, ExitMeaning};
use outfitter_domain::app::{AppRule, BucketPlace, FileStore, RevisionContent, RuleOrigin};
use outfitter_domain::{Millis, StoreType};
use outfitter_ids::{DesktopId, RevisionId};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::app::app_key_array;
use crate::query::{in_keys, json, word};
use crate::{
    AppKey, Db, DesktopKey, Listed, PackageCondition, PackageKey, PackageState, Page, ProjectKey,
    RevisionKey, StoreError, Tx,
};

/// One immutable installable content of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Key.
    pub key: RevisionKey,
    /// Public id.
    pub id: RevisionId,
    /// Its app.
    pub app: AppKey,
    /// 1 for the first; later ones are higher.
    pub number: i64,
    /// What installing it means.
    pub content: RevisionContent,
    /// The package, once the object was in the bucket; never for a link.
    pub package: Option<PackageBinding>,
    /// What a link's content is, once that is known.
    pub link_pin: Option<LinkPin>,
    /// How a desktop tells whether it is there.
    pub rule: Option<AppRule>,
    /// Exit codes that mean success.
    pub success_exit_codes: Vec<i64>,
    /// What exit codes mean for this app, before all that.
    pub exit_codes: BTreeMap<i32, ExitMeaning>,
    /// When it was made.
    pub created_at: Millis,
}

/// The package a revision is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageBinding {
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
    /// What was found when its bytes were last looked at.
    pub condition: PackageCondition,
    /// When they were last looked at; `None`: never since they came.
    pub looked_at: Option<Millis>,
    /// When they were last read and digested.
    pub digested_at: Option<Millis>,
    /// Whether somebody asked for that and it has not ended.
    pub is_digest_wanted: bool,
}

/// What is known of a link's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkPin {
    /// Lower-case hex SHA-256 of the content.
    pub sha256: String,
    /// Size of the content in bytes, once a desktop has seen it.
    pub size_bytes: Option<i64>,
    /// The desktop that saw it first; `None` when the digest was given.
    pub pinned_by: Option<PinningDesktop>,
}

impl LinkPin {
    /// A digest that came with the link.
    pub fn given(sha256: String) -> Self {
        Self {
            sha256,
            size_bytes: None,
            pinned_by: None,
        }
    }
}

/// The desktop that saw a link's content first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinningDesktop {
    /// Key.
    pub key: DesktopKey,
    /// Public id.
    pub id: DesktopId,
}

/// A revision to insert.
#[derive(Debug)]
pub struct NewRevision<'a> {
    /// Public id.
    pub id: RevisionId,
    /// Its app, locked or new in this transaction.
    pub app: AppKey,
    /// What installing it means.
    pub content: &'a RevisionContent,
    /// The package, where the content is known to be that of an earlier revision.
    pub package: Option<PackageKey>,
    /// What a link's content is, where it is known to be that of an earlier revision.
    pub link_pin: Option<&'a LinkPin>,
    /// How a desktop tells whether it is there.
    pub rule: Option<&'a AppRule>,
    /// Exit codes that mean success.
    pub success_exit_codes: &'a [i64],
}

/// Columns of [`REVISION_TABLES`] for [`RevisionRow`], each with a prefix of its own so that other columns
/// can stand beside them.
pub(crate) const REVISION_COLUMNS: &str = "r.id AS r_id, r.public_id AS r_public_id, r.app_id AS r_app_id, \
     r.number AS r_number, r.version AS r_version, r.store_type AS r_store_type, \
     r.bucket_name AS r_bucket_name, r.bucket_file_path AS r_bucket_file_path, r.file_link AS r_file_link, \
     r.package_id AS r_package_id, p.sha256 AS r_package_sha256, p.size_bytes AS r_package_size_bytes, \
     p.state AS r_package_state, p.facts AS r_package_facts, \
     p.condition AS r_package_condition, p.looked_at AS r_package_looked_at, \
     p.digested_at AS r_package_digested_at, p.digest_wanted_at AS r_package_digest_wanted_at, \
     r.link_sha256 AS r_link_sha256, r.link_size_bytes AS r_link_size_bytes, \
     r.link_pinned_by AS r_link_pinned_by, d.public_id AS r_link_pinned_by_id, r.install_command AS r_install_command, \
     r.uninstall_command AS r_uninstall_command, r.detection_rule AS r_detection_rule, \
     r.detection_origin AS r_detection_origin, r.success_exit_codes AS r_success_exit_codes, \
     r.exit_codes AS r_exit_codes, \
     r.created_at AS r_created_at";

/// Revisions `r` with their packages `p` and the desktops `d` that pinned their links; a condition on `r`
/// follows.
pub(crate) const REVISION_TABLES: &str = "(app_revision r LEFT JOIN package p ON p.id = r.package_id \
     LEFT JOIN desktop d ON d.id = r.link_pinned_by)";

/// A row of [`REVISION_TABLES`].
#[derive(FromQueryResult)]
pub(crate) struct RevisionRow {
    r_id: i64,
    r_public_id: Uuid,
    r_app_id: i64,
    r_number: i64,
    r_version: String,
    r_store_type: String,
    r_bucket_name: Option<String>,
    r_bucket_file_path: Option<String>,
    r_file_link: Option<String>,
    r_package_id: Option<i64>,
    r_package_sha256: Option<String>,
    r_package_size_bytes: Option<i64>,
    r_package_state: Option<String>,
    r_package_facts: Option<String>,
    r_package_condition: Option<String>,
    r_package_looked_at: Option<i64>,
    r_package_digested_at: Option<i64>,
    r_package_digest_wanted_at: Option<i64>,
    r_link_sha256: Option<String>,
    r_link_size_bytes: Option<i64>,
    r_link_pinned_by: Option<i64>,
    r_link_pinned_by_id: Option<Uuid>,
    r_install_command: Option<String>,
    r_uninstall_command: Option<String>,
    r_detection_rule: Option<String>,
    r_detection_origin: Option<String>,
    r_success_exit_codes: String,
    r_exit_codes: Option<String>,
    r_created_at: i64,
}

impl RevisionRow {
    pub(crate) fn read(self) -> Result<Revision, StoreError> {
        const TABLE: &str = "app_revision";
        let id = self.r_id;
        let rule = match (self.r_detection_rule, self.r_detection_origin) {
            (Some(rule), Some(origin)) => Some(AppRule {
                rule: json(TABLE, "detection_rule", id, &rule)?,
                origin: word(TABLE, "detection_origin", id, &origin, RuleOrigin::parse)?,
            }),
            _ => None,
        };
        Ok(Revision {
            key: RevisionKey::new(id),
            id: RevisionId::new(self.r_public_id),
            app: AppKey::new(self.r_app_id),
            number: self.r_number,
            content: RevisionContent {
                version: self.r_version,
                file_store: FileStore {
                    store_type: word(
                        TABLE,
                        "store_type",
                        id,
                        &self.r_store_type,
                        StoreType::parse,
                    )?,
                    bucket: self.r_bucket_name.zip(self.r_bucket_file_path).map(
                        |(bucket_name, object_key)| BucketPlace {
                            bucket_name,
                            object_key,
                        },
                    ),
                    file_link: self.r_file_link,
                },
                install_command: self.r_install_command,
                uninstall_command: self.r_uninstall_command,
            },
            package: match (
                self.r_package_id,
                self.r_package_sha256,
                self.r_package_size_bytes,
                self.r_package_state,
                self.r_package_facts,
                self.r_package_condition,
            ) {
                (
                    Some(key),
                    Some(sha256),
                    Some(size_bytes),
                    Some(state),
                    Some(facts),
                    Some(condition),
                ) => Some(PackageBinding {
                    key: PackageKey::new(key),
                    sha256,
                    size_bytes,
                    state: word("package", "state", key, &state, PackageState::parse)?,
                    facts,
                    condition: word(
                        "package",
                        "condition",
                        key,
                        &condition,
                        PackageCondition::parse,
                    )?,
                    looked_at: self.r_package_looked_at.map(Millis::new),
                    digested_at: self.r_package_digested_at.map(Millis::new),
                    is_digest_wanted: self.r_package_digest_wanted_at.is_some(),
                }),
                _ => None,
            },
            link_pin: self.r_link_sha256.map(|sha256| LinkPin {
                sha256,
                size_bytes: self.r_link_size_bytes,
                pinned_by: self
                    .r_link_pinned_by
                    .zip(self.r_link_pinned_by_id)
                    .map(|(key, id)| PinningDesktop {
                        key: DesktopKey::new(key),
                        id: DesktopId::new(id),
                    }),
            }),
            rule,
            success_exit_codes: json(TABLE, "success_exit_codes", id, &self.r_success_exit_codes)?,
            exit_codes: match self.r_exit_codes {
                Some(text) => json(TABLE, "exit_codes", id, &text)?,
                None => BTreeMap::new(),
            },
            created_at: Millis::new(self.r_created_at),
        })
    }
}

/// A rule as it is stored.
pub(crate) fn rule_text(rule: &DetectionRule) -> String {
    serde_json::to_string(rule).expect("a rule is JSON")
}

impl Db<'_> {
    /// A page of an app's revisions, newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn revision_list(
        &self,
        app: AppKey,
        page: Page,
    ) -> Result<Listed<Revision>, StoreError> {
        const DOING: &str = "list revisions";
        let total: i64 = self
            .scalar(
                DOING,
                "SELECT COUNT(*) FROM app_revision WHERE app_id = $1",
                [app.into()],
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<RevisionRow> = self
            .all(
                DOING,
                &format!(
                    "SELECT {REVISION_COLUMNS} FROM {REVISION_TABLES} WHERE r.app_id = $1 \
                     ORDER BY r.number DESC LIMIT $2 OFFSET $3"
                ),
                [app.into(), page.limit.into(), page.offset.into()],
            )
            .await?;
        let items = rows
            .into_iter()
            .map(RevisionRow::read)
            .collect::<Result<_, _>>()?;
        Ok(Listed { total, items })
    }

    /// Reads a revision by its key, of a deleted app too.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn revision_get(&self, key: RevisionKey) -> Result<Option<Revision>, StoreError> {
        self.one::<RevisionRow>(
            "read a revision",
            &format!("SELECT {REVISION_COLUMNS} FROM {REVISION_TABLES} WHERE r.id = $1"),
            [key.into()],
        )
        .await?
        .map(RevisionRow::read)
        .transpose()
    }
}

impl Tx {
    /// Inserts a revision and makes it the newest of its app, which must be locked or new. What exit codes mean is
    /// carried over from the one before.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn revision_insert(
        &self,
        new: &NewRevision<'_>,
        now: Millis,
    ) -> Result<RevisionKey, StoreError> {
        let content = new.content;
        let bucket = content.file_store.bucket.as_ref();
        let key = self
            .insert(
                "insert a revision",
                "INSERT INTO app_revision (public_id, app_id, number, version, store_type, bucket_name, \
                 bucket_file_path, file_link, package_id, link_sha256, link_size_bytes, link_pinned_by, \
                 install_command, uninstall_command, detection_rule, detection_origin, \
                 success_exit_codes, created_at, exit_codes) \
                 SELECT $1, $2, COALESCE(MAX(number), 0) + 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
                 $13, $14, $15, $16, $17, (SELECT o.exit_codes FROM app a \
                   JOIN app_revision o ON o.id = a.revision_id WHERE a.id = $2) \
                 FROM app_revision WHERE app_id = $2 RETURNING id",
                [
                    new.id.uuid().into(),
                    new.app.into(),
                    content.version.as_str().into(),
                    content.file_store.store_type.as_str().into(),
                    bucket.map(|place| place.bucket_name.clone()).into(),
                    bucket.map(|place| place.object_key.clone()).into(),
                    content.file_store.file_link.clone().into(),
                    new.package.map(PackageKey::get).into(),
                    new.link_pin.map(|pin| pin.sha256.clone()).into(),
                    new.link_pin.and_then(|pin| pin.size_bytes).into(),
                    new.link_pin
                        .and_then(|pin| pin.pinned_by)
                        .map(|desktop| desktop.key.get())
                        .into(),
                    content.install_command.clone().into(),
                    content.uninstall_command.clone().into(),
                    new.rule.map(|rule| rule_text(&rule.rule)).into(),
                    new.rule
                        .map(|rule| rule.origin.as_str().to_owned())
                        .into(),
                    serde_json::to_string(new.success_exit_codes)
                        .expect("numbers are JSON")
                        .into(),
                    now.get().into(),
                ],
            )
            .await
            .map(RevisionKey::new)?;
        self.run(
            "make a revision the newest",
            "UPDATE app SET revision_id = $2, updated_at = $3 WHERE id = $1",
            [new.app.into(), key.into(), now.get().into()],
        )
        .await?;
        Ok(key)
    }

    /// Says what exit codes mean for a revision that this transaction inserted: afterwards a revision never changes.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn revision_exit_codes(
        &self,
        revision: RevisionKey,
        exit_codes: &BTreeMap<i32, ExitMeaning>,
    ) -> Result<(), StoreError> {
        let text = (!exit_codes.is_empty())
            .then(|| serde_json::to_string(exit_codes).expect("meanings are JSON"));
        self.run(
            "say what exit codes mean",
            "UPDATE app_revision SET exit_codes = $2 WHERE id = $1",
            [revision.into(), text.into()],
        )
        .await
        .map(drop)
    }

    /// Binds the newest revisions of these apps to the packages that lie in the bucket now, where they are
    /// not bound yet; where a revision has no rule, it gets the one its package gives. Answers how many
    /// were bound. A binding never changes afterwards.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn revision_bind(
        &self,
        project: ProjectKey,
        apps: &[AppKey],
    ) -> Result<u64, StoreError> {
        let these = in_keys(self.dialect(), "a.id", "$2");
        self.bind(&these, project, app_key_array(apps)).await
    }

    /// [`Tx::revision_bind`] for every app of the project that refers to an object.
    pub(crate) async fn revision_bind_object(
        &self,
        project: ProjectKey,
        object_key: &str,
    ) -> Result<u64, StoreError> {
        // The index app_revision_object finds them.
        let these = "substr(app_revision.bucket_file_path, 1, 200) = substr($2, 1, 200) \
                     AND app_revision.bucket_file_path = $2";
        self.bind(these, project, object_key.to_owned()).await
    }

    async fn bind(
        &self,
        these: &str,
        project: ProjectKey,
        parameter: String,
    ) -> Result<u64, StoreError> {
        self.run(
            "bind revisions to their packages",
            &format!(
                "UPDATE app_revision SET package_id = o.package_id, \
                 detection_origin = CASE WHEN app_revision.detection_rule IS NULL \
                   AND p.derived_rule IS NOT NULL THEN 'derived' ELSE app_revision.detection_origin END, \
                 detection_rule = COALESCE(app_revision.detection_rule, p.derived_rule) \
                 FROM app a, bucket_object o, package p \
                 WHERE a.id = app_revision.app_id AND a.revision_id = app_revision.id \
                 AND a.project_id = $1 AND a.deleted_at IS NULL \
                 AND o.project_id = $1 AND o.object_key = app_revision.bucket_file_path \
                 AND p.id = o.package_id \
                 AND app_revision.store_type = 'OBS' AND app_revision.package_id IS NULL AND {these}"
            ),
            [project.into(), parameter.into()],
        )
        .await
    }
}
