//! Who may use an app: its stored list of accounts. What the list means beside the app's authorization type
//! is the contract's (section 4).

use outfitter_domain::app::AuthorizationChange;
use outfitter_domain::text::fold;
use outfitter_domain::{Account, AccountType, Millis, PlatformType};
use sea_orm::FromQueryResult;
use serde_json::json;

use crate::query::{Conditions, word};
use crate::{AppKey, Db, Listed, Page, ProjectKey, StoreError, Tx};

/// Which accounts a list shows.
#[derive(Debug, Clone, Default)]
pub struct AccountFilter {
    /// Text the account's name holds, whatever its case.
    pub name: Option<String>,
    /// Users or groups.
    pub account_type: Option<AccountType>,
}

#[derive(FromQueryResult)]
struct AccountRow {
    id: i64,
    account_type: String,
    account: String,
    domain: String,
    platform_type: String,
}

impl AccountRow {
    fn read(self) -> Result<Account, StoreError> {
        const TABLE: &str = "app_authorization";
        Ok(Account {
            account_type: word(
                TABLE,
                "account_type",
                self.id,
                &self.account_type,
                AccountType::parse,
            )?,
            platform_type: word(
                TABLE,
                "platform_type",
                self.id,
                &self.platform_type,
                PlatformType::parse,
            )?,
            account: self.account,
            domain: self.domain,
        })
    }
}

/// Accounts as a JSON array of objects, for [`crate::Dialect::each`].
fn account_array(accounts: &[Account]) -> String {
    let objects: Vec<_> = accounts
        .iter()
        .map(|account| {
            json!({
                "account_type": account.account_type.as_str(),
                "account": account.account,
                "account_folded": fold(&account.account),
                "domain": account.domain,
                "domain_folded": fold(&account.domain),
                "platform_type": account.platform_type.as_str(),
            })
        })
        .collect();
    serde_json::Value::Array(objects).to_string()
}

impl Db<'_> {
    /// A page of an app's stored accounts, the latest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn authorization_list(
        &self,
        app: AppKey,
        filter: &AccountFilter,
        page: Page,
    ) -> Result<Listed<Account>, StoreError> {
        const DOING: &str = "list authorizations";
        let mut conditions = Conditions::new(self.dialect());
        conditions.equals("app_id", app);
        if let Some(name) = &filter.name {
            conditions.contains("account_folded", name);
        }
        if let Some(account_type) = filter.account_type {
            conditions.equals("account_type", account_type.as_str());
        }
        let paged = conditions.page("id DESC", page);
        let total: i64 = self
            .scalar(
                DOING,
                &format!(
                    "SELECT COUNT(*) FROM app_authorization WHERE {}",
                    paged.filter
                ),
                paged.count_values,
            )
            .await?
            .unwrap_or(0);
        let rows: Vec<AccountRow> = self
            .all(
                DOING,
                &format!(
                    "SELECT id, account_type, account, domain, platform_type FROM app_authorization \
                     WHERE {}",
                    paged.tail
                ),
                paged.page_values,
            )
            .await?;
        let items = rows
            .into_iter()
            .map(AccountRow::read)
            .collect::<Result<_, _>>()?;
        Ok(Listed { total, items })
    }
}

impl Tx {
    /// Applies a change to the stored list of each app; all must be locked. Granting what is there and
    /// revoking what is not there do nothing. Answers how many accounts were granted anew.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn authorization_apply(
        &self,
        apps: &[AppKey],
        change: &AuthorizationChange,
        now: Millis,
    ) -> Result<u64, StoreError> {
        let dialect = self.dialect();
        let each = dialect.each("$2");
        let revoke = format!(
            "DELETE FROM app_authorization WHERE app_id = $1 AND \
             (account_type, domain_folded, account_folded) IN \
             (SELECT each.value ->> 'account_type', each.value ->> 'domain_folded', \
              each.value ->> 'account_folded' FROM {each})"
        );
        let grant = format!(
            "INSERT INTO app_authorization (app_id, account_type, account, account_folded, domain, \
             domain_folded, platform_type, created_at) \
             SELECT $1, each.value ->> 'account_type', each.value ->> 'account', \
             each.value ->> 'account_folded', each.value ->> 'domain', each.value ->> 'domain_folded', \
             each.value ->> 'platform_type', $3 FROM {each} WHERE true \
             ON CONFLICT (app_id, account_type, domain_folded, account_folded) DO NOTHING"
        );
        let revoked = account_array(&change.revoke);
        let granted = account_array(&change.grant);
        let mut anew = 0;
        let mut widened = Vec::new();
        for app in apps {
            if !change.revoke.is_empty() {
                self.run(
                    "revoke authorizations",
                    &revoke,
                    [(*app).into(), revoked.as_str().into()],
                )
                .await?;
            }
            if !change.grant.is_empty() {
                let to_app = self
                    .run(
                        "grant authorizations",
                        &grant,
                        [(*app).into(), granted.as_str().into(), now.get().into()],
                    )
                    .await?;
                if to_app > 0 {
                    widened.push(*app);
                }
                anew += to_app;
            }
        }
        if anew > 0 {
            let accounts = change
                .grant
                .iter()
                .map(|account| format!("{} {}", account.account_type.as_str(), account.account))
                .collect();
            self.widened(&widened, accounts).await?;
        }
        Ok(anew)
    }

    /// Takes what names an account along to its new domain and name: app authorizations, and the scopes of
    /// deployments that have not ended.
    ///
    /// # Errors
    /// When the database cannot.
    pub(crate) async fn authorizations_follow(
        &self,
        project: ProjectKey,
        account_type: AccountType,
        (old_domain, old_name): &(String, String),
        (new_domain, new_name): &(String, String),
    ) -> Result<(), StoreError> {
        let old = (fold(old_domain), fold(old_name));
        let new = (fold(new_domain), fold(new_name));
        for (table, owner, owners) in [
            (
                "app_authorization",
                "app_id",
                "SELECT id FROM app WHERE project_id = $1",
            ),
            (
                "deployment_account",
                "deployment_id",
                // In the index job_project_wire, and in deployment_expanding.
                "SELECT deployment_id FROM job WHERE project_id = $1 AND wire IN (0, 1) \
                 UNION SELECT id FROM deployment WHERE project_id = $1 AND state = 'expanding'",
            ),
        ] {
            let of_account = format!(
                "account_type = '{account_type}' AND domain_folded = $2 AND account_folded = $3 \
             AND {owner} IN ({owners})"
            );
            if old != new {
                // An app may name the new name already, as an account the directory did not know.
                self.run(
                    "merge the authorizations of a renamed account",
                    &format!(
                        "DELETE FROM {table} WHERE {of_account} AND {owner} IN \
                     (SELECT {owner} FROM {table} WHERE account_type = '{account_type}' \
                      AND domain_folded = $4 AND account_folded = $5)"
                    ),
                    [
                        project.into(),
                        old.0.clone().into(),
                        old.1.clone().into(),
                        new.0.clone().into(),
                        new.1.clone().into(),
                    ],
                )
                .await?;
            }
            self.run(
                "rename an account in authorizations",
                &format!(
                    "UPDATE {table} SET domain = $4, domain_folded = $5, account = $6, \
                 account_folded = $7 WHERE {of_account}"
                ),
                [
                    project.into(),
                    old.0.clone().into(),
                    old.1.clone().into(),
                    new_domain.as_str().into(),
                    new.0.clone().into(),
                    new_name.as_str().into(),
                    new.1.clone().into(),
                ],
            )
            .await?;
        }
        Ok(())
    }
}
