//! What the directory says and what is stored: what to write. Pure, and the same every time.
//!
//! An account is found again by its id, so that a rename stays one account with its authorizations; by its name
//! only where a row of that name has no id yet (made by hand before the first synchronisation): that row becomes
//! the directory's. What the directory no longer lists is removed, but never most of what is known at once: an
//! empty answer looks like a wrong base far more often than like a company without people.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use thiserror::Error;

use super::snapshot::{DirectoryGroup, ListedEntry, Resolved, Resolver, Snapshot, UserFacts};
use crate::account::LOCAL_DOMAIN;
use crate::text::{fold, is_blank};
use crate::words::PlatformType;

/// Below so many known accounts any number may go at once.
const FEW_ACCOUNTS: usize = 10;

/// Longest account name, in characters. Source: `sAMAccountName` of a group (\[MS-ADA3\]).
const NAME_CHARACTERS_MAX: usize = 256;

/// A user or group as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAccount<F> {
    /// Key.
    pub row: i64,
    /// `objectSid` or `entryUUID`; `None`: not of the directory.
    pub id: Option<String>,
    /// Name.
    pub name: String,
    /// Domain.
    pub domain: String,
    /// Where it is kept.
    pub platform_type: PlatformType,
    /// What else the directory says of it.
    pub facts: F,
}

/// A row that becomes the directory's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// The row.
    pub row: i64,
    /// The id it gets.
    pub id: String,
}

/// A row with its new name, in the directory's domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// The row.
    pub row: i64,
    /// The name.
    pub name: String,
}

/// An entry that is not taken over as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// Its account name, or where it stands when it has none.
    pub name: String,
    /// Why.
    pub reason: SkipReason,
}

words! {
    /// Why an entry is not taken over as it stands.
    SkipReason {
        /// No account name, or one that cannot be shown.
        NoName = "no_name",
        /// No `objectSid` or `entryUUID`.
        NoId = "no_id",
        /// Another entry has the same account name.
        NameTwice = "name_twice",
        /// An account that was made by hand has the new name.
        NameInUse = "name_in_use",
    }
}

/// An account to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount<F> {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// The rest.
    pub facts: F,
}

/// What to write, to be done in the order of the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountPlan<F> {
    /// Rows whose accounts the directory no longer has.
    pub remove: Vec<i64>,
    /// Rows whose names others are about to take.
    pub vacate: Vec<i64>,
    /// Rows that become the directory's.
    pub adopt: Vec<Adoption>,
    /// Rows that change their names.
    pub rename: Vec<Rename>,
    /// Rows of which something else changed.
    pub update: Vec<(i64, F)>,
    /// Accounts that are new.
    pub insert: Vec<NewAccount<F>>,
    /// What is not taken over.
    pub skipped: Vec<Skip>,
}

/// A plan for groups: what changes besides names is the description.
pub type GroupPlan = AccountPlan<String>;

/// Why nothing can be planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PlanError {
    /// An entry appeared without having changed: a partial read does not do.
    #[error("the directory lists entries that a partial read does not show")]
    NeedsFullRead,
    /// Most of what is known would go.
    #[error(
        "{removals} of {known} known {what} are no longer listed; a wrong base or filter looks like this, so nothing was changed"
    )]
    TooManyRemovals {
        /// `users` or `groups`.
        what: &'static str,
        /// How many would go.
        removals: usize,
        /// How many are known.
        known: usize,
    },
}

/// Plans the users.
///
/// # Errors
/// See [`PlanError`].
pub fn plan_users(
    domain: &str,
    snapshot: &Snapshot,
    stored: &[StoredAccount<UserFacts>],
    allow_removals: bool,
) -> Result<AccountPlan<UserFacts>, PlanError> {
    let told = snapshot.users.iter().map(|user| NewAccount {
        id: user.id.clone(),
        name: user.name.clone(),
        facts: user.facts.clone(),
    });
    Accounts {
        what: "users",
        domain,
        is_complete: snapshot.is_complete,
        listed: &snapshot.listed_users,
        stored,
        takes_local: false,
        allow_removals,
    }
    .plan(told.collect())
}

/// Plans the groups, members apart. A group that was made by hand as an AD group stands in `local.com` (the
/// contract has no place for its domain) and moves to the directory's.
///
/// # Errors
/// See [`PlanError`].
pub fn plan_groups(
    domain: &str,
    snapshot: &Snapshot,
    stored: &[StoredAccount<String>],
    allow_removals: bool,
) -> Result<GroupPlan, PlanError> {
    let told = snapshot.groups.iter().map(|group| NewAccount {
        id: group.id.clone(),
        name: group.name.clone(),
        facts: group.description.clone(),
    });
    Accounts {
        what: "groups",
        domain,
        is_complete: snapshot.is_complete,
        listed: &snapshot.listed_groups,
        stored,
        takes_local: true,
        allow_removals,
    }
    .plan(told.collect())
}

struct Accounts<'a, F> {
    what: &'static str,
    domain: &'a str,
    is_complete: bool,
    listed: &'a [ListedEntry],
    stored: &'a [StoredAccount<F>],
    takes_local: bool,
    allow_removals: bool,
}

impl<F: Clone + PartialEq> Accounts<'_, F> {
    fn plan(&self, mut told: Vec<NewAccount<F>>) -> Result<AccountPlan<F>, PlanError> {
        let domain_folded = fold(self.domain);
        let by_id: HashMap<&str, &StoredAccount<F>> = self
            .stored
            .iter()
            .filter_map(|account| Some((account.id.as_deref()?, account)))
            .collect();
        let listed: HashSet<&str> = self.listed.iter().map(|entry| &*entry.id).collect();
        let remove = self.gone(&by_id, &listed)?;
        let in_domain = |account: &StoredAccount<F>| fold(&account.domain) == domain_folded;
        // Rows made by hand that would be in the way, or are the directory's without knowing it.
        let by_hand: HashMap<String, &StoredAccount<F>> = self
            .stored
            .iter()
            .filter(|account| account.id.is_none() && in_domain(account))
            .map(|account| (fold(&account.name), account))
            .collect();
        let by_hand_local: HashMap<String, &StoredAccount<F>> = self
            .stored
            .iter()
            .filter(|account| {
                self.takes_local
                    && account.id.is_none()
                    && account.platform_type == PlatformType::Ad
                    && fold(&account.domain) == LOCAL_DOMAIN
            })
            .map(|account| (fold(&account.name), account))
            .collect();

        let mut plan = AccountPlan {
            remove,
            vacate: Vec::new(),
            adopt: Vec::new(),
            rename: Vec::new(),
            update: Vec::new(),
            insert: Vec::new(),
            skipped: Vec::new(),
        };
        // Who will have which name. Those of whom nothing new is told keep theirs; then those told with the name
        // they have, then those renamed, then new ones; among equals the smaller id.
        let told_ids: HashSet<&str> = told.iter().map(|account| &*account.id).collect();
        let mut owner: HashMap<String, String> = by_id
            .iter()
            .filter(|(id, account)| {
                listed.contains(*id) && !told_ids.contains(*id) && in_domain(account)
            })
            .map(|(id, account)| (fold(&account.name), (*id).to_owned()))
            .collect();
        self.check_complete(&by_id, &told_ids, &owner)?;
        let rank = |account: &NewAccount<F>| match by_id.get(&*account.id) {
            Some(stored) if fold(&stored.name) == fold(&account.name) => 0,
            Some(_) => 1,
            None => 2,
        };
        told.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.id.cmp(&b.id)));
        told.dedup_by(|a, b| a.id == b.id);

        let mut homeless = Vec::new();
        for account in told {
            if !listed.contains(&*account.id) {
                // Gone between the two searches of one read: the next one knows.
                continue;
            }
            let name = fold(&account.name);
            let known = by_id.get(&*account.id).copied();
            let reason = if !is_name(&account.name) {
                Some(SkipReason::NoName)
            } else if owner.contains_key(&name) {
                Some(SkipReason::NameTwice)
            } else if known.is_some() && by_hand.contains_key(&name) {
                Some(SkipReason::NameInUse)
            } else {
                None
            };
            if let Some(reason) = reason {
                plan.skipped.push(Skip {
                    name: account.name,
                    reason,
                });
                homeless.extend(known);
                continue;
            }
            owner.insert(name.clone(), account.id.clone());
            let adopted = by_hand.get(&name).or_else(|| by_hand_local.get(&name));
            match (known, adopted) {
                (Some(stored), _) => plan.follow(stored, account, self.domain),
                (None, Some(stored)) => {
                    plan.adopt.push(Adoption {
                        row: stored.row,
                        id: account.id.clone(),
                    });
                    plan.follow(stored, account, self.domain);
                }
                (None, None) => plan.insert.push(account),
            }
        }
        // Who cannot have the new name keeps the old one, unless that is somebody else's by now: a name that
        // says nothing certain must not open anything.
        for stored in homeless {
            let id = stored.id.clone().unwrap_or_default();
            match owner.entry(fold(&stored.name)) {
                Entry::Occupied(_) => plan.remove.push(stored.row),
                Entry::Vacant(free) => drop(free.insert(id)),
            }
        }
        let renamed: HashMap<i64, String> = plan
            .rename
            .iter()
            .map(|rename| (rename.row, fold(&rename.name)))
            .collect();
        let taken: HashSet<String> = renamed
            .values()
            .cloned()
            .chain(plan.insert.iter().map(|account| fold(&account.name)))
            .collect();
        plan.vacate = self
            .stored
            .iter()
            .filter(|stored| {
                let old = fold(&stored.name);
                // A change of case alone is in nobody's way.
                in_domain(stored)
                    && renamed.get(&stored.row).is_some_and(|new| *new != old)
                    && taken.contains(&old)
            })
            .map(|stored| stored.row)
            .collect();
        Ok(plan)
    }

    fn gone(
        &self,
        by_id: &HashMap<&str, &StoredAccount<F>>,
        listed: &HashSet<&str>,
    ) -> Result<Vec<i64>, PlanError> {
        let mut gone: Vec<i64> = by_id
            .iter()
            .filter(|(id, _)| !listed.contains(*id))
            .map(|(_, account)| account.row)
            .collect();
        gone.sort_unstable();
        let known = by_id.len();
        if !self.allow_removals && known >= FEW_ACCOUNTS && gone.len() * 2 > known {
            return Err(PlanError::TooManyRemovals {
                what: self.what,
                removals: gone.len(),
                known,
            });
        }
        Ok(gone)
    }

    /// A partial read tells what changed. What is listed, not known and not told was moved into the base, or is
    /// an entry without a name of its own.
    fn check_complete(
        &self,
        by_id: &HashMap<&str, &StoredAccount<F>>,
        told: &HashSet<&str>,
        owner: &HashMap<String, String>,
    ) -> Result<(), PlanError> {
        let surprise = |entry: &&ListedEntry| {
            !by_id.contains_key(&*entry.id)
                && !told.contains(&*entry.id)
                && !owner.contains_key(&fold(&entry.name))
                && is_name(&entry.name)
        };
        if !self.is_complete && self.listed.iter().any(|entry| surprise(&entry)) {
            return Err(PlanError::NeedsFullRead);
        }
        Ok(())
    }
}

impl<F: PartialEq> AccountPlan<F> {
    fn follow(&mut self, stored: &StoredAccount<F>, told: NewAccount<F>, domain: &str) {
        if stored.name != told.name || stored.domain != domain {
            self.rename.push(Rename {
                row: stored.row,
                name: told.name,
            });
        }
        if stored.facts != told.facts {
            self.update.push((stored.row, told.facts));
        }
    }
}

fn is_name(name: &str) -> bool {
    !is_blank(name)
        && name.chars().count() <= NAME_CHARACTERS_MAX
        && !name.chars().any(char::is_control)
}

/// Direct members as they are stored, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredMembers {
    /// Users.
    pub users: BTreeSet<String>,
    /// Groups.
    pub groups: BTreeSet<String>,
}

/// What to write of one group's direct members, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MembershipPlan {
    /// Users that join.
    pub join: Vec<String>,
    /// Users that leave.
    pub leave: Vec<String>,
    /// Groups that are nested into it.
    pub nest: Vec<String>,
    /// Groups that no longer are.
    pub unnest: Vec<String>,
    /// Members that are nobody we know.
    pub unresolved: usize,
}

impl MembershipPlan {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.join.is_empty()
            && self.leave.is_empty()
            && self.nest.is_empty()
            && self.unnest.is_empty()
    }
}

/// Plans the direct members of a group. A group is never its own member; longer circles are stored as they are,
/// for the closure ends in them.
pub fn plan_memberships(
    group: &DirectoryGroup,
    resolver: &Resolver<'_>,
    stored: &StoredMembers,
) -> MembershipPlan {
    let mut users = BTreeSet::new();
    let mut groups = BTreeSet::new();
    let mut unresolved = 0;
    for member in &group.members {
        match resolver.resolve(member) {
            Resolved::User(id) => {
                users.insert(id.to_owned());
            }
            Resolved::Group(id) if id == group.id => {}
            Resolved::Group(id) => {
                groups.insert(id.to_owned());
            }
            Resolved::Nobody => unresolved += 1,
        }
    }
    MembershipPlan {
        join: users.difference(&stored.users).cloned().collect(),
        leave: stored.users.difference(&users).cloned().collect(),
        nest: groups.difference(&stored.groups).cloned().collect(),
        unnest: stored.groups.difference(&groups).cloned().collect(),
        unresolved,
    }
}

/// Users by their primary groups, as listed: only pairs of accounts that are stored.
pub fn primary_members(
    snapshot: &Snapshot,
    stored_users: &HashSet<String>,
    stored_groups: &HashSet<String>,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut members: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in &snapshot.listed_users {
        if let Some(group) = &entry.primary_group
            && stored_users.contains(&entry.id)
            && stored_groups.contains(group)
        {
            members
                .entry(group.clone())
                .or_default()
                .insert(entry.id.clone());
        }
    }
    members
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
