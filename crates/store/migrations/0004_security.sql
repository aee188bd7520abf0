-- IAM policies and groups, and who holds what.

-- A policy document that the account wrote.
CREATE TABLE iam_policy (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  domain_id BIGINT NOT NULL REFERENCES domain (id),
  name TEXT NOT NULL,
  name_folded TEXT NOT NULL,
  description TEXT NOT NULL,
  -- domain::iam::PolicyDocument, JSON.
  document TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (domain_id, name_folded)
);

-- A group of IAM users (not of desktop users: those are directory_group).
CREATE TABLE iam_group (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  domain_id BIGINT NOT NULL REFERENCES domain (id),
  name TEXT NOT NULL,
  name_folded TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (domain_id, name_folded)
);

CREATE TABLE iam_group_member (
  iam_group_id BIGINT NOT NULL REFERENCES iam_group (id) ON DELETE CASCADE,
  iam_user_id BIGINT NOT NULL REFERENCES iam_user (id) ON DELETE CASCADE,
  PRIMARY KEY (iam_group_id, iam_user_id)
);
CREATE INDEX iam_group_member_user ON iam_group_member (iam_user_id);

-- A policy (of the account or ready-made) attached to a user or a group, in one project or (NULL) in all of the
-- domain. The role a user was made with stays in iam_grant.
CREATE TABLE iam_attachment (
  id {{pk}},
  iam_user_id BIGINT REFERENCES iam_user (id) ON DELETE CASCADE,
  iam_group_id BIGINT REFERENCES iam_group (id) ON DELETE CASCADE,
  project_id BIGINT REFERENCES project (id) ON DELETE CASCADE,
  policy_id BIGINT REFERENCES iam_policy (id),
  ready_made TEXT
);
CREATE INDEX iam_attachment_user ON iam_attachment (iam_user_id);
CREATE INDEX iam_attachment_group ON iam_attachment (iam_group_id);
CREATE INDEX iam_attachment_policy ON iam_attachment (policy_id);

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
  FROM iam_attachment a JOIN iam_group_member m ON m.iam_group_id = a.iam_group_id;
