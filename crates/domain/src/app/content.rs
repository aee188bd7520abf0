use outfitter_ids::ProjectId;
use url::Url;

use super::bucket::object_key_problem;
use outfitter_agent_protocol::LinkAllowList;

use super::{FieldProblem, is_bucket_name, link_digest, text_problem};
use crate::StoreType;

/// Exit codes that mean success where nobody says otherwise: done, and the two of Windows Installer that
/// ask for a restart (ERROR_SUCCESS_REBOOT_INITIATED, ERROR_SUCCESS_REBOOT_REQUIRED; vendor's list of
/// error codes for Windows Installer). No Linux program can end with those two.
pub const SUCCESS_EXIT_CODES: &[i64] = &[0, 1641, 3010];

/// An object in a bucket, as an administrator wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPlace {
    /// Name of the bucket, or its alias.
    pub bucket_name: String,
    /// Full key.
    pub object_key: String,
}

/// Where a package is. `store_type` says which member counts; the other is kept and not used
/// (contract, section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStore {
    /// Which member counts.
    pub store_type: StoreType,
    /// Object in the bucket.
    pub bucket: Option<BucketPlace>,
    /// Address that desktops fetch.
    pub file_link: Option<String>,
}

/// Path of the member that holds a link.
const FILE_LINK: &str = "app_file_store.file_link";

impl FileStore {
    /// The link that counts; `None` for an object.
    pub fn link(&self) -> Option<&str> {
        match self.store_type {
            StoreType::Obs => None,
            StoreType::Link => self.file_link.as_deref(),
        }
    }

    /// The digest that its link names (lower-case hex SHA-256).
    pub fn link_digest(&self) -> Option<String> {
        self.link()
            .and_then(|link| link_digest(link).ok().flatten())
    }

    /// What the operator or the project has against its link: desktops may not fetch from there, or it names no
    /// digest where one is required.
    pub fn link_problem(
        &self,
        allowed: &LinkAllowList,
        digest_required: bool,
    ) -> Option<FieldProblem> {
        let link = self.link()?;
        if !allowed.allows(link) {
            return Some(FieldProblem::new(
                FILE_LINK,
                format!("desktops may fetch from {allowed} alone"),
            ));
        }
        (digest_required && self.link_digest().is_none()).then(|| {
            FieldProblem::new(
                FILE_LINK,
                "the project wants a digest: end it with #sha256= and 64 hex digits",
            )
        })
    }

    /// Key of the object that counts; `None` for a link.
    pub fn object_key(&self) -> Option<&str> {
        match self.store_type {
            StoreType::Obs => self.bucket.as_ref().map(|place| place.object_key.as_str()),
            StoreType::Link => None,
        }
    }

    /// What is wrong with it for an app of this project. The object need not exist.
    pub fn problem(&self, project: ProjectId) -> Option<FieldProblem> {
        const BUCKET_STORE: &str = "app_file_store.bucket_store";
        const BUCKET_NAME: &str = "app_file_store.bucket_store.bucket_name";
        const BUCKET_FILE_PATH: &str = "app_file_store.bucket_store.bucket_file_path";
        let stored = [
            (
                BUCKET_NAME,
                self.bucket.as_ref().map(|place| &place.bucket_name),
            ),
            (
                BUCKET_FILE_PATH,
                self.bucket.as_ref().map(|place| &place.object_key),
            ),
            (FILE_LINK, self.file_link.as_ref()),
        ];
        for (field, text) in stored {
            if let Some(problem) = text.and_then(|text| text_problem(field, text)) {
                return Some(problem);
            }
        }
        match (self.store_type, &self.bucket, &self.file_link) {
            (StoreType::Obs, None, _) => {
                Some(FieldProblem::new(BUCKET_STORE, "is required for OBS"))
            }
            (StoreType::Obs, Some(place), _) => {
                if is_bucket_name(&place.bucket_name, project) {
                    object_key_problem(BUCKET_FILE_PATH, &place.object_key)
                } else {
                    Some(FieldProblem::new(
                        BUCKET_NAME,
                        "is not the bucket of this project",
                    ))
                }
            }
            (StoreType::Link, _, None) => {
                Some(FieldProblem::new(FILE_LINK, "is required for LINK"))
            }
            (StoreType::Link, _, Some(link)) if !is_web_address(link) => Some(FieldProblem::new(
                FILE_LINK,
                "must be a full http or https URL",
            )),
            (StoreType::Link, _, Some(link)) => link_digest(link)
                .err()
                .map(|reason| FieldProblem::new(FILE_LINK, reason)),
        }
    }
}

/// Whether text is a full http or https address.
pub fn is_web_address(text: &str) -> bool {
    // `Url` forgives surrounding spaces and drops tabs and line ends; an address holds neither.
    !text.chars().any(|c| c.is_control() || c.is_whitespace())
        && Url::parse(text)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// What installing an app means, without what is derived from it: a change of any of it makes a new
/// revision (contract, section 3, Revisions).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionContent {
    /// Version, as written.
    pub version: String,
    /// Where the package is.
    pub file_store: FileStore,
    /// Install command; never blank.
    pub install_command: Option<String>,
    /// Uninstall command; never blank.
    pub uninstall_command: Option<String>,
}

impl RevisionContent {
    /// Whether both are about the same bytes: what is known of one package holds for the other. A new
    /// version behind the same link or key may be another file.
    pub fn has_package_of(&self, other: &Self) -> bool {
        self.version == other.version && self.file_store == other.file_store
    }
}

#[cfg(test)]
mod tests {
    use outfitter_ids::{IdSource as _, SystemIds};

    use super::*;
    use crate::app::bucket_name;

    fn store(
        store_type: StoreType,
        bucket: Option<(&str, &str)>,
        file_link: Option<&str>,
    ) -> FileStore {
        FileStore {
            store_type,
            bucket: bucket.map(|(name, key)| BucketPlace {
                bucket_name: name.to_owned(),
                object_key: key.to_owned(),
            }),
            file_link: file_link.map(str::to_owned),
        }
    }

    #[test]
    fn the_store_type_picks_the_member_that_is_checked() {
        let project = ProjectId::new(SystemIds.uuid(1));
        let ours = bucket_name(project);
        let field = |store: FileStore| store.problem(project).map(|problem| problem.field);
        let obs = |bucket, link| field(store(StoreType::Obs, bucket, link));
        let link = |bucket, link| field(store(StoreType::Link, bucket, link));

        assert_eq!(
            obs(Some((&ours, "app-file/a.exe")), Some("no address")),
            None
        );
        assert_eq!(
            obs(Some(("wks-appcenter-other", "a")), None),
            Some("app_file_store.bucket_store.bucket_name")
        );
        assert_eq!(
            obs(Some((&ours, "a/../b")), None),
            Some("app_file_store.bucket_store.bucket_file_path")
        );
        assert_eq!(
            obs(None, Some("https://a/b")),
            Some("app_file_store.bucket_store")
        );

        assert_eq!(
            link(Some(("elsewhere", "..")), Some("https://a.example/b")),
            None
        );
        for bad in [
            "ftp://a/b",
            "a/b",
            "https://",
            "https://a/\nb",
            " https://a/b",
            "file:///etc",
        ] {
            assert_eq!(
                link(None, Some(bad)),
                Some("app_file_store.file_link"),
                "{bad:?}"
            );
        }
        assert_eq!(
            link(Some((&ours, "a")), None),
            Some("app_file_store.file_link")
        );
        assert_eq!(
            obs(Some((&ours, "a")), Some("http://a/\0")),
            Some("app_file_store.file_link")
        );
    }
}
