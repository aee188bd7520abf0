//! What desktops have, as far as the last SUCCESS on each tells, and who waits for a restart. Written with the result
//! that says so, in its transaction.

use outfitter_domain::Millis;
use outfitter_domain::job::Proof;
use outfitter_ids::{DesktopId, RevisionId};
use sea_orm::FromQueryResult;
use serde_json::Value;
use uuid::Uuid;

use crate::job::key_list;
use crate::query::in_keys;
use crate::{AppKey, Db, DesktopKey, Listed, Page, ProjectKey, RevisionKey, StoreError, Tx};

/// An app on a desktop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesktopApp {
    /// The desktop.
    pub desktop: DesktopId,
    /// The desktop's name.
    pub desktop_name: String,
    /// Key of the revision that was installed.
    pub revision_key: RevisionKey,
    /// The revision that was installed.
    pub revision: RevisionId,
    /// Number of that revision.
    pub number: i64,
    /// Version of that revision.
    pub version: String,
    /// How well it was proven.
    pub proof: Proof,
    /// When.
    pub installed_at: Millis,
}

#[derive(FromQueryResult)]
struct Row {
    desktop_id: i64,
    desktop_public_id: Uuid,
    desktop_name: String,
    revision_id: i64,
    revision_public_id: Uuid,
    number: i64,
    version: String,
    proof: i64,
    installed_at: i64,
}

impl Row {
    fn read(self) -> Result<DesktopApp, StoreError> {
        Ok(DesktopApp {
            desktop: DesktopId::new(self.desktop_public_id),
            desktop_name: self.desktop_name,
            revision_key: RevisionKey::new(self.revision_id),
            revision: RevisionId::new(self.revision_public_id),
            number: self.number,
            version: self.version,
            proof: Proof::from_number(self.proof).ok_or_else(|| StoreError::Inconsistent {
                table: "desktop_app",
                column: "proof",
                row: self.desktop_id,
                value: self.proof.to_string(),
            })?,
            installed_at: Millis::new(self.installed_at),
        })
    }
}

const SELECT: &str = "SELECT k.id AS desktop_id, k.public_id AS desktop_public_id, k.name AS desktop_name, \
     r.id AS revision_id, r.public_id AS revision_public_id, r.number, r.version, i.proof, i.installed_at \
     FROM desktop_app i JOIN desktop k ON k.id = i.desktop_id JOIN app_revision r ON r.id = i.revision_id";

/// Desktops `k` of project `$1` on which app `$2` is in another revision than the newest, by `desktop_app i`.
const OUTDATED: &str = "i.app_id = $2 AND k.project_id = $1 AND k.deleted_at IS NULL \
     AND i.revision_id <> (SELECT a.revision_id FROM app a WHERE a.id = i.app_id)";

impl Db<'_> {
    /// What a desktop has of an app; `None`: nothing that we know of.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn desktop_app_get(
        &self,
        desktop: DesktopKey,
        app: AppKey,
    ) -> Result<Option<DesktopApp>, StoreError> {
        self.one::<Row>(
            "read what a desktop has",
            &format!("{SELECT} WHERE i.desktop_id = $1 AND i.app_id = $2"),
            [desktop.into(), app.into()],
        )
        .await?
        .map(Row::read)
        .transpose()
    }

    /// A page of the desktops that have an older revision of an app than its newest, by the desktop's key, and how many
    /// there are (index `desktop_app_app`).
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn desktop_app_outdated(
        &self,
        project: ProjectKey,
        app: AppKey,
        page: Page,
    ) -> Result<Listed<DesktopApp>, StoreError> {
        const DOING: &str = "list outdated desktops";
        let total: i64 = self
            .scalar(
                DOING,
                &format!(
                    "SELECT COUNT(*) FROM desktop_app i JOIN desktop k ON k.id = i.desktop_id WHERE {OUTDATED}"
                ),
                [project.into(), app.into()],
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<Row> = self
            .all(
                DOING,
                &format!("{SELECT} WHERE {OUTDATED} ORDER BY i.desktop_id LIMIT $3 OFFSET $4"),
                [
                    project.into(),
                    app.into(),
                    page.limit.into(),
                    page.offset.into(),
                ],
            )
            .await?;
        let items = rows.into_iter().map(Row::read).collect::<Result<_, _>>()?;
        Ok(Listed { total, items })
    }
}

impl Tx {
    /// Keeps what results said: `k` desktop, `a` app, `r` revision, `p` proof, `o` kind of job (0 puts on, 1 takes off), `b` the end
    /// user who asked for it, if one did.
    pub(crate) async fn desktop_apps_keep(
        &self,
        done: Vec<Value>,
        now: Millis,
    ) -> Result<(), StoreError> {
        const DOING: &str = "keep what desktops have";
        if done.is_empty() {
            return Ok(());
        }
        let each = self.dialect().each("$1");
        let number = |name: &str| format!("CAST(value ->> '{name}' AS BIGINT)");
        let rows = Value::Array(done).to_string();
        self.run(
            DOING,
            &format!(
                "INSERT INTO desktop_app (desktop_id, app_id, revision_id, proof, requested_by, installed_at) \
                 SELECT {}, {}, {}, {}, {}, $2 FROM {each} WHERE {} = 0 \
                 ON CONFLICT (desktop_id, app_id) DO UPDATE SET revision_id = excluded.revision_id, \
                 proof = excluded.proof, installed_at = excluded.installed_at, requested_by = \
                 CASE WHEN excluded.requested_by IS NULL THEN NULL ELSE desktop_app.requested_by END",
                number("k"),
                number("a"),
                number("r"),
                number("p"),
                number("b"),
                number("o"),
            ),
            [rows.clone().into(), now.get().into()],
        )
        .await?;
        self.run(
            DOING,
            &format!(
                "DELETE FROM desktop_app WHERE EXISTS (SELECT 1 FROM {each} WHERE {} = 1 \
                 AND {} = desktop_app.desktop_id AND {} = desktop_app.app_id)",
                number("o"),
                number("k"),
                number("a"),
            ),
            [rows.into()],
        )
        .await
        .map(drop)
    }

    /// Notes that installers on these desktops asked for a restart.
    pub(crate) async fn desktop_reboot_needed(
        &self,
        desktops: Vec<i64>,
        now: Millis,
    ) -> Result<(), StoreError> {
        if desktops.is_empty() {
            return Ok(());
        }
        self.run(
            "note who needs a restart",
            &format!(
                "UPDATE desktop SET reboot_needed_at = COALESCE(reboot_needed_at, $2) WHERE {}",
                in_keys(self.dialect(), "id", "$1")
            ),
            [key_list(desktops), now.get().into()],
        )
        .await
        .map(drop)
    }

    /// Notes the boot that a desktop's agent said hello from. Another one than before is the restart that an installer
    /// wanted. Answers whether one was waited for.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn desktop_boot(
        &self,
        desktop: DesktopKey,
        boot_id: &str,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "note a desktop's boot";
        let restarted = self
            .run(
                DOING,
                "UPDATE desktop SET reboot_needed_at = NULL, boot_id = $2 \
                 WHERE id = $1 AND boot_id <> $2 AND reboot_needed_at IS NOT NULL",
                [desktop.into(), boot_id.into()],
            )
            .await?
            > 0;
        self.run(
            DOING,
            "UPDATE desktop SET boot_id = $2 WHERE id = $1 AND (boot_id IS NULL OR boot_id <> $2)",
            [desktop.into(), boot_id.into()],
        )
        .await?;
        Ok(restarted)
    }
}
