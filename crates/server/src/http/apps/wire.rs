//! Between the words and shapes of the wire and ours.

use outfitter_api_types::apps::{
    AppSourceType, AppStatusEnum, Application, BucketStore, FileStoreLink, FileStoreTypeEnum,
    InstallType as WireInstallType, OsTypeEnum,
};
use outfitter_api_types::authorizations::{
    AccountInfo, AccountTypeEnum, AssignType as WireAssignType, PlatformTypeEnum,
};
use outfitter_api_types::time::WireTime;
use outfitter_domain::app::{BucketPlace, Catalog, FileStore, Icon, text_problem};
use outfitter_domain::{
    Account, AccountType, AppSource, AppStatus, AssignType, InstallType, OsType, PlatformType,
    StoreType,
};
use outfitter_ids::DomainId;
use outfitter_store::App;

use crate::Services;
use crate::app::icons;
use crate::http::ApiError;

/// A word of ours as the wire has it, or the other way round.
pub(in crate::http) trait Word<T> {
    /// The same word.
    fn word(self) -> T;
}

macro_rules! same_words {
    ($($ours:ident = $wire:ident { $($variant:ident),+ })+) => {$(
        impl Word<$wire> for $ours {
            fn word(self) -> $wire {
                match self { $(Self::$variant => $wire::$variant),+ }
            }
        }

        impl Word<$ours> for $wire {
            fn word(self) -> $ours {
                match self { $(Self::$variant => $ours::$variant),+ }
            }
        }
    )+};
}

same_words! {
    AssignType = WireAssignType { AllUser, AssignUser }
    InstallType = WireInstallType { QuietInstall, UnzipInstall, GuiInstall }
    OsType = OsTypeEnum { Linux, Windows, Other }
    AppStatus = AppStatusEnum { Normal, Forbidden }
    AppSource = AppSourceType { Custom, System, Market }
    StoreType = FileStoreTypeEnum { Obs, Link }
    AccountType = AccountTypeEnum { Simple, UserGroup }
    PlatformType = PlatformTypeEnum { Ad, Local }
}

/// The app as answers show it.
pub(in crate::http) fn application(services: &Services, owner: DomainId, app: App) -> Application {
    let members = app.members;
    let app_icon_url = match members.icon {
        Icon::Absent => None,
        Icon::Link(address) => Some(address),
        Icon::Png { sha256 } => Some(icons::address(
            &services.endpoints.endpoint,
            app.id,
            &sha256,
        )),
    };
    Application {
        id: app.id.to_string(),
        tenant_id: owner.to_string(),
        name: members.name,
        version: members.content.version,
        description: Some(members.description),
        authorization_type: members.authorization_type.word(),
        app_file_store: file_store_link(members.content.file_store),
        app_icon_url,
        install_type: members.install_type.word(),
        install_command: members.content.install_command,
        uninstall_command: members.content.uninstall_command,
        support_os: members.support_os.word(),
        status: members.status.word(),
        application_source: app.source.word(),
        create_time: WireTime::from_unix_millis(app.created_at.get()),
        // The official example shows the Chinese name here.
        catalog: Catalog::find(&members.catalog_id).map(|catalog| catalog.name_zh.to_owned()),
        catalog_id: members.catalog_id,
        install_info: members.install_info,
    }
}

/// A file store as it was sent.
pub(in crate::http) fn file_store_link(store: FileStore) -> FileStoreLink {
    FileStoreLink {
        store_type: store.store_type.word(),
        bucket_store: store.bucket.map(|place| BucketStore {
            bucket_name: place.bucket_name,
            bucket_file_path: place.object_key,
        }),
        file_link: store.file_link,
    }
}

/// A file store to keep.
pub(super) fn file_store(link: FileStoreLink) -> FileStore {
    FileStore {
        store_type: link.store_type.word(),
        bucket: link.bucket_store.map(|store| BucketPlace {
            bucket_name: store.bucket_name,
            object_key: store.bucket_file_path,
        }),
        file_link: link.file_link,
    }
}

/// An account with the contract's defaults applied.
pub(in crate::http) fn account(info: AccountInfo) -> Account {
    Account::new(
        info.account_type.word(),
        info.account,
        info.domain,
        info.platform_type.map(Word::word),
    )
}

/// An account as answers show it.
pub(in crate::http) fn account_info(account: Account) -> AccountInfo {
    AccountInfo {
        account: account.account,
        domain: Some(account.domain),
        account_type: account.account_type.word(),
        platform_type: Some(account.platform_type.word()),
    }
}

/// The `name` filter of a list; empty filters nothing.
///
/// # Errors
/// No stored name can hold the text, nor can the database look for it.
pub(in crate::http) fn name_filter(name: Option<String>) -> Result<Option<String>, ApiError> {
    match name.filter(|text| !text.is_empty()) {
        Some(text) => match text_problem("name", &text) {
            Some(problem) => Err(ApiError::invalid(problem.field, problem.reason)),
            None => Ok(Some(text)),
        },
        None => Ok(None),
    }
}
