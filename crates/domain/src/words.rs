//! The contract's words as enums. `as_str` is the wire form and the stored form alike.

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every word, in the contract's order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word on the wire and in the database.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }

            /// Reads the word; `None` for any other text.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )+};
}

words! {
    /// What people read. Source: BCP 47, the language alone.
    Language {
        /// English.
        English = "en",
        /// Simplified Chinese.
        Chinese = "zh",
    }
    /// Who is authorized to an app.
    AssignType {
        /// Everyone in the project.
        AllUser = "ALL_USER",
        /// The accounts of the stored list.
        AssignUser = "ASSIGN_USER",
    }
    /// What an account is.
    AccountType {
        /// A user.
        Simple = "SIMPLE",
        /// A group of users.
        UserGroup = "USER_GROUP",
    }
    /// Where an account is kept.
    PlatformType {
        /// The company's directory.
        Ad = "AD",
        /// Ours.
        Local = "LOCAL",
    }
    /// How an app gets onto a desktop.
    InstallType {
        /// A command without a person.
        QuietInstall = "QUIET_INSTALL",
        /// The agent unpacks an archive.
        UnzipInstall = "UNZIP_INSTALL",
        /// A person clicks through an installer: never installed automatically.
        GuiInstall = "GUI_INSTALL",
    }
    /// Operating system an app is for, or a desktop has.
    OsType {
        /// Linux.
        Linux = "Linux",
        /// Windows.
        Windows = "Windows",
        /// Any other; an app for it fits every desktop.
        Other = "Other",
    }
    /// Whether users see an app.
    AppStatus {
        /// Seen.
        Normal = "NORMAL",
        /// Hidden.
        Forbidden = "FORBIDDEN",
    }
    /// Where an app comes from.
    AppSource {
        /// Uploaded by an administrator.
        Custom = "CUSTOM",
        /// Built in.
        System = "SYSTEM",
        /// From a market.
        Market = "MARKET",
    }
    /// Where a package is.
    StoreType {
        /// In the project's bucket.
        Obs = "OBS",
        /// Behind a link that desktops fetch.
        Link = "LINK",
    }
}
