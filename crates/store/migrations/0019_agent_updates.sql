-- Newer programs of the agent: what there is, how far it is handed out, and what became of it on each desktop.

CREATE TABLE agent_program (
  -- Lower-case hex SHA-256 of the content.
  sha256 TEXT PRIMARY KEY,
  os TEXT NOT NULL,
  arch TEXT NOT NULL,
  -- As its own slot says.
  version TEXT NOT NULL,
  size_bytes BIGINT NOT NULL,
  -- Some megabytes; here every server has it, and it is there exactly as long as its row.
  content {{bytes}} NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE agent_release (
  id {{pk}},
  version TEXT NOT NULL UNIQUE,
  -- agent_protocol::UpdateManifest, JSON as it was signed.
  manifest TEXT NOT NULL,
  -- Ed25519, lower-case hex.
  signature TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  operator TEXT NOT NULL,
  -- Share of the desktops that it is offered to, 0 to 100.
  percent BIGINT NOT NULL DEFAULT 0,
  -- 1: offered to nobody, handed out to nobody.
  halted BIGINT NOT NULL DEFAULT 0,
  halt_reason TEXT,
  -- Desktops that may fail in a round before it halts by itself.
  halt_after_failures BIGINT NOT NULL,
  -- How long the new program may take until it is connected.
  trial_limit_secs BIGINT NOT NULL,
  -- Raised when desktops that failed are to try again.
  round BIGINT NOT NULL DEFAULT 1
);

CREATE TABLE agent_release_program (
  release_id BIGINT NOT NULL REFERENCES agent_release (id),
  os TEXT NOT NULL,
  arch TEXT NOT NULL,
  sha256 TEXT NOT NULL REFERENCES agent_program (sha256),
  PRIMARY KEY (release_id, os, arch)
);
-- Whether a program is handed out.
CREATE INDEX agent_release_program_sha256 ON agent_release_program (sha256);

CREATE TABLE agent_update (
  desktop_id BIGINT NOT NULL REFERENCES desktop (id) ON DELETE CASCADE,
  release_id BIGINT NOT NULL REFERENCES agent_release (id),
  round BIGINT NOT NULL,
  -- trying, done, failed or refused, as the desktop said last.
  stage TEXT NOT NULL,
  detail TEXT,
  at BIGINT NOT NULL,
  PRIMARY KEY (desktop_id, release_id)
);
-- Counts of a release, and its failures.
CREATE INDEX agent_update_release ON agent_update (release_id, stage);
