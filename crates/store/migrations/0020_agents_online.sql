-- How many agents of a project were online, over time. Bounded: what is older than a week goes when a row comes.

CREATE TABLE agents_online (
  project_id BIGINT NOT NULL REFERENCES project (id),
  -- Begin of the slot of five minutes that it was counted in, milliseconds UTC.
  at BIGINT NOT NULL,
  online BIGINT NOT NULL,
  -- Desktops with a live agent then.
  agents BIGINT NOT NULL,
  PRIMARY KEY (project_id, at)
);
