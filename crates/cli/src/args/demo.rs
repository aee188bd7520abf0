use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many desktops to play, 1 to 50
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=50))]
    pub(crate) desktops: u8,
    /// Leave everything running at the end, and say how to stop it
    #[arg(long)]
    pub(crate) keep: bool,
}
