-- What desktops are and have, as their agents tell. See docs/adr/0028-inventory.md.

CREATE TABLE inventory (
  desktop_id BIGINT PRIMARY KEY REFERENCES desktop (id) ON DELETE CASCADE,
  -- The agent's, opaque. Empty: none, or one that is being written.
  facts_digest TEXT NOT NULL DEFAULT '',
  -- agent_protocol::InventoryFacts, JSON.
  facts TEXT NOT NULL DEFAULT '{}',
  -- What of it is searched: system folded; accounts folded, each between line ends; least room on a disk.
  os_folded TEXT NOT NULL DEFAULT '',
  users_folded TEXT NOT NULL DEFAULT '',
  reboot_pending BIGINT,
  disk_free_bytes BIGINT,
  facts_at BIGINT,
  software_digest TEXT NOT NULL DEFAULT '',
  -- Packages that the desktop has and that are not kept.
  software_left_off BIGINT NOT NULL DEFAULT 0,
  software_at BIGINT
);

-- A package that some desktop of the project has, or had: the sweep takes those that nobody has.
CREATE TABLE inventory_package (
  id {{pk}},
  project_id BIGINT NOT NULL REFERENCES project (id),
  -- dpkg, rpm: who says so.
  source TEXT NOT NULL,
  name TEXT NOT NULL,
  name_folded TEXT NOT NULL,
  version TEXT NOT NULL,
  -- Also finds by name.
  UNIQUE (project_id, name_folded, name, version, source)
);

CREATE TABLE inventory_installed (
  desktop_id BIGINT NOT NULL REFERENCES desktop (id) ON DELETE CASCADE,
  package_id BIGINT NOT NULL REFERENCES inventory_package (id),
  PRIMARY KEY (desktop_id, package_id)
);
-- Who has a package; whether anybody has.
CREATE INDEX inventory_installed_package ON inventory_installed (package_id, desktop_id);
