//! Reading: who is there, and in full what changed.

use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::{Scope as SearchScope, SearchEntry};
use outfitter_domain::Millis;
use outfitter_domain::directory::{
    ChangeMark, DirectoryGroup, DirectoryKind, DirectoryUser, DnKey, ListedEntry, MemberName,
    SecurityId, Skip, SkipReason, Snapshot, UserFacts,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::task::AbortOnDropHandle;

use crate::connection::{Connection, Limits, Open};
use crate::entry::Entry;
use crate::failure::{Failure, FailureCode};

/// Most entries of which it is told that they were left out.
const SKIPS_MAX: usize = 100;

/// Sample names that a test answers.
const SAMPLES: usize = 5;

/// `ACCOUNTDISABLE` of `userAccountControl`. Source: \[MS-ADTS\], section 2.2.16.
const ACCOUNT_DISABLED: i64 = 2;

/// 1601-01-01, where the times of Active Directory begin, in milliseconds. Source: \[MS-DTYP\], section 2.3.3.
const FILE_TIME_BEGINS: i64 = -11_644_473_600_000;

/// What is read again besides what changed since the last time, in seconds: replication brings in changes with
/// older times.
const TIMESTAMP_SLACK_SECS: i64 = 600;

/// What a test of a connection found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tested {
    /// Users below the base.
    pub users: usize,
    /// Groups below the base.
    pub groups: usize,
    /// Some users' account names.
    pub sample_users: Vec<String>,
    /// Some groups' account names.
    pub sample_groups: Vec<String>,
    /// Whether the directory tells what changed, so that not everything is read every time.
    pub tells_changes: bool,
}

/// Reads a directory: everything, or what changed since `mark` where the directory still knows it.
///
/// # Errors
/// See [`FailureCode`].
pub async fn read(
    connection: Connection,
    limits: Limits,
    mark: Option<ChangeMark>,
) -> Result<Snapshot, Failure> {
    apart(limits, async move {
        let open = connection.open(limits).await?;
        let mut reader = Reader::new(&connection, open);
        reader.snapshot(mark).await
    })
    .await
}

/// Connects, logs in and counts.
///
/// # Errors
/// See [`FailureCode`].
pub async fn test(connection: Connection, limits: Limits) -> Result<Tested, Failure> {
    apart(limits, async move {
        let open = connection.open(limits).await?;
        let mut reader = Reader::new(&connection, open);
        let mut snapshot = Snapshot::default();
        let mark = reader.begin().await?;
        reader.list(&mut snapshot).await?;
        let names = |entries: &[ListedEntry]| -> Vec<String> {
            entries
                .iter()
                .take(SAMPLES)
                .map(|entry| entry.name.clone())
                .collect()
        };
        Ok(Tested {
            users: snapshot.listed_users.len(),
            groups: snapshot.listed_groups.len(),
            sample_users: names(&snapshot.listed_users),
            sample_groups: names(&snapshot.listed_groups),
            tells_changes: mark.is_some() || reader.latest.is_some(),
        })
    })
    .await
}

/// Whether a password is that of the user whom the directory knows by this name and this identity (`objectSid` or
/// `entryUUID`): the bind account finds the entry, the password is tried by a bind as that entry. An empty password never
/// is: a bind with one succeeds without any proof (RFC 4513, section 5.1.2).
///
/// # Errors
/// See [`FailureCode`]; a wrong password and an unknown user are no failure.
pub async fn verify(
    connection: Connection,
    limits: Limits,
    (name, id): (String, String),
    password: SecretString,
) -> Result<bool, Failure> {
    if password.expose_secret().is_empty() {
        return Ok(false);
    }
    apart(limits, async move {
        let open = connection.open(limits).await?;
        let mut reader = Reader::new(&connection, open);
        let Some(dn) = reader.dn_of(&name, &id).await? else {
            return Ok(false);
        };
        drop(reader);
        let as_user = Connection {
            bind_name: dn,
            bind_password: password,
            ..connection.clone()
        };
        match as_user.open(limits).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.code == FailureCode::BindRefused => Ok(false),
            Err(failure) => Err(failure),
        }
    })
    .await
}

/// Runs in a task of its own: the library panics on answers that are no LDAP.
async fn apart<T: Send + 'static>(
    limits: Limits,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let task = AbortOnDropHandle::new(tokio::spawn(work));
    match tokio::time::timeout(limits.whole, task).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Failure::new(
            FailureCode::Protocol,
            "the directory answered what is no LDAP",
        )),
        Err(_) => Err(Failure::new(
            FailureCode::Timeout,
            format!(
                "reading the directory took longer than {} seconds",
                limits.whole.as_secs()
            ),
        )),
    }
}

/// Attributes by which entries are told apart and change is seen, per kind of directory.
struct Names {
    id: &'static str,
    is_user: &'static str,
    is_group: &'static str,
}

const AD: Names = Names {
    id: "objectSid",
    is_user: "(&(objectCategory=person)(objectClass=user))",
    is_group: "(objectClass=group)",
};

const LDAP: Names = Names {
    id: "entryUUID",
    is_user: "(|(objectClass=inetOrgPerson)(objectClass=posixAccount))",
    is_group: "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))",
};

struct Reader<'a> {
    connection: &'a Connection,
    open: Open,
    names: &'static Names,
    /// Latest `modifyTimestamp` seen.
    latest: Option<String>,
    members: usize,
}

impl<'a> Reader<'a> {
    fn new(connection: &'a Connection, open: Open) -> Self {
        Self {
            connection,
            open,
            names: match connection.kind {
                DirectoryKind::Ad => &AD,
                DirectoryKind::Ldap => &LDAP,
            },
            latest: None,
            members: 0,
        }
    }

    async fn snapshot(&mut self, since: Option<ChangeMark>) -> Result<Snapshot, Failure> {
        // Taken first: what changes while we read is read again next time.
        let mark = self.begin().await?;
        let changed = since.and_then(|since| changed_filter(&since, mark.as_ref()));
        let mut snapshot = Snapshot {
            is_complete: changed.is_none(),
            ..Snapshot::default()
        };
        self.list(&mut snapshot).await?;
        self.users(changed.as_deref(), &mut snapshot).await?;
        self.groups(changed.as_deref(), &mut snapshot).await?;
        snapshot.mark = match self.connection.kind {
            DirectoryKind::Ad => mark,
            DirectoryKind::Ldap => self
                .latest
                .as_deref()
                .and_then(with_slack)
                .map(|since| ChangeMark::ModifyTimestamp { since }),
        };
        Ok(snapshot)
    }

    /// Where the directory's own count of changes stands; `None` where it has none.
    async fn begin(&mut self) -> Result<Option<ChangeMark>, Failure> {
        if self.connection.kind == DirectoryKind::Ldap {
            return Ok(None);
        }
        let doing = "read the directory's own entry";
        let root = self
            .one(doing, "", &["highestCommittedUSN", "dsServiceName"])
            .await?;
        let Some(root) = root else {
            return Err(Failure::new(
                FailureCode::Protocol,
                "the directory has no entry of its own",
            ));
        };
        let number = root
            .text("highestCommittedUSN")
            .and_then(|text| text.parse::<i64>().ok());
        let (Some(number), Some(service)) = (number, root.text("dsServiceName")) else {
            return Ok(None);
        };
        let service = service.to_owned();
        // The bind account may not be allowed to see it: then everything is read every time.
        let database = match self.one(doing, &service, &["invocationId"]).await {
            Ok(entry) => entry.and_then(|entry| entry.bytes("invocationId").map(hex::encode)),
            Err(failure) if failure.code == FailureCode::BaseMissing => None,
            Err(failure) => return Err(failure),
        };
        Ok(database.map(|database| ChangeMark::UpdateSequence { database, number }))
    }

    async fn one(
        &mut self,
        doing: &str,
        dn: &str,
        attributes: &[&str],
    ) -> Result<Option<Entry>, Failure> {
        let ldap3::SearchResult(entries, result) = self
            .open
            .ldap
            .with_timeout(self.open.limits.answer)
            .search(dn, SearchScope::Base, "(objectClass=*)", attributes)
            .await
            .map_err(|error| Failure::of(doing, error))?;
        if result.rc != 0 {
            return Err(Failure::refused(doing, &result));
        }
        Ok(entries
            .into_iter()
            .find(|entry| !entry.is_ref() && !entry.is_intermediate())
            .map(|entry| Entry::new(SearchEntry::construct(entry))))
    }

    /// Pages through a subtree and hands each entry over.
    async fn search(
        &mut self,
        doing: &str,
        base: &str,
        filter: &str,
        attributes: &[&str],
        mut take: impl FnMut(Entry) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let attributes: Vec<String> = attributes.iter().map(|text| (*text).to_owned()).collect();
        let adapters: Vec<Box<dyn Adapter<'_, String, Vec<String>>>> = vec![
            Box::new(EntriesOnly::new()),
            Box::new(PagedResults::new(self.open.limits.page)),
        ];
        let mut stream = self
            .open
            .ldap
            .with_timeout(self.open.limits.answer)
            .streaming_search_with(adapters, base, SearchScope::Subtree, filter, attributes)
            .await
            .map_err(|error| Failure::of(doing, error))?;
        let mut entries = 0;
        while let Some(entry) = stream
            .next()
            .await
            .map_err(|error| Failure::of(doing, error))?
        {
            entries += 1;
            if entries > self.open.limits.entries {
                return Err(Failure::new(
                    FailureCode::TooLarge,
                    format!(
                        "cannot {doing}: there are more than {}",
                        self.open.limits.entries
                    ),
                ));
            }
            take(Entry::new(SearchEntry::construct(entry)))?;
        }
        let result = stream.finish().await;
        if result.rc != 0 {
            return Err(Failure::refused(doing, &result));
        }
        Ok(())
    }

    /// The DN of the user with this name and this identity.
    async fn dn_of(&mut self, name: &str, id: &str) -> Result<Option<String>, Failure> {
        let kind = self.connection.kind;
        let scope = &self.connection.scope;
        let named = format!(
            "({}={})",
            scope.user_name_attribute,
            ldap3::ldap_escape(name)
        );
        let filter = both(
            self.names.is_user,
            scope.user_filter.as_deref(),
            Some(&named),
        );
        let (base, attribute) = (scope.user_base.clone(), self.names.id);
        let mut found = None;
        self.search("find a user", &base, &filter, &[attribute], |entry| {
            if id_of(kind, &entry).as_deref() == Some(id) {
                found = Some(entry.dn().to_owned());
            }
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// Every user and group, by what tells them apart.
    async fn list(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        let scope = self.connection.scope.clone();
        let kind = self.connection.kind;
        let id = self.names.id;
        let mut latest = self.latest.take();
        let attribute = scope.user_name_attribute.as_str();
        let mut skipped = Vec::new();
        let filter = both(self.names.is_user, scope.user_filter.as_deref(), None);
        let listed = &mut snapshot.listed_users;
        self.search(
            "list the users",
            &scope.user_base,
            &filter,
            &[id, attribute, "primaryGroupID", "modifyTimestamp"],
            |entry| {
                see(&mut latest, &entry);
                take_listed(kind, &entry, attribute, listed, &mut skipped);
                Ok(())
            },
        )
        .await?;
        let attribute = scope.group_name_attribute.as_str();
        let filter = both(self.names.is_group, scope.group_filter.as_deref(), None);
        let listed = &mut snapshot.listed_groups;
        self.search(
            "list the groups",
            &scope.group_base,
            &filter,
            &[id, attribute, "modifyTimestamp"],
            |entry| {
                see(&mut latest, &entry);
                take_listed(kind, &entry, attribute, listed, &mut skipped);
                Ok(())
            },
        )
        .await?;
        self.latest = latest;
        snapshot.skipped.extend(skipped);
        Ok(())
    }

    async fn users(
        &mut self,
        changed: Option<&str>,
        snapshot: &mut Snapshot,
    ) -> Result<(), Failure> {
        let scope = self.connection.scope.clone();
        let kind = self.connection.kind;
        let attribute = scope.user_name_attribute.as_str();
        let filter = both(self.names.is_user, scope.user_filter.as_deref(), changed);
        let users = &mut snapshot.users;
        self.search(
            "read the users",
            &scope.user_base,
            &filter,
            &[
                self.names.id,
                attribute,
                "displayName",
                "description",
                "mail",
                "telephoneNumber",
                "userAccountControl",
                "accountExpires",
                "shadowExpire",
            ],
            |entry| {
                let text = |attribute| entry.text(attribute).map(str::to_owned);
                if let (Some(id), Some(name)) = (id_of(kind, &entry), text(attribute)) {
                    users.push(DirectoryUser {
                        id,
                        name,
                        facts: UserFacts {
                            description: text("description").unwrap_or_default(),
                            email: text("mail"),
                            phone: text("telephoneNumber"),
                            alias: text("displayName"),
                            is_disabled: kind == DirectoryKind::Ad
                                && entry
                                    .text("userAccountControl")
                                    .and_then(|text| text.parse::<i64>().ok())
                                    .is_some_and(|flags| flags & ACCOUNT_DISABLED != 0),
                            expires_at: match kind {
                                DirectoryKind::Ad => {
                                    entry.text("accountExpires").and_then(file_time)
                                }
                                DirectoryKind::Ldap => {
                                    entry.text("shadowExpire").and_then(shadow_day)
                                }
                            },
                        },
                    });
                }
                Ok(())
            },
        )
        .await
    }

    async fn groups(
        &mut self,
        changed: Option<&str>,
        snapshot: &mut Snapshot,
    ) -> Result<(), Failure> {
        let scope = self.connection.scope.clone();
        let kind = self.connection.kind;
        let attribute = scope.group_name_attribute.as_str();
        let filter = both(self.names.is_group, scope.group_filter.as_deref(), changed);
        // Active Directory hands out a large group in part whether it is asked to or not. Asking makes it the rule.
        let member = match kind {
            DirectoryKind::Ad => format!("member;range=0-{}", self.open.limits.range - 1),
            DirectoryKind::Ldap => "member".to_owned(),
        };
        let attributes = [
            self.names.id,
            attribute,
            "description",
            &member,
            "uniqueMember",
            "memberUid",
        ];
        let mut members = self.members;
        let members_max = self.open.limits.members;
        let mut large: Vec<(usize, String, usize)> = Vec::new();
        let groups = &mut snapshot.groups;
        self.search(
            "read the groups",
            &scope.group_base,
            &filter,
            &attributes,
            |entry| {
                let (Some(id), Some(name)) = (id_of(kind, &entry), entry.text(attribute)) else {
                    return Ok(());
                };
                let mut group = DirectoryGroup {
                    id,
                    name: name.to_owned(),
                    description: entry.text("description").unwrap_or_default().to_owned(),
                    members: Vec::new(),
                };
                if let Some(ranged) = entry.range("member") {
                    if let Some(next) = ranged.next {
                        large.push((groups.len(), entry.dn().to_owned(), next));
                    }
                    group
                        .members
                        .extend(ranged.values.iter().filter_map(|text| by_dn(text)));
                }
                group
                    .members
                    .extend(entry.texts("member").filter_map(by_dn));
                group
                    .members
                    .extend(entry.texts("uniqueMember").filter_map(by_unique_name));
                group.members.extend(
                    entry
                        .texts("memberUid")
                        .map(|text| MemberName::UserName(text.to_owned())),
                );
                members += group.members.len();
                check_members(members, members_max)?;
                groups.push(group);
                Ok(())
            },
        )
        .await?;
        for (index, dn, next) in large {
            let rest = self.rest_of_members(&dn, next, members).await?;
            members += rest.len();
            snapshot.groups[index].members.extend(rest);
        }
        self.members = members;
        Ok(())
    }

    /// The members of a large group from `next` on, range by range.
    async fn rest_of_members(
        &mut self,
        dn: &str,
        next: usize,
        before: usize,
    ) -> Result<Vec<MemberName>, Failure> {
        let doing = "read the members of a large group";
        let mut members = Vec::new();
        let mut next = Some(next);
        while let Some(first) = next {
            let attribute = format!("member;range={first}-*");
            let Some(entry) = self.one(doing, dn, &[&attribute]).await? else {
                break;
            };
            let Some(ranged) = entry.range("member") else {
                break;
            };
            if ranged.first != first || ranged.next.is_some_and(|next| next <= first) {
                return Err(Failure::new(
                    FailureCode::Protocol,
                    format!("cannot {doing}: the directory answered another range"),
                ));
            }
            next = ranged.next;
            members.extend(ranged.values.iter().filter_map(|text| by_dn(text)));
            check_members(before + members.len(), self.open.limits.members)?;
        }
        Ok(members)
    }
}

fn check_members(members: usize, most: usize) -> Result<(), Failure> {
    if members > most {
        return Err(Failure::new(
            FailureCode::TooLarge,
            format!("cannot read the groups: they have more than {most} members"),
        ));
    }
    Ok(())
}

fn by_dn(text: &str) -> Option<MemberName> {
    DnKey::parse(text).ok().map(MemberName::Dn)
}

/// A name with perhaps a unique number behind it: `cn=ana,dc=corp#'0101'B`. Source: RFC 4517, section 3.3.21.
fn by_unique_name(text: &str) -> Option<MemberName> {
    match text.rsplit_once('#') {
        Some((name, number)) if number.starts_with('\'') => by_dn(name),
        _ => by_dn(text),
    }
}

fn id_of(kind: DirectoryKind, entry: &Entry) -> Option<String> {
    match kind {
        DirectoryKind::Ad => entry
            .bytes("objectSid")
            .and_then(|bytes| SecurityId::from_bytes(bytes).ok())
            .map(|id| id.to_string()),
        DirectoryKind::Ldap => entry.text("entryUUID").map(str::to_lowercase),
    }
}

fn take_listed(
    kind: DirectoryKind,
    entry: &Entry,
    attribute: &str,
    listed: &mut Vec<ListedEntry>,
    skipped: &mut Vec<Skip>,
) {
    let name = entry.text(attribute);
    let id = id_of(kind, entry);
    let dn = DnKey::parse(entry.dn()).ok();
    match (id, name, dn) {
        (Some(id), Some(name), Some(dn)) => listed.push(ListedEntry {
            id,
            dn,
            name: name.to_owned(),
            primary_group: primary_group(kind, entry),
        }),
        (id, name, _) if skipped.len() < SKIPS_MAX => skipped.push(Skip {
            name: name.unwrap_or_else(|| entry.dn()).to_owned(),
            reason: if id.is_none() {
                SkipReason::NoId
            } else {
                SkipReason::NoName
            },
        }),
        _ => {}
    }
}

/// The primary group is named by the last number of its identifier; the rest is the user's own.
fn primary_group(kind: DirectoryKind, entry: &Entry) -> Option<String> {
    if kind != DirectoryKind::Ad {
        return None;
    }
    let number = entry.text("primaryGroupID")?.parse().ok()?;
    let user = SecurityId::from_bytes(entry.bytes("objectSid")?).ok()?;
    Some(user.with_relative_id(number).to_string())
}

fn see(latest: &mut Option<String>, entry: &Entry) {
    // Generalized time in UTC compares as text.
    if let Some(time) = entry.text("modifyTimestamp")
        && time.ends_with('Z')
        && latest.as_deref().is_none_or(|known| known < time)
    {
        *latest = Some(time.to_owned());
    }
}

fn both(is_kind: &str, filter: Option<&str>, changed: Option<&str>) -> String {
    let filter = filter.unwrap_or_default();
    let changed = changed.unwrap_or_default();
    format!("(&{is_kind}{filter}{changed})")
}

/// The filter for what changed since a mark; `None` when the mark means nothing here.
fn changed_filter(since: &ChangeMark, now: Option<&ChangeMark>) -> Option<String> {
    match (since, now) {
        (
            ChangeMark::UpdateSequence { database, number },
            Some(ChangeMark::UpdateSequence {
                database: current,
                number: highest,
            }),
        ) => (database == current && number <= highest)
            .then(|| format!("(uSNChanged>={})", number.saturating_add(1))),
        (ChangeMark::ModifyTimestamp { since }, None) => {
            Some(format!("(modifyTimestamp>={})", ldap3::ldap_escape(since)))
        }
        (ChangeMark::UpdateSequence { .. }, _) | (ChangeMark::ModifyTimestamp { .. }, Some(_)) => {
            None
        }
    }
}

/// Generalized time some minutes earlier; `None` when it cannot be read.
fn with_slack(time: &str) -> Option<String> {
    let digits = time.get(..14)?;
    let part = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
    let (hour, minute, second) = (part(8..10)?, part(10..12)?, part(12..14)?);
    let civil = jiff::civil::DateTime::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
        i8::try_from(hour).ok()?,
        i8::try_from(minute).ok()?,
        i8::try_from(second.min(59)).ok()?,
        0,
    )
    .ok()?;
    let earlier = civil
        .checked_sub(jiff::SignedDuration::from_secs(TIMESTAMP_SLACK_SECS))
        .ok()?;
    Some(earlier.strftime("%Y%m%d%H%M%SZ").to_string())
}

/// When an account expires: steps of 100 nanoseconds since 1601; `None`: never. Source: \[MS-ADA1\], `accountExpires`: 0 and
/// 2^63 - 1 mean never.
fn file_time(text: &str) -> Option<Millis> {
    match text.parse::<i64>() {
        Ok(0 | i64::MAX) | Err(_) => None,
        Ok(steps) => Some(Millis::new(FILE_TIME_BEGINS + steps / 10_000)),
    }
}

/// When an account expires: days since 1970; `None`: never. Source: RFC 2307, `shadowExpire`, with the meaning of
/// shadow(5); below 1 means never.
fn shadow_day(text: &str) -> Option<Millis> {
    let day = text.parse::<i64>().ok().filter(|day| *day > 0)?;
    Some(Millis::new(day.checked_mul(86_400_000)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_of_another_database_means_nothing() {
        let mark = |database: &str, number| ChangeMark::UpdateSequence {
            database: database.to_owned(),
            number,
        };
        assert_eq!(
            changed_filter(&mark("a", 7), Some(&mark("a", 9))).as_deref(),
            Some("(uSNChanged>=8)")
        );
        assert_eq!(changed_filter(&mark("a", 7), Some(&mark("b", 9))), None);
        // Restored from a backup: its numbers begin again.
        assert_eq!(changed_filter(&mark("a", 7), Some(&mark("a", 6))), None);
        assert_eq!(changed_filter(&mark("a", 7), None), None);
    }

    #[test]
    fn the_time_of_the_last_change_is_read_again_with_some_minutes() {
        assert_eq!(
            with_slack("20261126000500Z").as_deref(),
            Some("20261125235500Z")
        );
        assert_eq!(
            with_slack("20261126000500.123Z").as_deref(),
            Some("20261125235500Z")
        );
        assert_eq!(with_slack("yesterday"), None);
    }

    #[test]
    fn a_unique_name_may_carry_a_number() {
        assert_eq!(
            by_unique_name("cn=ana,dc=corp#'0101'B"),
            by_dn("cn=ana,dc=corp")
        );
        assert_eq!(by_unique_name("cn=a#b,dc=corp"), by_dn("cn=a#b,dc=corp"));
    }

    #[test]
    fn an_account_expires_at_its_time_or_never() {
        for never in ["0", "9223372036854775807", "", "soon"] {
            assert_eq!(file_time(never), None, "{never}");
        }
        // 2026-01-31T08:00:00Z.
        let at = Some(Millis::new(1_769_846_400_000));
        assert_eq!(file_time("134143200000000000"), at);
        assert_eq!(file_time("-1"), Some(Millis::new(FILE_TIME_BEGINS)));
        for never in ["-1", "0", "", "9223372036854775807"] {
            assert_eq!(shadow_day(never), None, "{never}");
        }
        assert_eq!(shadow_day("20484"), Some(Millis::new(1_769_817_600_000)));
    }
}
