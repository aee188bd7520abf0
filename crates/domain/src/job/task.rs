use outfitter_agent_protocol::{Method, Task, TaskKind};

/// The number of a kind in the job table. Never reused.
pub const fn kind_number(kind: TaskKind) -> i64 {
    match kind {
        TaskKind::Install => 0,
        TaskKind::Uninstall => 1,
    }
}

/// Reads the number of a kind; `None` for any other.
pub const fn kind_from_number(number: i64) -> Option<TaskKind> {
    match number {
        0 => Some(TaskKind::Install),
        1 => Some(TaskKind::Uninstall),
        _ => None,
    }
}

/// The word of a kind, stored with a deployment and shown by native routes.
pub const fn kind_word(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Install => "install",
        TaskKind::Uninstall => "uninstall",
    }
}

/// Reads the word of a kind; `None` for any other.
pub fn kind_from_word(word: &str) -> Option<TaskKind> {
    [TaskKind::Install, TaskKind::Uninstall]
        .into_iter()
        .find(|kind| kind_word(*kind) == word)
}

/// Longest file name that is sent, in bytes; common file systems allow 255.
const MAX_FILE_NAME_BYTES: usize = 200;

/// Whether the agent itself unpacks the package: the command of an UNZIP app is `unzip ...` (contract,
/// section 5). Such an attempt always leaves a manifest.
pub fn unpacks(task: &Task) -> bool {
    task.method == Method::Unzip && task.command.split_whitespace().next() == Some("unzip")
}

/// The file name a package gets on the desktop: the last part of an object key or of a link's path, with
/// everything but letters, digits, `.`, `-`, `_`, `+` and spaces replaced by `_`; its end (the extension, which
/// installers look at) is kept when it is too long. `package` when nothing is left.
pub fn package_file_name(place: &str) -> String {
    let path = match place.split_once("://") {
        Some((_, rest)) => rest.split(['?', '#']).next().unwrap_or_default(),
        None => place,
    };
    let last = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut name: String = last
        .chars()
        .map(|character| {
            if character.is_alphanumeric() || "._-+ ".contains(character) {
                character
            } else {
                '_'
            }
        })
        .collect();
    while name.len() > MAX_FILE_NAME_BYTES {
        name.remove(0);
    }
    let name = name.trim_start_matches(['-', ' ']).trim_end();
    if name.chars().all(|character| character == '.') {
        "package".to_owned()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_safe_and_keep_their_extension() {
        for (place, name) in [
            ("app-file/hello 1.deb", "hello 1.deb"),
            ("https://a.example/x/tool.zip?token=1#f", "tool.zip"),
            ("https://a.example", "a.example"),
            ("https://a.example/", "package"),
            ("x/..", "package"),
            ("x/-rf", "rf"),
            ("x/a:b|c.exe", "a_b_c.exe"),
            ("包.msi", "包.msi"),
        ] {
            assert_eq!(package_file_name(place), name, "{place}");
        }
        let long = package_file_name(&format!("{}.msi", "é".repeat(300)));
        assert!(long.len() <= MAX_FILE_NAME_BYTES && long.ends_with(".msi"));
    }
}
