-- Uploads through the package bucket.

-- S3's entity tag, as the uploader was told it; NULL where the object came by another way.
ALTER TABLE bucket_object ADD COLUMN etag TEXT;

-- A multipart upload that is neither completed nor given up.
CREATE TABLE bucket_upload (
  id {{pk}},
  public_id {{uuid}} NOT NULL UNIQUE,
  project_id BIGINT NOT NULL REFERENCES project (id),
  object_key TEXT NOT NULL,
  -- Lower-case hex SHA-256 that the uploader announced for the whole object.
  expected_sha256 TEXT,
  created_at BIGINT NOT NULL,
  -- When it was begun or its last part came: old ones are given up.
  touched_at BIGINT NOT NULL
);
CREATE INDEX bucket_upload_project ON bucket_upload (project_id, id);
CREATE INDEX bucket_upload_touched ON bucket_upload (touched_at);

CREATE TABLE bucket_upload_part (
  upload_id BIGINT NOT NULL REFERENCES bucket_upload (id) ON DELETE CASCADE,
  part_number BIGINT NOT NULL,
  -- Name of the bytes in the package store.
  part_name {{uuid}} NOT NULL UNIQUE,
  size_bytes BIGINT NOT NULL,
  -- Lower-case hex MD5 of the bytes, the part's entity tag.
  md5 TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (upload_id, part_number)
);
