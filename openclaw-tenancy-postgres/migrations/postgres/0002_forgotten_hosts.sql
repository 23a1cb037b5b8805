-- Hosts that were forgotten, with their last fence: one that is made known again goes on from it, so that whoever
-- held a claim on it before stays fenced.
CREATE TABLE gone_hosts (
    id    TEXT   COLLATE "C" PRIMARY KEY,
    fence BIGINT NOT NULL
);
