//! Builders of apps.

use outfitter_domain::app::{
    AppMembers, BucketPlace, FileStore, Icon, IconChange, RevisionContent,
};
use outfitter_domain::{
    Account, AccountType, AppSource, AppStatus, AssignType, InstallType, OsType, StoreType,
};
use outfitter_ids::{AppId, IdSource as _, RevisionId, SystemIds};
use outfitter_store::{AppKey, NewApp, NewRevision, ProjectKey, Tx};

use crate::database::NOW;

/// Members of an app whose package is an object of the bucket.
pub(crate) fn members(name: &str, object_key: &str) -> AppMembers {
    AppMembers {
        name: name.to_owned(),
        description: "described".to_owned(),
        authorization_type: AssignType::AssignUser,
        install_type: InstallType::QuietInstall,
        support_os: OsType::Linux,
        status: AppStatus::Normal,
        catalog_id: "1".to_owned(),
        install_info: None,
        icon: Icon::Absent,
        content: RevisionContent {
            version: "1.0".to_owned(),
            file_store: FileStore {
                store_type: StoreType::Obs,
                bucket: Some(BucketPlace {
                    bucket_name: "wks-appcenter-x".to_owned(),
                    object_key: object_key.to_owned(),
                }),
                file_link: Some("https://a.example/unused".to_owned()),
            },
            install_command: Some("run ${FILE_PATH}".to_owned()),
            uninstall_command: None,
        },
    }
}

/// Inserts an app with its first revision, bound where its object is there.
pub(crate) async fn app_insert(
    tx: &Tx,
    project: ProjectKey,
    members: &AppMembers,
) -> (AppKey, AppId) {
    let id = AppId::new(SystemIds.uuid(NOW.get()));
    let key = tx
        .app_insert(
            &NewApp {
                id,
                project,
                source: AppSource::Custom,
                members,
                icon: &IconChange::Clear,
                run_limit_secs: 3600,
            },
            NOW,
        )
        .await
        .unwrap();
    tx.revision_insert(
        &NewRevision {
            id: RevisionId::new(SystemIds.uuid(NOW.get())),
            app: key,
            content: &members.content,
            package: None,
            link_pin: None,
            rule: None,
            success_exit_codes: &[0],
        },
        NOW,
    )
    .await
    .unwrap();
    tx.revision_bind(project, &[key]).await.unwrap();
    (key, id)
}

/// A user of the local domain.
pub(crate) fn user(name: &str) -> Account {
    Account::new(AccountType::Simple, name.to_owned(), None, None)
}
