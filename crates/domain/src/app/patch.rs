use outfitter_ids::ProjectId;

use super::{Catalog, FieldProblem, FileStore, Icon, IconChange, RevisionContent, text_problem};
use crate::text::is_blank;
use crate::{AppSource, AppStatus, AssignType, InstallType, OsType};

/// What an administrator can say about an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppMembers {
    /// Name.
    pub name: String,
    /// Free text; may be empty.
    pub description: String,
    /// Who may use it.
    pub authorization_type: AssignType,
    /// How it is installed.
    pub install_type: InstallType,
    /// Operating system it is for.
    pub support_os: OsType,
    /// Whether users see it.
    pub status: AppStatus,
    /// Category.
    pub catalog_id: String,
    /// Notes; never empty.
    pub install_info: Option<String>,
    /// Icon.
    pub icon: Icon,
    /// What installing it means.
    pub content: RevisionContent,
}

impl AppMembers {
    /// What is wrong with the members of a new app, beyond what a schema says.
    pub fn problem(&self, project: ProjectId) -> Option<FieldProblem> {
        [
            ("name", Some(&self.name)),
            ("version", Some(&self.content.version)),
            ("description", Some(&self.description)),
            ("install_command", self.content.install_command.as_ref()),
            ("uninstall_command", self.content.uninstall_command.as_ref()),
            ("install_info", self.install_info.as_ref()),
        ]
        .into_iter()
        .find_map(|(field, text)| text.and_then(|text| text_problem(field, text)))
        .or_else(|| is_blank(&self.name).then(|| FieldProblem::new("name", "must not be blank")))
        .or_else(|| self.content.file_store.problem(project))
        .or_else(|| {
            Catalog::find(&self.catalog_id)
                .is_none()
                .then(|| FieldProblem::new("catalog_id", "no category has this id"))
        })
    }

    /// Whether the app is of a kind that the agent installs by a command and has none.
    pub fn lacks_command(&self) -> bool {
        needs_command(self.install_type) && self.content.install_command.is_none()
    }
}

fn needs_command(install_type: InstallType) -> bool {
    match install_type {
        InstallType::QuietInstall | InstallType::UnzipInstall => true,
        InstallType::GuiInstall => false,
    }
}

/// The install command of a new app. Absent is legal for every type, text without content only where no
/// command is needed (contract, decision 3).
///
/// # Errors
/// Names `install_command` when it is blank and the type needs one.
pub fn command_given(
    install_type: InstallType,
    command: Option<String>,
) -> Result<Option<String>, FieldProblem> {
    match command {
        Some(text) if is_blank(&text) && needs_command(install_type) => Err(FieldProblem::new(
            "install_command",
            format!("must not be empty for {install_type}"),
        )),
        Some(text) if is_blank(&text) => Ok(None),
        command => Ok(command),
    }
}

/// A partial update: `None` keeps the member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppPatch {
    /// Name.
    pub name: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Who may use it.
    pub authorization_type: Option<AssignType>,
    /// Where the package is; replaced as a whole.
    pub file_store: Option<FileStore>,
    /// Icon.
    pub icon: Option<IconChange>,
    /// How it is installed.
    pub install_type: Option<InstallType>,
    /// Install command; blank clears it.
    pub install_command: Option<String>,
    /// Uninstall command; blank clears it.
    pub uninstall_command: Option<String>,
    /// Operating system it is for.
    pub support_os: Option<OsType>,
    /// Category.
    pub catalog_id: Option<String>,
    /// Notes; empty clears them.
    pub install_info: Option<String>,
    /// Whether users see it.
    pub status: Option<AppStatus>,
}

/// Why a partial update is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchRefusal {
    /// A member breaks a rule.
    #[error(transparent)]
    Field(#[from] FieldProblem),
    /// A built-in app keeps everything but status, authorization type and category.
    #[error("{member} of a built-in application cannot be changed")]
    BuiltIn {
        /// The member that would have changed.
        member: &'static str,
    },
}

impl AppPatch {
    /// What is wrong with the patch itself, whatever the app is like.
    pub fn problem(&self, project: ProjectId) -> Option<FieldProblem> {
        [
            ("name", &self.name),
            ("version", &self.version),
            ("description", &self.description),
            ("install_command", &self.install_command),
            ("uninstall_command", &self.uninstall_command),
            ("install_info", &self.install_info),
        ]
        .into_iter()
        .find_map(|(field, text)| text.as_ref().and_then(|text| text_problem(field, text)))
        .or_else(|| {
            self.name
                .as_deref()
                .is_some_and(is_blank)
                .then(|| FieldProblem::new("name", "must not be blank"))
        })
        .or_else(|| {
            self.file_store
                .as_ref()
                .and_then(|store| store.problem(project))
        })
        .or_else(|| {
            let id = self.catalog_id.as_deref()?;
            Catalog::find(id)
                .is_none()
                .then(|| FieldProblem::new("catalog_id", "no category has this id"))
        })
    }

    /// The app's members after the patch.
    ///
    /// # Errors
    /// The patch makes the app break a rule that it did not break before, or changes what is fixed in a
    /// built-in app. Sending a stored value again changes nothing and is never refused.
    pub fn merge(
        &self,
        before: &AppMembers,
        source: AppSource,
    ) -> Result<AppMembers, PatchRefusal> {
        let optional = |sent: &Option<String>, stored: &Option<String>| match sent {
            Some(text) if is_blank(text) => None,
            Some(text) => Some(text.clone()),
            None => stored.clone(),
        };
        let text = |sent: &Option<String>, stored: &String| sent.as_ref().unwrap_or(stored).clone();
        let after = AppMembers {
            name: text(&self.name, &before.name),
            description: text(&self.description, &before.description),
            authorization_type: self.authorization_type.unwrap_or(before.authorization_type),
            install_type: self.install_type.unwrap_or(before.install_type),
            support_os: self.support_os.unwrap_or(before.support_os),
            status: self.status.unwrap_or(before.status),
            catalog_id: text(&self.catalog_id, &before.catalog_id),
            install_info: match &self.install_info {
                Some(text) if text.is_empty() => None,
                Some(text) => Some(text.clone()),
                None => before.install_info.clone(),
            },
            icon: self
                .icon
                .as_ref()
                .map_or_else(|| before.icon.clone(), IconChange::icon),
            content: RevisionContent {
                version: text(&self.version, &before.content.version),
                file_store: self
                    .file_store
                    .as_ref()
                    .unwrap_or(&before.content.file_store)
                    .clone(),
                install_command: optional(&self.install_command, &before.content.install_command),
                uninstall_command: optional(
                    &self.uninstall_command,
                    &before.content.uninstall_command,
                ),
            },
        };
        if source != AppSource::Custom
            && let Some(member) = fixed_member_changed(before, &after)
        {
            return Err(PatchRefusal::BuiltIn { member });
        }
        let as_before = after.install_type == before.install_type && before.lacks_command();
        if after.lacks_command() && !as_before {
            return Err(PatchRefusal::Field(FieldProblem::new(
                "install_command",
                format!("{} needs an install command", after.install_type),
            )));
        }
        Ok(after)
    }
}

/// The first member that a built-in app keeps (contract, section 3) and that differs.
fn fixed_member_changed(before: &AppMembers, after: &AppMembers) -> Option<&'static str> {
    [
        ("name", before.name != after.name),
        ("version", before.content.version != after.content.version),
        ("description", before.description != after.description),
        (
            "app_file_store",
            before.content.file_store != after.content.file_store,
        ),
        ("app_icon_url", before.icon != after.icon),
        ("install_type", before.install_type != after.install_type),
        (
            "install_command",
            before.content.install_command != after.content.install_command,
        ),
        (
            "uninstall_command",
            before.content.uninstall_command != after.content.uninstall_command,
        ),
        ("support_os", before.support_os != after.support_os),
        ("install_info", before.install_info != after.install_info),
    ]
    .into_iter()
    .find_map(|(member, changed)| changed.then_some(member))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StoreType;

    fn app(install_type: InstallType, command: Option<&str>) -> AppMembers {
        AppMembers {
            name: "notepad++.exe".to_owned(),
            description: String::new(),
            authorization_type: AssignType::AllUser,
            install_type,
            support_os: OsType::Windows,
            status: AppStatus::Normal,
            catalog_id: "1".to_owned(),
            install_info: Some("notes".to_owned()),
            icon: Icon::Absent,
            content: RevisionContent {
                version: "1".to_owned(),
                file_store: FileStore {
                    store_type: StoreType::Link,
                    bucket: None,
                    file_link: Some("https://a.example/b".to_owned()),
                },
                install_command: command.map(str::to_owned),
                uninstall_command: Some("remove".to_owned()),
            },
        }
    }

    #[test]
    fn absent_members_keep_and_empty_ones_clear() {
        let before = app(InstallType::GuiInstall, Some("run"));
        let kept = AppPatch::default().merge(&before, AppSource::Custom);
        assert_eq!(kept.as_ref(), Ok(&before));
        let cleared = AppPatch {
            description: Some(String::new()),
            install_command: Some(String::new()),
            uninstall_command: Some(String::new()),
            install_info: Some(String::new()),
            ..AppPatch::default()
        }
        .merge(&before, AppSource::Custom)
        .unwrap();
        assert_eq!(cleared.install_info, None);
        assert_eq!(cleared.content.install_command, None);
        assert_eq!(cleared.content.uninstall_command, None);
        assert_eq!(cleared.name, before.name);
    }

    #[test]
    fn a_patch_may_leave_an_app_without_a_command_but_not_make_it_so() {
        use InstallType::{GuiInstall, QuietInstall, UnzipInstall};
        // (type before, command before, type sent, command sent, accepted)
        let cases = [
            (QuietInstall, Some("run"), None, Some(""), false),
            (QuietInstall, Some("run"), None, Some("  "), false),
            (QuietInstall, Some("run"), None, None, true),
            (QuietInstall, Some("run"), Some(GuiInstall), Some(""), true),
            (QuietInstall, Some("run"), Some(UnzipInstall), None, true),
            (QuietInstall, None, None, None, true),
            (QuietInstall, None, Some(QuietInstall), None, true),
            (QuietInstall, None, None, Some(""), true),
            (QuietInstall, None, Some(UnzipInstall), None, false),
            (QuietInstall, None, Some(UnzipInstall), Some("run"), true),
            (GuiInstall, None, Some(QuietInstall), None, false),
            (GuiInstall, None, Some(UnzipInstall), Some(""), false),
            (GuiInstall, Some("run"), Some(QuietInstall), None, true),
            (GuiInstall, None, Some(GuiInstall), None, true),
        ];
        for (install_type, command, sent_type, sent_command, accepted) in cases {
            let patch = AppPatch {
                install_type: sent_type,
                install_command: sent_command.map(str::to_owned),
                ..AppPatch::default()
            };
            let merged = patch.merge(&app(install_type, command), AppSource::Custom);
            let case = format!("{install_type} {command:?} <- {sent_type:?} {sent_command:?}");
            match merged {
                Ok(_) => assert!(accepted, "{case}"),
                Err(PatchRefusal::Field(problem)) => {
                    assert!(!accepted, "{case}");
                    assert_eq!(problem.field, "install_command");
                }
                Err(other) => panic!("{case}: {other}"),
            }
        }
    }

    #[test]
    fn a_new_app_may_lack_a_command_but_not_send_an_empty_one() {
        use InstallType::{GuiInstall, QuietInstall};
        assert_eq!(command_given(QuietInstall, None), Ok(None));
        assert_eq!(command_given(GuiInstall, Some(String::new())), Ok(None));
        assert_eq!(
            command_given(QuietInstall, Some(" ".to_owned())).map_err(|problem| problem.field),
            Err("install_command")
        );
    }

    #[test]
    fn a_built_in_app_keeps_all_but_three_members() {
        let before = app(InstallType::GuiInstall, Some("run"));
        let allowed = AppPatch {
            // The stored value again, as clients that send the whole object do.
            name: Some(before.name.clone()),
            status: Some(AppStatus::Forbidden),
            authorization_type: Some(AssignType::AssignUser),
            catalog_id: Some("2".to_owned()),
            ..AppPatch::default()
        };
        let after = allowed.merge(&before, AppSource::System).unwrap();
        assert_eq!(after.status, AppStatus::Forbidden);
        let refused = AppPatch {
            description: Some("mine".to_owned()),
            ..AppPatch::default()
        };
        assert_eq!(
            refused.merge(&before, AppSource::Market),
            Err(PatchRefusal::BuiltIn {
                member: "description"
            })
        );
    }

    #[test]
    fn only_installable_content_makes_a_new_revision() {
        let before = app(InstallType::QuietInstall, Some("run"));
        let content_changes = |patch: AppPatch| {
            patch.merge(&before, AppSource::Custom).unwrap().content != before.content
        };
        assert!(!content_changes(AppPatch {
            name: Some("other".to_owned()),
            description: Some("other".to_owned()),
            support_os: Some(OsType::Linux),
            version: Some("1".to_owned()),
            install_command: Some("run".to_owned()),
            file_store: Some(before.content.file_store.clone()),
            ..AppPatch::default()
        }));
        assert!(content_changes(AppPatch {
            version: Some("2".to_owned()),
            ..AppPatch::default()
        }));
        assert!(content_changes(AppPatch {
            uninstall_command: Some(String::new()),
            ..AppPatch::default()
        }));
    }

    #[test]
    fn unknown_categories_and_blank_names_are_refused_by_name() {
        let project = ProjectId::new(outfitter_ids::IdSource::uuid(&outfitter_ids::SystemIds, 1));
        let field = |patch: AppPatch| patch.problem(project).map(|problem| problem.field);
        assert_eq!(
            field(AppPatch {
                catalog_id: Some("77".to_owned()),
                ..AppPatch::default()
            }),
            Some("catalog_id")
        );
        let mut blank = app(InstallType::GuiInstall, None);
        blank.name = "\t\u{3000}".to_owned();
        assert_eq!(
            blank.problem(project).map(|problem| problem.field),
            Some("name")
        );
        assert_eq!(
            field(AppPatch {
                description: Some("a\0b".to_owned()),
                ..AppPatch::default()
            }),
            Some("description")
        );
    }
}
