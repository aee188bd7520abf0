//! What a Linux desktop is and has, from the files in which the system says so. With a folder that plays the desktop,
//! nothing above it is read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use outfitter_agent_protocol::{
    InventoryAddress, InventoryDisk, InventoryFacts, InventorySoftware,
};

use super::{RPM_FORMAT, free_bytes, rpm, rpm_answer, rpm_line};
use crate::command::on_desktop;
use crate::platform::{PlatformError, RPM_DATABASES};

/// Most that is read of a small file.
const SMALL_FILE_BYTES: u64 = 256 * 1024;

/// Most that is read of dpkg's database; that of five thousand packages has some megabytes.
const STATUS_BYTES: u64 = 256 * 1024 * 1024;

/// Types of sessions with a screen. Source: systemd, `sd_session_get_type(3)`.
const SCREENS: [&str; 3] = ["x11", "wayland", "mir"];

/// Somebody who is logged in.
struct Session {
    account: String,
    /// Whether they sit at the desktop, and not at another machine with a shell on this one.
    at_desktop: bool,
}

/// Most sessions that are looked at.
const SESSIONS: usize = 1000;

/// What the system says of itself; what it does not say is left out.
///
/// # Errors
/// When the look itself broke off.
pub async fn inventory(
    sandbox_root: Option<&Path>,
    state: &Path,
) -> Result<(InventoryFacts, InventorySoftware), PlatformError> {
    let (root, state) = (sandbox_root.map(Path::to_owned), state.to_owned());
    let (facts, dpkg) = tokio::task::spawn_blocking(move || {
        let desktop = Desktop(root.as_deref());
        (desktop.facts(&state), desktop.dpkg())
    })
    .await
    .map_err(|error| PlatformError::system("look at the desktop", error.into()))?;
    let mut packages = BTreeMap::new();
    if !dpkg.is_empty() {
        packages.insert("dpkg".to_owned(), dpkg);
    }
    let rpm = rpm_packages(sandbox_root).await;
    if !rpm.is_empty() {
        packages.insert("rpm".to_owned(), rpm);
    }
    Ok((
        facts,
        InventorySoftware {
            packages,
            left_off: 0,
        },
    ))
}

/// Every package of rpm. Where it has no database it is not asked.
async fn rpm_packages(sandbox_root: Option<&Path>) -> Vec<(String, String)> {
    let database = RPM_DATABASES
        .iter()
        .filter_map(|path| on_desktop(sandbox_root, Path::new(path)).ok())
        .find(|path| path.is_dir());
    let Some(database) = database else {
        return Vec::new();
    };
    let mut query = rpm();
    if sandbox_root.is_some() {
        query.arg("--dbpath").arg(&database);
    }
    query.args(["-qa", "--qf", RPM_FORMAT]);
    match rpm_answer(query, "ask rpm for its packages").await {
        Ok(output) => String::from_utf8_lossy(&output)
            .lines()
            .filter_map(rpm_line)
            .map(|(name, version)| {
                let plain = version.strip_prefix("0:").unwrap_or(version);
                (name.to_owned(), plain.to_owned())
            })
            .collect(),
        Err(error) => {
            // Debian has the folder where rpm is installed as a tool, without a package in it.
            tracing::info!("{}", crate::server_client::chain(&error));
            Vec::new()
        }
    }
}

/// The desktop: this machine, or the folder that plays it.
struct Desktop<'a>(Option<&'a Path>);

impl Desktop<'_> {
    fn path(&self, path: &str) -> Option<PathBuf> {
        on_desktop(self.0, Path::new(path)).ok()
    }

    /// The begin of a file.
    fn text(&self, path: &str) -> Option<String> {
        text_of(&self.path(path)?)
    }

    /// A file of one line.
    fn line(&self, path: &str) -> Option<String> {
        let text = self.text(path)?;
        text.lines().next().map(str::to_owned)
    }

    fn facts(&self, state: &Path) -> InventoryFacts {
        let release = self
            .text("/etc/os-release")
            .or_else(|| self.text("/usr/lib/os-release"))
            .map(|text| assignments(&text))
            .unwrap_or_default();
        let sessions = self.sessions();
        InventoryFacts {
            os_name: release
                .get("PRETTY_NAME")
                .or_else(|| release.get("NAME"))
                .cloned(),
            os_version: release.get("VERSION_ID").cloned(),
            kernel: self.line("/proc/sys/kernel/osrelease"),
            architecture: None,
            host_name: self.line("/proc/sys/kernel/hostname"),
            vendor: self.line("/sys/class/dmi/id/sys_vendor"),
            model: self.line("/sys/class/dmi/id/product_name"),
            processors: self.processors(),
            memory_bytes: self.memory_bytes(),
            addresses: self.addresses(),
            users: sessions
                .iter()
                .map(|session| session.account.clone())
                .collect(),
            at_desktop: sessions
                .iter()
                .filter(|session| session.at_desktop)
                .map(|session| session.account.clone())
                .collect(),
            disks: self.disks(state),
            reboot_pending: self.reboot_pending(),
            agent_version: None,
        }
    }

    /// The system's own list of processors, such as `0-3,8`.
    fn processors(&self) -> Option<u32> {
        count_of_ranges(self.line("/sys/devices/system/cpu/online")?.trim())
    }

    fn memory_bytes(&self) -> Option<u64> {
        let text = self.text("/proc/meminfo")?;
        let total = text
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kibibytes: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kibibytes.checked_mul(1024)
    }

    /// A folder that plays a desktop has no addresses.
    fn addresses(&self) -> Vec<InventoryAddress> {
        if self.0.is_some() {
            return Vec::new();
        }
        let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
            return Vec::new();
        };
        interfaces
            .filter_map(|interface| {
                let address = interface.address?;
                let address: std::net::IpAddr =
                    match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
                        (Some(address), _) => address.ip().into(),
                        (None, Some(address)) => address.ip().into(),
                        (None, None) => return None,
                    };
                (!address.is_loopback()).then(|| InventoryAddress {
                    interface: interface.interface_name,
                    address: address.to_string(),
                })
            })
            .collect()
    }

    /// Who is logged in, by the files that the system's log-in service keeps of sessions. Its form is its own affair,
    /// but these words of it have been the same for ten years. Source: systemd, src/login/logind-session.c.
    fn sessions(&self) -> Vec<Session> {
        let Some(folder) = self.path("/run/systemd/sessions") else {
            return Vec::new();
        };
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        entries
            .take(SESSIONS)
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                // Beside a session lies `ID.ref`, a pipe. A link may lead out of the folder that plays the desktop.
                if !path.symlink_metadata().ok()?.is_file() {
                    return None;
                }
                let session = assignments(&text_of(&path)?);
                let is = |name: &str, value: &str| session.get(name).is_some_and(|it| it == value);
                if !is("CLASS", "user") || is("STATE", "closing") {
                    return None;
                }
                // A picture of the screen over the network counts, a shell over the network does not.
                let has_screen = session
                    .get("TYPE")
                    .is_some_and(|kind| SCREENS.contains(&kind.as_str()));
                Some(Session {
                    account: session.get("USER")?.clone(),
                    at_desktop: has_screen || is("REMOTE", "0"),
                })
            })
            .collect()
    }

    fn disks(&self, state: &Path) -> Vec<InventoryDisk> {
        let root = self.0.unwrap_or(Path::new("/"));
        let mut disks = Vec::new();
        let mut seen = None;
        for (shown, path) in [(Path::new("/"), root), (state, state)] {
            let Ok(device) = nix::sys::stat::stat(path).map(|stat| stat.st_dev) else {
                continue;
            };
            let (Ok(total_bytes), Ok(free_bytes)) = (size_bytes(path), free_bytes(path)) else {
                continue;
            };
            if seen.replace(device) != Some(device) {
                disks.push(InventoryDisk {
                    path: shown.display().to_string(),
                    total_bytes,
                    free_bytes,
                });
            }
        }
        disks
    }

    /// Debian's packages leave a file. Others tell nothing without being asked: unknown.
    fn reboot_pending(&self) -> Option<bool> {
        let is_there = |path: &str| self.path(path).is_some_and(|path| path.exists());
        if is_there("/run/reboot-required") {
            Some(true)
        } else {
            is_there("/var/lib/dpkg/status").then_some(false)
        }
    }

    /// Every package of dpkg that is installed whole.
    fn dpkg(&self) -> Vec<(String, String)> {
        let file = self
            .path("/var/lib/dpkg/status")
            .and_then(|path| File::open(path).ok());
        file.map(|file| dpkg_packages(BufReader::new(file.take(STATUS_BYTES))))
            .unwrap_or_default()
    }
}

fn size_bytes(path: &Path) -> Result<u64, PlatformError> {
    let stat = nix::sys::statvfs::statvfs(path)
        .map_err(|error| PlatformError::system("ask for the size of a disk", error.into()))?;
    Ok(stat.blocks().saturating_mul(stat.fragment_size()))
}

fn text_of(path: &Path) -> Option<String> {
    // Opening a pipe would wait.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let file = File::open(path).ok()?;
    let mut text = Vec::new();
    file.take(SMALL_FILE_BYTES).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// Lines `NAME=value`, the value in quotes or not. Source: os-release(5).
fn assignments(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.trim().split_once('='))
        .map(|(name, value)| {
            let plain = shlex::split(value)
                .and_then(|words| words.into_iter().next())
                .unwrap_or_default();
            (name.to_owned(), plain)
        })
        .collect()
}

/// How many numbers `0-3,8` has.
fn count_of_ranges(text: &str) -> Option<u32> {
    text.split(',').try_fold(0u32, |sum, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// Packages of a dpkg status file with the state `installed`, one paragraph at a time. Source: deb-control(5),
/// dpkg-query(1): the last word of `Status` is the state.
fn dpkg_packages(mut file: impl BufRead) -> Vec<(String, String)> {
    let mut packages = Vec::new();
    let (mut name, mut version, mut is_installed) = (None, None, false);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = file.read_until(b'\n', &mut line);
        let at_end = !matches!(read, Ok(bytes) if bytes > 0);
        if at_end || line.trim_ascii().is_empty() {
            if let (Some(name), Some(version), true) = (name.take(), version.take(), is_installed) {
                packages.push((name, version));
            }
            (name, version, is_installed) = (None, None, false);
            if at_end {
                return packages;
            }
            continue;
        }
        let field = |field: &[u8]| {
            let value = line.strip_prefix(field)?.trim_ascii();
            Some(String::from_utf8_lossy(value).into_owned())
        };
        if let Some(value) = field(b"Package:") {
            name = Some(value);
        } else if let Some(value) = field(b"Version:") {
            version = Some(value);
        } else if let Some(value) = field(b"Status:") {
            is_installed = value.split_ascii_whitespace().last() == Some("installed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Package: bash\nStatus: install ok installed\nPriority: required\nArchitecture: amd64\n\
        Version: 5.2.15-2+b7\nDescription: GNU Bourne Again SHell\n Version: 9 in a text\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
        Package: half\nStatus: install ok half-configured\nVersion: 2\n\n\
        Package: bare\nStatus: install ok installed\n\n\n\
        Package: vim\nVersion: 2:9.0\nStatus: hold ok installed\n";

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    #[tokio::test]
    async fn a_folder_that_plays_the_desktop_is_all_that_is_read() {
        let root = tempfile::tempdir().expect("a folder");
        let state = tempfile::tempdir().expect("a folder");
        let look = async || {
            let found = inventory(Some(root.path()), state.path());
            found.await.expect("a look")
        };
        let (facts, software) = look().await;
        assert_eq!(
            InventoryFacts {
                disks: Vec::new(),
                ..facts
            },
            InventoryFacts::default()
        );
        assert_eq!(software, InventorySoftware::default());

        let root = root.path();
        write(
            root,
            "usr/lib/os-release",
            "# a comment\nNAME=Debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID='12'\nBROKEN=\"\n",
        );
        write(root, "proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
        write(root, "proc/sys/kernel/hostname", "desk-1\n");
        write(
            root,
            "proc/meminfo",
            "MemTotal:       8000000 kB\nMemFree: 1 kB\n",
        );
        write(root, "sys/devices/system/cpu/online", "0-3,8\n");
        write(root, "sys/class/dmi/id/product_name", "Book 14\n");
        write(root, "var/lib/dpkg/status", STATUS);
        let session = |user: &str, class: &str, state: &str| {
            format!(
                "# private\nUID=1000\nUSER={user}\nACTIVE=1\nSTATE={state}\nCLASS={class}\nTYPE=x11\nREMOTE=1\n"
            )
        };
        let shell = |user: &str, remote: u8| {
            session(user, "user", "active")
                .replace("TYPE=x11\nREMOTE=1", &format!("TYPE=tty\nREMOTE={remote}"))
        };
        for (name, text) in [
            ("1", session("ana", "user", "active")),
            ("2", session("gdm", "greeter", "online")),
            ("3", session("bo", "user", "closing")),
            ("c4", session("cem", "user", "online")),
            ("5", "rubbish".to_owned()),
            ("6", shell("dan", 1)),
            ("7", shell("eve", 0)),
        ] {
            write(root, &format!("run/systemd/sessions/{name}"), &text);
        }
        let (facts, software) = look().await;
        let mut users = facts.users.clone();
        users.sort();
        assert_eq!(users, ["ana", "cem", "dan", "eve"]);
        let mut at_desktop = facts.at_desktop.clone();
        at_desktop.sort();
        assert_eq!(at_desktop, ["ana", "cem", "eve"]);
        assert_eq!(
            facts.os_name.as_deref(),
            Some("Debian GNU/Linux 12 (bookworm)")
        );
        assert_eq!(facts.os_version.as_deref(), Some("12"));
        assert_eq!(facts.kernel.as_deref(), Some("6.1.0-18-amd64"));
        assert_eq!(facts.host_name.as_deref(), Some("desk-1"));
        assert_eq!(
            (facts.vendor, facts.model.as_deref()),
            (None, Some("Book 14"))
        );
        assert_eq!(facts.processors, Some(5));
        assert_eq!(facts.memory_bytes, Some(8_192_000_000));
        assert_eq!(facts.reboot_pending, Some(false));
        assert_eq!(facts.addresses, []);
        assert_eq!(facts.disks[0].path, "/");
        assert!(facts.disks[0].total_bytes >= facts.disks[0].free_bytes);
        let package = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        assert_eq!(
            software.packages,
            [(
                "dpkg".to_owned(),
                vec![package("bash", "5.2.15-2+b7"), package("vim", "2:9.0")]
            )]
            .into()
        );

        write(root, "run/reboot-required", "");
        assert_eq!(look().await.0.reboot_pending, Some(true));
    }

    #[tokio::test]
    async fn a_link_out_of_the_folder_is_not_followed_and_a_pipe_not_waited_for() {
        let root = tempfile::tempdir().expect("a folder");
        let sessions = root.path().join("run/systemd/sessions");
        fs::create_dir_all(&sessions).expect("a folder");
        nix::unistd::mkfifo(&sessions.join("1.ref"), nix::sys::stat::Mode::S_IRWXU)
            .expect("a pipe");
        fs::create_dir_all(root.path().join("etc")).expect("a folder");
        std::os::unix::fs::symlink("/etc/os-release", root.path().join("etc/os-release"))
            .expect("a link");
        let (facts, _) = inventory(Some(root.path()), root.path())
            .await
            .expect("a look");
        assert_eq!((facts.os_name, facts.users), (None, Vec::new()));
    }

    #[test]
    fn processors_are_counted_from_ranges() {
        for (text, count) in [
            ("0", Some(1)),
            ("0-7", Some(8)),
            ("0-1,4-5,9", Some(5)),
            ("", None),
            ("3-1", None),
            ("0-4294967295", None),
        ] {
            assert_eq!(count_of_ranges(text), count, "{text}");
        }
    }
}
