-- Agents pushed over SSH: how desktops are reached, which host keys they showed, what is being pushed.

CREATE TABLE desktop_reach (
  desktop_id BIGINT PRIMARY KEY REFERENCES desktop (id) ON DELETE CASCADE,
  -- What may be shown (server::app::reach::ReachSettings), JSON.
  settings TEXT NOT NULL,
  -- Keys and passwords (server::app::reach::ReachSecrets), JSON, sealed under the server key.
  secrets_sealed {{bytes}} NOT NULL,
  updated_at BIGINT NOT NULL
);

-- What holds for desktops of a network that say nothing of their own.
CREATE TABLE network_reach (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  project_id BIGINT NOT NULL REFERENCES project (id),
  -- Address and length of the prefix, host bits zero.
  network TEXT NOT NULL,
  settings TEXT NOT NULL,
  secrets_sealed {{bytes}} NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (project_id, network)
);

-- Pinned when a login first succeeded.
CREATE TABLE desktop_host_key (
  desktop_id BIGINT NOT NULL REFERENCES desktop (id) ON DELETE CASCADE,
  -- 1: of the jump host on the way to it.
  of_jump BIGINT NOT NULL,
  -- SHA256: and base64, as OpenSSH prints it.
  fingerprint TEXT NOT NULL,
  seen_at BIGINT NOT NULL,
  PRIMARY KEY (desktop_id, of_jump)
);

-- One row for each sub-job of a push that has not ended.
CREATE TABLE agent_push (
  sub_job_id BIGINT PRIMARY KEY REFERENCES workspace_sub_job (id) ON DELETE CASCADE,
  desktop_id BIGINT NOT NULL REFERENCES desktop (id),
  -- 0 to 100.
  percent BIGINT NOT NULL DEFAULT 0,
  -- Times a server began it.
  runs BIGINT NOT NULL DEFAULT 0,
  -- Until when a server works on it; a past one: it may be taken.
  lease_until BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX agent_push_desktop ON agent_push (desktop_id);

-- Set: lets in an agent for this desktop alone.
ALTER TABLE enrollment_token ADD COLUMN desktop_id BIGINT REFERENCES desktop (id);
