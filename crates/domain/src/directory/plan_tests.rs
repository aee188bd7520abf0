use super::super::distinguished_name::DnKey;
use super::super::snapshot::{DirectoryUser, MemberName};
use super::*;

const DOMAIN: &str = "corp.example";

fn user(id: &str, name: &str) -> DirectoryUser {
    DirectoryUser {
        id: id.to_owned(),
        name: name.to_owned(),
        facts: UserFacts::default(),
    }
}

fn entry(id: &str, name: &str) -> ListedEntry {
    ListedEntry {
        id: id.to_owned(),
        dn: DnKey::parse(&format!("CN={name},DC=corp")).unwrap(),
        name: name.to_owned(),
        primary_group: None,
    }
}

fn full(users: &[(&str, &str)]) -> Snapshot {
    Snapshot {
        is_complete: true,
        listed_users: users.iter().map(|(id, name)| entry(id, name)).collect(),
        users: users.iter().map(|(id, name)| user(id, name)).collect(),
        ..Snapshot::default()
    }
}

fn stored(row: i64, id: Option<&str>, name: &str) -> StoredAccount<UserFacts> {
    StoredAccount {
        row,
        id: id.map(str::to_owned),
        name: name.to_owned(),
        domain: DOMAIN.to_owned(),
        platform_type: PlatformType::Ad,
        facts: UserFacts::default(),
    }
}

/// What a plan leaves behind; breaks where two rows would have one name at any step.
fn apply(
    stored: &[StoredAccount<UserFacts>],
    plan: &AccountPlan<UserFacts>,
) -> BTreeMap<String, Option<String>> {
    let mut rows: BTreeMap<i64, (String, Option<String>)> = stored
        .iter()
        .map(|account| (account.row, (fold(&account.name), account.id.clone())))
        .collect();
    let check = |rows: &BTreeMap<i64, (String, Option<String>)>| {
        let names: BTreeSet<_> = rows.values().map(|(name, _)| name).collect();
        assert_eq!(names.len(), rows.len(), "two rows of one name: {rows:?}");
    };
    for row in &plan.remove {
        rows.remove(row).unwrap();
    }
    for row in &plan.vacate {
        rows.get_mut(row).unwrap().0 = format!("\0{row}");
    }
    for adoption in &plan.adopt {
        rows.get_mut(&adoption.row).unwrap().1 = Some(adoption.id.clone());
    }
    for rename in &plan.rename {
        rows.get_mut(&rename.row).unwrap().0 = fold(&rename.name);
        check(&rows);
    }
    for (index, account) in plan.insert.iter().enumerate() {
        let row = 1000 + i64::try_from(index).unwrap();
        rows.insert(row, (fold(&account.name), Some(account.id.clone())));
        check(&rows);
    }
    rows.into_values().collect()
}

fn names(pairs: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
    pairs
        .iter()
        .map(|(name, id)| ((*name).to_owned(), id.map(str::to_owned)))
        .collect()
}

#[test]
fn planning_again_adds_nothing() {
    let snapshot = full(&[("1", "Ana"), ("2", "Ben")]);
    let plan = plan_users(DOMAIN, &snapshot, &[], false).unwrap();
    assert_eq!(plan.insert.len(), 2);
    let rows = [stored(1, Some("1"), "Ana"), stored(2, Some("2"), "Ben")];
    let again = plan_users(DOMAIN, &snapshot, &rows, false).unwrap();
    assert_eq!(
        again,
        AccountPlan {
            remove: vec![],
            vacate: vec![],
            adopt: vec![],
            rename: vec![],
            update: vec![],
            insert: vec![],
            skipped: vec![],
        }
    );
}

#[test]
fn a_rename_keeps_the_row_and_a_new_account_of_the_old_name_is_another() {
    let rows = [stored(1, Some("1"), "Ana")];
    let plan = plan_users(
        DOMAIN,
        &full(&[("1", "Ana-Maria"), ("2", "ana")]),
        &rows,
        false,
    )
    .unwrap();
    assert_eq!(plan.vacate, [1]);
    assert_eq!(
        apply(&rows, &plan),
        names(&[("ana-maria", Some("1")), ("ana", Some("2"))])
    );
}

#[test]
fn names_may_go_round() {
    let rows = [
        stored(1, Some("1"), "a"),
        stored(2, Some("2"), "b"),
        stored(3, Some("3"), "c"),
    ];
    let plan = plan_users(
        DOMAIN,
        &full(&[("1", "b"), ("2", "c"), ("3", "A")]),
        &rows,
        false,
    )
    .unwrap();
    assert_eq!(
        apply(&rows, &plan),
        names(&[("a", Some("3")), ("b", Some("1")), ("c", Some("2"))])
    );
}

#[test]
fn a_row_made_by_hand_becomes_the_directorys() {
    let rows = [stored(7, None, "ANA")];
    let plan = plan_users(DOMAIN, &full(&[("1", "Ana")]), &rows, false).unwrap();
    assert_eq!(
        plan.adopt,
        [Adoption {
            row: 7,
            id: "1".to_owned()
        }]
    );
    assert!(plan.insert.is_empty());
    // A local account of the same name is somebody else.
    let local = StoredAccount {
        domain: LOCAL_DOMAIN.to_owned(),
        platform_type: PlatformType::Local,
        ..stored(7, None, "Ana")
    };
    let plan = plan_users(DOMAIN, &full(&[("1", "Ana")]), &[local], false).unwrap();
    assert!(plan.adopt.is_empty());
    assert_eq!(plan.insert.len(), 1);
}

#[test]
fn a_group_made_by_hand_as_an_ad_group_moves_to_the_directorys_domain() {
    let group = |platform_type| StoredAccount {
        row: 4,
        id: None,
        name: "staff".to_owned(),
        domain: LOCAL_DOMAIN.to_owned(),
        platform_type,
        facts: String::new(),
    };
    let snapshot = Snapshot {
        is_complete: true,
        listed_groups: vec![entry("9", "Staff")],
        groups: vec![DirectoryGroup {
            id: "9".to_owned(),
            name: "Staff".to_owned(),
            description: String::new(),
            members: vec![],
        }],
        ..Snapshot::default()
    };
    let plan = plan_groups(DOMAIN, &snapshot, &[group(PlatformType::Ad)], false).unwrap();
    assert_eq!((plan.adopt.len(), plan.rename.len()), (1, 1));
    let plan = plan_groups(DOMAIN, &snapshot, &[group(PlatformType::Local)], false).unwrap();
    assert_eq!((plan.adopt.len(), plan.insert.len()), (0, 1));
}

#[test]
fn of_two_entries_with_one_name_the_known_one_stays() {
    let rows = [stored(1, Some("9"), "ana")];
    let plan = plan_users(DOMAIN, &full(&[("2", "Ana"), ("9", "ana")]), &rows, false).unwrap();
    assert_eq!(plan.skipped.len(), 1);
    assert_eq!(apply(&rows, &plan), names(&[("ana", Some("9"))]));
    // Who is renamed to a name in use keeps the old one while nobody else has it ...
    let rows = [stored(1, Some("1"), "ana"), stored(2, Some("2"), "ben")];
    let plan = plan_users(DOMAIN, &full(&[("1", "ana"), ("2", "ana")]), &rows, false).unwrap();
    assert_eq!(
        apply(&rows, &plan),
        names(&[("ana", Some("1")), ("ben", Some("2"))])
    );
    // ... and has none otherwise.
    let plan = plan_users(
        DOMAIN,
        &full(&[("1", "ana"), ("2", "ana"), ("3", "ben")]),
        &rows,
        false,
    )
    .unwrap();
    assert_eq!(plan.remove, [2]);
    assert_eq!(
        apply(&rows, &plan),
        names(&[("ana", Some("1")), ("ben", Some("3"))])
    );
}

#[test]
fn what_is_no_longer_listed_goes_but_not_most_of_it() {
    let rows: Vec<_> = (0..12)
        .map(|row| stored(row, Some(&row.to_string()), &format!("u{row}")))
        .collect();
    let rest = |count: usize| {
        let named: Vec<(String, String)> = (0..count)
            .map(|row| (row.to_string(), format!("u{row}")))
            .collect();
        let pairs: Vec<(&str, &str)> = named.iter().map(|(a, b)| (&**a, &**b)).collect();
        full(&pairs)
    };
    let plan = plan_users(DOMAIN, &rest(6), &rows, false).unwrap();
    assert_eq!(plan.remove, [6, 7, 8, 9, 10, 11]);
    assert_eq!(
        plan_users(DOMAIN, &rest(5), &rows, false),
        Err(PlanError::TooManyRemovals {
            what: "users",
            removals: 7,
            known: 12
        })
    );
    assert_eq!(
        plan_users(DOMAIN, &rest(0), &rows, true)
            .unwrap()
            .remove
            .len(),
        12
    );
}

#[test]
fn a_partial_read_changes_what_it_tells_and_removes_what_is_not_listed() {
    let rows = [
        stored(1, Some("1"), "ana"),
        stored(2, Some("2"), "ben"),
        stored(3, Some("3"), "cleo"),
    ];
    let mut snapshot = full(&[("1", "ana"), ("2", "benno")]);
    snapshot.is_complete = false;
    snapshot.users.remove(0);
    let plan = plan_users(DOMAIN, &snapshot, &rows, false).unwrap();
    assert_eq!((plan.remove.clone(), plan.rename.len()), (vec![3], 1));
    // Moved into the base, and so not changed for the directory.
    snapshot.listed_users.push(entry("8", "dora"));
    assert_eq!(
        plan_users(DOMAIN, &snapshot, &rows, false),
        Err(PlanError::NeedsFullRead)
    );
    // A second entry of a name in use is left out every time, which is no reason to read everything.
    snapshot.listed_users.pop();
    snapshot.listed_users.push(entry("8", "ANA"));
    plan_users(DOMAIN, &snapshot, &rows, false).unwrap();
}

#[test]
fn a_name_that_cannot_be_shown_is_left_out() {
    let plan = plan_users(DOMAIN, &full(&[("2", "a\u{7}")]), &[], false).unwrap();
    assert!(plan.insert.is_empty());
    assert_eq!(plan.skipped[0].reason, SkipReason::NoName);
}

#[test]
fn members_are_found_by_place_and_by_name() {
    let snapshot = Snapshot {
        is_complete: true,
        listed_users: vec![entry("1", "ana"), entry("2", "ben"), entry("3", "cleo")],
        listed_groups: vec![entry("g", "staff"), entry("h", "sales")],
        ..Snapshot::default()
    };
    let set = |ids: &[&str]| -> HashSet<String> { ids.iter().map(|id| (*id).to_owned()).collect() };
    let resolver = Resolver::new(&snapshot, &set(&["1", "2"]), &set(&["g", "h"]));
    let dn = |name: &str| MemberName::Dn(DnKey::parse(&format!("cn={name},dc=corp")).unwrap());
    let group = DirectoryGroup {
        id: "g".to_owned(),
        name: "staff".to_owned(),
        description: String::new(),
        members: vec![
            dn("ANA"),
            MemberName::UserName("BEN".to_owned()),
            dn("sales"),
            dn("staff"),
            dn("cleo"),
            dn("printer"),
        ],
    };
    let known = StoredMembers {
        users: ["1".to_owned(), "5".to_owned()].into(),
        groups: ["x".to_owned()].into(),
    };
    assert_eq!(
        plan_memberships(&group, &resolver, &known),
        MembershipPlan {
            join: vec!["2".to_owned()],
            leave: vec!["5".to_owned()],
            nest: vec!["h".to_owned()],
            unnest: vec!["x".to_owned()],
            unresolved: 2,
        }
    );
}

#[test]
fn a_primary_group_has_its_members_though_it_does_not_list_them() {
    let mut snapshot = full(&[("1", "ana"), ("2", "ben")]);
    snapshot.listed_users[0].primary_group = Some("S-513".to_owned());
    snapshot.listed_users[1].primary_group = Some("S-999".to_owned());
    let users = ["1".to_owned(), "2".to_owned()].into();
    let groups = ["S-513".to_owned()].into();
    let members = primary_members(&snapshot, &users, &groups);
    assert_eq!(members.len(), 1);
    assert_eq!(members["S-513"], ["1".to_owned()].into());
}
