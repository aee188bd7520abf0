//! What desktops are and have.

use outfitter_api_types::native::inventory::{DesktopInventory, FoundInventory, InstalledSoftware};

use super::{Session, note_cut, table, text};
use crate::args::desktop::{FindDesktopsArgs, ListSoftwareArgs};
use crate::listing::{self, Listing};
use crate::outcome::CommandError;
use crate::paths;
use crate::printer::{Shade, View};

/// What a desktop is.
pub(super) async fn show(wanted: &str, session: &Session) -> Result<(), CommandError> {
    let id = listing::desktop_id(&session.client, wanted).await?;
    let path = paths::below(paths::DESKTOPS, &id, "inventory");
    let inventory: DesktopInventory = session.client.get(&path, &[]).await?;
    session.printer.show(&inventory, || card(&inventory));
    if inventory.facts_at.is_none() {
        session.printer.note("its agent has told nothing yet");
    }
    Ok(())
}

fn card(inventory: &DesktopInventory) -> View {
    let facts = &inventory.facts;
    let addresses = facts
        .addresses
        .iter()
        .map(|it| format!("{} ({})", it.address, it.interface));
    let disks = facts.disks.iter().map(|disk| {
        format!(
            "{} free of {} at {}",
            size(disk.free_bytes),
            size(disk.total_bytes),
            disk.path
        )
    });
    let joined = |texts: Vec<String>| texts.join(", ");
    View::Card(vec![
        ("desktop", inventory.desktop_name.clone()),
        ("os", text(&facts.os_name)),
        ("version", text(&facts.os_version)),
        ("kernel", text(&facts.kernel)),
        ("architecture", text(&facts.architecture)),
        ("host name", text(&facts.host_name)),
        (
            "machine",
            joined(
                [&facts.vendor, &facts.model]
                    .into_iter()
                    .flatten()
                    .cloned()
                    .collect(),
            ),
        ),
        (
            "processors",
            facts
                .processors
                .map(|it| it.to_string())
                .unwrap_or_default(),
        ),
        ("memory", facts.memory_bytes.map(size).unwrap_or_default()),
        ("addresses", joined(addresses.collect())),
        ("logged in", joined(facts.users.clone())),
        ("disks", joined(disks.collect())),
        ("restart", restart(facts.reboot_pending).to_owned()),
        ("agent", text(&facts.agent_version)),
        (
            "told",
            inventory
                .facts_at
                .map(|at| at.to_string())
                .unwrap_or_default(),
        ),
    ])
}

/// What is installed on a desktop.
pub(super) async fn list_software(
    args: ListSoftwareArgs,
    session: &Session,
) -> Result<(), CommandError> {
    let id = listing::desktop_id(&session.client, &args.desktop.desktop).await?;
    let filters: Vec<_> = args.name.into_iter().map(|name| ("name", name)).collect();
    let listing: Listing<InstalledSoftware> =
        listing::desktop_software(&session.client, &id, &filters, args.limit).await?;
    session.printer.show(&listing, || {
        let rows = listing.items.iter().map(|it| {
            vec![
                it.name.clone().into(),
                it.version.clone().into(),
                it.source.clone().into(),
            ]
        });
        table(
            &["name", "version", "source"],
            rows.collect(),
            "nothing is known to be installed",
        )
    });
    note_cut(session.printer, &listing);
    Ok(())
}

/// Desktops that fit.
pub(super) async fn find(args: FindDesktopsArgs, session: &Session) -> Result<(), CommandError> {
    let filters: Vec<(&str, String)> = [
        ("software", args.software),
        ("version", args.version),
        ("os", args.os),
        ("user", args.user),
        (
            "reboot_pending",
            args.reboot_pending.map(|it| it.to_string()),
        ),
        (
            "disk_free_below",
            args.disk_free_below.map(|it| it.to_string()),
        ),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    let listing: Listing<FoundInventory> = listing::INVENTORY
        .fetch(&session.client, &filters, args.list.limit)
        .await?;
    session.printer.show(&listing, || {
        let rows = listing.items.iter().map(|it| {
            let software = it
                .software
                .iter()
                .map(|software| format!("{} {}", software.name, software.version))
                .collect::<Vec<_>>()
                .join(", ");
            let restart = match it.reboot_pending {
                Some(true) => Shade::Doubtful(restart(it.reboot_pending).to_owned()),
                pending => restart(pending).to_owned().into(),
            };
            vec![
                it.desktop_name.clone().into(),
                text(&it.os_name).into(),
                it.users.join(", ").into(),
                it.disk_free_bytes.map(size).unwrap_or_default().into(),
                restart,
                software.into(),
            ]
        });
        table(
            &["name", "os", "logged in", "free", "restart", "software"],
            rows.collect(),
            "no desktop is known to fit",
        )
    });
    note_cut(session.printer, &listing);
    Ok(())
}

const fn restart(pending: Option<bool>) -> &'static str {
    match pending {
        Some(true) => "needed",
        Some(false) => "not needed",
        None => "",
    }
}

/// Bytes in the largest unit of which there are at least ten.
fn size(bytes: i64) -> String {
    let (mut number, mut unit) = (bytes, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if number < 10 * 1024 {
            break;
        }
        (number, unit) = (number / 1024, larger);
    }
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(10 * 1024), "10 KiB");
        assert_eq!(size(8_192_000_000), "7812 MiB");
        assert_eq!(size(500_000_000_000), "465 GiB");
        assert_eq!(size(i64::MAX), "8388607 TiB");
    }
}
