-- One definition for both databases; {{pk}}, {{ref}}, {{bytes}} and {{uuid}} are replaced per dialect.
-- Rules (docs/adr/0002-keys-and-storage.md): internal i64 keys, joined on; the public id is one unique
-- column, never joined on; instants are milliseconds UTC; words are the contract's; *_folded columns are
-- made by domain::text::fold.

-- Accounts and who may act -------------------------------------------------------------------------
CREATE TABLE domain (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  name TEXT NOT NULL,
  name_folded TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL
);

CREATE TABLE project (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  domain_id BIGINT NOT NULL REFERENCES domain (id),
  name TEXT NOT NULL,
  enabled BIGINT NOT NULL DEFAULT 1,
  -- 1 once CreateAndAuthorizeBucket (or the first native upload) made the project's bucket.
  bucket_authorized BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  UNIQUE (domain_id, name)
);

CREATE TABLE iam_user (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  domain_id BIGINT NOT NULL REFERENCES domain (id),
  name TEXT NOT NULL,
  name_folded TEXT NOT NULL,
  -- PHC string (argon2id).
  password_hash TEXT NOT NULL,
  enabled BIGINT NOT NULL DEFAULT 1,
  -- Tokens issued before this instant are refused.
  tokens_valid_from BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (domain_id, name_folded)
);

-- What a user may do: a ready-made policy by name, in one project or (project_id NULL) in all of the domain.
CREATE TABLE iam_grant (
  id {{pk}},
  iam_user_id BIGINT NOT NULL REFERENCES iam_user (id) ON DELETE CASCADE,
  project_id BIGINT REFERENCES project (id) ON DELETE CASCADE,
  policy TEXT NOT NULL
);
CREATE INDEX iam_grant_user ON iam_grant (iam_user_id);

CREATE TABLE access_key (
  id {{pk}},
  access TEXT NOT NULL UNIQUE,
  -- The secret, sealed under the server key.
  secret_sealed {{bytes}} NOT NULL,
  iam_user_id BIGINT NOT NULL REFERENCES iam_user (id) ON DELETE CASCADE,
  enabled BIGINT NOT NULL DEFAULT 1,
  created_at BIGINT NOT NULL,
  last_used_at BIGINT
);
CREATE INDEX access_key_user ON access_key (iam_user_id);

-- What all servers share, sealed under the server key: CA keys, token keys.
CREATE TABLE server_secret (
  name TEXT PRIMARY KEY,
  sealed {{bytes}} NOT NULL,
  created_at BIGINT NOT NULL
);

-- The directory ------------------------------------------------------------------------------------
CREATE TABLE directory_user (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  project_id BIGINT NOT NULL REFERENCES project (id),
  name TEXT NOT NULL,
  name_folded TEXT NOT NULL,
  domain TEXT NOT NULL,
  domain_folded TEXT NOT NULL,
  platform_type TEXT NOT NULL,
  -- objectSid or entryUUID of a synchronised user.
  external_id TEXT,
  description TEXT NOT NULL DEFAULT '',
  description_folded TEXT NOT NULL DEFAULT '',
  active_type TEXT NOT NULL,
  enterprise_project_id TEXT,
  -- PHC string (argon2id) of the password an administrator set.
  password_hash TEXT,
  -- The remaining members of the contract's user (domain::fleet::UserProfile), JSON.
  profile TEXT NOT NULL DEFAULT '{}',
  disabled BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  UNIQUE (project_id, domain_folded, name_folded)
);

CREATE TABLE directory_group (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  project_id BIGINT NOT NULL REFERENCES project (id),
  name TEXT NOT NULL,
  name_folded TEXT NOT NULL,
  domain TEXT NOT NULL,
  domain_folded TEXT NOT NULL,
  platform_type TEXT NOT NULL,
  external_id TEXT,
  description TEXT NOT NULL DEFAULT '',
  created_at BIGINT NOT NULL,
  UNIQUE (project_id, domain_folded, name_folded)
);

-- Direct members as written or synchronised.
CREATE TABLE group_member (
  group_id BIGINT NOT NULL REFERENCES directory_group (id) ON DELETE CASCADE,
  user_id BIGINT NOT NULL REFERENCES directory_user (id) ON DELETE CASCADE,
  PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_member_user ON group_member (user_id);

-- Every user a group reaches, nested groups included: kept by writes and sync, the only thing that
-- authorization reads (invariant I5).
CREATE TABLE group_closure (
  group_id BIGINT NOT NULL REFERENCES directory_group (id) ON DELETE CASCADE,
  user_id BIGINT NOT NULL REFERENCES directory_user (id) ON DELETE CASCADE,
  PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_closure_user ON group_closure (user_id, group_id);

-- Machines -----------------------------------------------------------------------------------------
CREATE TABLE desktop (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  project_id BIGINT NOT NULL REFERENCES project (id),
  name TEXT NOT NULL,
  name_folded TEXT NOT NULL,
  os_type TEXT NOT NULL,
  -- DEDICATED (one user) or SHARED.
  desktop_type TEXT NOT NULL,
  -- 0: recomposed at log-off, so installs skip it.
  persistent BIGINT NOT NULL DEFAULT 1,
  ip_address TEXT,
  -- Rises with every connect; see docs/adr/0004-agent-channel.md.
  channel_epoch BIGINT NOT NULL DEFAULT 0,
  last_seen_at BIGINT,
  created_at BIGINT NOT NULL,
  -- A deleted desktop's name outlives it while jobs refer to it.
  deleted_at BIGINT
);
CREATE UNIQUE INDEX desktop_name ON desktop (project_id, name_folded) WHERE deleted_at IS NULL;
CREATE INDEX desktop_project ON desktop (project_id, id);

CREATE TABLE desktop_user (
  desktop_id BIGINT NOT NULL REFERENCES desktop (id) ON DELETE CASCADE,
  user_id BIGINT NOT NULL REFERENCES directory_user (id) ON DELETE CASCADE,
  -- Privilege group on the desktop (sudo, default, administrators or users), where one was named.
  user_group TEXT,
  PRIMARY KEY (desktop_id, user_id)
);
CREATE INDEX desktop_user_user ON desktop_user (user_id, desktop_id);

CREATE TABLE desktop_tag (
  desktop_id BIGINT NOT NULL REFERENCES desktop (id) ON DELETE CASCADE,
  tag_key TEXT NOT NULL,
  tag_value TEXT NOT NULL,
  PRIMARY KEY (desktop_id, tag_key)
);

CREATE TABLE enrollment_token (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  project_id BIGINT NOT NULL REFERENCES project (id),
  name TEXT NOT NULL,
  -- SHA-256 of the secret.
  secret_digest {{bytes}} NOT NULL,
  max_uses BIGINT,
  uses BIGINT NOT NULL DEFAULT 0,
  expires_at BIGINT,
  revoked_at BIGINT,
  may_attach BIGINT NOT NULL DEFAULT 0,
  may_reenroll BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL
);
CREATE INDEX enrollment_token_project ON enrollment_token (project_id, id);

CREATE TABLE agent (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  desktop_id BIGINT NOT NULL REFERENCES desktop (id),
  machine_id TEXT NOT NULL,
  version TEXT NOT NULL,
  os TEXT NOT NULL,
  arch TEXT NOT NULL,
  sandbox_root TEXT,
  enrolled_at BIGINT NOT NULL,
  revoked_at BIGINT
);
CREATE UNIQUE INDEX agent_live ON agent (desktop_id) WHERE revoked_at IS NULL;

-- Looked up at every connect: project and desktop come from this row, never from a message.
CREATE TABLE agent_certificate (
  id {{pk}},
  agent_id BIGINT NOT NULL REFERENCES agent (id) ON DELETE CASCADE,
  -- SHA-256 of the certificate (DER).
  fingerprint {{bytes}} NOT NULL UNIQUE,
  not_before BIGINT NOT NULL,
  not_after BIGINT NOT NULL,
  revoked_at BIGINT
);
CREATE INDEX agent_certificate_agent ON agent_certificate (agent_id);

-- Packages and apps --------------------------------------------------------------------------------
CREATE TABLE package (
  id {{pk}},
  -- Lower-case hex SHA-256 of the content.
  sha256 TEXT NOT NULL UNIQUE,
  size_bytes BIGINT NOT NULL,
  -- pending, ready or refused.
  state TEXT NOT NULL,
  -- What the content is (outfitter-packages PackageFacts), JSON.
  facts TEXT NOT NULL,
  -- Rule that the content gives (agent_protocol::DetectionRule), JSON; NULL when it gives none.
  derived_rule TEXT,
  created_at BIGINT NOT NULL
);

CREATE TABLE bucket_object (
  id {{pk}},
  project_id BIGINT NOT NULL REFERENCES project (id),
  object_key TEXT NOT NULL,
  package_id BIGINT NOT NULL REFERENCES package (id),
  created_at BIGINT NOT NULL,
  UNIQUE (project_id, object_key)
);
CREATE INDEX bucket_object_package ON bucket_object (package_id);

CREATE TABLE app (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  project_id BIGINT NOT NULL REFERENCES project (id),
  name TEXT NOT NULL,
  name_folded TEXT NOT NULL,
  description TEXT NOT NULL,
  authorization_type TEXT NOT NULL,
  install_type TEXT NOT NULL,
  support_os TEXT NOT NULL,
  status TEXT NOT NULL,
  source TEXT NOT NULL,
  catalog_id TEXT NOT NULL,
  install_info TEXT,
  -- At most one of the two: an address as sent, or the lower-case hex SHA-256 of the image in app_icon.
  icon_url TEXT,
  icon_sha256 TEXT,
  run_limit_secs BIGINT NOT NULL,
  -- The newest revision.
  revision_id BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  -- A deleted app's row outlives it while jobs refer to it.
  deleted_at BIGINT
);
-- ListApps counts, filters by name and finds its page in this index alone.
CREATE INDEX app_list ON app (project_id, id, name_folded, deleted_at) WHERE deleted_at IS NULL;

-- Apart from app, whose rows stay small.
CREATE TABLE app_icon (
  app_id BIGINT PRIMARY KEY REFERENCES app (id) ON DELETE CASCADE,
  png {{bytes}} NOT NULL
);

-- Immutable installable content. Rows are never updated but for a package that becomes known.
CREATE TABLE app_revision (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  app_id BIGINT NOT NULL REFERENCES app (id),
  number BIGINT NOT NULL,
  version TEXT NOT NULL,
  store_type TEXT NOT NULL,
  bucket_name TEXT,
  bucket_file_path TEXT,
  file_link TEXT,
  -- Bound when the object is first seen (OBS); never changed afterwards.
  package_id BIGINT REFERENCES package (id),
  -- Link: the digest given or pinned on first use, and by which desktop.
  link_sha256 TEXT,
  link_size_bytes BIGINT,
  link_pinned_by BIGINT REFERENCES desktop (id),
  install_command TEXT,
  uninstall_command TEXT,
  -- agent_protocol::DetectionRule, JSON.
  detection_rule TEXT,
  -- derived or written; NULL without a rule.
  detection_origin TEXT,
  -- JSON array of integers.
  success_exit_codes TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (app_id, number)
);
CREATE INDEX app_revision_package ON app_revision (package_id);
-- Who else refers to an object, and which revisions wait for it. A key may be longer than an entry of an
-- index on PostgreSQL, so its beginning is indexed.
CREATE INDEX app_revision_object ON app_revision (substr(bucket_file_path, 1, 200)) WHERE store_type = 'OBS';

CREATE TABLE app_authorization (
  id {{pk}},
  app_id BIGINT NOT NULL REFERENCES app (id) ON DELETE CASCADE,
  account_type TEXT NOT NULL,
  account TEXT NOT NULL,
  account_folded TEXT NOT NULL,
  domain TEXT NOT NULL,
  domain_folded TEXT NOT NULL,
  platform_type TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (app_id, account_type, domain_folded, account_folded)
);

-- Deployments, jobs, attempts ----------------------------------------------------------------------
CREATE TABLE deployment (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  project_id BIGINT NOT NULL REFERENCES project (id),
  -- install or uninstall.
  kind TEXT NOT NULL,
  -- ALL_USER or ASSIGN_USER: which desktops are reached.
  assign_scope TEXT NOT NULL,
  operator TEXT NOT NULL,
  -- Commands of InstallApp that hold for this run only.
  install_command TEXT,
  uninstall_command TEXT,
  -- expanding or expanded.
  state TEXT NOT NULL,
  -- Key of the last desktop that was expanded.
  desktop_cursor BIGINT NOT NULL DEFAULT 0,
  -- Desktops that got at least one job, and pairs of desktop and app that got none, so far.
  desktops_reached BIGINT NOT NULL DEFAULT 0,
  pairs_skipped BIGINT NOT NULL DEFAULT 0,
  -- Jobs that cannot be handed out by then FAIL with expired_offline.
  expires_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX deployment_project ON deployment (project_id, id);
CREATE INDEX deployment_expanding ON deployment (id) WHERE state = 'expanding';

CREATE TABLE deployment_app (
  deployment_id BIGINT NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
  app_id BIGINT NOT NULL REFERENCES app (id),
  -- Whether the call widened the app's authorization to ALL_USER.
  widened_to_all BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (deployment_id, app_id)
);

-- The accounts in scope of an ASSIGN_USER deployment.
CREATE TABLE deployment_account (
  deployment_id BIGINT NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
  account_type TEXT NOT NULL,
  account TEXT NOT NULL,
  account_folded TEXT NOT NULL,
  domain TEXT NOT NULL,
  domain_folded TEXT NOT NULL,
  platform_type TEXT NOT NULL,
  -- 0: the directory did not know it when the call came.
  known BIGINT NOT NULL,
  PRIMARY KEY (deployment_id, account_type, domain_folded, account_folded)
);

-- Authorizations that the call added: one row an app and account.
CREATE TABLE deployment_widening (
  deployment_id BIGINT NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
  app_id BIGINT NOT NULL REFERENCES app (id),
  account_type TEXT NOT NULL,
  account TEXT NOT NULL,
  domain TEXT NOT NULL,
  PRIMARY KEY (deployment_id, app_id, account_type, domain, account)
);

-- Desktops in scope that got no job for an app.
CREATE TABLE deployment_skip (
  deployment_id BIGINT NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
  desktop_id BIGINT NOT NULL REFERENCES desktop (id),
  app_id BIGINT NOT NULL REFERENCES app (id),
  reason TEXT NOT NULL,
  PRIMARY KEY (deployment_id, desktop_id, app_id)
);

-- Exactly eight B-trees (docs/adr/0002-keys-and-storage.md). They index the folded wire state, never the
-- inner one, so that Queued -> Leased touches none of them.
CREATE TABLE job (
  id {{pk}},
  public_id {{uuid}} NOT NULL,
  project_id BIGINT NOT NULL,
  deployment_id BIGINT NOT NULL,
  app_id BIGINT NOT NULL,
  desktop_id BIGINT NOT NULL,
  -- Fixed by the first hand-out; NULL while INIT means "the newest".
  revision_id BIGINT,
  -- 0 install, 1 uninstall.
  kind BIGINT NOT NULL,
  -- 0 INIT, 1 WAITING, 2 SUCCESS, 3 FAIL: the fold of state.
  wire BIGINT NOT NULL,
  -- domain::job::State by number.
  state BIGINT NOT NULL,
  -- The contract's target; NULL when the desktop has no user in scope.
  target TEXT,
  -- Stable reason code of a FAIL, and its sentence.
  reason TEXT,
  message TEXT,
  -- How well a SUCCESS is proven (domain::job::Proof by number).
  proof BIGINT,
  -- Not handed out before (back-off between attempts).
  due_at BIGINT NOT NULL,
  -- Attempts so far; the newest attempt has this number.
  attempts BIGINT NOT NULL DEFAULT 0,
  -- Automatic retries since it was last queued by a person.
  retries BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  -- When wire changed last.
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX job_public_id ON job (public_id);
CREATE INDEX job_project ON job (project_id, id);
CREATE INDEX job_project_wire ON job (project_id, wire, id);
CREATE INDEX job_app_wire ON job (project_id, app_id, wire, id);
CREATE INDEX job_target_wire ON job (project_id, target, wire, id);
CREATE INDEX job_desktop_wire ON job (desktop_id, wire, id);
CREATE UNIQUE INDEX job_once ON job (deployment_id, desktop_id, app_id);

-- Exact counts of the contract's lists, changed in the same transaction as the jobs; in slots, so that
-- no row is hot.
CREATE TABLE job_count (
  project_id BIGINT NOT NULL,
  -- 0 project (key: empty), 1 app (key: app_id), 2 target (key: the text), 3 deployment (key: deployment_id).
  dimension BIGINT NOT NULL,
  dimension_key TEXT NOT NULL,
  wire BIGINT NOT NULL,
  slot BIGINT NOT NULL,
  jobs BIGINT NOT NULL,
  PRIMARY KEY (project_id, dimension, dimension_key, wire, slot)
);

CREATE TABLE attempt (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  job_id BIGINT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  desktop_id BIGINT NOT NULL,
  revision_id BIGINT NOT NULL,
  number BIGINT NOT NULL,
  -- Channel epoch that owns it.
  epoch BIGINT NOT NULL,
  -- leased, running or ended.
  state TEXT NOT NULL,
  -- The task as sent, JSON.
  task TEXT NOT NULL,
  run_limit_secs BIGINT NOT NULL,
  leased_at BIGINT NOT NULL,
  -- An unacknowledged lease lapses then.
  lease_expires_at BIGINT NOT NULL,
  -- When the server released it.
  started_at BIGINT,
  -- When the agent first reported that the installer runs, by the server's clock.
  installer_started_at BIGINT,
  -- Last sign of life of the agent about this attempt.
  seen_at BIGINT NOT NULL,
  phase TEXT,
  ended_at BIGINT,
  -- Why it ended: domain::job reason code, or succeeded.
  outcome TEXT,
  UNIQUE (job_id, number)
);
-- At most one open attempt per desktop (invariant I2). Also what the reaper scans.
CREATE UNIQUE INDEX attempt_open ON attempt (desktop_id) WHERE ended_at IS NULL;
-- Whether a link is being tried for the first time, and what desktops last said about it.
CREATE INDEX attempt_revision ON attempt (revision_id, ended_at);

-- The evidence as it arrived (agent_protocol::Evidence), JSON.
CREATE TABLE receipt (
  attempt_id BIGINT PRIMARY KEY REFERENCES attempt (id) ON DELETE CASCADE,
  evidence TEXT NOT NULL,
  received_at BIGINT NOT NULL
);

-- Answers to native calls that carried an Idempotency-Key.
CREATE TABLE idempotency_key (
  project_id BIGINT NOT NULL REFERENCES project (id),
  idempotency_key TEXT NOT NULL,
  request_digest {{bytes}} NOT NULL,
  status BIGINT NOT NULL,
  body TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (project_id, idempotency_key)
);
