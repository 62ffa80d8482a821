-- The first layout. What came later: STEPS in mod.rs.
CREATE TABLE placement (
    -- Never given twice: another process may still hold the number of a row that is gone.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Absolute path, its directory resolved; bytes, since names need not be UTF-8.
    path BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('intent', 'placed', 'removing', 'moving')),
    -- The job that made the last change; its lock tells whether it still runs.
    job INTEGER NOT NULL,
    -- A hidden name that the placement has on its way.
    spare BLOB,
    -- Where a move goes.
    destination BLOB,
    file_system INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    born INTEGER,
    -- What was placed, as JSON.
    facts TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX placement_path ON placement (path);
CREATE TABLE remembered (
    file_system INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    born INTEGER NOT NULL,
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    algorithm TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (file_system, inode, algorithm)
) STRICT;
CREATE TABLE plugin_scan (
    path BLOB PRIMARY KEY,
    -- Device, inode, size and times of the file that was scanned.
    version TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;
CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    deed TEXT NOT NULL,
    ok INTEGER NOT NULL,
    path BLOB NOT NULL,
    -- The decision and what came of it, as JSON.
    record TEXT NOT NULL
) STRICT;
