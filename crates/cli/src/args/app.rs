use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use outfitter_api_types::apps::{InstallType, OsTypeEnum};
use outfitter_api_types::authorizations::AccountTypeEnum;
use outfitter_api_types::native::deployments::FailLimit;
use outfitter_api_types::native::revisions::{ExitCode, ExitOutcome};
use url::Url;

use super::{AccountArgs, ListArgs, WaitArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// Add an application from a package file or a link
    Add(AddArgs),
    /// List the applications
    List(ListAppsArgs),
    /// Show an application with its revisions
    Show(AppArg),
    /// Change an application; new content makes a new revision
    Update(UpdateArgs),
    /// Delete applications
    Delete(DeleteArgs),
    /// List the deleted applications that can be restored
    Deleted(ListArgs),
    /// Bring deleted applications back, with what they had
    Restore(AppsArg),
    /// Show applications to users again
    Enable(AppsArg),
    /// Hide applications from users
    Disable(AppsArg),
    /// Let users or groups have applications
    Authorize(AuthorizeArgs),
    /// Take applications from users or groups; nothing is uninstalled
    Revoke(RevokeArgs),
    /// List who is authorized by name
    Authorizations(ListAuthorizationsArgs),
    /// List the categories
    Categories,
    /// Install applications on desktops now; without a target, for everybody who is authorized
    Install(InstallArgs),
    /// Uninstall applications from desktops now
    Uninstall(UninstallArgs),
    /// Accept what lies behind an application's link now as a new revision
    AcceptLink(AcceptLinkArgs),
    /// List the desktops that have an older revision than the newest
    Outdated(OutdatedArgs),
    /// Set how a desktop tells whether an application is there
    Detection(DetectionArgs),
    /// Ask connected desktops whether the detection rule, or another one, holds there; nothing is installed
    Detect(DetectArgs),
    /// Say what exit codes of an application's installer mean
    ExitCodes(ExitCodesArgs),
    /// Have packages read and digested where they lie
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) apps: AppsArg,
    /// Wait until it is done; fails when a package is missing or altered
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) limit: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DetectArgs {
    /// Name or id of the application
    pub(crate) app: String,
    /// Desktop to ask (name or id); may be given up to 20 times
    #[arg(long = "desktop", value_name = "NAME", required = true)]
    pub(crate) desktops: Vec<String>,
    /// Another rule than the application's: a JSON file
    #[arg(long, value_name = "FILE")]
    pub(crate) rule_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct AppArg {
    /// Name or id of the application
    pub(crate) app: String,
}

#[derive(Debug, Args)]
pub(crate) struct AcceptLinkArgs {
    /// Name or id of the application
    pub(crate) app: String,
    /// SHA-256 it has, as a failed job shows it [default: what the next desktop finds]
    #[arg(long, value_name = "HEX")]
    pub(crate) sha256: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AppsArg {
    /// Names or ids of the applications
    #[arg(required = true, num_args = 1..=50, value_name = "APP")]
    pub(crate) apps: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The package: .deb, .zip, .tar.*, script, .msi, .exe ...
    #[arg(required_unless_present = "link")]
    pub(crate) file: Option<PathBuf>,
    /// Desktops fetch the package from here instead
    #[arg(long, value_name = "URL", conflicts_with = "file", requires_all = ["name", "app_version", "install_type"])]
    pub(crate) link: Option<Url>,
    /// Name [default: from the package]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Version [default: from the package]
    #[arg(long = "version", id = "app_version", value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// How it is installed [default: by the kind of package]
    #[arg(long, value_enum)]
    pub(crate) install_type: Option<InstallTypeArg>,
    /// Silent install command; ${FILE_PATH} is the package on the desktop [default: by the kind of package]
    #[arg(long)]
    pub(crate) command: Option<String>,
    /// Command that removes it
    #[arg(long, value_name = "COMMAND")]
    pub(crate) uninstall_command: Option<String>,
    /// Operating system it is for; `other` fits any [default: by the kind of package]
    #[arg(long, value_enum)]
    pub(crate) os: Option<OsArg>,
    /// Category id; 1 is Other
    #[arg(long, value_name = "ID", default_value = "1")]
    pub(crate) catalog: String,
    /// What it is
    #[arg(long, default_value = "")]
    pub(crate) description: String,
    /// Icon: a PNG file or an http(s) URL
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) icon: Option<String>,
    /// Everyone may have it; otherwise nobody may until `app authorize`
    #[arg(long)]
    pub(crate) all_users: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListAppsArgs {
    /// Only applications whose name contains this
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Name or id of the application
    pub(crate) app: String,
    /// New package
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// New address of the package
    #[arg(long, value_name = "URL", conflicts_with = "file")]
    pub(crate) link: Option<Url>,
    /// New name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// New version
    #[arg(long = "version", id = "app_version", value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// How it is installed
    #[arg(long, value_enum)]
    pub(crate) install_type: Option<InstallTypeArg>,
    /// Silent install command; empty clears it
    #[arg(long)]
    pub(crate) command: Option<String>,
    /// Command that removes it; empty clears it
    #[arg(long, value_name = "COMMAND")]
    pub(crate) uninstall_command: Option<String>,
    /// Operating system it is for
    #[arg(long, value_enum)]
    pub(crate) os: Option<OsArg>,
    /// Category id
    #[arg(long, value_name = "ID")]
    pub(crate) catalog: Option<String>,
    /// What it is
    #[arg(long)]
    pub(crate) description: Option<String>,
    /// Icon: a PNG file or an http(s) URL
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) icon: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    pub(crate) apps: AppsArg,
    /// Keep the packages in the bucket
    #[arg(long)]
    pub(crate) keep_packages: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AuthorizeArgs {
    /// Names or ids of the applications, up to 20
    #[arg(required = true, num_args = 1..=20, value_name = "APP")]
    pub(crate) apps: Vec<String>,
    #[command(flatten)]
    pub(crate) accounts: AccountArgs,
    /// Everyone, from now on
    #[arg(long, conflicts_with_all = ["users", "groups"])]
    pub(crate) all_users: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// Names or ids of the applications, up to 20
    #[arg(required = true, num_args = 1..=20, value_name = "APP")]
    pub(crate) apps: Vec<String>,
    #[command(flatten)]
    pub(crate) accounts: AccountArgs,
    /// No longer everyone: from now on only those who are authorized by name
    #[arg(long)]
    pub(crate) all_users: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListAuthorizationsArgs {
    /// Name or id of the application
    pub(crate) app: String,
    /// Only accounts whose name contains this
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Only accounts of this kind
    #[arg(long = "type", value_enum)]
    pub(crate) account_type: Option<AccountTypeArg>,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccountTypeArg {
    /// Users
    User,
    /// User groups
    Group,
}

impl From<AccountTypeArg> for AccountTypeEnum {
    fn from(given: AccountTypeArg) -> Self {
        match given {
            AccountTypeArg::User => Self::Simple,
            AccountTypeArg::Group => Self::UserGroup,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    #[command(flatten)]
    pub(crate) apps: AppsArg,
    #[command(flatten)]
    pub(crate) accounts: AccountArgs,
    /// On every desktop; authorizes everyone for these applications, permanently
    #[arg(long, conflicts_with_all = ["users", "groups"])]
    pub(crate) all_users: bool,
    /// On this desktop (name or id), for whoever is authorized there; may be given several times
    #[arg(long = "desktop", value_name = "NAME", conflicts_with_all = ["users", "groups", "all_users"])]
    pub(crate) desktops: Vec<String>,
    /// Run the command also where the application is there already
    #[arg(long)]
    pub(crate) repair: bool,
    /// Stop handing out once more jobs than this have failed, or more percent of all: 10, 5%; with 0 at the first failure
    #[arg(long, value_name = "COUNT|PERCENT%")]
    pub(crate) halt_after: Option<HaltAfter>,
    /// Follow it to the end
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) limit: WaitArgs,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("from").required(true).multiple(true)
    .args(["users", "groups", "desktops", "everyone"]))]
pub(crate) struct UninstallArgs {
    #[command(flatten)]
    pub(crate) apps: AppsArg,
    #[command(flatten)]
    pub(crate) accounts: AccountArgs,
    /// From this desktop (name or id); may be given several times
    #[arg(long = "desktop", value_name = "NAME", conflicts_with_all = ["users", "groups"])]
    pub(crate) desktops: Vec<String>,
    /// From every desktop
    #[arg(long, conflicts_with_all = ["users", "groups", "desktops"])]
    pub(crate) everyone: bool,
    /// Command that removes it, for this run only
    #[arg(long, value_name = "COMMAND")]
    pub(crate) command: Option<String>,
    /// Stop handing out once more jobs than this have failed, or more percent of all: 10, 5%; with 0 at the first failure
    #[arg(long, value_name = "COUNT|PERCENT%")]
    pub(crate) halt_after: Option<HaltAfter>,
    /// Change nothing; say which desktops it would reach
    #[arg(long, conflicts_with = "wait")]
    pub(crate) preview: bool,
    /// Follow it to the end
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) limit: WaitArgs,
}

/// Failures above which nothing more is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HaltAfter {
    Count(i64),
    Percent(i64),
}

impl FromStr for HaltAfter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str, most: i64| {
            digits
                .parse()
                .ok()
                .filter(|number| (0..=most).contains(number))
                .ok_or_else(|| format!("a number from 0 to {most} is wanted"))
        };
        match text.strip_suffix('%') {
            Some(digits) => number(digits, 100).map(Self::Percent),
            None => number(text, 1_000_000).map(Self::Count),
        }
    }
}

impl From<HaltAfter> for FailLimit {
    fn from(given: HaltAfter) -> Self {
        match given {
            HaltAfter::Count(count) => Self {
                count: Some(count),
                percent: None,
            },
            HaltAfter::Percent(percent) => Self {
                count: None,
                percent: Some(percent),
            },
        }
    }
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("rule").required(true))]
pub(crate) struct DetectionArgs {
    /// Name or id of the application
    pub(crate) app: String,
    /// This file is there: an absolute path on the desktop
    #[arg(long, value_name = "PATH", group = "rule")]
    pub(crate) file: Option<String>,
    /// With this SHA-256 (hex)
    #[arg(long, value_name = "DIGEST", requires = "file")]
    pub(crate) sha256: Option<String>,
    /// This Debian package is installed, in this version if one is given
    #[arg(long, value_name = "NAME[=VERSION]", group = "rule")]
    pub(crate) debian: Option<String>,
    /// A whole rule: a JSON file
    #[arg(long, value_name = "FILE", group = "rule")]
    pub(crate) rule_file: Option<PathBuf>,
    /// Derive it from the package again
    #[arg(long, group = "rule")]
    pub(crate) derive: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InstallTypeArg {
    /// A silent installer
    Quiet,
    /// An archive to unpack
    Unzip,
    /// The user clicks through it; not for automatic installs
    Gui,
}

impl From<InstallTypeArg> for InstallType {
    fn from(given: InstallTypeArg) -> Self {
        match given {
            InstallTypeArg::Quiet => Self::QuietInstall,
            InstallTypeArg::Unzip => Self::UnzipInstall,
            InstallTypeArg::Gui => Self::GuiInstall,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OsArg {
    /// Linux
    Linux,
    /// Windows
    Windows,
    /// Any
    Other,
}

impl From<OsArg> for OsTypeEnum {
    fn from(given: OsArg) -> Self {
        match given {
            OsArg::Linux => Self::Linux,
            OsArg::Windows => Self::Windows,
            OsArg::Other => Self::Other,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ExitCodesArgs {
    /// Name or id of the application
    pub(crate) app: String,
    /// A code and what it comes to (success, reboot_needed, retry, failure), with words if wanted; these replace all
    #[arg(required_unless_present = "clear", value_name = "CODE=OUTCOME[:TEXT]")]
    pub(crate) codes: Vec<ExitCodeArg>,
    /// Leave every code to its kind of installer
    #[arg(long, conflicts_with = "codes")]
    pub(crate) clear: bool,
}

/// One code of [`ExitCodesArgs`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExitCodeArg(pub(crate) ExitCode);

impl FromStr for ExitCodeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (code, rest) = text
            .split_once('=')
            .ok_or("CODE=OUTCOME is wanted, such as 3010=reboot_needed")?;
        let (outcome, words) = match rest.split_once(':') {
            Some((outcome, words)) => (outcome, Some(words.trim().to_owned())),
            None => (rest, None),
        };
        let code = code
            .trim()
            .parse::<i32>()
            .map_err(|_| format!("{code:?} is no exit code"))?;
        let outcome = match outcome.trim() {
            "success" => ExitOutcome::Success,
            "reboot_needed" => ExitOutcome::RebootNeeded,
            "retry" => ExitOutcome::Retry,
            "failure" => ExitOutcome::Failure,
            other => {
                return Err(format!(
                    "{other:?} is none of success, reboot_needed, retry, failure"
                ));
            }
        };
        Ok(Self(ExitCode {
            code: i64::from(code),
            outcome,
            text: words.filter(|words| !words.is_empty()),
        }))
    }
}

#[derive(Debug, Args)]
pub(crate) struct OutdatedArgs {
    /// Name or id of the application
    pub(crate) app: String,
    #[command(flatten)]
    pub(crate) list: ListArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// Name or id of the application
    pub(crate) app: String,
    /// Name or id of the desktop
    pub(crate) desktop: String,
}
