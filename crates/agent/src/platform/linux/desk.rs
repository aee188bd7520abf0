//! The local socket of people at the desktop: a Unix socket that everybody may open, and whose kernel says who did.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use nix::unistd::{Uid, User};
use tokio::net::{UnixListener, UnixStream};

use super::PlatformError;

/// Folder of the socket. Source: Filesystem Hierarchy Standard 3.0, section 3.15.
pub const DESK_FOLDER: &str = "/run/outfitter-agent";

/// One connection of somebody at the desktop.
pub type DeskStream = UnixStream;

/// Somebody who connected.
pub struct DeskPeer {
    /// The connection.
    pub stream: DeskStream,
    /// Number of the account at its far end when it was opened. Source: unix(7), `SO_PEERCRED`.
    pub user: u32,
}

/// The socket, listening.
pub struct DeskListener(UnixListener);

impl DeskListener {
    /// Makes the socket anew, for everybody. One agent at a time works in a state folder, so what is there is left over.
    ///
    /// # Errors
    /// When folder or socket cannot be made.
    pub fn bind(path: &Path) -> Result<Self, PlatformError> {
        let failed = |what: &str| {
            let action = format!("{what} {}", path.display());
            move |error| PlatformError::system(action, error)
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
            fs::set_permissions(folder, Permissions::from_mode(0o755))
                .map_err(failed("open the folder of"))?;
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove the old")(error));
            }
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(failed("listen at"))?;
        fs::set_permissions(path, Permissions::from_mode(0o666)).map_err(failed("open"))?;
        Ok(Self(listener))
    }

    /// The next connection.
    ///
    /// # Errors
    /// When it fails before it is known who it is of.
    pub async fn accept(&self) -> Result<DeskPeer, PlatformError> {
        let failed = |error| PlatformError::system("take a connection", error);
        let (stream, _) = self.0.accept().await.map_err(failed)?;
        let user = stream.peer_cred().map_err(failed)?.uid();
        Ok(DeskPeer { stream, user })
    }
}

/// Opens the socket of this desktop's agent.
///
/// # Errors
/// When nobody listens there.
pub async fn connect_desk(path: &Path) -> Result<DeskStream, PlatformError> {
    UnixStream::connect(path)
        .await
        .map_err(|error| PlatformError::system(format!("open {}", path.display()), error))
}

/// Opens a page in the browser of whoever runs this: it is kept in their own runtime folder, for them alone.
///
/// # Errors
/// When they have no graphical session, or nothing opens pages there.
pub async fn open_in_browser(page: &str) -> Result<(), PlatformError> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let session = variable("WAYLAND_DISPLAY").or_else(|| variable("DISPLAY"));
    let (Some(folder), Some(_)) = (variable("XDG_RUNTIME_DIR"), session) else {
        return Err(PlatformError::NotSupported(
            "a browser without a graphical session (XDG_RUNTIME_DIR, DISPLAY or WAYLAND_DISPLAY)",
        ));
    };
    let path = Path::new(&folder).join("outfitter-portal.html");
    let failed = |error| PlatformError::system(format!("write {}", path.display()), error);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    super::private_file_options()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| file.write_all(page.as_bytes()))
        .map_err(failed)?;
    let action = || "start xdg-open".to_owned();
    let status = tokio::process::Command::new("xdg-open")
        .arg(&path)
        .stdin(Stdio::null())
        .status()
        .await
        .map_err(|error| PlatformError::system(action(), error))?;
    if status.success() {
        Ok(())
    } else {
        Err(PlatformError::Refused {
            action: action(),
            reason: status.to_string(),
        })
    }
}

/// Name of an account, as the system's directory services write it.
///
/// # Errors
/// When they do not know it.
pub async fn account_name(user: u32) -> Result<String, PlatformError> {
    let action = || format!("find the account with number {user}");
    // Directory services may ask over the network.
    tokio::task::spawn_blocking(move || User::from_uid(Uid::from_raw(user)))
        .await
        .map_err(|error| PlatformError::Refused {
            action: action(),
            reason: error.to_string(),
        })?
        .map_err(|error| PlatformError::system(action(), error.into()))?
        .map(|user| user.name)
        .ok_or_else(|| PlatformError::Refused {
            action: action(),
            reason: "nobody has it".to_owned(),
        })
}
