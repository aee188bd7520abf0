-- The company directory (docs/adr/0012-company-directory.md): how it is reached, nested groups, and whose
-- closure waits to be counted again.

-- objectSid and entryUUID stay when everything else changes: a synchronisation finds rows by them.
CREATE UNIQUE INDEX directory_user_external ON directory_user (project_id, external_id)
  WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX directory_group_external ON directory_group (project_id, external_id)
  WHERE external_id IS NOT NULL;

-- 1: the company directory has disabled the account. Beside disabled, which is what an administrator of ours said.
ALTER TABLE directory_user ADD COLUMN external_disabled BIGINT NOT NULL DEFAULT 0;

-- 1: a member by the user's primary group, which does not list the user (Active Directory).
ALTER TABLE group_member ADD COLUMN by_primary BIGINT NOT NULL DEFAULT 0;

-- Groups that are direct members of groups.
CREATE TABLE group_nesting (
  group_id BIGINT NOT NULL REFERENCES directory_group (id) ON DELETE CASCADE,
  member_id BIGINT NOT NULL REFERENCES directory_group (id) ON DELETE CASCADE,
  PRIMARY KEY (group_id, member_id)
);
-- Which groups hold a group: the closure is counted upwards from a user.
CREATE INDEX group_nesting_member ON group_nesting (member_id, group_id);

-- Users whose rows of group_closure may be wrong; the closure of all others is exact.
CREATE TABLE closure_due (
  user_id BIGINT PRIMARY KEY REFERENCES directory_user (id) ON DELETE CASCADE
);

CREATE TABLE directory_connection (
  project_id BIGINT PRIMARY KEY REFERENCES project (id),
  -- What may be shown (server::app::directory::Settings), JSON.
  settings TEXT NOT NULL,
  -- The bind account's password, sealed under the server key.
  secret_sealed {{bytes}} NOT NULL,
  interval_secs BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  -- Rises with every change of the connection and with every synchronisation that begins: who holds an older
  -- one writes nothing more.
  epoch BIGINT NOT NULL DEFAULT 0,
  -- Until when a server works on it; a past one: it may be taken.
  lease_until BIGINT NOT NULL DEFAULT 0,
  due_at BIGINT NOT NULL,
  -- Synchronisations asked for so far, and how many of these an attempt has answered.
  asked BIGINT NOT NULL DEFAULT 0,
  answered BIGINT NOT NULL DEFAULT 0,
  -- 1: the next one reads everything; 1: it may remove most of what is known.
  wants_full BIGINT NOT NULL DEFAULT 1,
  allows_removals BIGINT NOT NULL DEFAULT 0,
  -- From where to read next (domain::directory::ChangeMark), JSON; NULL: everything.
  mark TEXT,
  last_attempt_at BIGINT,
  last_success_at BIGINT,
  last_full_at BIGINT,
  -- What the last attempt failed of; NULL: it did not.
  error_code TEXT,
  error_text TEXT,
  -- What the last successful one found and did (server::app::directory::Report), JSON.
  report TEXT
);
