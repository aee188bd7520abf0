-- How fast packages are handed out, and what is known of downloads under way.

-- One row, id 1, for every server over the database; none: no limits.
CREATE TABLE download_limits (
  id BIGINT PRIMARY KEY,
  -- domain::downloads::DownloadLimits, JSON.
  settings TEXT NOT NULL,
  operator TEXT NOT NULL,
  updated_at BIGINT NOT NULL
);

-- Rate the agent told last, and when bytes last came: a download that goes on is not ended by a clock.
ALTER TABLE attempt ADD COLUMN bytes_per_second BIGINT;
ALTER TABLE attempt ADD COLUMN progress_at BIGINT;
