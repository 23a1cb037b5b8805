//! PostgreSQL and SQLite stores for openclaw-tenancy.
