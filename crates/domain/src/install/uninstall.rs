use crate::InstallType;
use crate::text::is_blank;

/// What can tell how an app is taken off a desktop.
#[derive(Debug, Clone, Copy)]
pub struct UninstallSources<'a> {
    /// Command that the call brings for this run.
    pub of_call: Option<&'a str>,
    /// How the app is put on.
    pub install_type: InstallType,
    /// Uninstall command of the revision that the desktop has.
    pub of_revision: Option<&'a str>,
    /// Install command of that revision.
    pub install_command: Option<&'a str>,
    /// Name of that revision's package, where it is a Debian one.
    pub debian_package: Option<&'a str>,
    /// Uninstall command of the newest revision.
    pub of_newest: Option<&'a str>,
}

/// How an app is taken off: by the command of the call, else by that of the revision on the desktop; what the agent
/// unpacked it removes by its own manifest (then the command is the `unzip` it was unpacked with); a Debian package
/// goes by its name; else by the newest revision's command, which an administrator may have added later. `None`:
/// nothing tells how.
pub fn uninstall_command(sources: &UninstallSources<'_>) -> Option<String> {
    let given = |text: Option<&str>| text.filter(|text| !is_blank(text)).map(str::to_owned);
    given(sources.of_call)
        .or_else(|| given(sources.of_revision))
        .or_else(|| match sources.install_type {
            InstallType::UnzipInstall => given(sources.install_command)
                .filter(|command| command.split_whitespace().next() == Some("unzip")),
            InstallType::QuietInstall => sources
                .debian_package
                .filter(|name| is_package_name(name))
                .map(remove_debian_package),
            InstallType::GuiInstall => None,
        })
        .or_else(|| given(sources.of_newest))
}

/// Nothing that a shell reads otherwise.
fn is_package_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
        })
}

/// Where a folder plays the desktop, the package database lies in it and nobody need be root.
fn remove_debian_package(name: &str) -> String {
    format!(
        "sh -c 'DEBIAN_FRONTEND=noninteractive exec dpkg \
         ${{OUTFITTER_ROOT:+--root=\"$OUTFITTER_ROOT\" --force-not-root --log=\"$OUTFITTER_ROOT/dpkg.log\"}} \
         --remove {name}'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: UninstallSources<'static> = UninstallSources {
        of_call: None,
        install_type: InstallType::QuietInstall,
        of_revision: None,
        install_command: None,
        debian_package: None,
        of_newest: None,
    };

    #[test]
    fn the_nearest_source_tells_how_an_app_is_taken_off() {
        let unzip = UninstallSources {
            install_type: InstallType::UnzipInstall,
            install_command: Some("unzip ${FILE_PATH} -d /opt/x"),
            ..NOTHING
        };
        for (sources, expected) in [
            (NOTHING, None),
            (
                UninstallSources {
                    of_call: Some("call"),
                    of_revision: Some("revision"),
                    ..NOTHING
                },
                Some("call"),
            ),
            (
                UninstallSources {
                    of_call: Some("  "),
                    of_revision: Some("revision"),
                    of_newest: Some("newest"),
                    ..NOTHING
                },
                Some("revision"),
            ),
            (
                UninstallSources {
                    of_newest: Some("newest"),
                    ..NOTHING
                },
                Some("newest"),
            ),
            (unzip, Some("unzip ${FILE_PATH} -d /opt/x")),
            (
                UninstallSources {
                    of_revision: Some("sh -c stop"),
                    ..unzip
                },
                Some("sh -c stop"),
            ),
            (
                UninstallSources {
                    install_command: Some("tar xf ${FILE_PATH}"),
                    ..unzip
                },
                None,
            ),
            (
                UninstallSources {
                    debian_package: Some("x'; rm -rf /"),
                    ..NOTHING
                },
                None,
            ),
            (
                UninstallSources {
                    install_type: InstallType::GuiInstall,
                    debian_package: Some("hello"),
                    ..NOTHING
                },
                None,
            ),
        ] {
            assert_eq!(
                uninstall_command(&sources).as_deref(),
                expected,
                "{sources:?}"
            );
        }
        let debian = UninstallSources {
            debian_package: Some("libc6-dev"),
            of_newest: Some("newest"),
            ..NOTHING
        };
        let command = uninstall_command(&debian).unwrap();
        assert!(command.ends_with("--remove libc6-dev'"), "{command}");
    }
}
