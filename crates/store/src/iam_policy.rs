//! IAM policies that an account wrote, groups of IAM users, and what is attached to whom.

use outfitter_domain::Millis;
use outfitter_domain::iam::{PolicyDocument, ReadyMadePolicy};
use outfitter_domain::text::fold;
use outfitter_ids::{IamGroupId, IamPolicyId, IamUserId, ProjectId};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::query::{json, word};
use crate::{Db, DomainKey, IamGroupKey, IamPolicyKey, IamUserKey, ProjectKey, StoreError, Tx};

/// A policy that an account wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamPolicy {
    /// Row.
    pub key: IamPolicyKey,
    /// Public id.
    pub id: IamPolicyId,
    /// Name, unique in the domain without regard to case.
    pub name: String,
    /// What it is for, in words.
    pub description: String,
    /// What it says.
    pub document: PolicyDocument,
    /// When it was made.
    pub created_at: Millis,
    /// When it was last changed.
    pub updated_at: Millis,
}

/// A group of IAM users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamGroup {
    /// Row.
    pub key: IamGroupKey,
    /// Public id.
    pub id: IamGroupId,
    /// Name, unique in the domain without regard to case.
    pub name: String,
    /// When it was made.
    pub created_at: Millis,
}

/// A policy as it is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachedPolicy {
    /// One of the product's.
    ReadyMade(ReadyMadePolicy),
    /// One that the account wrote.
    Written(IamPolicyKey),
}

/// To whom a policy is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyHolder {
    /// A user.
    User(IamUserKey),
    /// Every member of a group.
    Group(IamGroupKey),
}

/// A policy attached to a user or a group, with the names for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamAttachment {
    /// Row: newest first.
    pub key: i64,
    /// Name of the policy.
    pub policy: String,
    /// Public id of a policy that the account wrote.
    pub policy_id: Option<IamPolicyId>,
    /// The user.
    pub user: Option<(IamUserId, String)>,
    /// The group.
    pub group: Option<(IamGroupId, String)>,
    /// In this project only; `None`: in all of the domain.
    pub project: Option<ProjectId>,
}

/// A policy that counts for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldPolicy {
    /// In this project; `None`: in all of the domain.
    pub project: Option<ProjectKey>,
    /// Name of the group that brings it.
    pub through: Option<String>,
    /// The policy.
    pub policy: HeldDocument,
}

/// What a held policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldDocument {
    /// One of the product's.
    ReadyMade(ReadyMadePolicy),
    /// One that the account wrote.
    Written {
        /// Its name.
        name: String,
        /// What it says.
        document: PolicyDocument,
    },
}

#[derive(FromQueryResult)]
struct PolicyRow {
    id: i64,
    public_id: Uuid,
    name: String,
    description: String,
    document: String,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<PolicyRow> for IamPolicy {
    type Error = StoreError;

    fn try_from(row: PolicyRow) -> Result<Self, StoreError> {
        Ok(Self {
            document: json("iam_policy", "document", row.id, &row.document)?,
            key: row.id.into(),
            id: row.public_id.into(),
            name: row.name,
            description: row.description,
            created_at: Millis::new(row.created_at),
            updated_at: Millis::new(row.updated_at),
        })
    }
}

#[derive(FromQueryResult)]
struct GroupRow {
    id: i64,
    public_id: Uuid,
    name: String,
    created_at: i64,
}

impl From<GroupRow> for IamGroup {
    fn from(row: GroupRow) -> Self {
        Self {
            key: row.id.into(),
            id: row.public_id.into(),
            name: row.name,
            created_at: Millis::new(row.created_at),
        }
    }
}

#[derive(FromQueryResult)]
struct AttachmentRow {
    id: i64,
    ready_made: Option<String>,
    policy_public_id: Option<Uuid>,
    policy_name: Option<String>,
    user_public_id: Option<Uuid>,
    user_name: Option<String>,
    group_public_id: Option<Uuid>,
    group_name: Option<String>,
    project_public_id: Option<Uuid>,
}

#[derive(FromQueryResult)]
struct HeldRow {
    project_id: Option<i64>,
    ready_made: Option<String>,
    policy_name: Option<String>,
    document: Option<String>,
    group_name: Option<String>,
}

const POLICY_COLUMNS: &str = "id, public_id, name, description, document, created_at, updated_at";

impl Db<'_> {
    /// Every policy that counts for a user anywhere: its role, what is attached to it and to its groups.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn iam_held(&self, user: IamUserKey) -> Result<Vec<HeldPolicy>, StoreError> {
        let rows: Vec<HeldRow> = self
            .all(
                "read what an IAM user holds",
                "SELECT h.project_id, h.ready_made, p.name AS policy_name, p.document, g.name AS group_name \
                 FROM iam_held h LEFT JOIN iam_policy p ON p.id = h.policy_id \
                 LEFT JOIN iam_group g ON g.id = h.iam_group_id WHERE h.iam_user_id = $1",
                [user.into()],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                let policy = match (row.ready_made, row.policy_name, row.document) {
                    (Some(name), _, _) => HeldDocument::ReadyMade(word(
                        "iam_held",
                        "ready_made",
                        user.get(),
                        &name,
                        ReadyMadePolicy::parse,
                    )?),
                    (None, Some(name), Some(document)) => HeldDocument::Written {
                        document: json("iam_policy", "document", user.get(), &document)?,
                        name,
                    },
                    _ => {
                        return Err(StoreError::Inconsistent {
                            table: "iam_attachment",
                            column: "policy_id",
                            row: user.get(),
                            value: "neither a policy nor a name".to_owned(),
                        });
                    }
                };
                Ok(HeldPolicy {
                    project: row.project_id.map(ProjectKey::new),
                    through: row.group_name,
                    policy,
                })
            })
            .collect()
    }

    /// The policies that a domain wrote, newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn iam_policy_list(&self, domain: DomainKey) -> Result<Vec<IamPolicy>, StoreError> {
        let rows: Vec<PolicyRow> = self
            .all(
                "list IAM policies",
                &format!(
                    "SELECT {POLICY_COLUMNS} FROM iam_policy WHERE domain_id = $1 ORDER BY id DESC"
                ),
                [domain.into()],
            )
            .await?;
        rows.into_iter().map(IamPolicy::try_from).collect()
    }

    /// A policy of a domain.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn iam_policy_find(
        &self,
        domain: DomainKey,
        id: IamPolicyId,
    ) -> Result<Option<IamPolicy>, StoreError> {
        let row: Option<PolicyRow> = self
            .one(
                "read an IAM policy",
                &format!(
                    "SELECT {POLICY_COLUMNS} FROM iam_policy WHERE public_id = $1 AND domain_id = $2"
                ),
                [id.uuid().into(), domain.into()],
            )
            .await?;
        row.map(IamPolicy::try_from).transpose()
    }

    /// The groups of a domain, newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn iam_group_list(&self, domain: DomainKey) -> Result<Vec<IamGroup>, StoreError> {
        let rows: Vec<GroupRow> = self
            .all(
                "list IAM groups",
                "SELECT id, public_id, name, created_at FROM iam_group WHERE domain_id = $1 \
                 ORDER BY id DESC",
                [domain.into()],
            )
            .await?;
        Ok(rows.into_iter().map(IamGroup::from).collect())
    }

    /// A group of a domain.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn iam_group_find(
        &self,
        domain: DomainKey,
        id: IamGroupId,
    ) -> Result<Option<IamGroup>, StoreError> {
        let row: Option<GroupRow> = self
            .one(
                "read an IAM group",
                "SELECT id, public_id, name, created_at FROM iam_group \
                 WHERE public_id = $1 AND domain_id = $2",
                [id.uuid().into(), domain.into()],
            )
            .await?;
        Ok(row.map(IamGroup::from))
    }

    /// The members of a group, by name.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn iam_group_members(
        &self,
        group: IamGroupKey,
    ) -> Result<Vec<(IamUserId, String)>, StoreError> {
        #[derive(FromQueryResult)]
        struct MemberRow {
            public_id: Uuid,
            name: String,
        }
        let rows: Vec<MemberRow> = self
            .all(
                "list the members of an IAM group",
                "SELECT u.public_id, u.name FROM iam_user u WHERE u.id IN \
                 (SELECT iam_user_id FROM iam_group_member WHERE iam_group_id = $1 \
                  UNION SELECT iam_user_id FROM iam_provider_member WHERE iam_group_id = $1) \
                 ORDER BY u.name_folded",
                [group.into()],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.public_id.into(), row.name))
            .collect())
    }

    /// What is attached in a domain, newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn iam_attachment_list(
        &self,
        domain: DomainKey,
    ) -> Result<Vec<IamAttachment>, StoreError> {
        let rows: Vec<AttachmentRow> = self
            .all(
                "list attached IAM policies",
                "SELECT a.id, a.ready_made, p.public_id AS policy_public_id, p.name AS policy_name, \
                 u.public_id AS user_public_id, u.name AS user_name, g.public_id AS group_public_id, \
                 g.name AS group_name, j.public_id AS project_public_id FROM iam_attachment a \
                 LEFT JOIN iam_policy p ON p.id = a.policy_id LEFT JOIN iam_user u ON u.id = a.iam_user_id \
                 LEFT JOIN iam_group g ON g.id = a.iam_group_id LEFT JOIN project j ON j.id = a.project_id \
                 WHERE u.domain_id = $1 OR g.domain_id = $1 ORDER BY a.id DESC",
                [domain.into()],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| IamAttachment {
                key: row.id,
                policy: row.ready_made.or(row.policy_name).unwrap_or_default(),
                policy_id: row.policy_public_id.map(IamPolicyId::new),
                user: row.user_public_id.map(IamUserId::new).zip(row.user_name),
                group: row.group_public_id.map(IamGroupId::new).zip(row.group_name),
                project: row.project_public_id.map(ProjectId::new),
            })
            .collect())
    }
}

impl Tx {
    /// Writes a policy.
    ///
    /// # Errors
    /// A conflict when the domain has a policy of that name, in any case.
    pub async fn iam_policy_insert(
        &self,
        domain: DomainKey,
        id: IamPolicyId,
        name: &str,
        description: &str,
        document: &PolicyDocument,
        now: Millis,
    ) -> Result<IamPolicyKey, StoreError> {
        let key = self.insert(
            "write an IAM policy",
            "INSERT INTO iam_policy (public_id, domain_id, name, name_folded, description, document, \
             created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7) RETURNING id",
            [
                id.uuid().into(),
                domain.into(),
                name.into(),
                fold(name).into(),
                description.into(),
                text(document).into(),
                now.get().into(),
            ],
        )
        .await?;
        self.made("policy", id);
        Ok(IamPolicyKey::new(key))
    }

    /// Changes what a policy says; members that are `None` stay.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn iam_policy_update(
        &self,
        policy: IamPolicyKey,
        description: Option<&str>,
        document: Option<&PolicyDocument>,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.run(
            "change an IAM policy",
            "UPDATE iam_policy SET description = COALESCE($2, description), \
             document = COALESCE($3, document), updated_at = $4 WHERE id = $1",
            [
                policy.into(),
                description.map(str::to_owned).into(),
                document.map(text).into(),
                now.get().into(),
            ],
        )
        .await
        .map(drop)
    }

    /// Deletes a policy that is attached to nobody; answers whether it did.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn iam_policy_delete(&self, policy: IamPolicyKey) -> Result<bool, StoreError> {
        self.run(
            "delete an IAM policy",
            "DELETE FROM iam_policy WHERE id = $1 \
             AND NOT EXISTS (SELECT 1 FROM iam_attachment WHERE policy_id = $1)",
            [policy.into()],
        )
        .await
        .map(|changed| changed > 0)
    }

    /// Makes a group without members.
    ///
    /// # Errors
    /// A conflict when the domain has a group of that name, in any case.
    pub async fn iam_group_insert(
        &self,
        domain: DomainKey,
        id: IamGroupId,
        name: &str,
        now: Millis,
    ) -> Result<IamGroupKey, StoreError> {
        let key = self
            .insert(
                "make an IAM group",
                "INSERT INTO iam_group (public_id, domain_id, name, name_folded, created_at) \
             VALUES ($1, $2, $3, $4, $5) RETURNING id",
                [
                    id.uuid().into(),
                    domain.into(),
                    name.into(),
                    fold(name).into(),
                    now.get().into(),
                ],
            )
            .await?;
        self.made("iamGroup", id);
        Ok(IamGroupKey::new(key))
    }

    /// Deletes a group with what is attached to it.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn iam_group_delete(&self, group: IamGroupKey) -> Result<(), StoreError> {
        self.run(
            "delete an IAM group",
            "DELETE FROM iam_group WHERE id = $1",
            [group.into()],
        )
        .await
        .map(drop)
    }

    /// Adds a member; one who is there already stays.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn iam_group_add(
        &self,
        group: IamGroupKey,
        user: IamUserKey,
    ) -> Result<(), StoreError> {
        self.run(
            "add a member to an IAM group",
            "INSERT INTO iam_group_member (iam_group_id, iam_user_id) VALUES ($1, $2) \
             ON CONFLICT (iam_group_id, iam_user_id) DO NOTHING",
            [group.into(), user.into()],
        )
        .await
        .map(drop)
    }

    /// Takes a member out; one who is not there is passed over.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn iam_group_remove(
        &self,
        group: IamGroupKey,
        user: IamUserKey,
    ) -> Result<(), StoreError> {
        self.run(
            "take a member out of an IAM group",
            "DELETE FROM iam_group_member WHERE iam_group_id = $1 AND iam_user_id = $2",
            [group.into(), user.into()],
        )
        .await
        .map(drop)
    }

    /// Attaches a policy; what is attached already stays as it is.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn iam_attach(
        &self,
        policy: AttachedPolicy,
        holder: PolicyHolder,
        project: Option<ProjectKey>,
    ) -> Result<(), StoreError> {
        self.iam_detach(policy, holder, project).await?;
        self.run(
            "attach an IAM policy",
            "INSERT INTO iam_attachment (iam_user_id, iam_group_id, project_id, policy_id, ready_made) \
             VALUES ($1, $2, $3, $4, $5)",
            attachment(policy, holder, project),
        )
        .await
        .map(drop)
    }

    /// Takes a policy back; answers whether it was attached.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn iam_detach(
        &self,
        policy: AttachedPolicy,
        holder: PolicyHolder,
        project: Option<ProjectKey>,
    ) -> Result<bool, StoreError> {
        self.run(
            "detach an IAM policy",
            "DELETE FROM iam_attachment WHERE COALESCE(iam_user_id, 0) = COALESCE($1, 0) \
             AND COALESCE(iam_group_id, 0) = COALESCE($2, 0) AND COALESCE(project_id, 0) = COALESCE($3, 0) \
             AND COALESCE(policy_id, 0) = COALESCE($4, 0) AND COALESCE(ready_made, '') = COALESCE($5, '')",
            attachment(policy, holder, project),
        )
        .await
        .map(|changed| changed > 0)
    }
}

fn attachment(
    policy: AttachedPolicy,
    holder: PolicyHolder,
    project: Option<ProjectKey>,
) -> [sea_orm::Value; 5] {
    let (user, group) = match holder {
        PolicyHolder::User(key) => (Some(key.get()), None),
        PolicyHolder::Group(key) => (None, Some(key.get())),
    };
    let (written, ready_made) = match policy {
        AttachedPolicy::Written(key) => (Some(key.get()), None),
        AttachedPolicy::ReadyMade(policy) => (None, Some(policy.as_str().to_owned())),
    };
    [
        user.into(),
        group.into(),
        project.map(ProjectKey::get).into(),
        written.into(),
        ready_made.into(),
    ]
}

fn text(document: &PolicyDocument) -> String {
    serde_json::to_string(document).expect("a policy document is JSON")
}
