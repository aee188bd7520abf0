//! Whom client commands talk to, and as whom: `--bootstrap FILE`, else a profile, else the environment.

use std::path::{Path, PathBuf};

use outfitter_client::{Client, Credential, Endpoint, Signer, Trust};
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::args::ConnectionArgs;
use crate::env;
use crate::outcome::CommandError;

/// Profile that is used when none is named.
const DEFAULT_PROFILE: &str = "default";

const HOW: &str = "give --bootstrap DIR/bootstrap.json, or write [default] with endpoint, access_key, secret_key \
     and project_id into profiles.toml of your configuration folder, or set OUTFITTER_ENDPOINT, \
     OUTFITTER_ACCESS_KEY, OUTFITTER_SECRET_KEY and OUTFITTER_PROJECT_ID";

/// One connection, as a file has it.
#[derive(Deserialize)]
struct Connection {
    endpoint: String,
    project_id: String,
    access_key: String,
    secret_key: SecretString,
    /// Certificates to trust, PEM; a relative path starts at the file that names it.
    #[serde(default)]
    ca: Option<PathBuf>,
}

/// `endpoints.json` beside a bootstrap file: where the server listens since its last start.
#[derive(Deserialize)]
struct Endpoints {
    endpoint: String,
}

/// Makes the client.
///
/// # Errors
/// Nothing says whom to talk to, or what says it cannot be read.
pub(crate) fn client(args: &ConnectionArgs) -> Result<Client, CommandError> {
    let connection = match &args.bootstrap {
        Some(path) => from_bootstrap(path)?,
        None => match from_profile(args.profile.as_deref())? {
            Some(connection) => connection,
            None => from_environment()?,
        },
    };
    let url = Url::parse(&connection.endpoint).map_err(|error| {
        CommandError::usage(format!("{} is no address: {error}", connection.endpoint))
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(CommandError::usage(format!(
            "{} is no address of a server: it must begin with http:// or https://",
            connection.endpoint
        )));
    }
    let ca = args.ca.clone().or(connection.ca);
    let pem = ca.as_deref().map(read).transpose()?;
    let project_id = args.project.clone().unwrap_or(connection.project_id);
    Client::new(
        Endpoint { url, project_id },
        Credential::AccessKey(Signer::new(connection.access_key, connection.secret_key)),
        pem.as_deref()
            .map_or(Trust::Machine, |pem| Trust::Only(pem.as_bytes())),
    )
    .map_err(|error| match ca {
        Some(path) => CommandError::file("trust", &path, error),
        None => error.into(),
    })
}

fn from_bootstrap(path: &Path) -> Result<Connection, CommandError> {
    let text = read(path)?;
    let mut connection: Connection = serde_json::from_str(&text)
        .map_err(|error| CommandError::file("read the connection in", path, error))?;
    let beside = path.with_file_name("endpoints.json");
    if beside.exists() {
        let text = read(&beside)?;
        let endpoints: Endpoints = serde_json::from_str(&text)
            .map_err(|error| CommandError::file("read the endpoints in", &beside, error))?;
        connection.endpoint = endpoints.endpoint;
    }
    connection.ca = match connection.ca.take() {
        Some(ca) => Some(path.with_file_name(ca)),
        // What `serve --tls-self-signed` made.
        None => Some(path.with_file_name("tls.crt"))
            .filter(|made| connection.endpoint.starts_with("https:") && made.exists()),
    };
    Ok(connection)
}

/// The profile of that name; `None` when nothing was asked for and there is none.
fn from_profile(name: Option<&str>) -> Result<Option<Connection>, CommandError> {
    let wanted = name.unwrap_or(DEFAULT_PROFILE);
    let missing = |what: String| match name {
        None => Ok(None),
        Some(_) => Err(CommandError::usage(what).hint(HOW)),
    };
    let Some(path) = profiles_file() else {
        return missing("there is no configuration folder for profiles".to_owned());
    };
    if !path.exists() {
        return missing(format!("{} does not exist", path.display()));
    }
    let text = read(&path)?;
    let mut profiles: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        CommandError::file("read", &path, TomlError::new(&error, &text))
    })?;
    match profiles.remove(wanted) {
        None => missing(format!("{} has no profile [{wanted}]", path.display())),
        Some(value) => value
            .try_into()
            .map(|mut connection: Connection| {
                connection.ca = connection.ca.map(|ca| path.with_file_name(ca));
                Some(connection)
            })
            .map_err(|error: toml::de::Error| {
                CommandError::because(
                    format!("cannot read profile [{wanted}] in {}", path.display()),
                    TomlError::new(&error, ""),
                )
            }),
    }
}

/// A TOML error with the number of the line it happened on and without its text, which may hold a secret.
#[derive(Debug, thiserror::Error)]
#[error("{}{message}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub(crate) struct TomlError {
    line: Option<usize>,
    message: String,
}

impl TomlError {
    /// `text`: what was read.
    pub(crate) fn new(error: &toml::de::Error, text: &str) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start));
        Self {
            line: before.map(|before| before.matches('\n').count() + 1),
            message: error.message().to_owned(),
        }
    }
}

/// `profiles.toml` in the user's configuration folder. Source: XDG base directory specification; `%APPDATA%`.
fn profiles_file() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = if cfg!(windows) {
        PathBuf::from(set("APPDATA")?)
    } else {
        match set("XDG_CONFIG_HOME") {
            Some(folder) => PathBuf::from(folder),
            None => PathBuf::from(set("HOME")?).join(".config"),
        }
    };
    Some(folder.join("outfitter").join("profiles.toml"))
}

fn from_environment() -> Result<Connection, CommandError> {
    let get = |name: &'static str| {
        std::env::var(name).map_err(|_| {
            CommandError::usage(format!("no server is named: {name} is not set")).hint(HOW)
        })
    };
    Ok(Connection {
        endpoint: get(env::ENDPOINT)?,
        access_key: get(env::ACCESS_KEY)?,
        secret_key: get(env::SECRET_KEY)?.into(),
        project_id: get(env::PROJECT_ID)?,
        ca: None,
    })
}

fn read(path: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(path).map_err(|error| CommandError::file("read", path, error))
}
