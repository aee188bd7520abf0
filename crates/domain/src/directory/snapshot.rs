//! What a directory said at one moment.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::distinguished_name::DnKey;
use super::plan::Skip;
use crate::Millis;
use crate::text::fold;

/// What is taken over of a user besides the name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFacts {
    /// Free text.
    pub description: String,
    /// Mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Name shown.
    pub alias: Option<String>,
    /// Whether the directory has disabled the account, or it has expired.
    pub is_disabled: bool,
    /// From then on it has expired; `None`: it does not expire.
    pub expires_at: Option<Millis>,
}

/// A user of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryUser {
    /// `objectSid` or `entryUUID`: what stays when everything else changes.
    pub id: String,
    /// Account name.
    pub name: String,
    /// The rest.
    pub facts: UserFacts,
}

/// A group of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryGroup {
    /// `objectSid` or `entryUUID`.
    pub id: String,
    /// Account name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Direct members as the entry names them.
    pub members: Vec<MemberName>,
}

/// How an entry names a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberName {
    /// By its place (`member`, `uniqueMember`).
    Dn(DnKey),
    /// By a user's account name (`memberUid`).
    UserName(String),
}

/// An entry that the directory has, whether or not it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEntry {
    /// `objectSid` or `entryUUID`.
    pub id: String,
    /// Where it stands.
    pub dn: DnKey,
    /// Account name.
    pub name: String,
    /// Id of a user's primary group, which does not list the user. Active Directory only.
    pub primary_group: Option<String>,
}

/// Up to where a directory was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum ChangeMark {
    /// Update sequence number of one domain controller's database.
    UpdateSequence {
        /// `invocationId` of that database, hex: the numbers of another one mean nothing.
        database: String,
        /// Highest number when reading began.
        number: i64,
    },
    /// `modifyTimestamp` as generalized time, by the directory's clock.
    ModifyTimestamp {
        /// Read again from here on.
        since: String,
    },
}

/// What a directory said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Whether [`Self::users`] and [`Self::groups`] are all of them, or those that changed.
    pub is_complete: bool,
    /// Every user.
    pub listed_users: Vec<ListedEntry>,
    /// Every group.
    pub listed_groups: Vec<ListedEntry>,
    /// Users in full.
    pub users: Vec<DirectoryUser>,
    /// Groups in full.
    pub groups: Vec<DirectoryGroup>,
    /// From where to read next time; `None`: everything.
    pub mark: Option<ChangeMark>,
    /// Entries that cannot be taken over.
    pub skipped: Vec<Skip>,
}

impl Snapshot {
    /// Counts accounts that have expired as disabled.
    pub fn expire(&mut self, now: Millis) {
        for DirectoryUser { facts, .. } in &mut self.users {
            facts.is_disabled |= facts.expires_at.is_some_and(|at| at <= now);
        }
    }
}

/// Finds the accounts behind the names of members.
pub struct Resolver<'a> {
    users_by_dn: HashMap<&'a DnKey, &'a str>,
    groups_by_dn: HashMap<&'a DnKey, &'a str>,
    users_by_name: HashMap<String, &'a str>,
}

/// Who a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved<'a> {
    /// A user, by id.
    User(&'a str),
    /// A group, by id.
    Group(&'a str),
    /// Nobody that is taken over: outside the bases, a computer, a contact.
    Nobody,
}

impl<'a> Resolver<'a> {
    /// Knows the listed entries that are stored.
    pub fn new(
        snapshot: &'a Snapshot,
        stored_users: &HashSet<String>,
        stored_groups: &HashSet<String>,
    ) -> Self {
        let users = || {
            snapshot
                .listed_users
                .iter()
                .filter(|entry| stored_users.contains(&entry.id))
        };
        Self {
            users_by_dn: users().map(|entry| (&entry.dn, &*entry.id)).collect(),
            users_by_name: users()
                .map(|entry| (fold(&entry.name), &*entry.id))
                .collect(),
            groups_by_dn: snapshot
                .listed_groups
                .iter()
                .filter(|entry| stored_groups.contains(&entry.id))
                .map(|entry| (&entry.dn, &*entry.id))
                .collect(),
        }
    }

    /// Who a member is.
    pub fn resolve(&self, member: &MemberName) -> Resolved<'a> {
        match member {
            MemberName::Dn(dn) => match (self.users_by_dn.get(dn), self.groups_by_dn.get(dn)) {
                (Some(user), _) => Resolved::User(user),
                (None, Some(group)) => Resolved::Group(group),
                (None, None) => Resolved::Nobody,
            },
            MemberName::UserName(name) => self
                .users_by_name
                .get(&fold(name))
                .map_or(Resolved::Nobody, |user| Resolved::User(user)),
        }
    }
}
