-- A number that changes when another connection has committed. Takes a shared lock for a moment; reads no table.
PRAGMA data_version;
