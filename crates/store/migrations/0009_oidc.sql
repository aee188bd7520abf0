-- Users whom the login provider knows (OpenID Connect), and which groups of ours its groups stand for.

-- A user without a password (password_hash is empty): issuer and subject say who it is, never the name.
CREATE TABLE iam_identity (
  iam_user_id BIGINT PRIMARY KEY REFERENCES iam_user (id) ON DELETE CASCADE,
  issuer TEXT NOT NULL,
  subject TEXT NOT NULL,
  -- Last login.
  seen_at BIGINT NOT NULL,
  UNIQUE (issuer, subject)
);

-- Groups of the provider whose members are members of the group.
CREATE TABLE iam_group_provider (
  iam_group_id BIGINT NOT NULL REFERENCES iam_group (id) ON DELETE CASCADE,
  provider_group TEXT NOT NULL,
  PRIMARY KEY (iam_group_id, provider_group)
);
-- Which groups a login brings.
CREATE INDEX iam_group_provider_group ON iam_group_provider (provider_group);

-- What the provider said at the user's last login. Who was put into a group here is in iam_group_member.
CREATE TABLE iam_provider_member (
  iam_group_id BIGINT NOT NULL REFERENCES iam_group (id) ON DELETE CASCADE,
  iam_user_id BIGINT NOT NULL REFERENCES iam_user (id) ON DELETE CASCADE,
  PRIMARY KEY (iam_group_id, iam_user_id)
);
CREATE INDEX iam_provider_member_user ON iam_provider_member (iam_user_id);

-- Logins that came back from the provider, until they would have lapsed: each counts once, on every server.
CREATE TABLE oidc_login (
  -- SHA-256 of the state.
  state_digest {{bytes}} PRIMARY KEY,
  expires_at BIGINT NOT NULL
);

DROP VIEW iam_held;
-- Everything that counts for a user: the role, what is attached, what a group brings.
CREATE VIEW iam_held AS
  SELECT iam_user_id, project_id, policy AS ready_made, CAST(NULL AS BIGINT) AS policy_id,
         CAST(NULL AS BIGINT) AS iam_group_id
  FROM iam_grant
  UNION ALL
  SELECT iam_user_id, project_id, ready_made, policy_id, CAST(NULL AS BIGINT)
  FROM iam_attachment WHERE iam_user_id IS NOT NULL
  UNION ALL
  SELECT m.iam_user_id, a.project_id, a.ready_made, a.policy_id, a.iam_group_id
  FROM iam_attachment a JOIN iam_group_member m ON m.iam_group_id = a.iam_group_id
  UNION ALL
  SELECT m.iam_user_id, a.project_id, a.ready_made, a.policy_id, a.iam_group_id
  FROM iam_attachment a JOIN iam_provider_member m ON m.iam_group_id = a.iam_group_id;
