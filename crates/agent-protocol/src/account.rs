//! What the system of a desktop calls an account, and which user of a directory that may be.

/// What the system of a desktop calls an account, taken apart: the ways it may be meant, the likeliest first. Directory
/// services of Linux write `name`, `DOMAIN\name` or `name@domain`. Sources: sssd.conf(5), `full_name_format`; smb.conf(5),
/// `winbind separator`.
pub fn meanings_of_account(account: &str) -> Vec<AccountMeaning<'_>> {
    let mut meanings = vec![AccountMeaning {
        name: account,
        domain: None,
    }];
    if let Some((domain, name)) = account.split_once('\\') {
        meanings.push(AccountMeaning {
            name,
            domain: Some(domain),
        });
    }
    if let Some((name, domain)) = account.rsplit_once('@') {
        meanings.push(AccountMeaning {
            name,
            domain: Some(domain),
        });
    }
    meanings.retain(|meaning| {
        !meaning.name.is_empty() && meaning.domain.is_none_or(|domain| !domain.is_empty())
    });
    meanings
}

/// One way an account's name may be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountMeaning<'a> {
    /// The bare name.
    pub name: &'a str,
    /// The domain it names.
    pub domain: Option<&'a str>,
}

impl AccountMeaning<'_> {
    /// Whether a user of that domain may be meant: it is the domain named, by its whole name or its first part, or
    /// none is named. Without regard to case.
    pub fn may_be_of(&self, domain: &str) -> bool {
        let domain = domain.to_lowercase();
        self.domain
            .map(str::to_lowercase)
            .is_none_or(|named| named == domain || domain.split('.').next() == Some(named.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_what_directory_services_call_it() {
        let fits = |account: &str, name: &str, domain: &str| {
            meanings_of_account(account)
                .iter()
                .any(|meaning| meaning.name == name && meaning.may_be_of(domain))
        };
        assert!(fits("ana", "ana", "local.com"));
        assert!(fits("CORP\\ana", "ana", "corp.example"));
        assert!(fits("ana@corp.example", "ana", "corp.example"));
        assert!(fits("ana@corp.example", "ana@corp.example", "corp.example"));
        assert!(!fits("CORP\\ana", "ana", "other.example"));
        assert!(!fits("ana@corp.example", "ana", "example"));
        assert!(meanings_of_account("").is_empty());
        assert!(!fits("\\ana", "ana", "local.com"));
    }
}
