//! IAM users whom the login provider knows, and what its groups stand for here.

use outfitter_domain::Millis;
use outfitter_domain::text::fold;
use outfitter_ids::IamUserId;

use crate::{Db, DomainKey, IamGroupKey, IamUser, IamUserKey, StoreError, Tx};

/// A user who logs in for the first time.
#[derive(Debug, Clone, Copy)]
pub struct NewIdentity<'a> {
    /// Public id.
    pub id: IamUserId,
    /// Domain.
    pub domain: DomainKey,
    /// Name, which must be free.
    pub name: &'a str,
    /// Who says who it is.
    pub issuer: &'a str,
    /// Who it is there, for ever.
    pub subject: &'a str,
    /// Now.
    pub created_at: Millis,
}

impl Db<'_> {
    /// The user whom a provider knows by this subject.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn iam_user_by_identity(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<IamUser>, StoreError> {
        let id: Option<uuid::Uuid> = self
            .scalar(
                "look for an identity",
                "SELECT u.public_id FROM iam_identity i JOIN iam_user u ON u.id = i.iam_user_id \
                 WHERE i.issuer = $1 AND i.subject = $2",
                [issuer.into(), subject.into()],
            )
            .await?;
        match id {
            Some(id) => self.iam_user_by_id(id.into()).await,
            None => Ok(None),
        }
    }

    /// The groups of the provider whose members are members of a group, by name.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn iam_group_provider_groups(
        &self,
        group: IamGroupKey,
    ) -> Result<Vec<String>, StoreError> {
        #[derive(sea_orm::FromQueryResult)]
        struct Row {
            provider_group: String,
        }
        let rows: Vec<Row> = self
            .all(
                "list the provider's groups of an IAM group",
                "SELECT provider_group FROM iam_group_provider WHERE iam_group_id = $1 \
                 ORDER BY provider_group",
                [group.into()],
            )
            .await?;
        Ok(rows.into_iter().map(|row| row.provider_group).collect())
    }

    /// Whether one of the provider's groups stands for a group of the domain.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn iam_provider_groups_count(
        &self,
        domain: DomainKey,
        provider_groups: &[String],
    ) -> Result<bool, StoreError> {
        let each = self.dialect().each("$2");
        let element = self.dialect().element_text();
        let some: Option<i64> = self
            .scalar(
                "look for what a provider's groups bring",
                &format!(
                    "SELECT CAST(1 AS BIGINT) FROM iam_group_provider p \
                     JOIN iam_group g ON g.id = p.iam_group_id \
                     WHERE g.domain_id = $1 AND p.provider_group IN (SELECT {element} FROM {each}) LIMIT 1"
                ),
                [domain.into(), names(provider_groups).into()],
            )
            .await?;
        Ok(some.is_some())
    }
}

impl Tx {
    /// Makes a user whom the provider knows: without a password, without rights.
    ///
    /// # Errors
    /// A conflict when the name or the identity is taken.
    pub async fn iam_identity_insert(
        &self,
        new: NewIdentity<'_>,
    ) -> Result<IamUserKey, StoreError> {
        let user = self
            .insert(
                "make a user of the login provider",
                "INSERT INTO iam_user (public_id, domain_id, name, name_folded, password_hash, \
                 tokens_valid_from, created_at) VALUES ($1, $2, $3, $4, '', $5, $5) RETURNING id",
                [
                    new.id.uuid().into(),
                    new.domain.into(),
                    new.name.into(),
                    fold(new.name).into(),
                    new.created_at.get().into(),
                ],
            )
            .await
            .map(IamUserKey::new)?;
        self.run(
            "keep an identity",
            "INSERT INTO iam_identity (iam_user_id, issuer, subject, seen_at) VALUES ($1, $2, $3, $4)",
            [
                user.into(),
                new.issuer.into(),
                new.subject.into(),
                new.created_at.get().into(),
            ],
        )
        .await?;
        self.made("iamUser", new.id);
        Ok(user)
    }

    /// Takes over what the provider says at a login: exactly these of its groups, no others.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn iam_identity_logged_in(
        &self,
        user: IamUserKey,
        domain: DomainKey,
        provider_groups: &[String],
        now: Millis,
    ) -> Result<(), StoreError> {
        self.run(
            "note a login",
            "UPDATE iam_identity SET seen_at = $1 WHERE iam_user_id = $2",
            [now.get().into(), user.into()],
        )
        .await?;
        self.run(
            "forget what the provider said before",
            "DELETE FROM iam_provider_member WHERE iam_user_id = $1",
            [user.into()],
        )
        .await?;
        let each = self.dialect().each("$3");
        let element = self.dialect().element_text();
        self.run(
            "keep what the provider says",
            &format!(
                "INSERT INTO iam_provider_member (iam_group_id, iam_user_id) \
                 SELECT DISTINCT g.id, CAST($1 AS BIGINT) FROM iam_group_provider p \
                 JOIN iam_group g ON g.id = p.iam_group_id \
                 WHERE g.domain_id = $2 AND p.provider_group IN (SELECT {element} FROM {each})"
            ),
            [user.into(), domain.into(), names(provider_groups).into()],
        )
        .await
        .map(drop)
    }

    /// Says which of the provider's groups stand for a group: these, no others. Where one is taken away, everybody
    /// whom the provider brought into the group is out until the next login: what brought them is not kept.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn iam_group_set_provider_groups(
        &self,
        group: IamGroupKey,
        provider_groups: &[String],
    ) -> Result<(), StoreError> {
        let each = self.dialect().each("$2");
        let element = self.dialect().element_text();
        let names = names(provider_groups);
        let removed = self
            .run(
                "take provider's groups from an IAM group",
                &format!(
                    "DELETE FROM iam_group_provider WHERE iam_group_id = $1 \
                     AND provider_group NOT IN (SELECT {element} FROM {each})"
                ),
                [group.into(), names.clone().into()],
            )
            .await?;
        if removed > 0 {
            self.run(
                "take out whom the provider brought into an IAM group",
                "DELETE FROM iam_provider_member WHERE iam_group_id = $1",
                [group.into()],
            )
            .await?;
        }
        self.run(
            "give provider's groups to an IAM group",
            &format!(
                "INSERT INTO iam_group_provider (iam_group_id, provider_group) \
                 SELECT DISTINCT CAST($1 AS BIGINT), {element} FROM {each} WHERE true \
                 ON CONFLICT (iam_group_id, provider_group) DO NOTHING"
            ),
            [group.into(), names.into()],
        )
        .await
        .map(drop)
    }

    /// Notes that a login came back from the provider; answers whether it is the first time. Those that lapsed are
    /// forgotten.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn oidc_login_use(
        &self,
        state_digest: [u8; 32],
        expires_at: Millis,
        now: Millis,
    ) -> Result<bool, StoreError> {
        self.run(
            "forget lapsed logins",
            "DELETE FROM oidc_login WHERE expires_at <= $1",
            [now.get().into()],
        )
        .await?;
        self.run(
            "note a login that came back",
            "INSERT INTO oidc_login (state_digest, expires_at) VALUES ($1, $2) \
             ON CONFLICT (state_digest) DO NOTHING",
            [state_digest.to_vec().into(), expires_at.get().into()],
        )
        .await
        .map(|inserted| inserted > 0)
    }
}

fn names(provider_groups: &[String]) -> String {
    serde_json::Value::from(provider_groups.to_vec()).to_string()
}
