use outfitter_ids::ProjectId;

use super::{FieldProblem, text_problem};

/// Folder of the bucket that holds uploaded packages (contract, section 6).
pub const APP_FILE_FOLDER: &str = "app-file";

/// Characters that no file name may hold (contract, section 6).
const FORBIDDEN_IN_FILE_NAMES: &[char] = &[
    '^', ';', '|', '~', '`', '{', '}', '[', ']', '<', '>', '/', '\\',
];

/// Longest file name, in characters (contract, section 6).
const MAX_FILE_NAME_CHARS: usize = 256;

/// Name of a project's bucket (contract, decision 2).
pub fn bucket_name(project: ProjectId) -> String {
    format!("wks-appcenter-{project}")
}

/// Whether a name on input stands for the project's bucket: its name or the alias `app-center-{project_id}`
/// (contract, decision 2).
pub fn is_bucket_name(name: &str, project: ProjectId) -> bool {
    name == bucket_name(project) || name == format!("app-center-{project}")
}

/// Key of the object for an uploaded file.
pub fn app_file_key(file_name: &str) -> String {
    format!("{APP_FILE_FOLDER}/{file_name}")
}

/// What is wrong with the name of a file to upload.
pub fn file_name_problem(file_name: &str) -> Option<FieldProblem> {
    const FIELD: &str = "file_name";
    let length = file_name.chars().count();
    if length == 0 || length > MAX_FILE_NAME_CHARS {
        return Some(FieldProblem::new(
            FIELD,
            format!("must have 1 to {MAX_FILE_NAME_CHARS} characters"),
        ));
    }
    if file_name.contains(FORBIDDEN_IN_FILE_NAMES) {
        return Some(FieldProblem::new(
            FIELD,
            "must hold none of ^ ; | ~ ` { } [ ] < > / \\",
        ));
    }
    if file_name.chars().any(char::is_control) {
        return Some(FieldProblem::new(FIELD, "must hold no control character"));
    }
    (file_name.contains("..") || file_name == ".")
        .then(|| FieldProblem::new(FIELD, "must not be `.` or hold `..`"))
}

/// What is wrong with the key of an object in the bucket (contract, section 3).
pub(super) fn object_key_problem(field: &'static str, key: &str) -> Option<FieldProblem> {
    let reason = if key.starts_with('/') {
        "must not start with `/`"
    } else if key.contains('\\') {
        "must hold no backslash"
    } else if key.chars().any(char::is_control) {
        "must hold no control character"
    } else if key.split('/').any(str::is_empty) {
        "must hold no empty path segment"
    } else if key.split('/').any(|segment| segment == "..") {
        "must hold no `..` segment"
    } else {
        return text_problem(field, key);
    };
    Some(FieldProblem::new(field, reason))
}

#[cfg(test)]
mod tests {
    use outfitter_ids::{IdSource as _, SystemIds};

    use super::*;

    #[test]
    fn both_names_stand_for_the_bucket_of_the_project_and_no_other() {
        let project = ProjectId::new(SystemIds.uuid(1));
        let other = ProjectId::new(SystemIds.uuid(2));
        assert!(is_bucket_name(&format!("wks-appcenter-{project}"), project));
        assert!(is_bucket_name(&format!("app-center-{project}"), project));
        assert!(!is_bucket_name(&bucket_name(other), project));
        assert!(!is_bucket_name("wks-appcenter-", project));
    }

    #[test]
    fn object_keys_stay_inside_the_bucket() {
        for good in ["app-file/a.exe", "a", "a b+名.exe", "a/..b/c..d"] {
            assert_eq!(object_key_problem("key", good), None, "{good}");
        }
        for bad in ["/a", "a//b", "a/", "a/../b", "..", "a\\b", "a\nb", "a\0b"] {
            assert!(object_key_problem("key", bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn file_names_are_one_plain_segment() {
        assert_eq!(file_name_problem("setup 1.0 名.exe"), None);
        assert_eq!(file_name_problem(&"名".repeat(256)), None);
        let long = "名".repeat(257);
        for bad in ["", &long, "a/b", "a\\b", "a..b", ".", "a|b", "a\tb"] {
            assert!(file_name_problem(bad).is_some(), "{bad:?}");
        }
    }
}
