use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use outfitter_api_types::tags::Tag;

use super::app::OsArg;
use super::project::size_bytes;
use super::reach::ReachCommand;
use super::{ImportArgs, ListArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum DesktopCommand {
    /// Register a desktop before its agent comes
    Add(AddDesktopArgs),
    /// Register the desktops of a CSV file and attach their users
    ///
    /// Columns: name (needed), os (Linux, Windows or Other; Linux when empty), users (names separated by semicolons),
    /// persistent (yes or no; yes when empty). Repeating an import changes nothing that is as the file says.
    Import(ImportArgs),
    /// List the desktops
    List(ListDesktopsArgs),
    /// Show a desktop with its users, tags and agent
    Show(DesktopArg),
    /// Show what a desktop is: system, hardware, addresses, disks, who is logged in
    Inventory(DesktopArg),
    /// List what is installed on a desktop
    Software(ListSoftwareArgs),
    /// Find desktops by what they are and what is installed on them
    Find(FindDesktopsArgs),
    /// Attach users to a desktop
    Attach(DesktopUsersArgs),
    /// Take users off a desktop
    Detach(DetachArgs),
    /// Tags of desktops
    #[command(subcommand)]
    Tag(TagCommand),
    /// Delete desktops; their open jobs fail
    Delete(DeleteDesktopsArgs),
    /// How desktops are reached over SSH, so that agents can be pushed onto them
    #[command(subcommand)]
    Reach(ReachCommand),
    /// Log in to a desktop and tell what a push of the agent would do, without doing it
    Probe(DesktopArg),
    /// Print the newest of what a desktop's agent logged since it started
    Log(DesktopArg),
    /// Show whether another machine connects with a copy of a desktop's key, and say which is the real one
    Identity(IdentityArgs),
}

#[derive(Debug, Args)]
pub(crate) struct IdentityArgs {
    #[command(flatten)]
    pub(crate) desktop: DesktopArg,
    /// The real one: the machine that is let in, or the one that is refused
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(crate) real: Option<RealArg>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RealArg {
    /// The one that is let in: the other one is a copy and stays refused
    Present,
    /// The one that is refused: it takes the place of the other one
    Refused,
}

#[derive(Debug, Args)]
pub(crate) struct AddDesktopArgs {
    /// Name, unique in the project
    pub(crate) name: String,
    /// Operating system
    #[arg(long, value_enum, default_value_t = OsArg::Linux)]
    pub(crate) os: OsArg,
    /// User to attach; may be given several times
    #[arg(long = "user", value_name = "NAME")]
    pub(crate) users: Vec<String>,
    /// What is installed does not stay there; installs skip it
    #[arg(long)]
    pub(crate) non_persistent: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListDesktopsArgs {
    /// Only desktops whose name contains this
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Only desktops with this tag, of any value where none is given
    #[arg(long, value_name = "KEY[=VALUE]", conflicts_with = "name")]
    pub(crate) tag: Option<TagText>,
    /// Only desktops whose key another machine has too, as long as nobody has said which is the real one
    #[arg(long, conflicts_with = "tag")]
    pub(crate) has_copy: bool,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListSoftwareArgs {
    #[command(flatten)]
    pub(crate) desktop: DesktopArg,
    /// Only software whose name contains this
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Show at most this many, by name
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct FindDesktopsArgs {
    /// Software of this name is installed; with `*` at its end, what the name begins with
    #[arg(long, value_name = "NAME", group = "what")]
    pub(crate) software: Option<String>,
    /// That software has this version
    #[arg(long, requires = "software")]
    pub(crate) version: Option<String>,
    /// Name and version of the operating system contain this
    #[arg(long, value_name = "TEXT", group = "what")]
    pub(crate) os: Option<String>,
    /// This account is logged in
    #[arg(long, value_name = "ACCOUNT", group = "what")]
    pub(crate) user: Option<String>,
    /// The system waits for a restart, or with `false` does not
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", group = "what")]
    pub(crate) reboot_pending: Option<bool>,
    /// A disk has less room: bytes, or with KiB, MiB, GiB, TiB
    #[arg(long, value_name = "SIZE", value_parser = size_bytes, group = "what")]
    pub(crate) disk_free_below: Option<i64>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DesktopArg {
    /// Name or id of the desktop
    pub(crate) desktop: String,
}

#[derive(Debug, Args)]
pub(crate) struct DesktopUsersArgs {
    #[command(flatten)]
    pub(crate) desktop: DesktopArg,
    /// User; may be given several times. A LOCAL user that is not there yet is added
    #[arg(long = "user", value_name = "NAME", required = true)]
    pub(crate) users: Vec<String>,
    /// Directory domain of these users [default: local.com]
    #[arg(long)]
    pub(crate) domain: Option<String>,
    /// Privilege group on the desktop, such as sudo or default (Linux), administrators or users (Windows)
    #[arg(long, value_name = "GROUP", default_value = "default")]
    pub(crate) privilege: String,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("who").required(true))]
pub(crate) struct DetachArgs {
    #[command(flatten)]
    pub(crate) desktop: DesktopArg,
    /// User; may be given several times
    #[arg(long = "user", value_name = "NAME", group = "who")]
    pub(crate) users: Vec<String>,
    /// Everyone
    #[arg(long, group = "who")]
    pub(crate) all_users: bool,
    /// Directory domain of these users [default: local.com]
    #[arg(long)]
    pub(crate) domain: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteDesktopsArgs {
    /// Names or ids of the desktops
    #[arg(required = true, num_args = 1..=100, value_name = "DESKTOP")]
    pub(crate) desktops: Vec<String>,
    /// Also delete users that are left without a desktop
    #[arg(long)]
    pub(crate) delete_users: bool,
    /// Also while other work goes on there
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TagCommand {
    /// List the tags of a desktop, or of all desktops together
    List(ListTagsArgs),
    /// Tag desktops; a value that is there is replaced
    Add(TagDesktopsArgs),
    /// Take tags off desktops
    Remove(TagDesktopsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListTagsArgs {
    /// Name or id of the desktop [default: all]
    pub(crate) desktop: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TagDesktopsArgs {
    /// Names or ids of the desktops
    #[arg(required = true, num_args = 1..=100, value_name = "DESKTOP")]
    pub(crate) desktops: Vec<String>,
    /// Tag; may be given several times
    #[arg(long = "tag", value_name = "KEY[=VALUE]", required = true)]
    pub(crate) tags: Vec<TagText>,
}

/// `KEY` or `KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TagText {
    pub(crate) key: String,
    pub(crate) value: Option<String>,
}

impl From<TagText> for Tag {
    fn from(tag: TagText) -> Self {
        Self {
            key: tag.key,
            value: tag.value,
        }
    }
}

impl FromStr for TagText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        if key.is_empty() {
            return Err("a tag has a key");
        }
        Ok(Self {
            key: key.to_owned(),
            value,
        })
    }
}
