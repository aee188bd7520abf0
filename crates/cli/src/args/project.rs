use clap::{Args, Subcommand, ValueEnum};

use super::ListArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// Make a project with an administrator and an access key of its own; secrets are shown this once
    Add(AddProjectArgs),
    /// List the projects
    List(ListArgs),
    /// Show or set how many bytes the packages of a project may take
    Quota(QuotaArgs),
    /// Show or set what is asked of the packages of the connection's own project
    Packages(PackagesArgs),
    /// Show or set what is done about running programs of an app, in the connection's own project
    Programs(ProgramsArgs),
    /// Show or set whether whoever logs in at a desktop without a user becomes its user, in the connection's own project
    LoggedIn(LoggedInArgs),
    /// Show or set whether copies of enrolled machines are refused or enroll anew, in the connection's own project
    Copies(CopiesArgs),
}

#[derive(Debug, Args)]
pub(crate) struct QuotaArgs {
    /// Name or id of the project
    #[arg(value_name = "PROJECT")]
    pub(crate) name: String,
    /// They may take this much from now on: bytes, or with KiB, MiB, GiB, TiB
    #[arg(long, value_name = "SIZE", value_parser = size_bytes)]
    pub(crate) set: Option<i64>,
    /// They may take as much as there is
    #[arg(long, conflicts_with = "set")]
    pub(crate) unlimited: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PackagesArgs {
    /// Whether a link must come with the digest of what lies there
    #[arg(long, value_name = "BOOL")]
    pub(crate) require_link_digest: Option<bool>,
}

#[derive(Debug, Args)]
pub(crate) struct ProgramsArgs {
    /// Ask their users to close them first, or stop them at once
    #[arg(long, value_name = "MODE", value_enum)]
    pub(crate) mode: Option<ProgramsMode>,
    /// How long users who are asked have, in seconds [default: 600]
    #[arg(long, value_name = "SECONDS", requires = "mode")]
    pub(crate) wait: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct LoggedInArgs {
    /// Who becomes the user of a single-user desktop that has none, at a login
    #[arg(long, value_name = "WHO", value_enum)]
    pub(crate) attach: Option<LoggedInWho>,
}

#[derive(Debug, Args)]
pub(crate) struct CopiesArgs {
    /// They become desktops of their own, with this token of the project and within its bounds
    #[arg(long, value_name = "TOKEN_ID")]
    pub(crate) enroll_with: Option<String>,
    /// They are refused, and an administrator settles it
    #[arg(long, conflicts_with = "enroll_with")]
    pub(crate) refuse: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LoggedInWho {
    /// Nobody
    Nobody,
    /// A user whom the directory knows, LOCAL or of the company
    Known,
    /// Anybody; a LOCAL user is made where none is known
    Any,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ProgramsMode {
    Ask,
    Stop,
}

/// Reads `500`, `10GiB` or `2 TiB`.
pub(super) fn size_bytes(text: &str) -> Result<i64, String> {
    const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let (number, shift) = UNITS
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))
        .unwrap_or((text, 0));
    number
        .trim()
        .parse::<i64>()
        .ok()
        .filter(|number| *number > 0)
        .and_then(|number| number.checked_mul(1_i64 << shift))
        .ok_or_else(|| "a whole number above 0, with KiB, MiB, GiB or TiB or none".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct AddProjectArgs {
    /// Name, unique in the domain
    pub(crate) name: String,
}
