//! Which running programs are an app's own, and which are never closed.
//!
//! Pure: what runs is the platform's to say ([`crate::platform::running_programs`]). Source: contract, semantics §5, On
//! the desktop: an app `xxx.exe` or `xxx` closes programs `xxx.exe`; never one on the locked list.

use std::path::{Path, PathBuf};

use crate::supervision::ProcessMark;

/// Whose rules hold for names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Names are compared letter for letter.
    Linux,
    /// Upper and lower case are the same.
    Windows,
}

impl Names {
    /// Of the system this program was built for.
    pub const fn of_this_system() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else {
            Self::Linux
        }
    }

    fn same(self, one: &str, other: &str) -> bool {
        match self {
            Self::Linux => one == other,
            Self::Windows => one.to_lowercase() == other.to_lowercase(),
        }
    }
}

/// System processes that are never closed, whatever an app is called: what starts, shows and keeps up a session, what
/// people work in as such (shells), and what installs. A star at the end stands for anything.
const LOCKED_LINUX: &[&str] = &[
    // The system itself.
    "init",
    "systemd*",
    "(sd-pam)",
    "dbus-*",
    "elogind*",
    "polkitd",
    "udevd",
    "cron",
    "crond",
    "rsyslogd",
    "auditd",
    "snapd",
    "containerd*",
    "dockerd",
    // Ways in.
    "agetty",
    "getty",
    "login",
    "sshd*",
    "su",
    "sudo",
    "doas",
    "pkexec",
    "xrdp*",
    "Xvnc",
    // The session and what it is shown by.
    "X",
    "Xorg*",
    "Xwayland",
    "gdm*",
    "lightdm*",
    "sddm*",
    "xdm",
    "gnome-session*",
    "gnome-shell*",
    "gnome-keyring*",
    "gsd-*",
    "kwin*",
    "ksmserver",
    "plasmashell",
    "plasma_session",
    "startplasma*",
    "xfce4-session",
    "xfce4-panel",
    "xfwm4",
    "cinnamon",
    "cinnamon-session*",
    "mate-session",
    "marco",
    "lxsession",
    "lxqt-session",
    "openbox",
    "labwc",
    "sway",
    "weston",
    "xdg-desktop-portal*",
    "pipewire*",
    "wireplumber",
    "pulseaudio",
    // The network.
    "NetworkManager",
    "ModemManager",
    "connmand",
    "dhclient",
    "dhcpcd",
    "iwd",
    "wpa_supplicant",
    // Shells.
    "ash",
    "bash",
    "busybox",
    "csh",
    "dash",
    "fish",
    "ksh",
    "sh",
    "tcsh",
    "zsh",
    // What installs.
    "apt",
    "apt-get",
    "aptitude",
    "dpkg*",
    "dnf*",
    "flatpak*",
    "packagekitd",
    "rpm*",
    "yum",
    "zypper",
    "outfitter*",
];

/// The same on Windows.
const LOCKED_WINDOWS: &[&str] = &[
    "System",
    "System Idle Process",
    "Registry",
    "Secure System",
    "Memory Compression",
    "smss.exe",
    "csrss.exe",
    "wininit.exe",
    "winlogon.exe",
    "services.exe",
    "lsass.exe",
    "lsaiso.exe",
    "lsm.exe",
    "svchost.exe",
    "fontdrvhost.exe",
    "dwm.exe",
    "explorer.exe",
    "sihost.exe",
    "taskhostw.exe",
    "userinit.exe",
    "LogonUI.exe",
    "RuntimeBroker.exe",
    "ShellExperienceHost.exe",
    "StartMenuExperienceHost.exe",
    "ctfmon.exe",
    "conhost.exe",
    "dllhost.exe",
    "spoolsv.exe",
    "rdpclip.exe",
    "WmiPrvSE.exe",
    "MsMpEng.exe",
    "msiexec.exe",
    "TrustedInstaller.exe",
    "TiWorker.exe",
    "wuauclt.exe",
    "cmd.exe",
    "powershell.exe",
    "pwsh.exe",
    "outfitter*",
];

/// Whether a program of that name is on the locked list.
pub fn is_locked(names: Names, program: &str) -> bool {
    let (locked, program) = match names {
        Names::Linux => (LOCKED_LINUX, program.to_owned()),
        Names::Windows => (LOCKED_WINDOWS, program.to_lowercase()),
    };
    locked.iter().any(|entry| {
        let entry = match names {
            Names::Linux => (*entry).to_owned(),
            Names::Windows => entry.to_lowercase(),
        };
        match entry.strip_suffix('*') {
            Some(beginning) => program.starts_with(beginning),
            None => program == entry,
        }
    })
}

/// File names of the programs that belong to an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramNames {
    names: Names,
    files: Vec<String>,
}

/// What is known of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessFacts {
    /// The program's file.
    pub executable: PathBuf,
    /// The name the system keeps for it: of a script, that of the script, cut off after [`KEPT_NAME_BYTES`].
    pub kept_name: String,
    /// The beginning of its command line; needed where [`ProgramNames::may_be_script`] alone.
    pub arguments: Vec<String>,
}

/// What Linux keeps of a process's name, in bytes. Source: proc_pid_comm(5).
pub const KEPT_NAME_BYTES: usize = 15;

impl ProgramNames {
    /// Those of an app called `xxx.exe` or `xxx`: `xxx.exe` and `xxx`. None where that is no name of a file, or is on
    /// the locked list.
    pub fn of_app(app_name: &str, names: Names) -> Self {
        let name = app_name.trim();
        let stem = match name.len().checked_sub(4) {
            // `.exe` is ASCII, so what is before it ends at a character.
            Some(at) if name.is_char_boundary(at) && name[at..].eq_ignore_ascii_case(".exe") => {
                &name[..at]
            }
            _ => name,
        };
        let is_file_name = !stem.is_empty()
            && stem != "."
            && stem != ".."
            && !stem.contains(|character: char| {
                matches!(character, '/' | '\\') || character.is_control()
            });
        let files = [stem.to_owned(), format!("{stem}.exe")];
        let is_open = is_file_name && !files.iter().any(|file| is_locked(names, file));
        Self {
            names,
            files: if is_open { files.into() } else { Vec::new() },
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether a process of that kept name may run a script of one of these names.
    pub fn may_be_script(&self, kept_name: &str) -> bool {
        self.files
            .iter()
            .any(|name| self.names.same(kept(name), kept_name))
    }

    /// The one that a process runs, where it runs one and is not locked: its program has that file name, or it runs a
    /// script of that name. A name that a process gave itself is not enough.
    pub fn program_of(&self, process: &ProcessFacts) -> Option<String> {
        let executable = process.executable.file_name()?.to_str()?;
        if self.is_one(executable) {
            let locked = [executable, &process.kept_name]
                .iter()
                .any(|name| is_locked(self.names, name));
            return (!locked).then(|| executable.to_owned());
        }
        if !self.may_be_script(&process.kept_name) {
            return None;
        }
        // The first two words: the interpreter, or none, and the script.
        process
            .arguments
            .iter()
            .take(2)
            .filter_map(|word| Path::new(word).file_name()?.to_str())
            .find(|word| self.is_one(word) && kept(word) == process.kept_name)
            .map(str::to_owned)
    }

    fn is_one(&self, file: &str) -> bool {
        self.files.iter().any(|name| self.names.same(name, file))
    }
}

/// What the system keeps of a name.
fn kept(name: &str) -> &str {
    let mut end = name.len().min(KEPT_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// A program of an app that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningProgram {
    /// Its process.
    pub process: ProcessMark,
    /// Number of the account it runs for.
    pub user: u32,
    /// Its file name.
    pub name: String,
}

/// How a program is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndBy {
    /// It is asked to, and may put things in order.
    Asking,
    /// The system ends it.
    Force,
}

/// What somebody is told in their session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// A few words.
    pub summary: String,
    /// One or two sentences.
    pub body: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn process(executable: &str, kept_name: &str, arguments: &[&str]) -> ProcessFacts {
        ProcessFacts {
            executable: executable.into(),
            kept_name: kept_name.to_owned(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    fn closes(app_name: &str, names: Names, process: &ProcessFacts) -> bool {
        ProgramNames::of_app(app_name, names)
            .program_of(process)
            .is_some()
    }

    #[test]
    fn an_app_closes_the_program_it_is_called_after() {
        for (app_name, file, linux, windows) in [
            ("editor", "editor", true, true),
            ("editor", "editor.exe", true, true),
            ("editor.exe", "editor", true, true),
            ("editor.EXE", "editor.exe", true, true),
            ("Editor", "editor", false, true),
            ("Editor.exe", "EDITOR.EXE", false, true),
            ("  editor ", "editor", true, true),
            ("Text Editor", "Text Editor", true, true),
            ("Text Editor", "Text", false, false),
            ("editor", "editor2", false, false),
            ("editor", "my-editor", false, false),
            ("ÄÖ", "äö", false, true),
        ] {
            let runs = process(&format!("/opt/x/{file}"), file, &[]);
            assert_eq!(closes(app_name, Names::Linux, &runs), linux, "{app_name}");
            assert_eq!(
                closes(app_name, Names::Windows, &runs),
                windows,
                "{app_name}"
            );
        }
    }

    #[test]
    fn what_is_no_file_name_closes_nothing() {
        for name in [
            "", " ", ".exe", ".", "..", "/", "a/b", "../a", "a\\b", "a\nb", "a\0",
        ] {
            for names in [Names::Linux, Names::Windows] {
                assert!(ProgramNames::of_app(name, names).is_empty(), "{name:?}");
            }
        }
        assert!(!ProgramNames::of_app("x", Names::Linux).is_empty());
        assert!(!ProgramNames::of_app("äxe", Names::Linux).is_empty());
    }

    #[test]
    fn a_script_is_known_by_its_path_and_not_by_what_it_calls_itself() {
        let python = "/usr/bin/python3.11";
        let long = "a-script-with-a-long-name";
        for (app_name, kept_name, arguments, closed) in [
            (
                "notes",
                "notes",
                &["/usr/bin/python3", "/usr/bin/notes"][..],
                true,
            ),
            ("notes", "notes", &["/usr/bin/notes", "-x"], true),
            ("notes", "notes", &["/usr/bin/python3", "x"], false),
            ("notes", "python3", &["python3", "/home/a/notes"], false),
            ("notes", "python3", &["python3", "-x", "notes"], false),
            (long, "a-script-with-a", &["python3", long], true),
            (
                "Web Content",
                "Web Content",
                &["/usr/bin/browser", "-x"],
                false,
            ),
        ] {
            let runs = process(python, kept_name, arguments);
            assert_eq!(
                closes(app_name, Names::Linux, &runs),
                closed,
                "{kept_name} {arguments:?}"
            );
        }
    }

    #[test]
    fn a_system_process_is_never_closed() {
        for name in [
            "init",
            "systemd",
            "systemd-logind",
            "dbus-daemon",
            "dbus-broker",
            "sshd",
            "login",
            "Xorg",
            "Xwayland",
            "gnome-shell",
            "kwin_wayland",
            "plasmashell",
            "sddm",
            "gdm3",
            "lightdm",
            "NetworkManager",
            "bash",
            "sh",
            "dash",
            "zsh",
            "fish",
            "sudo",
            "apt",
            "dpkg",
            "rpm",
            "outfitter-agent",
        ] {
            for app_name in [name.to_owned(), format!("{name}.exe")] {
                let runs = process(&format!("/usr/bin/{name}"), name, &[name]);
                assert!(!closes(&app_name, Names::Linux, &runs), "{app_name}");
            }
        }
        for name in [
            "csrss", "winlogon", "LSASS", "Services", "svchost", "Explorer", "wininit", "smss",
            "dwm", "cmd", "System",
        ] {
            for app_name in [name.to_owned(), format!("{name}.exe")] {
                let runs = process(&format!("C:/Windows/{name}.exe"), name, &[]);
                assert!(!closes(&app_name, Names::Windows, &runs), "{app_name}");
            }
        }
        // What is locked by the name the system keeps is so whatever its file is called.
        let renamed = process("/opt/x/editor", "gnome-shell", &[]);
        assert!(!closes("editor", Names::Linux, &renamed));
        assert!(!is_locked(Names::Linux, "firefox") && !is_locked(Names::Linux, "Bash"));
    }

    proptest! {
        #[test]
        fn only_programs_of_that_very_name_are_closed(app_name in "\\PC{0,40}", file in "\\PC{1,40}") {
            let runs = process(&format!("/opt/{file}"), kept(&file), &[&file]);
            if let Some(name) = ProgramNames::of_app(&app_name, Names::Linux).program_of(&runs) {
                let with_exe = format!("{}.exe", app_name.trim());
                // Or the app's name ends in `.exe` and the program's does not.
                let program_with_exe = format!("{name}.exe").to_lowercase();
                let asked = app_name.trim().to_lowercase();
                prop_assert!(name == app_name.trim() || name == with_exe || asked == program_with_exe);
                prop_assert!(!is_locked(Names::Linux, &name));
            }
        }
    }
}
