use std::str::FromStr;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// Show which features are on
    Show,
    /// Switch features; while app_center is off, install calls are refused
    Set(SetProfileArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SetProfileArgs {
    /// Features and their new state, such as app_center=off
    #[arg(required = true, value_name = "NAME=on|off")]
    pub(crate) switches: Vec<FeatureSwitch>,
}

/// `NAME=on` or `NAME=off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FeatureSwitch {
    pub(crate) name: String,
    pub(crate) on: bool,
}

impl FromStr for FeatureSwitch {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, state) = text.split_once('=').ok_or("write NAME=on or NAME=off")?;
        Ok(Self {
            name: name.to_owned(),
            on: match state {
                "on" | "true" => true,
                "off" | "false" => false,
                _ => return Err("write NAME=on or NAME=off"),
            },
        })
    }
}
