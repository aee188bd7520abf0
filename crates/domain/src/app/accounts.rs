use std::collections::HashSet;

use super::{FieldProblem, text_problem};
use crate::{Account, AccountKey};

/// Accounts to grant and to revoke: increments on the stored list (contract, section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationChange {
    /// Accounts to grant, those to revoke left out: removed wins.
    pub grant: Vec<Account>,
    /// Accounts to revoke.
    pub revoke: Vec<Account>,
}

impl AuthorizationChange {
    /// Takes both lists of a call.
    ///
    /// # Errors
    /// Names the list that holds an account twice (by [`AccountKey`]) or an account that cannot be stored.
    pub fn new(users: Vec<Account>, del_users: Vec<Account>) -> Result<Self, FieldProblem> {
        distinct("users", &users)?;
        let revoked = distinct("del_users", &del_users)?;
        Ok(Self {
            grant: users
                .into_iter()
                .filter(|account| !revoked.contains(&account.key()))
                .collect(),
            revoke: del_users,
        })
    }
}

/// Whose accounts a list names, each once.
///
/// # Errors
/// Names the list that holds an account twice (by [`AccountKey`]) or an account that cannot be stored.
pub fn distinct(
    field: &'static str,
    accounts: &[Account],
) -> Result<HashSet<AccountKey>, FieldProblem> {
    let mut seen = HashSet::with_capacity(accounts.len());
    for account in accounts {
        for text in [&account.account, &account.domain] {
            if let Some(problem) = text_problem(field, text) {
                return Err(problem);
            }
        }
        if !seen.insert(account.key()) {
            return Err(FieldProblem::new(
                field,
                format!(
                    "the account {:?} of domain {:?} is listed twice",
                    account.account, account.domain
                ),
            ));
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AccountType;

    fn user(name: &str, domain: Option<&str>) -> Account {
        Account::new(
            AccountType::Simple,
            name.to_owned(),
            domain.map(str::to_owned),
            None,
        )
    }

    #[test]
    fn an_account_in_both_lists_is_removed() {
        let change = AuthorizationChange::new(
            vec![user("li", None), user("wu", None)],
            vec![user("LI", Some("Local.Com"))],
        )
        .unwrap();
        assert_eq!(change.grant, [user("wu", None)]);
        assert_eq!(change.revoke.len(), 1);
    }

    #[test]
    fn one_account_in_two_spellings_is_a_duplicate() {
        let twice = |users, del_users| {
            AuthorizationChange::new(users, del_users)
                .unwrap_err()
                .field
        };
        assert_eq!(
            twice(
                vec![user("li", None), user("Li", Some("LOCAL.COM"))],
                vec![]
            ),
            "users"
        );
        assert_eq!(
            twice(vec![], vec![user("li", Some(" ")), user("li", None)]),
            "del_users"
        );
        // A group may have a user's name.
        let group = Account::new(AccountType::UserGroup, "li".to_owned(), None, None);
        assert!(AuthorizationChange::new(vec![user("li", None), group], vec![]).is_ok());
    }

    #[test]
    fn what_the_database_cannot_store_is_refused() {
        let problem = AuthorizationChange::new(vec![user("l\0i", None)], vec![]).unwrap_err();
        assert_eq!(problem.field, "users");
    }
}
