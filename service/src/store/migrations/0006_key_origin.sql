-- Where a private key comes from, for ever: 'generated' in the token or 'imported' into it.
ALTER TABLE version ADD COLUMN key_origin TEXT NOT NULL DEFAULT 'generated';
