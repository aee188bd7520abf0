use outfitter_api_types::native::why::{WhyResponse, WhyResult};

use super::{Session, word};
use crate::args::app::WhyArgs;
use crate::listing;
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Shade, TableView, View};

pub(super) async fn run(args: WhyArgs, session: &Session) -> Result<Outcome, CommandError> {
    let client = &session.client;
    let query = [
        ("app", listing::app_id(client, &args.app).await?),
        ("desktop", listing::desktop_id(client, &args.desktop).await?),
    ];
    let why: WhyResponse = client.get(paths::WHY, &query).await?;
    session.printer.show(&why, || {
        View::Several(vec![View::Line(why.answer.clone()), steps_view(&why)])
    });
    Ok(Outcome::Done)
}

fn steps_view(why: &WhyResponse) -> View {
    View::Table(TableView {
        head: ["step", "", "what is so", "what to do"]
            .map(str::to_owned)
            .into(),
        rows: why
            .steps
            .iter()
            .map(|step| {
                let text = match &step.at {
                    Some(at) => format!("{} ({at})", step.text),
                    None => step.text.clone(),
                };
                vec![
                    word(&step.step).replace('_', " ").into(),
                    match step.result {
                        WhyResult::Fine => Shade::Good("fine".to_owned()),
                        WhyResult::Blocks => Shade::Bad("blocks".to_owned()),
                        WhyResult::Note => Shade::Doubtful("note".to_owned()),
                    },
                    text.into(),
                    step.hint.clone().unwrap_or_default().into(),
                ]
            })
            .collect(),
        empty: "nothing is known",
    })
}
