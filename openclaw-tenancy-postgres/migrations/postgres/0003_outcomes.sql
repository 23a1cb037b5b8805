-- What became of each write, under an id of its attempt: written by the transaction itself as committed, or, where its
-- commit was not answered, by whoever asks, as one of which nothing came. The primary key lets one of the two in.
-- Rows are kept for an hour. SQLite has no such table: its commits are calls within the process, and are answered.
CREATE TABLE outcomes (
    id        UUID    PRIMARY KEY,
    committed BOOLEAN NOT NULL,
    at        BIGINT  NOT NULL
);
CREATE INDEX outcomes_at ON outcomes (at);
