//! Accounts as the contract names them: a user or group by name, domain and type.

use serde::{Deserialize, Serialize};

use crate::text::{fold, is_blank};
use crate::words::{AccountType, PlatformType};

/// The domain of accounts that name none (contract, section 2).
pub const LOCAL_DOMAIN: &str = "local.com";

/// An account as an administrator wrote it, with the defaults of the contract applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// User or group.
    pub account_type: AccountType,
    /// Bare name.
    pub account: String,
    /// Its domain.
    pub domain: String,
    /// Where it is kept.
    pub platform_type: PlatformType,
}

/// What makes two accounts the same: type, and name and domain without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountKey {
    /// User or group.
    pub account_type: AccountType,
    /// Folded name.
    pub account_folded: String,
    /// Folded domain.
    pub domain_folded: String,
}

impl Account {
    /// Applies the contract's defaults (section 2): an absent or blank domain is `local.com`; an absent
    /// platform is LOCAL there and AD elsewhere.
    pub fn new(
        account_type: AccountType,
        account: String,
        domain: Option<String>,
        platform_type: Option<PlatformType>,
    ) -> Self {
        let domain = domain
            .filter(|text| !is_blank(text))
            .unwrap_or_else(|| LOCAL_DOMAIN.to_owned());
        let platform_type = platform_type.unwrap_or_else(|| {
            if fold(&domain) == LOCAL_DOMAIN {
                PlatformType::Local
            } else {
                PlatformType::Ad
            }
        });
        Self {
            account_type,
            account,
            domain,
            platform_type,
        }
    }

    /// What makes two accounts the same.
    pub fn key(&self) -> AccountKey {
        AccountKey {
            account_type: self.account_type,
            account_folded: fold(&self.account),
            domain_folded: fold(&self.domain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_follow_the_contract() {
        let named = |domain: Option<&str>| {
            Account::new(
                AccountType::Simple,
                "Li".to_owned(),
                domain.map(str::to_owned),
                None,
            )
        };
        assert_eq!(named(None).domain, "local.com");
        assert_eq!(named(Some("  ")).platform_type, PlatformType::Local);
        assert_eq!(named(Some("LOCAL.com")).platform_type, PlatformType::Local);
        assert_eq!(named(Some("corp.example")).platform_type, PlatformType::Ad);
        assert_eq!(named(None).key(), named(Some("Local.Com")).key());
    }
}
