//! Apps and their revisions on both databases.

use outfitter_domain::app::{AppPatch, Icon, IconChange, PngIcon};
use outfitter_domain::{AppSource, AppStatus, Millis};
use outfitter_ids::{AppId, IdSource as _, RevisionId, SystemIds};
use outfitter_store::{AppFilter, NewRevision, ObjectFate, Page};

use crate::app_builders::{app_insert, members};
use crate::database::{NOW, TestStore, on_both};

fn named(name: &str) -> AppFilter {
    AppFilter {
        name: Some(name.to_owned()),
    }
}

on_both! {
    async fn an_app_is_read_as_it_was_written(fixture: TestStore) {
        let store = &fixture.store;
        let mut sent = members("Notepad++.exe", "app-file/n.deb");
        sent.install_info = Some("notes".to_owned());
        let tx = store.write().await.unwrap();
        let (key, id) = app_insert(&tx, fixture.project, &sent).await;
        tx.commit().await.unwrap();

        let app = store.db().app_find(fixture.project, id).await.unwrap().unwrap();
        assert_eq!(app.key, key);
        assert_eq!(app.members, sent);
        assert_eq!(app.revision.number, 1);
        assert_eq!(app.revision.content, sent.content);
        assert_eq!(app.revision.success_exit_codes, [0]);
        assert_eq!(app.revision.package, None);
        assert_eq!((app.created_at, app.updated_at), (NOW, NOW));
        // Another project does not see it.
        assert_eq!(store.db().app_find(fixture.other_project, id).await.unwrap(), None);
        let tx = store.write().await.unwrap();
        assert_eq!(tx.app_lock(fixture.other_project, id).await.unwrap(), None);
        assert!(tx.app_lock_many(fixture.other_project, &[id]).await.unwrap().is_empty());
    }

    async fn lists_are_newest_first_and_count_what_the_filter_finds(fixture: TestStore) {
        let store = &fixture.store;
        let tx = store.write().await.unwrap();
        for name in ["Straße 50%", "Notepad++.exe", "notes", "ＮＯＴＥ wide"] {
            app_insert(&tx, fixture.project, &members(name, "a")).await;
        }
        app_insert(&tx, fixture.other_project, &members("note of others", "a")).await;
        tx.commit().await.unwrap();

        let list = async |filter: AppFilter, offset, limit| {
            let listed = store
                .db()
                .app_list(fixture.project, &filter, Page { offset, limit })
                .await
                .unwrap();
            let names: Vec<String> = listed.items.into_iter().map(|app| app.members.name).collect();
            (listed.total, names)
        };
        let all = ["ＮＯＴＥ wide", "notes", "Notepad++.exe", "Straße 50%"].map(str::to_owned);
        assert_eq!(list(AppFilter::default(), 0, 10).await, (4, all.to_vec()));
        assert_eq!(list(AppFilter::default(), 1, 2).await, (4, all[1..3].to_vec()));
        assert_eq!(list(AppFilter::default(), 4, 10).await, (4, vec![]));
        assert_eq!(list(named("NOTE"), 0, 10).await, (3, all[..3].to_vec()));
        assert_eq!(list(named("note"), 2, 1).await, (3, all[2..3].to_vec()));
        assert_eq!(list(named("STRASSE 50%"), 0, 10).await, (1, all[3..].to_vec()));
        assert_eq!(list(named("n_t"), 0, 10).await, (0, vec![]));
    }

    async fn a_change_of_content_makes_the_newest_revision(fixture: TestStore) {
        let store = &fixture.store;
        let tx = store.write().await.unwrap();
        let (key, id) = app_insert(&tx, fixture.project, &members("a", "x")).await;
        tx.commit().await.unwrap();

        let later = Millis::new(NOW.get() + 5);
        let tx = store.write().await.unwrap();
        let app = tx.app_lock(fixture.project, id).await.unwrap().unwrap();
        let after = AppPatch {
            version: Some("2.0".to_owned()),
            description: Some(String::new()),
            status: Some(AppStatus::Forbidden),
            ..AppPatch::default()
        }
        .merge(&app.members, AppSource::Custom)
        .unwrap();
        tx.app_update(&app, &after, None, later).await.unwrap();
        tx.revision_insert(
            &NewRevision {
                id: RevisionId::new(SystemIds.uuid(1)),
                app: key,
                content: &after.content,
                package: None,
                link_pin: None,
                rule: None,
                success_exit_codes: &[0, 3010],
            },
            later,
        )
        .await
        .unwrap();
        tx.commit().await.unwrap();

        let read = store.db().app_find(fixture.project, id).await.unwrap().unwrap();
        assert_eq!(read.members, after);
        assert_eq!(read.revision.number, 2);
        assert_eq!((read.created_at, read.updated_at), (NOW, later));
        let revisions = store.db().revision_list(key, Page::ALL).await.unwrap();
        assert_eq!(revisions.total, 2);
        assert_eq!(revisions.items[0], read.revision);
        assert_eq!(revisions.items[1].content.version, "1.0");
        let first = store.db().revision_get(revisions.items[1].key).await.unwrap();
        assert_eq!(first.as_ref(), Some(&revisions.items[1]));
    }

    async fn parallel_changes_of_one_app_lose_nothing(fixture: TestStore) {
        let tx = fixture.store.write().await.unwrap();
        let (key, id) = app_insert(&tx, fixture.project, &members("a", "x")).await;
        tx.commit().await.unwrap();
        let mut writers = Vec::new();
        for number in 0..12 {
            let (store, project) = (fixture.store.clone(), fixture.project);
            writers.push(tokio::spawn(async move {
                let tx = store.write().await.unwrap();
                let app = tx.app_lock(project, id).await.unwrap().unwrap();
                let patch = AppPatch {
                    // Each adds to what it found: a lost change would show.
                    description: Some(format!("{}{number},", app.members.description)),
                    version: Some(format!("v{number}")),
                    ..AppPatch::default()
                };
                let after = patch.merge(&app.members, AppSource::Custom).unwrap();
                tx.app_update(&app, &after, None, NOW).await.unwrap();
                let new = NewRevision {
                    id: RevisionId::new(SystemIds.uuid(1)),
                    app: key,
                    content: &after.content,
                    package: None,
                    link_pin: None,
                    rule: None,
                    success_exit_codes: &[0],
                };
                tx.revision_insert(&new, NOW).await.unwrap();
                tx.commit().await.unwrap();
            }));
        }
        for writer in writers {
            writer.await.unwrap();
        }
        let app = fixture.store.db().app_find(fixture.project, id).await.unwrap().unwrap();
        assert_eq!(app.members.description.matches(',').count(), 12);
        assert_eq!(app.revision.number, 13);
    }

    async fn icons_come_and_go_with_their_app(fixture: TestStore) {
        let store = &fixture.store;
        let tx = store.write().await.unwrap();
        let (key, id) = app_insert(&tx, fixture.project, &members("a", "x")).await;
        tx.commit().await.unwrap();
        let change = async |icon: IconChange| {
            let tx = store.write().await.unwrap();
            let app = tx.app_lock(fixture.project, id).await.unwrap().unwrap();
            let patch = AppPatch { icon: Some(icon), ..AppPatch::default() };
            let after = patch.merge(&app.members, AppSource::Custom).unwrap();
            tx.app_update(&app, &after, patch.icon.as_ref(), NOW).await.unwrap();
            tx.commit().await.unwrap();
            store.db().app_find(fixture.project, id).await.unwrap().unwrap().members.icon
        };
        let png = |byte: u8| PngIcon { sha256: hex(byte), bytes: vec![byte; 3] };

        for byte in [1, 2] {
            let icon = change(IconChange::Png(png(byte))).await;
            assert_eq!(icon, Icon::Png { sha256: hex(byte) });
            assert_eq!(
                store.db().app_icon(id).await.unwrap(),
                Some((hex(byte), vec![byte; 3]))
            );
        }
        let link = "https://a.example/i.png".to_owned();
        assert_eq!(change(IconChange::Link(link.clone())).await, Icon::Link(link));
        assert_eq!(store.db().app_icon(id).await.unwrap(), None);
        change(IconChange::Png(png(3))).await;
        assert_eq!(change(IconChange::Clear).await, Icon::Absent);
        change(IconChange::Png(png(4))).await;

        let tx = store.write().await.unwrap();
        tx.app_delete(fixture.project, &[key], ObjectFate::Keep, NOW).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(store.db().app_icon(id).await.unwrap(), None);
    }

    async fn deleted_apps_are_gone_from_every_look_up(fixture: TestStore) {
        let store = &fixture.store;
        let tx = store.write().await.unwrap();
        let (key, id) = app_insert(&tx, fixture.project, &members("a", "x")).await;
        let (_, kept) = app_insert(&tx, fixture.project, &members("b", "x")).await;
        tx.app_delete(fixture.project, &[key], ObjectFate::Remove, NOW).await.unwrap();
        tx.commit().await.unwrap();

        assert_eq!(store.db().app_find(fixture.project, id).await.unwrap(), None);
        let listed = store
            .db()
            .app_list(fixture.project, &AppFilter::default(), Page::ALL)
            .await
            .unwrap();
        assert_eq!((listed.total, listed.items[0].id), (1, kept));
        // Jobs still refer to its revisions.
        let revisions = store.db().revision_list(key, Page::ALL).await.unwrap();
        assert_eq!(revisions.total, 1);
        assert!(store.db().revision_get(revisions.items[0].key).await.unwrap().is_some());
    }

    async fn locking_many_leaves_out_what_does_not_exist(fixture: TestStore) {
        let store = &fixture.store;
        let tx = store.write().await.unwrap();
        let (first, first_id) = app_insert(&tx, fixture.project, &members("a", "x")).await;
        let (second, second_id) = app_insert(&tx, fixture.project, &members("b", "x")).await;
        let unknown = AppId::new(SystemIds.uuid(9));
        let locked = tx
            .app_lock_many(fixture.project, &[second_id, unknown, first_id])
            .await
            .unwrap();
        assert_eq!(locked, [(first, AppSource::Custom), (second, AppSource::Custom)]);
        tx.app_set_status(&[second], AppStatus::Forbidden, NOW).await.unwrap();
        tx.commit().await.unwrap();
        let status = async |id| {
            store.db().app_find(fixture.project, id).await.unwrap().unwrap().members.status
        };
        assert_eq!(status(first_id).await, AppStatus::Normal);
        assert_eq!(status(second_id).await, AppStatus::Forbidden);
    }
}

fn hex(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}

#[tokio::test]
async fn lists_and_counts_stay_within_one_index() {
    let fixture = TestStore::sqlite().await;
    for columns in ["COUNT(*)", "id"] {
        let plan = fixture
            .sqlite_plan(&format!(
                "SELECT {columns} FROM app INDEXED BY app_list WHERE project_id = 1 AND deleted_at IS NULL \
                 AND name_folded LIKE '%a%' ESCAPE '\\' ORDER BY id DESC LIMIT 10 OFFSET 20"
            )).await;
        assert_eq!(
            plan,
            "SEARCH app USING COVERING INDEX app_list (project_id=?)"
        );
    }
}
