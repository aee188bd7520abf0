//! The state of resources as entries keep it: what may be shown, column by column. Sealed secrets, digests of secrets
//! and password hashes are not named here, so they cannot get into an entry.

use std::collections::BTreeMap;

use sea_orm::{FromQueryResult, Value as SqlValue};
use serde_json::Value;
use uuid::Uuid;

use super::scope::AuditTarget;
use crate::query::{id_array, in_ids, in_keys, key_array, text_array};
use crate::{Db, Dialect, DomainKey, ProjectKey, StoreError};

/// What a resource was at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Snapshot {
    pub(super) target: AuditTarget,
    pub(super) name: Option<String>,
    pub(super) state: Value,
}

/// What a kind of resource goes by.
#[derive(Clone, Copy)]
enum Goes {
    /// By the public id of this table of the source.
    ById(&'static str),
    /// By a text of its own.
    ByText(&'static str),
}

/// To whom a kind of resource belongs.
#[derive(Clone, Copy)]
enum Scope {
    Project,
    Domain,
    Server,
}

/// How a kind of resource is read: `SELECT id, name, object(pairs) FROM source`.
struct Reading {
    kind: &'static str,
    goes: Goes,
    belongs: Scope,
    name: &'static str,
    owner: &'static str,
    pairs: &'static [(&'static str, Part)],
    source: &'static str,
}

/// A member of a state.
enum Part {
    Column(&'static str),
    Json(&'static str),
    /// At most fifty texts: the text, and what it is read from.
    List(&'static str, &'static str),
}

use Part::{Column, Json, List};

/// A freeze `f` as a text.
const FREEZE: &str = "f.operator || ': ' || COALESCE(f.reason, '')";

/// A policy `h` that is held, of `iam_policy q`, in `project p`, as a text.
const HELD_POLICY: &str = "COALESCE(h.ready_made, q.name) || COALESCE(' in ' || p.name, '')";

const READINGS: &[Reading] = &[
    Reading {
        kind: "app",
        goes: Goes::ById("a"),
        belongs: Scope::Project,
        name: "a.name",
        owner: "a.project_id",
        pairs: &[
            ("name", Column("a.name")),
            ("version", Column("r.version")),
            ("description", Column("a.description")),
            ("authorization_type", Column("a.authorization_type")),
            ("install_type", Column("a.install_type")),
            ("support_os", Column("a.support_os")),
            ("status", Column("a.status")),
            ("catalog_id", Column("a.catalog_id")),
            ("install_info", Column("a.install_info")),
            ("icon_sha256", Column("a.icon_sha256")),
            ("run_limit_secs", Column("a.run_limit_secs")),
            ("revision", Column("r.number")),
            ("store_type", Column("r.store_type")),
            ("bucket_file_path", Column("r.bucket_file_path")),
            ("file_link", Column("r.file_link")),
            ("link_sha256", Column("r.link_sha256")),
            ("install_command", Column("r.install_command")),
            ("uninstall_command", Column("r.uninstall_command")),
            ("detection_rule", Json("r.detection_rule")),
            ("success_exit_codes", Json("r.success_exit_codes")),
            ("exit_codes", Json("r.exit_codes")),
            ("deleted_at", Column("a.deleted_at")),
            (
                "authorizations",
                List(
                    "z.account_type || ' ' || z.account",
                    "app_authorization z WHERE z.app_id = a.id ORDER BY z.id",
                ),
            ),
        ],
        source: "app a LEFT JOIN app_revision r ON r.id = a.revision_id",
    },
    Reading {
        kind: "desktop",
        goes: Goes::ById("d"),
        belongs: Scope::Project,
        name: "d.name",
        owner: "d.project_id",
        pairs: &[
            ("name", Column("d.name")),
            ("os_type", Column("d.os_type")),
            ("desktop_type", Column("d.desktop_type")),
            ("persistent", Column("d.persistent")),
            ("ip_address", Column("d.ip_address")),
            ("deleted_at", Column("d.deleted_at")),
            ("reach", Json("h.settings")),
            (
                "users",
                List(
                    "u.name",
                    "desktop_user m JOIN directory_user u ON u.id = m.user_id WHERE m.desktop_id = d.id ORDER BY u.id",
                ),
            ),
            (
                "tags",
                List(
                    "t.tag_key || '=' || t.tag_value",
                    "desktop_tag t WHERE t.desktop_id = d.id ORDER BY t.tag_key",
                ),
            ),
            (
                "agents",
                List(
                    "g.version || ' ' || g.machine_id",
                    "agent g WHERE g.desktop_id = d.id AND g.revoked_at IS NULL ORDER BY g.id",
                ),
            ),
        ],
        source: "desktop d LEFT JOIN desktop_reach h ON h.desktop_id = d.id",
    },
    Reading {
        kind: "user",
        goes: Goes::ById("u"),
        belongs: Scope::Project,
        name: "u.name",
        owner: "u.project_id",
        pairs: &[
            ("name", Column("u.name")),
            ("domain", Column("u.domain")),
            ("platform_type", Column("u.platform_type")),
            ("description", Column("u.description")),
            ("active_type", Column("u.active_type")),
            ("enterprise_project_id", Column("u.enterprise_project_id")),
            ("profile", Json("u.profile")),
            ("disabled", Column("u.disabled")),
            ("directory_id", Column("u.external_id")),
            ("disabled_in_directory", Column("u.external_disabled")),
            ("expires_at", Column("u.external_expires_at")),
            (
                "desktops",
                List(
                    "k.name",
                    "desktop_user m JOIN desktop k ON k.id = m.desktop_id WHERE m.user_id = u.id ORDER BY k.id",
                ),
            ),
        ],
        source: "directory_user u",
    },
    Reading {
        kind: "userGroup",
        goes: Goes::ById("g"),
        belongs: Scope::Project,
        name: "g.name",
        owner: "g.project_id",
        pairs: &[
            ("name", Column("g.name")),
            ("domain", Column("g.domain")),
            ("platform_type", Column("g.platform_type")),
            ("description", Column("g.description")),
            ("directory_id", Column("g.external_id")),
            (
                "member_count",
                Column("(SELECT COUNT(*) FROM group_member m WHERE m.group_id = g.id)"),
            ),
            (
                "members",
                List(
                    "u.name",
                    "group_member m JOIN directory_user u ON u.id = m.user_id WHERE m.group_id = g.id ORDER BY u.id",
                ),
            ),
            (
                "groups",
                List(
                    "i.name",
                    "group_nesting n JOIN directory_group i ON i.id = n.member_id WHERE n.group_id = g.id ORDER BY i.id",
                ),
            ),
        ],
        source: "directory_group g",
    },
    Reading {
        kind: "rule",
        goes: Goes::ById("r"),
        belongs: Scope::Project,
        name: "r.name",
        owner: "r.project_id",
        pairs: &[
            ("name", Column("r.name")),
            ("description", Column("r.description")),
            ("rule", Json("r.rule")),
            ("source", Column("r.source")),
            ("restricted", Column("r.restricted")),
        ],
        source: "app_rule r",
    },
    Reading {
        kind: "object",
        goes: Goes::ByText("o.object_key"),
        belongs: Scope::Project,
        name: "o.object_key",
        owner: "o.project_id",
        pairs: &[
            ("sha256", Column("k.sha256")),
            ("size_bytes", Column("k.size_bytes")),
            ("created_at", Column("o.created_at")),
        ],
        source: "bucket_object o JOIN package k ON k.id = o.package_id",
    },
    Reading {
        kind: "token",
        goes: Goes::ById("t"),
        belongs: Scope::Project,
        name: "t.name",
        owner: "t.project_id",
        pairs: &[
            ("name", Column("t.name")),
            ("max_uses", Column("t.max_uses")),
            ("uses", Column("t.uses")),
            ("expires_at", Column("t.expires_at")),
            ("revoked_at", Column("t.revoked_at")),
            ("may_attach", Column("t.may_attach")),
            ("may_reenroll", Column("t.may_reenroll")),
            ("networks", Json("t.networks")),
            ("tags", Json("t.tags")),
            ("needs_approval", Column("t.needs_approval")),
        ],
        source: "enrollment_token t",
    },
    Reading {
        kind: "enrollmentRequest",
        goes: Goes::ById("q"),
        belongs: Scope::Project,
        name: "q.name",
        owner: "q.project_id",
        pairs: &[
            ("name", Column("q.name")),
            ("user", Column("q.user_name")),
            ("machine_id", Column("q.machine_id")),
            ("address", Column("q.address")),
            (
                "takes_back",
                List(
                    "d.name",
                    "agent a JOIN desktop d ON d.id = a.desktop_id WHERE a.id = q.takes_back",
                ),
            ),
            ("approved", Column("q.approved")),
            ("decided_at", Column("q.decided_at")),
            ("expires_at", Column("q.expires_at")),
        ],
        source: "enrollment_request q",
    },
    Reading {
        kind: "deployment",
        goes: Goes::ById("d"),
        belongs: Scope::Project,
        name: "NULL",
        owner: "d.project_id",
        pairs: &[
            ("kind", Column("d.kind")),
            ("assign_scope", Column("d.assign_scope")),
            ("operator", Column("d.operator")),
            ("repair", Column("d.repair")),
            ("install_command", Column("d.install_command")),
            ("uninstall_command", Column("d.uninstall_command")),
            ("fail_limit_count", Column("d.fail_limit_count")),
            ("fail_limit_percent", Column("d.fail_limit_percent")),
            ("halted_at", Column("d.halted_at")),
            ("expires_at", Column("d.expires_at")),
            (
                "apps",
                List(
                    "a.name",
                    "deployment_app m JOIN app a ON a.id = m.app_id WHERE m.deployment_id = d.id ORDER BY a.id",
                ),
            ),
            (
                "accounts",
                List(
                    "m.account_type || ' ' || m.account",
                    "deployment_account m WHERE m.deployment_id = d.id ORDER BY m.account_type, m.account",
                ),
            ),
        ],
        source: "deployment d",
    },
    Reading {
        kind: "job",
        goes: Goes::ById("j"),
        belongs: Scope::Project,
        name: "NULL",
        owner: "j.project_id",
        pairs: &[
            ("state", Column("j.state")),
            ("reason", Column("j.reason")),
            ("target", Column("j.target")),
            ("attempts", Column("j.attempts")),
        ],
        source: "job j",
    },
    Reading {
        kind: "workspaceJob",
        goes: Goes::ById("w"),
        belongs: Scope::Project,
        name: "w.job_type",
        owner: "w.project_id",
        pairs: &[("job_type", Column("w.job_type"))],
        source: "workspace_job w",
    },
    Reading {
        kind: "subJob",
        goes: Goes::ById("s"),
        belongs: Scope::Project,
        name: "NULL",
        owner: "s.project_id",
        pairs: &[
            ("status", Column("s.status")),
            ("attach_user", Column("s.attach_user")),
            ("deleted_at", Column("s.deleted_at")),
        ],
        source: "workspace_sub_job s",
    },
    Reading {
        kind: "network_reach",
        goes: Goes::ById("n"),
        belongs: Scope::Project,
        name: "n.network",
        owner: "n.project_id",
        pairs: &[
            ("network", Column("n.network")),
            ("settings", Json("n.settings")),
        ],
        source: "network_reach n",
    },
    Reading {
        kind: "project",
        goes: Goes::ById("p"),
        belongs: Scope::Domain,
        name: "p.name",
        owner: "p.domain_id",
        pairs: &[
            ("name", Column("p.name")),
            ("enabled", Column("p.enabled")),
            ("bucket_authorized", Column("p.bucket_authorized")),
            ("running_programs", Column("p.running_programs")),
            ("close_wait_secs", Column("p.close_wait_secs")),
            (
                "copies_token",
                List(
                    "t.name",
                    "enrollment_token t WHERE t.id = p.copies_token_id",
                ),
            ),
            (
                "features",
                List(
                    "f.name || '=' || f.enabled",
                    "project_feature f WHERE f.project_id = p.id ORDER BY f.name",
                ),
            ),
            (
                "freeze",
                List(FREEZE, "hand_out_freeze f WHERE f.project_id = p.id"),
            ),
            (
                "restriction",
                List(
                    "'enabled=' || f.enabled || ' control_mode=' || f.control_mode || ' periodic=' || f.periodic \
                     || ' interval_minutes=' || f.periodic_interval_minutes || ' force_kill=' || f.force_kill",
                    "app_restriction f WHERE f.project_id = p.id",
                ),
            ),
        ],
        source: "project p",
    },
    Reading {
        kind: "iamUser",
        goes: Goes::ById("u"),
        belongs: Scope::Domain,
        name: "u.name",
        owner: "u.domain_id",
        pairs: &[
            ("name", Column("u.name")),
            ("enabled", Column("u.enabled")),
            ("tokens_valid_from", Column("u.tokens_valid_from")),
            (
                "policies",
                List(
                    HELD_POLICY,
                    "iam_held h LEFT JOIN iam_policy q ON q.id = h.policy_id LEFT JOIN project p ON p.id = h.project_id \
                     WHERE h.iam_user_id = u.id ORDER BY 1",
                ),
            ),
            (
                "access_keys",
                List(
                    "k.access || CASE k.enabled WHEN 1 THEN '' ELSE ' disabled' END",
                    "access_key k WHERE k.iam_user_id = u.id ORDER BY k.id",
                ),
            ),
        ],
        source: "iam_user u",
    },
    Reading {
        kind: "iamGroup",
        goes: Goes::ById("g"),
        belongs: Scope::Domain,
        name: "g.name",
        owner: "g.domain_id",
        pairs: &[
            ("name", Column("g.name")),
            (
                "members",
                List(
                    "u.name",
                    "iam_group_member m JOIN iam_user u ON u.id = m.iam_user_id WHERE m.iam_group_id = g.id ORDER BY u.id",
                ),
            ),
            (
                "policies",
                List(
                    HELD_POLICY,
                    "iam_attachment h LEFT JOIN iam_policy q ON q.id = h.policy_id \
                     LEFT JOIN project p ON p.id = h.project_id WHERE h.iam_group_id = g.id ORDER BY 1",
                ),
            ),
        ],
        source: "iam_group g",
    },
    Reading {
        kind: "policy",
        goes: Goes::ById("p"),
        belongs: Scope::Domain,
        name: "p.name",
        owner: "p.domain_id",
        pairs: &[
            ("name", Column("p.name")),
            ("description", Column("p.description")),
            ("document", Json("p.document")),
        ],
        source: "iam_policy p",
    },
    Reading {
        kind: "accessKey",
        goes: Goes::ByText("k.access"),
        belongs: Scope::Domain,
        name: "u.name",
        owner: "u.domain_id",
        pairs: &[
            ("iam_user", Column("u.name")),
            ("enabled", Column("k.enabled")),
        ],
        source: "access_key k JOIN iam_user u ON u.id = k.iam_user_id",
    },
    Reading {
        kind: "agentRelease",
        goes: Goes::ByText("e.version"),
        belongs: Scope::Server,
        name: "e.version",
        owner: "0",
        pairs: &[
            ("percent", Column("e.percent")),
            ("halted", Column("e.halted")),
            ("halt_reason", Column("e.halt_reason")),
            ("halt_after_failures", Column("e.halt_after_failures")),
            ("trial_limit_secs", Column("e.trial_limit_secs")),
            ("round", Column("e.round")),
        ],
        source: "agent_release e",
    },
    Reading {
        kind: "server",
        goes: Goes::ByText("''"),
        belongs: Scope::Server,
        name: "NULL",
        owner: "0",
        pairs: &[
            (
                "freeze",
                List(FREEZE, "hand_out_freeze f WHERE f.project_id = 0"),
            ),
            (
                "download_limits",
                Json("(SELECT l.settings FROM download_limits l WHERE l.id = 1)"),
            ),
            (
                "keys",
                List("k.role || ' ' || k.key_id", "server_key k ORDER BY k.role"),
            ),
        ],
        source: "(SELECT 1 AS one) s",
    },
];

impl Dialect {
    fn json_member(self, part: &Part) -> String {
        match (self, part) {
            (_, Part::Column(column)) => (*column).to_owned(),
            (Self::Sqlite, Part::Json(column)) => format!("json({column})"),
            (Self::Postgres, Part::Json(column)) => format!("CAST({column} AS json)"),
            (Self::Sqlite, Part::List(text, source)) => format!(
                "json((SELECT json_group_array(q.text) FROM (SELECT {text} AS text FROM {source} LIMIT 50) q))"
            ),
            (Self::Postgres, Part::List(text, source)) => format!(
                "(SELECT COALESCE(json_agg(q.text), CAST('[]' AS json)) \
                 FROM (SELECT {text} AS text FROM {source} LIMIT 50) q)"
            ),
        }
    }

    fn json_object(self, pairs: &[(&str, Part)]) -> String {
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(name, part)| format!("'{name}', {}", self.json_member(part)))
            .collect();
        let function = match self {
            Self::Sqlite => "json_object",
            Self::Postgres => "json_build_object",
        };
        format!("CAST({function}({}) AS TEXT)", pairs.join(", "))
    }
}

#[derive(FromQueryResult)]
struct Row<I: sea_orm::TryGetable> {
    names: I,
    name: Option<String>,
    state: String,
}

impl Db<'_> {
    /// What is to be known of resources now. One that does not exist, or not for this project and domain, is left out.
    pub(super) async fn audit_snapshots<'t>(
        &self,
        domain: Option<DomainKey>,
        project: Option<ProjectKey>,
        targets: impl IntoIterator<Item = &'t AuditTarget>,
    ) -> Result<Vec<Snapshot>, StoreError> {
        let mut by_kind: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for target in targets {
            by_kind.entry(&target.kind).or_default().push(&target.id);
        }
        let mut snapshots = Vec::new();
        for (kind, ids) in by_kind {
            let Some(reading) = reading(kind) else {
                continue;
            };
            let owner: SqlValue = match reading.belongs {
                Scope::Project => match project {
                    Some(project) => project.into(),
                    None => continue,
                },
                Scope::Domain => match domain {
                    Some(domain) => domain.into(),
                    None => continue,
                },
                Scope::Server => 0_i64.into(),
            };
            let dialect = self.dialect();
            let (array, condition) = match reading.goes {
                Goes::ById(table) => (
                    id_array(ids.iter().filter_map(|id| Uuid::try_parse(id).ok())),
                    in_ids(dialect, &format!("{table}.public_id"), "$1"),
                ),
                Goes::ByText(column) => (
                    text_array(&ids),
                    format!(
                        "{column} IN (SELECT {} FROM {})",
                        dialect.element_text(),
                        dialect.each("$1")
                    ),
                ),
            };
            let condition = format!("{} = $2 AND {condition}", reading.owner);
            self.audit_read(
                reading,
                &condition,
                vec![array.into(), owner],
                &mut snapshots,
            )
            .await?;
        }
        Ok(snapshots)
    }

    /// The same of rows of a kind, by their keys and whomever they belong to.
    pub(super) async fn audit_snapshots_of(
        &self,
        kind: &str,
        rows: &[i64],
    ) -> Result<Vec<Snapshot>, StoreError> {
        let mut snapshots = Vec::new();
        if let Some(reading) = reading(kind)
            && let Some(table) = reading.table()
            && !rows.is_empty()
        {
            let condition = in_keys(self.dialect(), &format!("{table}.id"), "$1");
            let keys = key_array(rows.iter().copied()).into();
            self.audit_read(reading, &condition, vec![keys], &mut snapshots)
                .await?;
        }
        Ok(snapshots)
    }

    async fn audit_read(
        &self,
        reading: &Reading,
        condition: &str,
        values: Vec<SqlValue>,
        snapshots: &mut Vec<Snapshot>,
    ) -> Result<(), StoreError> {
        let names = match reading.goes {
            Goes::ById(table) => format!("{table}.public_id"),
            Goes::ByText(column) => column.to_owned(),
        };
        let sql = format!(
            "SELECT {names} AS names, CAST({} AS TEXT) AS name, {} AS state FROM {} WHERE {condition}",
            reading.name,
            self.dialect().json_object(reading.pairs),
            reading.source,
        );
        let doing = "look at what a call is about";
        let mut keep = |id: String, name: Option<String>, state: &str| {
            let mut state: Value = crate::query::json("audit snapshot", "state", 0, state)?;
            strip_link_secrets(&mut state);
            snapshots.push(Snapshot {
                target: AuditTarget {
                    kind: reading.kind.to_owned(),
                    id,
                },
                name,
                state,
            });
            Ok(())
        };
        match reading.goes {
            Goes::ById(_) => self
                .all::<Row<Uuid>>(doing, &sql, values)
                .await?
                .into_iter()
                .try_for_each(|row| keep(row.names.hyphenated().to_string(), row.name, &row.state)),
            Goes::ByText(_) => self
                .all::<Row<String>>(doing, &sql, values)
                .await?
                .into_iter()
                .try_for_each(|row| keep(row.names, row.name, &row.state)),
        }
    }
}

impl Reading {
    /// The table whose rows its resources are; `None`: there is one resource, which is no row.
    fn table(&self) -> Option<&'static str> {
        match self.goes {
            Goes::ById(table) => Some(table),
            Goes::ByText(column) => column.split_once('.').map(|(table, _)| table),
        }
    }
}

fn reading(kind: &str) -> Option<&'static Reading> {
    READINGS.iter().find(|it| it.kind == kind)
}

/// A link may be signed in its query, or name a password before its host: neither is kept.
pub fn strip_link_secrets(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(stripped) = without_link_secrets(text) {
                *text = stripped;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strip_link_secrets),
        Value::Object(members) => members.values_mut().for_each(strip_link_secrets),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn without_link_secrets(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let is_link = ["http", "https"]
        .iter()
        .any(|it| scheme.eq_ignore_ascii_case(it));
    if !is_link {
        return None;
    }
    let (rest, query) = match rest.find(['?', '#']) {
        None => (rest, ""),
        Some(place) => (&rest[..place], "?[omitted]"),
    };
    let host = rest.split('/').next().unwrap_or_default();
    let rest = match host.rsplit_once('@') {
        None => rest.to_owned(),
        Some((secret, _)) => format!("[omitted]{}", &rest[secret.len()..]),
    };
    Some(format!("{scheme}://{rest}{query}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_signs_a_link_is_not_kept() {
        let mut value = json!({"file": [
            "https://host/a?X-Amz-Signature=1", "http://ana:pass@host/a", "a://b?c", "HTTPS://host/a#b", "what?"
        ]});
        strip_link_secrets(&mut value);
        assert_eq!(
            value["file"],
            json!([
                "https://host/a?[omitted]",
                "http://[omitted]@host/a",
                "a://b?c",
                "HTTPS://host/a?[omitted]",
                "what?"
            ])
        );
    }

    /// What is stored sealed, hashed or digested must not be selected.
    #[test]
    fn no_secret_column_is_read() {
        for reading in READINGS {
            let sql = Dialect::Sqlite.json_object(reading.pairs);
            for word in ["secret", "password", "hash", "sealed", "digest"] {
                assert!(!sql.contains(word), "{}: {word}", reading.kind);
            }
        }
    }
}
